"""Files written beside the next steps: copies of a state, and one thread that writes in order.

The training thread copies the state (:class:`Copier`), hands the writing to :class:`Writer`, and goes
on. Files come to be as they would without a thread, in the same order, by the same functions.
"""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

import torch
from torch import Tensor

_MOST_WAITING = 4
"""Tasks that may wait to be written; one more makes the training thread wait."""
_SECONDS_BETWEEN_SIGNALS = 0.5
"""A thread that waits looks this often whether a signal has come, where waiting holds signals up."""


class Saveable(Protocol):
    """What a checkpoint can be written from: the state itself, or a copy of it."""

    @property
    def images_seen(self) -> int:
        """The clock."""

    def tensors(self) -> Mapping[str, Mapping[str, Tensor]]:
        """Everything but the clock, by part and name."""


@dataclass(frozen=True)
class Snapshot:
    """A state as it was, on the CPU, rows first. Valid until its :class:`Copier` copies again."""

    images_seen: int
    held: Mapping[str, Mapping[str, Tensor]]
    copied: torch.cuda.Event | None = None
    """Set once the device has made the copies."""

    def tensors(self) -> Mapping[str, Mapping[str, Tensor]]:
        """The copies, by part and name; waits until they are made."""
        if self.copied is not None:
            self.copied.synchronize()
        return self.held


class Copier:
    """Copies a state into memory that is kept: as much as one state, on the CPU, for the whole run.

    Into memory that is at hand already a copy takes a quarter of the time that new memory does.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Tensor] = {}

    @torch.no_grad()
    def copy(self, state: Saveable) -> Snapshot:
        """Copy; from a CUDA device without waiting for it. The copy before is overwritten."""
        held: dict[str, dict[str, Tensor]] = {}
        on_cuda = False
        for part, tensors in state.tensors().items():
            held[part] = {}
            for name, value in tensors.items():
                room = self._room(part, name, value)
                room.copy_(value, non_blocking=value.is_cuda)
                held[part][name] = room
                on_cuda = on_cuda or value.is_cuda
        copied = None
        if on_cuda:
            copied = torch.cuda.Event()
            copied.record()
        return Snapshot(state.images_seen, held, copied)

    def _room(self, part: str, name: str, value: Tensor) -> Tensor:
        room = self._kept.get((part, name))
        if room is None or room.shape != value.shape or room.dtype != value.dtype:
            room = torch.empty(value.shape, dtype=value.dtype, pin_memory=value.is_cuda)
            self._kept[part, name] = room
        return room


class Writer:
    """Does tasks one after another: in a thread of its own, or, with ``beside=False``, at once.

    A context: leaving it waits until all is done, however the block ends. What a task raises is
    raised in the caller's thread by the next call of :meth:`do`, :meth:`check` or :meth:`finish`, or
    on leaving; the tasks after it are dropped. A task that fails while another exception leaves the
    block is told as a warning, since only one can be raised.
    """

    def __init__(self, *, beside: bool) -> None:
        self.beside = beside
        self._changed = threading.Condition()
        self._waiting: deque[Callable[[], object]] = deque()
        self._busy = False
        self._ended = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._wait(0)
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if error is None:
            self.check()
        elif self._error is not None:
            warnings.warn(f"{self._error}", stacklevel=2)

    def do(self, task: Callable[[], object]) -> None:
        """Do it after what was given before; waits where too much is waiting already."""
        if not self.beside:
            task()
            return
        self._wait(_MOST_WAITING)
        self.check()
        if self._thread is None:
            thread = threading.Thread(target=self._work, name="writer")
            try:
                thread.start()
            except RuntimeError:  # no further thread can be had: from now on at once
                self.beside = False
                task()
                return
            self._thread = thread
        with self._changed:
            self._waiting.append(task)
            self._changed.notify_all()

    def finish(self) -> None:
        """Wait until all is written; raises what went wrong."""
        self._wait(0)
        self.check()

    def check(self) -> None:
        """Raise what went wrong, once."""
        with self._changed:
            error, self._error = self._error, None
        if error is not None:
            raise error

    def _wait(self, allowed: int) -> None:
        """Wait until at most so many tasks are not done."""
        with self._changed:
            while len(self._waiting) + self._busy > allowed:
                self._changed.wait(_SECONDS_BETWEEN_SIGNALS)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._ended:
                    self._changed.wait()
                if not self._waiting:
                    return
                task, self._busy = self._waiting.popleft(), True
            error: BaseException | None = None
            try:
                task()
            except BaseException as caught:
                error = caught
            del task  # and with it what it holds
            with self._changed:
                self._busy = False
                if error is not None:
                    self._error = error
                    self._waiting.clear()
                self._changed.notify_all()
