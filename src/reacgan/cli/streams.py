"""Standard output and error as they come: any encoding, closed, full, or with nobody who reads.

What a command prints comes after its work, so printing never undoes the work.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TextIO

BROKEN_PIPE = 128 + 13


def make_patient() -> None:
    """Letters that an output's encoding lacks become ``?``; a closed output takes all and keeps nothing."""
    _fill_closed_numbers()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed, as `>&-` leaves it, or a program without a console
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _fill_closed_numbers() -> None:
    """Where 0, 1 or 2 is closed the next file opened would get the number, and what is printed with it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def close_output(code: int) -> int:
    """Write out what is still held back; the exit code, which says if that could not be."""
    problem = flush(sys.stdout)
    if isinstance(problem, BrokenPipeError):
        code = code or BROKEN_PIPE  # who read the output has gone, as `head` does
    elif problem is not None:
        complain(f"standard output: {problem.strerror or problem}")
        code = code or 1
    flush(sys.stderr)
    return code


def flush(stream: TextIO) -> OSError | None:
    """Write out what is held back; where that fails the stream takes all from now on and keeps nothing."""
    try:
        stream.flush()
    except OSError as error:
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
        return error
    except ValueError:  # closed by whoever called
        return None
    return None


def complain(text: str) -> None:
    """What went wrong, in one line for a person; a terminal that is gone is no further mistake."""
    tell(f"reacgan: {text}")


def explained(error: Exception) -> str:
    """An error in words; one of printing, which names no file, names standard output."""
    if isinstance(error, OSError) and error.filename is None and _came_from_printing(error):
        return f"standard output: {error.strerror}"
    return str(error)


def _came_from_printing(error: OSError) -> bool:
    """Whether a line of a command itself failed: commands print, and what they call writes files."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    return (
        step is not None and Path(step.tb_frame.f_code.co_filename).parent == Path(__file__).parent
    )


def tell(text: str, end: str = "\n") -> None:
    """What goes on, on standard error; one that nobody reads any more ends no work."""
    with contextlib.suppress(OSError, ValueError):
        print(text, end=end, file=sys.stderr, flush=True)


def line_moves() -> bool:
    """Whether a line on standard error may be written over: on a terminal that can."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@contextlib.contextmanager
def ending_imports() -> Iterator[None]:
    """A block in which Ctrl-C while modules are imported ends the process at once.

    Libraries swallow the exception there, or make another of it; and there is nothing to save yet.
    """
    before = signal.getsignal(signal.SIGINT)
    ours = threading.current_thread() is threading.main_thread()
    if not ours or before is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _end_or_raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _end_or_raise(number: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            os._exit(128 + number)
        frame = frame.f_back
    raise KeyboardInterrupt


def is_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl-C is what is behind an error: libraries make others of it while they are imported."""
    met: set[int] = set()
    while error is not None and id(error) not in met:
        if isinstance(error, KeyboardInterrupt):
            return True
        met.add(id(error))
        error = error.__cause__ or error.__context__
    return False
