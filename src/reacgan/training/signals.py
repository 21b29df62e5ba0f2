"""SIGINT, SIGTERM and SIGHUP: the first asks the run to save and stop, the second ends it at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

# A terminal that closes sends this; Windows has none. A shell that closes may send it again, to itself and
# to each of its jobs, so another one never ends a run that is saving.
_HANGUP = getattr(signal, "SIGHUP", None)


class Interrupted(BaseException):
    """A signal came while there was nothing to save."""


class StopRequest:
    """Context in which a signal sets :attr:`number` instead of interrupting a step.

    Args:
        grace: seconds in which further signals count as the first one. A launcher passes on the
            Ctrl-C that its processes have got from the terminal as well.
    """

    def __init__(self, grace: float = 0.0) -> None:
        self.number: int | None = None
        self.grace = grace
        self._came = 0.0
        self._interrupting = False
        self._previous: dict[signal.Signals, object] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for name in _asking():
                self._previous[name] = signal.signal(name, self._receive)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name, handler in self._previous.items():
            signal.signal(name, handler)  # type: ignore[arg-type]

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            if time.monotonic() - self._came >= self.grace and number != _HANGUP:
                os._exit(128 + number)
            return
        self.number, self._came = number, time.monotonic()
        # Not print: a signal may come while something else is being printed.
        with contextlib.suppress(OSError):  # the terminal may be what has gone
            os.write(
                2, b"\nstopping: the state is saved; a second signal ends it at once, unsaved\n"
            )
        if self._interrupting:
            raise Interrupted

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """A block in which there is nothing to save: a signal raises :class:`Interrupted`."""
        self._interrupting = True
        try:
            yield
        finally:
            self._interrupting = False

    @property
    def set(self) -> bool:
        """Whether a signal has come."""
        return self.number is not None


def _asking() -> list[signal.Signals]:
    """The signals that ask to stop; a hangup is none where it is ignored, as ``nohup`` has it."""
    wanted = [signal.SIGINT, signal.SIGTERM]
    if _HANGUP is not None and signal.getsignal(_HANGUP) is not signal.SIG_IGN:
        wanted.append(_HANGUP)
    return wanted
