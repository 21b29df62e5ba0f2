"""Images of more than 8 bits (16-bit grey, 32-bit integers, floats): the white value.

Cameras and scanners write 10, 12 or 14 bits into files of 16, which are almost black if divided by 257.
So white is the end of the first usual range that holds all training images, one value for the whole set,
which preserves relative brightness. ``data.options.white`` sets it instead.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Whites = tuple[float | None, float | None]
"""The values that become 255: of integers, and of floats; None without such training images."""

LARGEST = 65535.0
UNKNOWN_SCALE = (
    "values of unknown scale (below 0, above 65535 or not finite); rescale them, integers to 0..65535, "
    "floats to 0..1"
)

_INTEGERS = (255.0, 1023.0, 4095.0, 16383.0, LARGEST)
_FLOATS = (1.0, *_INTEGERS)


class Reach(NamedTuple):
    """Minimum and maximum of an image, or of several."""

    is_float: bool
    low: float
    high: float


def is_deep(mode: str) -> bool:
    """Whether a mode (Pillow's, or an array's type) has more than 8 bits and no fixed white."""
    return mode.startswith(("I;16", "uint16")) or mode in ("I", "F")


def reach_of(values: npt.NDArray[Any], *, is_float: bool = False) -> Reach | None:
    """The reach of pixels; None without a known scale."""
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high) and low >= 0 and high <= LARGEST):
        return None
    return Reach(is_float, low, high)


def white_of(reach: Reach, whites: Whites | None) -> float:
    """The value that becomes 255 in an image of this reach, by the whites of its set.

    For a single image it is 65535, or for floats the first of 1, 255 and 65535 that holds it.
    """
    white = whites[reach.is_float] if whites is not None else None
    if white is not None:
        return white
    if not reach.is_float:
        return LARGEST
    return next(end for end in (1.0, 255.0, LARGEST) if reach.high <= end)


def range_end(high: float, *, is_float: bool) -> float:
    """The end of the first usual range that holds a value."""
    return next(end for end in (_FLOATS if is_float else _INTEGERS) if high <= end)


def white_problem(white: object) -> str:
    """Why a given value cannot be white, or empty."""
    if isinstance(white, int | float) and not isinstance(white, bool):
        if math.isfinite(white) and 0 < white <= LARGEST:
            return ""
    return f"white is {white!r}; allowed: the value that becomes 255, above 0 and up to 65535"
