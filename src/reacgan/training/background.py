"""Files written beside the next steps: copies of a state, and one thread that writes in order.

The training thread copies the state (:class:`Copier`), hands the writing to :class:`Writer`, and goes
on. Files come to be as they would without a thread, in the same order, by the same functions.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

import torch
from torch import Tensor

_MOST_WAITING = 4
"""Tasks that may wait to be written; one more makes the training thread wait."""
_SECONDS_BETWEEN_SIGNALS = 0.5
"""How often a waiting thread sees signals, on systems where waiting blocks them."""


class Saveable(Protocol):
    """What a checkpoint can be written from: the state itself, or a copy of it."""

    @property
    def images_seen(self) -> int:
        """The clock."""

    def tensors(self) -> Mapping[str, Mapping[str, Tensor]]:
        """Everything but the clock, by part and name."""


@dataclass(frozen=True)
class StateCopy:
    """A state as it was, on the CPU, rows first. Valid until its :class:`Copier` copies again."""

    images_seen: int
    parts: Mapping[str, Mapping[str, Tensor]]
    copied: torch.cuda.Event | None = None
    """Set once the device has made the copies."""

    def tensors(self) -> Mapping[str, Mapping[str, Tensor]]:
        """The copies, by part and name; waits until they are made."""
        if self.copied is not None:
            self.copied.synchronize()
        return self.parts


class Copier:
    """Copies a state into memory of its own: as much as one state, on the CPU, for the whole run.

    Copying into the same memory again takes a quarter of the time that new memory does.
    """

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, str], Tensor] = {}

    @torch.no_grad()
    def copy(self, state: Saveable) -> StateCopy:
        """Copy; from a CUDA device without waiting for it. The copy before is overwritten."""
        parts: dict[str, dict[str, Tensor]] = {}
        copied = None
        for part, tensors in state.tensors().items():
            parts[part] = {}
            for name, value in tensors.items():
                buffer = self._buffer(part, name, value)
                buffer.copy_(value, non_blocking=value.is_cuda)
                parts[part][name] = buffer
                if value.is_cuda and copied is None:
                    copied = torch.cuda.Event()
        if copied is not None:
            copied.record()
        return StateCopy(state.images_seen, parts, copied)

    def _buffer(self, part: str, name: str, value: Tensor) -> Tensor:
        buffer = self._buffers.get((part, name))
        if buffer is None or buffer.shape != value.shape or buffer.dtype != value.dtype:
            buffer = torch.empty(value.shape, dtype=value.dtype, pin_memory=value.is_cuda)
            self._buffers[part, name] = buffer
        return buffer


class Writer:
    """Does tasks one after another: in a thread of its own, or, with ``beside=False``, at once.

    A context: leaving it waits until all is done, however the block ends. What a task raises is
    raised in the caller's thread by the next call of :meth:`do`, :meth:`check` or :meth:`finish`, or
    on leaving; the tasks after it are dropped. A task that fails while another exception leaves the
    block becomes a warning, since only one can be raised.
    """

    def __init__(self, *, beside: bool) -> None:
        self.beside = beside
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._futures: list[Future[None]] = []
        self._error: BaseException | None = None

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
            self._pool.shutdown()
        if error is None:
            self.check()
        elif self._error is not None:
            warnings.warn(f"{self._error}", stacklevel=2)

    def do(self, task: Callable[[], object]) -> None:
        """Do it after what was given before; waits where too much is waiting already."""
        if self.beside:
            self._wait(_MOST_WAITING)
            self.check()
            try:
                self._futures.append(self._pool.submit(self._do, task))
                return
            except RuntimeError:  # no further thread can be had: from now on at once
                self.beside = False
        task()

    def finish(self) -> None:
        """Wait until all is written; raises what went wrong."""
        self._wait(0)
        self.check()

    def check(self) -> None:
        """Raise what went wrong, once."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _do(self, task: Callable[[], object]) -> None:
        try:
            task()
        except BaseException as error:
            self._error = error
            for future in list(self._futures):
                future.cancel()

    def _wait(self, allowed: int) -> None:
        """Wait until at most so many tasks are not done."""
        while True:
            self._futures = [future for future in self._futures if not future.done()]
            if len(self._futures) <= allowed:
                return
            wait(self._futures, timeout=_SECONDS_BETWEEN_SIGNALS, return_when=FIRST_COMPLETED)
