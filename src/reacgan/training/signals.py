"""SIGINT, SIGTERM and SIGHUP: the first asks the run to save and stop, the second ends it at once.

SIGUSR1 asks it to save and go on, as SLURM's ``--signal=USR1@60`` does before the end of a job.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

# A terminal that closes sends this; Windows has none. A shell that closes may send it again, to itself and
# to each of its jobs, so another one never ends a run that is saving.
_HANGUP = getattr(signal, "SIGHUP", None)

_SAVE = getattr(signal, "SIGUSR1", None)

_STEP = "finishes this step, saves and ends; once more (Ctrl-C) ends at once without that"
_NOTHING = "nothing is trained yet that could be saved"
_SAVED = "the state is saved; what comes after it is left out"


class Interrupted(BaseException):
    """A signal came while there was nothing to save."""


class StopRequest:
    """Context in which a signal sets :attr:`number` instead of interrupting a step.

    Signals are counted as they come, by a thread: Python's own handler runs between two operations, and
    two signals within a long one are a single call of it.

    Args:
        grace: seconds in which further signals count as the first one. A launcher passes on the
            Ctrl-C that its processes have got from the terminal as well.
    """

    def __init__(self, grace: float = 0.0) -> None:
        self.number: int | None = None
        self.grace = grace
        self.answer = _STEP
        self.killed_after = float("inf")
        """Seconds from SIGTERM to the kill that is expected (``training.grace``)."""
        self.needs: Callable[[], float] = lambda: 0.0
        """Seconds that it takes to save and end, as far as that is known."""
        self.tell: Callable[[str], None] = self._say
        """Prints that a state is saved; not from within a handler."""
        self._save_asked = False
        self._came = 0.0
        self._interrupting = False
        self._previous: dict[signal.Signals, object] = {}
        self._counting = threading.RLock()
        self._ends: tuple[socket.socket, socket.socket] | None = None
        self._woken_before = -1

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._ends = reader, writer = socket.socketpair()
            writer.setblocking(False)
            thread = threading.Thread(target=self._listen, args=(reader,), name="signals")
            thread.daemon = True
            for name in _asking():
                self._previous[name] = signal.signal(name, self._receive)
            if _SAVE is not None:
                self._previous[_SAVE] = signal.signal(_SAVE, self._ask_to_save)
            self._woken_before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._ends is not None:
            signal.set_wakeup_fd(self._woken_before)
            self._ends[1].close()  # which ends the thread
        for name, handler in self._previous.items():
            signal.signal(name, handler)  # type: ignore[arg-type]

    def _listen(self, reader: socket.socket) -> None:
        """Count signals while the main thread may be within a long operation."""
        with reader:
            while numbers := reader.recv(16):
                for number in numbers:
                    if number in self._previous and number != _SAVE:
                        self._count(number)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        """Python's handler; the thread has counted the signal already, or will within a moment."""
        with self._counting:
            first = self.number is None
        if first:
            self._wait_until_counted(number)
        if self._interrupting:
            raise Interrupted

    def _wait_until_counted(self, number: int) -> None:
        waited_until = time.monotonic() + 1.0
        while self.number is None and time.monotonic() < waited_until:
            time.sleep(0.001)
        if self.number is None:  # another library has taken the wake-up of signals over
            self._count(number)

    def _count(self, number: int) -> None:
        with self._counting:
            if self.number is None:
                self.number, self._came = number, time.monotonic()
                self._say(f"stopping: {self.answer}{self._too_long(number)}")
                return
            if time.monotonic() - self._came < self.grace or number == _HANGUP:
                return
        self._say("ended at once: what was saved before is whole, later steps are not saved")
        os._exit(128 + number)

    def _too_long(self, number: int) -> str:
        if number != signal.SIGTERM or self.answer != _STEP:
            return ""
        needed = 0.0
        with contextlib.suppress(RuntimeError):  # what it took is being written down
            needed = self.needs()
        if needed <= self.killed_after:
            return ""
        return (
            f".\nThat takes about {needed:.0f} s here, and a kill is expected after "
            f"{self.killed_after:.0f} s (training.grace): where it comes, the run goes on from the state "
            "before. Send the signal earlier, or give the job more time to end"
        )

    def _ask_to_save(self, number: int, frame: FrameType | None) -> None:
        self._save_asked = self.answer == _STEP and self.number is None
        if not self._save_asked:
            self._say(f"SIGUSR1: {self.answer}")

    def take_save(self) -> bool:
        """Whether a state has been asked for since the last call."""
        asked, self._save_asked = self._save_asked, False
        if asked:
            self.tell("SIGUSR1: saves with this step and goes on")
        return asked

    def left(self) -> float:
        """Seconds until a kill is expected; endless where none is."""
        if self.number != signal.SIGTERM:
            return float("inf")
        return self._came + self.killed_after - time.monotonic()

    def _say(self, text: str) -> None:
        # Not print: a signal may come while something else is being printed.
        with contextlib.suppress(OSError):  # the terminal may be what has gone
            os.write(2, f"\n{text}\n".encode())

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """A block in which there is nothing to save: a signal raises :class:`Interrupted`."""
        self._interrupting, self.answer = True, _NOTHING
        try:
            yield
        finally:
            self._interrupting, self.answer = False, _STEP

    def saved(self) -> None:
        """From here on all is saved: a signal leaves out the rest."""
        self.answer = _SAVED

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
