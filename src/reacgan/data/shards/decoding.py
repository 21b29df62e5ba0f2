"""One image of a shard, from its bytes to pixels; in threads, or in processes of its own."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from reacgan.config import Resolution, size_of
from reacgan.data.arrays import decode_array
from reacgan.data.dataset import DataError
from reacgan.data.decode import UnreadableImageError, decode_file
from reacgan.data.depth import Whites
from reacgan.data.threads import SLOW_SECONDS, usable_cores

File: TypeAlias = tuple[bytes, bool]
"""Content, and whether it is an array (.npy)."""
Pixels: TypeAlias = "npt.NDArray[np.uint8] | str"
"""uint8 ``[C, H, W]``, or why there are none."""


@dataclass(frozen=True)
class Decoding:
    """How the images of a set are decoded.

    Args:
        resolution: of the result.
        channels: of the result.
        whites: as :func:`~reacgan.data.decode.decode_file` takes them.
        max_pixels: of a picture.
    """

    resolution: Resolution
    channels: int
    whites: Whites | None
    max_pixels: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of the result."""
        return self.channels, *size_of(self.resolution)

    def pixels(self, content: bytes, is_array: bool) -> Pixels:
        """Of one file."""
        try:
            return (decode_array if is_array else decode_file)(
                "",
                content=io.BytesIO(content),
                resolution=self.resolution,
                channels=self.channels,
                whites=self.whites,
                max_pixels=self.max_pixels,
            )
        except UnreadableImageError as error:
            return error.reason


class InThreads:
    """Decodes in threads of this process where images are large enough for that to be faster."""

    def __init__(self, decoding: Decoding) -> None:
        self.decoding = decoding
        self._pool: ThreadPoolExecutor | None = None

    def many(self, files: Sequence[File]) -> list[Pixels]:
        """The pixels of several files, in their order, or the reasons for there being none."""
        start = time.perf_counter()
        first = self.decoding.pixels(*files[0])
        slow = time.perf_counter() - start > SLOW_SECONDS
        cores = usable_cores()
        if not slow or cores == 1 or len(files) == 1:
            return [first, *(self.decoding.pixels(*file) for file in files[1:])]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(cores, "reacgan-decode")
        return [first, *self._pool.map(lambda file: self.decoding.pixels(*file), files[1:])]

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


class InProcesses:
    """Decodes in processes of its own: of small images Python decodes only one at a time in threads.

    The processes end with this one, however it ends, and leave Ctrl-C to it.
    """

    def __init__(self, decoding: Decoding, workers: int) -> None:
        self.decoding, self.workers = decoding, workers
        self._pool: ProcessPoolExecutor | None = None

    def many(self, files: Sequence[File]) -> list[Pixels]:
        """As :meth:`InThreads.many`."""
        if self._pool is None:
            context = multiprocessing.get_context(
                "spawn"
            )  # a fork of a process with threads may hang
            self._pool = ProcessPoolExecutor(self.workers, context, _begin)
        size = -(-len(files) // self.workers)
        parts = [files[start : start + size] for start in range(0, len(files), size)]
        try:
            done = list(self._pool.map(_decode, [self.decoding] * len(parts), parts))
        except BrokenProcessPool:
            self.close()
            raise DataError(
                "a process that decodes images has ended (killed, or out of memory); the same command "
                "resumes. Fewer of them need less memory: --set data.options.workers="
                f"{self.workers // 2}"
            ) from None
        return [pixels for part in done for pixels in part]

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def _decode(decoding: Decoding, files: Sequence[File]) -> list[Pixels]:
    return [decoding.pixels(*file) for file in files]


def _begin() -> None:
    """In a new process: leave Ctrl-C to the parent, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)
