"""Standard output and error of any kind: any encoding, closed, full, or a broken pipe.

Commands print after their work, so a failure to print loses none of it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import sys
import textwrap
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from reacgan.files import remove_scratch
from reacgan.progress import can_redraw
from reacgan.text import plain_lines

BROKEN_PIPE = 128 + 13
WHOLE = "files that were written before are whole, and no half-written one is left"
"""What is left by Ctrl-C where a command has nothing of its own to say."""
_COLUMNS, _NARROWEST = 100, 30


def make_patient() -> None:
    """Replace characters that an output's encoding lacks by ``?``, and a closed output by /dev/null."""
    _fill_closed_numbers()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed, as `>&-` leaves it, or a program without a console
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def escape_notes() -> None:
    """Have warnings and messages of a log move no cursor either, whoever made them.

    A message of the log is printed once a command: the same images may be opened for several uses.
    """
    said: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        before = len(said)
        said.add(record.getMessage())
        return len(said) > before

    class Escaped(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return plain_lines(super().format(record))

    if logging.lastResort is not None:
        logging.lastResort.setFormatter(Escaped())
        logging.lastResort.filters = [is_new]
    warnings.formatwarning = lambda *words, **named: plain_lines(_formatted(*words, **named))


_formatted = warnings.formatwarning


def _fill_closed_numbers() -> None:
    """Open closed descriptors 0 to 2, or the next file opened would get what is printed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def close_output(code: int) -> int:
    """Flush the outputs; returns the exit code, which tells whether that failed."""
    problem = flush(sys.stdout)
    if isinstance(problem, BrokenPipeError):
        code = code or BROKEN_PIPE  # the reader has gone, as with `head`
    elif problem is not None:
        complain(f"standard output: {problem.strerror or problem}")
        code = code or 1
    flush(sys.stderr)
    return code


def flush(stream: TextIO) -> OSError | None:
    """Flush a stream; where that fails, return the error and redirect the stream to /dev/null."""
    try:
        stream.flush()
    except OSError as error:
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
        return error
    except ValueError:  # closed by the caller
        return None
    return None


def flush_output() -> None:
    """Flush standard output, so that what standard error gets next comes after it."""
    flush(sys.stdout)


def complain(text: str) -> None:
    """Print an error message on standard error."""
    tell(f"reacgan: {text}")


def explained(error: Exception) -> str:
    """The message of an error; where printing failed, it names standard output."""
    if isinstance(error, OSError) and error.filename is None and _came_from_printing(error):
        return f"standard output: {error.strerror}"
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"  # without its number
    return str(error)


def _came_from_printing(error: OSError) -> bool:
    """Whether a line of a command itself failed: commands print, and what they call writes files."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    return (
        step is not None and Path(step.tb_frame.f_code.co_filename).parent == Path(__file__).parent
    )


def say(text: str, end: str = "\n") -> None:
    """Print on standard output; what stands in it moves no cursor."""
    print(plain_lines(text), end=end)


def tell(text: str) -> None:
    """Print on standard error; a failure to print is ignored."""
    draw(f"{plain_lines(text)}\n")


def draw(text: str) -> None:
    """Print on standard error as it is: for text that moves the cursor, and holds nothing of others."""
    with contextlib.suppress(OSError, ValueError):
        print(text, end="", file=sys.stderr, flush=True)


def columns() -> int:
    """Of lines on standard output: those of the terminal, 100 in files."""
    if sys.stdout is not None and sys.stdout.isatty():
        return max(shutil.get_terminal_size().columns, _NARROWEST)
    return _COLUMNS


def fitted(text: str) -> str:
    """Long lines broken between words, to the terminal's width or, for files, to 100 columns."""
    width = columns()
    broken: list[str] = []
    for line in text.split("\n"):
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        broken += textwrap.wrap(
            line,
            width,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [""]
    return "\n".join(broken)


def show(text: str) -> None:
    """Print before the work is done: a failure to print does not end it."""
    with contextlib.suppress(OSError, ValueError):
        print(plain_lines(fitted(text)), flush=True)


def line_moves() -> bool:
    """Whether a line on standard error can be overwritten: on a terminal that is not dumb."""
    return can_redraw(sys.stderr)


class Terminated(KeyboardInterrupt):
    """SIGTERM: what is begun is tidied up as after Ctrl-C."""


def exit_code_of(interrupt: KeyboardInterrupt) -> int:
    """130 after Ctrl-C, 143 after SIGTERM."""
    return 128 + (signal.SIGTERM if isinstance(interrupt, Terminated) else signal.SIGINT)


@contextlib.contextmanager
def ending_tidily() -> Iterator[None]:
    """Within the block, Ctrl-C and SIGTERM raise; during an import they end the process at once.

    Libraries swallow or replace the exception there. Folders of a moment are removed either way.
    """
    ours = threading.current_thread() is threading.main_thread()
    # Asks a training for a state; any other command, and one that starts, has none to save.
    save = getattr(signal, "SIGUSR1", None)
    if ours and save is not None and signal.getsignal(save) is signal.SIG_DFL:
        signal.signal(save, signal.SIG_IGN)
    usual: dict[signal.Signals, Any] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
    }
    taken = [name for name, handler in usual.items() if ours and signal.getsignal(name) == handler]
    process = os.getpid()

    def end_or_raise(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:  # a worker's, whose end is nothing to tell
            os._exit(128 + number)
        while frame is not None:
            if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
                remove_scratch()
                with contextlib.suppress(OSError):
                    os.write(2, f"\nreacgan: interrupted; {WHOLE}\n".encode())
                os._exit(128 + number)
            frame = frame.f_back
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    for name in taken:
        signal.signal(name, end_or_raise)
    try:
        yield
    finally:
        for name in taken:
            signal.signal(name, usual[name])


def interrupt_of(error: BaseException | None) -> KeyboardInterrupt | None:
    """The Ctrl-C or SIGTERM that caused an error: libraries replace it while they are imported."""
    met: set[int] = set()
    while error is not None and id(error) not in met:
        if isinstance(error, KeyboardInterrupt):
            return error
        met.add(id(error))
        error = error.__cause__ or error.__context__
    return None
