"""The images of a set of shards as an array that is read and decoded where it is asked for."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from reacgan.data.dataset import DataError
from reacgan.data.order import WindowedOrder
from reacgan.data.shards.cache import ShardCache
from reacgan.data.shards.decoding import Decoding, InProcesses, InThreads
from reacgan.data.shards.index import Shard, Split

_OPEN_FILES = 64
_FETCHED_TOGETHER = 4
_AT_ONCE = 512


class ShardFiles:
    """Bytes of images out of the shards of a split; a shard of elsewhere is fetched when it is needed.

    Args:
        split: the shards.
        rows: the table of members.
        folder: which holds the shards, or None.
        cache: where copies of the shards are kept, where they are elsewhere.
    """

    def __init__(
        self,
        split: Split,
        rows: npt.NDArray[Any],
        *,
        folder: Path | None = None,
        cache: ShardCache | None = None,
    ) -> None:
        self.split, self.rows = split, rows
        self.folder, self.cache = folder, cache
        self.ends = np.cumsum([shard.images for shard in split.shards])
        self._files: dict[int, int] = {}
        self._lock = Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._coming: dict[int, Future[Path]] = {}
        self._given_up = Event()

    def read(self, index: int, number: int) -> bytes:
        """The file of an image, in shard ``number``, checked.

        Raises:
            DataError: the shard is missing, damaged or unreachable.
        """
        row = self.rows[index]
        for again in (False, True):
            content = self._bytes(number, int(row["offset"]), int(row["bytes"]))
            if zlib.crc32(content) == row["crc"]:
                return content
            if again:
                break
            self._forget(number)
        shard = self.split.shards[number]
        raise DataError(
            f"{self.where(shard)}: image {index} is not the one that the table of members names, though "
            "the shard is whole; get the index and its table again"
        )

    def where(self, shard: Shard) -> str:
        """A shard, for messages."""
        if self.folder is not None:
            return str(self.folder / shard.file)
        return shard.file if self.cache is None else self.cache.address(shard)

    def expect(self, numbers: Sequence[int]) -> None:
        """Fetch shards, in this order, while others are read."""
        if self.cache is None:
            return
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(_FETCHED_TOGETHER, "reacgan-shards")
            for number in numbers:
                shard = self.split.shards[number]
                self.cache.touch(shard)
                if number not in self._coming and not self.cache.has(shard):
                    self._coming[number] = self._pool.submit(self._get, shard)

    def are_coming(self, indices: npt.NDArray[np.int64]) -> bool:
        """Whether shards of these images are being fetched, none of which has failed."""
        with self._lock:
            numbers = np.unique(np.searchsorted(self.ends, indices, side="right")).tolist()
            coming = [self._coming[number] for number in numbers if number in self._coming]
        return any(not fetching.done() for fetching in coming)

    def give_up(self) -> None:
        """Fetch nothing more until all is closed; who waits for a shard gets a DataError soon."""
        self._given_up.set()

    def close(self) -> None:
        """Close what is open and end what is fetched; reading opens it again."""
        self.give_up()
        with self._lock:
            pool, self._pool, self._coming = self._pool, None, {}
            for descriptor in self._files.values():
                os.close(descriptor)
            self._files = {}
        if pool is not None:
            pool.shutdown(cancel_futures=True)
        self._given_up = Event()

    def _get(self, shard: Shard) -> Path:
        assert self.cache is not None
        given_up = self._given_up
        return self.cache.get(shard, lambda: not given_up.is_set())

    def _bytes(self, number: int, offset: int, size: int) -> bytes:
        """A part of a shard; shorter where the file is. Of many open shards the oldest is closed."""
        while True:
            with self._lock:  # or another thread may close the file
                descriptor = self._files.get(number)
                if descriptor is not None:
                    os.lseek(descriptor, offset, os.SEEK_SET)
                    return os.read(descriptor, size)
                coming = self._coming.get(number)
            try:
                path = self._path(number, coming)
            finally:
                with self._lock:
                    self._coming.pop(number, None)
            with self._lock:
                while len(self._files) >= _OPEN_FILES:
                    os.close(self._files.pop(next(iter(self._files))))
                if number not in self._files:
                    self._files[number] = self._open(path, number)

    def _path(self, number: int, coming: Future[Path] | None) -> Path:
        shard = self.split.shards[number]
        if self.folder is not None:
            return self.folder / shard.file
        assert self.cache is not None
        if coming is not None:
            with suppress(DataError):  # said below, by a try of its own
                coming.result()
        return self._get(shard)

    def _open(self, path: Path, number: int) -> int:
        shard = self.split.shards[number]
        try:
            return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except FileNotFoundError:
            raise DataError(
                f"{path}: missing, one of {len(self.split.shards):,} shards ({shard.images:,} images); put "
                "it back, or prepare the shards again"
            ) from None

    def _forget(self, number: int) -> None:
        """A damaged copy, which is fetched again; an original is all there is."""
        with self._lock:
            descriptor = self._files.pop(number, None)
            if descriptor is not None:
                os.close(descriptor)
        shard = self.split.shards[number]
        if self.cache is not None:
            self.cache.drop(shard)
        else:
            raise DataError(
                f"{self.where(shard)}: damaged, its content is not what the index names (SHA-256 "
                f"{shard.sha256}). Put the shard back from a copy, or prepare the shards again"
            )


class ShardImages:
    """As ``uint8 [N, C, H, W]``: indexed by a number, a slice or an array, which reads those images.

    Args:
        files: the bytes.
        decoding: how they become pixels.
        window: shards whose images are mixed.
        workers: processes that decode; 0 for threads of this one.
    """

    def __init__(
        self, files: ShardFiles, decoding: Decoding, *, window: int, workers: int = 0
    ) -> None:
        self.files = files
        self.window = window
        self.shape = (len(files.rows), *decoding.shape)
        self.dtype = np.dtype(np.uint8)
        self.ndim = 4
        self._decoder = InProcesses(decoding, workers) if workers else InThreads(decoding)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Of all images, decoded."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __getitem__(self, chosen: Any) -> npt.NDArray[np.uint8]:
        if isinstance(chosen, tuple):
            return self[chosen[0]][(slice(None), *chosen[1:])]
        if isinstance(chosen, int | np.integer):
            return self._read(np.array([np.arange(len(self))[chosen]]))[0]
        if isinstance(chosen, slice):
            return self._read(np.arange(*chosen.indices(len(self))))
        indices = np.asarray(chosen)
        if indices.dtype == bool:
            indices = np.flatnonzero(indices)
        if indices.size and not -len(self) <= indices.min() <= indices.max() < len(self):
            raise IndexError(f"index out of range of {len(self)} images")
        return self._read(indices.astype(np.int64) % len(self))

    def __iter__(self) -> Iterator[npt.NDArray[np.uint8]]:
        for start in range(0, len(self), _AT_ONCE):
            yield from self[start : start + _AT_ONCE]

    def order(self, seed: int) -> WindowedOrder:
        """The order of training, of a run's seed."""
        return WindowedOrder(
            [shard.images for shard in self.files.split.shards], window=self.window, seed=seed
        )

    def close(self) -> None:
        """End threads and processes, close files; reading begins them again."""
        self._decoder.close()
        self.files.close()

    def _read(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        images = np.empty((len(indices), *self.shape[1:]), dtype=np.uint8)
        numbers = np.searchsorted(self.files.ends, indices, side="right")
        by_place = np.argsort(indices, kind="stable")
        for start in range(0, len(indices), _AT_ONCE):
            part = by_place[start : start + _AT_ONCE]
            arrays = self.files.rows["array"][indices[part]]
            contents = [
                (self.files.read(int(indices[each]), int(numbers[each])), bool(is_array))
                for each, is_array in zip(part, arrays, strict=True)
            ]
            for each, pixels in zip(part, self._decoder.many(contents), strict=True):
                if isinstance(pixels, str):
                    raise self._undecodable(int(indices[each]), int(numbers[each]), pixels)
                images[each] = pixels
        return images

    def _undecodable(self, index: int, number: int, reason: str) -> DataError:
        first = int(self.files.ends[number - 1]) if number else 0
        shard = self.files.split.shards[number]
        return DataError(
            f"{self.files.where(shard)}: image {index - first} of it: {reason}; prepare the shards again "
            "without it"
        )
