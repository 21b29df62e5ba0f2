"""A labelled set of images, the common form of all data sets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from reacgan.config import ConfigError, Resolution, grid_of, size_of
from reacgan.config.resolution import LARGEST, SMALLEST

SPLITS = ("train", "test")
MAX_CHANNELS = 64
PICTURE_CHANNELS = (1, 3, 4)

_CHUNK_BYTES = 64 * 2**20


class DataError(ConfigError):
    """Images that cannot be used; the message has the file or value, the reason and a remedy."""


class MissingSplitError(DataError):
    """The set has no test split, which may be intended."""


class Order(Protocol):
    """The image at each position of a run."""

    def at(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The images at these positions, int64 ``[n]``."""
        ...


class OrderOfShards(Order, Protocol):
    """One that takes the images shard by shard."""

    def shards_from(self, position: int) -> tuple[list[int], list[int]]:
        """The shards that are in use at a position, and those that are next."""
        ...


class StoredImages(Protocol):
    """What a set has whose images are read and decoded where they are asked for."""

    def order(self, seed: int) -> OrderOfShards:
        """The order of training, in which few files are open at once."""
        ...

    def expect(self, numbers: Sequence[int]) -> None:
        """Fetch shards that will be needed, while others are read."""
        ...

    def excerpt(self) -> ImageData:
        """The part that everything but training looks at."""
        ...

    @property
    def is_elsewhere(self) -> bool:
        """Whether files are fetched when they are needed."""
        ...

    def are_coming(self, indices: npt.NDArray[np.int64]) -> bool:
        """Whether files of these images are being fetched."""
        ...

    def give_up(self) -> None:
        """Let what is being fetched be, so that :meth:`close` need not wait for it."""
        ...

    def close(self) -> None:
        """End what reads; reading begins it again."""
        ...


