"""Which class and seed comes at each position, and the digest of all images whatever their order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.data.order import order_of, random_words

Order: TypeAlias = Literal["classes", "shuffled"]

DIGEST = 32
"""Bytes of the digest of an image."""


class ClassSeeds(NamedTuple):
    """A class and a seed for each position, int64 ``[N]`` both."""

    labels: npt.NDArray[np.int64]
    seeds: npt.NDArray[np.int64]

    def part(self, start: int, stop: int) -> ClassSeeds:
        """Positions ``start`` to ``stop - 1``."""
        return ClassSeeds(self.labels[start:stop], self.seeds[start:stop])


def sequence(counts: npt.ArrayLike, *, seed: int = 0, order: Order = "classes") -> ClassSeeds:
    """Image k of each class has seed ``seed + k``, as in :func:`reacgan.sample`.

    Args:
        counts: images of each class.
        seed: the first seed, and that of the order.
        order: class by class, or ``shuffled``: a permutation of all, drawn from the seed.

    Raises:
        ConfigError: an unknown order.
    """
    if order not in get_args(Order):
        raise ConfigError(f"order is {order!r}; allowed: {', '.join(get_args(Order))}")
    numbers = np.asarray(counts, dtype=np.int64)
    labels = np.repeat(np.arange(len(numbers)), numbers)
    starts = np.repeat(np.cumsum(numbers) - numbers, numbers)
    seeds = seed + np.arange(len(labels)) - starts
    if order == "shuffled":
        mixed = order_of(random_words(seed, "generated/order", 0, count=len(labels)))
        labels, seeds = labels[mixed], seeds[mixed]
    return ClassSeeds(labels, seeds)


def pixel_digest(image: Tensor) -> bytes:
    """SHA-256 of the pixels of a uint8 image [C, H, W]: 32 bytes."""
    return hashlib.sha256(image.contiguous().numpy().tobytes()).digest()


def whole_digest(
    digests: npt.NDArray[np.uint8], pairs: ClassSeeds, class_names: Sequence[str]
) -> str:
    """SHA-256 (hex) of classes, seeds and pixels, equal whatever the order and the form of the files.

    Args:
        digests: uint8 ``[N, 32]``, of :func:`pixel_digest`, in the order of ``pairs``.
        pairs: class and seed of each.
        class_names: in label order.
    """
    order = np.lexsort((pairs.seeds, pairs.labels))
    digest = hashlib.sha256(json.dumps(list(class_names)).encode())
    digest.update(pairs.labels[order].astype("<i8").tobytes())
    digest.update(pairs.seeds[order].astype("<i8").tobytes())
    digest.update(np.ascontiguousarray(digests[order]).tobytes())
    return digest.hexdigest()


def digest_of(
    images: Iterable[Tensor],
    labels: Sequence[int],
    seeds: Sequence[int],
    class_names: Sequence[str],
) -> str:
    """The digest of a manifest, worked out from images that were opened again.

    Args:
        images: uint8 [C, H, W] each, in any order.
        labels: the class of each, as the manifest numbers them.
        seeds: the seed of each.
        class_names: all of the manifest's classes.
    """
    parts = [np.frombuffer(pixel_digest(image), dtype=np.uint8) for image in images]
    pairs = ClassSeeds(np.asarray(labels, dtype=np.int64), np.asarray(seeds, dtype=np.int64))
    return whole_digest(np.stack(parts), pairs, class_names)
