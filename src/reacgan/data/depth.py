"""Images of more than 8 bits (16-bit grey, 32-bit integers, floats): which value is white.

Cameras and scanners write 10, 12 or 14 bits into files of 16, and divided by 257 those are almost black.
So white is the end of the first usual range that holds all training images of a set, one for the whole
set: images keep their brightness beside one another.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Whites = tuple[float, float]
"""The values that become 255: of integers, and of floats."""

_INTEGERS = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)
_FLOATS = (1.0, *_INTEGERS)
_FEW_STEPS = 64


class Reach(NamedTuple):
    """The least and the largest value of an image, or of several."""

    is_float: bool
    low: float
    high: float


def is_deep(mode: str) -> bool:
    """Whether a mode (Pillow's, or an array's type) has more than 8 bits a value and no fixed white."""
    return mode.startswith(("I;16", "uint16")) or mode in ("I", "F")


def reach_of(values: npt.NDArray[Any], *, is_float: bool = False) -> Reach | None:
    """The reach of pixels; None where they have no known scale."""
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high) and low >= 0 and high <= 65535):
        return None
    return Reach(is_float, low, high)


def own_whites(reach: Reach) -> Whites:
    """Of an image by itself: 65535, or for floats the first of 1, 255 and 65535 that holds it."""
    return 65535.0, next(end for end in (1.0, 255.0, 65535.0) if reach.high <= end)


def whites_of(reaches: Iterable[Reach]) -> tuple[Whites, tuple[str, ...]]:
    """White of a whole set, and what is to be said of it."""
    found = list(reaches)
    whites, notes = [], []
    for is_float, ranges in ((False, _INTEGERS), (True, _FLOATS)):
        mine = [one for one in found if one.is_float == is_float]
        low, high = (
            min((one.low for one in mine), default=0),
            max((one.high for one in mine), default=0),
        )
        white = next(end for end in ranges if high <= end) if mine else ranges[-1]
        whites.append(white)
        if mine:
            notes.append(_note(len(mine), is_float, low, high, white))
    return (whites[0], whites[1]), tuple(notes)


def _note(count: int, is_float: bool, low: float, high: float, white: float) -> str:
    steps = round(255 * high / white) - round(255 * low / white) + 1
    kind = "floats" if is_float else "integers of more than 8 bits"
    said = (
        f"{count:,} images hold {kind}, from {low:,g} to {high:,g}: 0 to {white:,g} become 0 to 255, "
        f"so {steps} of 256 steps are used"
    )
    return said + (
        "; stretch their values before, else there is little to see" * (steps < _FEW_STEPS)
    )