@dataclass(frozen=True, eq=False)
class ImageData:
    """Labelled images of one size, in memory or memory-mapped.

    Args:
        images: uint8 ``[N, C, H, W]``; C is 1 (grey), 3 (RGB), 4 (RGB and opacity), or any up to 64.
        labels: int64 ``[N]``, each in ``0 .. len(class_names) - 1``.
        class_names: in label order.
        source: origin of the images, for messages.
        known_digest: the digest, if a packed file holds it.
        whites: values of images of more than 8 bits that became 255 (of integers, of floats).
        lost: notes on what such images lost in 8 bits.
        part: which part of a larger set it is, for protocols; empty for a whole one.
        stored: of images that are read where they are asked for; ``images`` then only looks like an array.

    Raises:
        DataError: inconsistent shapes, types or labels.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    source: str
    known_digest: str | None = None
    whites: tuple[float | None, float | None] | None = None
    lost: tuple[str, ...] = ()
    part: str = ""
    stored: StoredImages | None = None

    def __post_init__(self) -> None:
        shape = self.images.shape
        if len(shape) != 4 or self.images.dtype != np.uint8:
            raise DataError(
                f"{self.source}: images are {self.images.dtype} {list(shape)}, "
                "needed: uint8 [N, C, H, W]"
            )
        if not 1 <= shape[1] <= MAX_CHANNELS or 0 in shape[2:]:
            raise DataError(
                f"{self.source}: images are {list(shape)}, needed: [N, C, H, W] with C of 1 to "
                f"{MAX_CHANNELS}"
            )
        if self.labels.shape != shape[:1] or self.labels.dtype != np.int64:
            raise DataError(
                f"{self.source}: labels are {self.labels.dtype} {list(self.labels.shape)}, "
                f"needed: int64 [{shape[0]}], one a image"
            )
        if len(self.labels) == 0:
            raise DataError(f"{self.source}: holds no image")
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= len(self.class_names):
            raise DataError(
                f"{self.source}: labels reach from {low} to {high}, "
                f"needed: 0 to {len(self.class_names) - 1}, one for each class name"
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def num_classes(self) -> int:
        """Number of classes, those without an image included."""
        return len(self.class_names)

    @property
    def white(self) -> float | None:
        """The only one of ``whites``; None without one, or with two that differ."""
        values = {white for white in self.whites or () if white is not None}
        return values.pop() if len(values) == 1 else None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the images in pixels."""
        return int(self.images.shape[2]), int(self.images.shape[3])

    @property
    def resolution(self) -> int | tuple[int, int]:
        """Side of square images in pixels, (height, width) of others, as in a configuration."""
        height, width = self.size
        return height if height == width else (height, width)

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB, 4 for RGB and opacity, others for arrays."""
        return int(self.images.shape[1])

    @property
    def memory_bytes(self) -> int:
        """Of all images in memory; 0 where they are never there together."""
        return 0 if self.stored is not None else self.images.nbytes

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Images of each class, int64 ``[num_classes]``."""
        return np.bincount(self.labels, minlength=self.num_classes).astype(np.int64)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of shape, pixels, labels and class names: equal only for equal sets."""
        if self.known_digest is not None:
            return self.known_digest
        return combine_digest(
            self.images.shape,
            pixels_digest(self.images),
            self.labels,
            class_names=self.class_names,
        )

    @cached_property
    def excerpt(self) -> ImageData:
        """What scores, sheets and pictures look at: the set, or some of its shards where it has shards."""
        return self if self.stored is None else self.stored.excerpt()

    def subset(self, indices: npt.ArrayLike | slice) -> ImageData:
        """The images at ``indices``, in that order, in memory, with the same classes."""
        chosen: Any = indices if isinstance(indices, slice) else np.asarray(indices)
        return ImageData(
            images=np.ascontiguousarray(self.images[chosen]),
            labels=np.ascontiguousarray(self.labels[chosen]),
            class_names=self.class_names,
            source=f"{self.source} (subset)",
            whites=self.whites,
            lost=self.lost,
            part=self.part,
        )


class OwnShape(NamedTuple):
    """Sizes and channels of the images of a set before conversion."""

    sizes: tuple[tuple[int, int], ...]
    """All sizes (height, width); empty where images are rendered at any size."""
    channels: int
    """1 if all are grey, 3 for pictures, or the number of the arrays."""


class Opener(Protocol):
    """The function that a data set registers: a path (or None) in, images of one size out."""

    def __call__(
        self, path: str | None, *, split: str, resolution: Resolution, channels: int
    ) -> ImageData:
        """Open a split, every image uint8 of ``resolution`` with ``channels``.

        Further keyword-only parameters are the keys of ``data.options``.
        """
        ...


def pixels_digest(images: npt.NDArray[np.uint8]) -> str:
    """SHA-256 (hex) of the pixels of a large array, read in parts."""
    digest = hashlib.sha256()
    step = max(1, _CHUNK_BYTES // max(1, images[:1].nbytes))
    for start in range(0, len(images), step):
        digest.update(np.ascontiguousarray(images[start : start + step]).tobytes())
    return digest.hexdigest()


def combine_digest(
    shape: Sequence[int],
    pixels: str,
    labels: npt.NDArray[np.int64],
    *,
    class_names: Sequence[str],
) -> str:
    """The digest of a set from the SHA-256 (hex) of its pixels and the other fields."""
    parts = {
        "shape": [int(side) for side in shape],
        "pixels": pixels,
        "labels": hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest(),
        "class_names": list(class_names),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def check_request(
    *, split: str, resolution: Resolution, channels: int, pictures_only: bool = False
) -> None:
    """Raise :class:`DataError` for a split, resolution or number of channels that is not supported.

    :func:`check_grid` checks whether a network supports the size. ``pictures_only`` is for sets without
    arrays, which have 1, 3 or 4 channels.
    """
    if split not in SPLITS:
        raise DataError(f"split is {split!r}; allowed: {', '.join(SPLITS)}")
    if not all(SMALLEST <= side <= LARGEST for side in size_of(resolution)):
        asked = " x ".join(map(str, size_of(resolution)))
        raise DataError(f"resolution is {asked}; allowed: sides of {SMALLEST} to {LARGEST} pixels")
    if not 1 <= channels <= MAX_CHANNELS:
        raise DataError(f"channels is {channels}; allowed: 1 to {MAX_CHANNELS}")
    if pictures_only and channels not in PICTURE_CHANNELS:
        raise DataError(no_such_channels(channels))


def check_grid(resolution: Resolution) -> None:
    """Raise :class:`DataError` for a size that no network here supports."""
    try:
        grid_of(resolution)
    except ConfigError as error:
        raise DataError(str(error)) from None


def no_such_channels(channels: int) -> str:
    """The error for pictures with other channels, with a remedy."""
    return (
        f"channels is {channels}; allowed: 1 (grey), 3 (RGB), 4 (RGB and opacity), since these are "
        f"pictures. For {channels} channels put arrays [height, width, {channels}] of uint8 or "
        "uint16 as .npy files into class folders and set data.name=folder"
    )


def describe_shape(resolution: Resolution, channels: int) -> str:
    """``3 x 64 x 96``: channels, height, width."""
    return " x ".join(map(str, (channels, *size_of(resolution))))
