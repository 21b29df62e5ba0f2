"""The part of a set of shards that scores, sheets and pictures look at: some whole shards, packed once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from reacgan.data.dataset import ImageData
from reacgan.data.names import plural
from reacgan.data.packed_cache import Batch, cache_key, packed_once, read_cached, write_cached
from reacgan.data.shards.images import ShardImages
from reacgan.progress import counted

_AT_ONCE = 256


@dataclass(frozen=True)
class Excerpt:
    """Evenly spaced shards with at most ``most`` images; the whole set where it has no more.

    Args:
        data: the whole set.
        images: its images.
        most: how many images.
        rules: what pixels depend on beside the set and its shape.
    """

    data: ImageData
    images: ShardImages
    most: int
    rules: str

    def open(self) -> ImageData:
        """The images, from the cache of packed files or packed now."""
        data = self.data
        key = cache_key("excerpt", data.digest, self.most, self.rules)

        def read() -> ImageData | None:
            return read_cached(key, source)

        def make() -> ImageData:
            return write_cached(
                key,
                self,
                shape=(data.channels, *data.size),
                capacity=len(chosen),
                class_names=data.class_names,
                source=source,
            )

        chosen, part = self.chosen()
        source = f"{data.source}, {part}" if part else data.source
        packed = packed_once(key, source, read, make)
        return replace(packed, part=part, whites=data.whites, lost=data.lost)

    def chosen(self) -> tuple[npt.NDArray[np.int64], str]:
        """Which images, and in words; no words for all."""
        ends, total = self.images.files.ends, len(self.data)
        if total <= self.most:
            return np.arange(total), ""
        shards = len(ends)
        wanted = min(shards, max(1, -(-self.most * shards // total)))
        numbers = np.linspace(0, shards - 1, wanted).round().astype(np.int64)
        starts = np.concatenate(([0], ends[:-1]))
        there = np.concatenate([np.arange(starts[n], ends[n]) for n in numbers])
        spread = np.linspace(0, len(there) - 1, min(self.most, len(there))).round()
        indices = there[spread.astype(np.int64)]
        return indices, (
            f"{len(indices):,} of {plural(total, 'image')}, from {wanted:,} evenly spaced ones of "
            f"{plural(shards, 'shard')}"
        )

    def __iter__(self) -> Iterator[Batch]:
        indices, _ = self.chosen()
        parts = np.split(indices, range(_AT_ONCE, len(indices), _AT_ONCE))
        for part in counted(parts, "reading images of shards", len(parts), "parts"):
            yield self.images[part], self.data.labels[part]
