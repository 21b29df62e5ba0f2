"""Images that equal others, pixel for pixel."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt


def count_twins(images: npt.NDArray[np.uint8], others: npt.NDArray[np.uint8]) -> tuple[int, int]:
    """How many images equal one of the others; and how many only do so mirrored left to right.

    Args:
        images: uint8 ``[N, C, H, W]``.
        others: uint8 ``[M, C, H, W]``; may be memory-mapped.
    """
    known = set(_digests(others))
    same = mirrored = 0
    for image, flipped in zip(_digests(images), _digests(images[..., ::-1]), strict=True):
        same += image in known
        mirrored += image not in known and flipped in known
    return same, mirrored


def _digests(images: npt.NDArray[np.uint8]) -> Iterator[bytes]:
    return (hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images)
