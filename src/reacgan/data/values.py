"""Count the values of the deep images of a split, for notes on what 8 bits lose."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from reacgan.data.arrays import is_array, open_array
from reacgan.data.decode import (
    UnreadableImageError,
    damage_of,
    is_white_zero,
    open_header,
    pillow_warnings_off,
)
from reacgan.data.depth import (
    LARGEST,
    UNKNOWN_SCALE,
    Reach,
    Whites,
    is_deep,
    range_end,
    reach_of,
)
from reacgan.data.images import DEEP_COLOUR, Header
from reacgan.data.listing import Listing
from reacgan.data.names import plural
from reacgan.data.threads import ordered_map

_FEW_STEPS = 64
_MOST = 0.999
_DROPPED_BITS = 12
"""Of float32: 2^11 bins for each power of two, more than steps of 8 bits."""


class Counted(NamedTuple):
    """One image: its reach, whether it is 16-bit colour (read as 8), whether its white is zero."""

    reach: Reach
    is_colour: bool = False
    is_turned: bool = False


class Census:
    """Counts the values of images while they are read; thread-safe."""

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._lock = Lock()
        self._integers = np.zeros(int(LARGEST) + 1, np.int64)
        self._floats = np.zeros(int(_bins(np.float32(LARGEST))) + 1, np.int64)
        self._colours = np.zeros(256, np.int64)

    def __call__(self, path: str) -> Counted | str:
        """Count one file's values, or return the reason for refusing it."""
        try:
            return self._count(*self._read(path))
        except UnreadableImageError as error:
            return error.reason
        except Exception as error:  # damaged files raise anything
            return damage_of(error)

    def _read(self, path: str) -> tuple[npt.NDArray[Any], bool, bool, bool]:
        """Values, and whether they are floats, 16-bit colour, with white as zero."""
        if is_array(path):
            return np.asarray(open_array(path, max_pixels=self._max_pixels)), False, False, False
        with open_header(path, max_pixels=self._max_pixels) as image:
            image.load()
            values, is_colour = np.asarray(image), not is_deep(image.mode)
            if is_colour and image.mode in ("LA", "RGBA"):
                values = values[..., :-1]
            return values, image.mode == "F", is_colour, is_white_zero(image)

    def _count(
        self, values: npt.NDArray[Any], is_float: bool, is_colour: bool, is_turned: bool
    ) -> Counted:
        reach = reach_of(values, is_float=is_float)
        if reach is None:
            raise UnreadableImageError("", UNKNOWN_SCALE)
        table = self._colours if is_colour else self._table(is_float)
        flat = values.ravel()
        bins = _bins(flat) if is_float else flat.astype(np.int64)
        with self._lock:
            if len(bins) < len(table):
                np.add.at(table, bins, 1)
            else:
                table += np.bincount(bins, minlength=len(table))
        return Counted(reach, is_colour, is_turned)

    def _table(self, is_float: bool) -> npt.NDArray[np.int64]:
        return self._floats if is_float else self._integers

    def summary(
        self, images: Sequence[Counted], *, white: float | None, known: Whites | None
    ) -> tuple[Whites | None, tuple[str, ...], tuple[str, ...]]:
        """The whites, the notes, and the notes on losses among them.

        Args:
            images: results of the calls without refused files.
            white: the given value, if any.
            known: the whites of the training images, for held-out ones.
        """
        deep = [image.reach for image in images if not image.is_colour]
        whites: list[float | None] = []
        notes: list[str] = []
        lost: list[str] = []
        for is_float in (False, True):
            mine = [reach for reach in deep if reach.is_float == is_float]
            fixed = known[is_float] if known is not None else None
            whites.append(fixed)
            if not mine:
                continue
            high = max(reach.high for reach in mine)
            end = float(white or fixed or range_end(high, is_float=is_float))
            whites[-1] = end
            if fixed is None:
                notes.append(self._range(mine, end))
            lost += self._clipped(mine, end, held_out=fixed is not None)
            if white is None:
                lost += self._dark(mine, end, held_out=fixed is not None)
        lost += self._coloured(sum(image.is_colour for image in images))
        turned = sum(image.is_turned for image in images)
        if turned:
            are = "image is stored" if turned == 1 else "images are stored"
            notes.append(f"{turned:,} TIFF {are} with zero as white and inverted")
        scale = (whites[0], whites[1]) if deep else known
        return scale, (*notes, *lost), tuple(lost)

    def _range(self, mine: list[Reach], white: float) -> str:
        is_float = mine[0].is_float
        low, high = min(reach.low for reach in mine), max(reach.high for reach in mine)
        values = _values(np.flatnonzero(self._table(is_float)), is_float)
        steps = len(np.unique(np.round(np.minimum(values * (255 / white), 255))))
        kind = "floats" if is_float else "integers of more than 8 bits"
        text = (
            f"{_holding(len(mine))} {kind}, from {low:,g} to {high:,g}: 0 to {white:,g} become "
            f"0 to 255, so {steps} of 256 steps are used"
        )
        advice = "; rescale their values first to see more"
        return text + advice * (steps < _FEW_STEPS)

    def _clipped(self, mine: list[Reach], white: float, *, held_out: bool) -> list[str]:
        above = sum(reach.high > white for reach in mine)
        if not above:
            return []
        is_float = mine[0].is_float
        table = self._table(is_float)
        over = table[_values(np.arange(len(table)), is_float) > white].sum()
        high = max(reach.high for reach in mine)
        wanted = high if high < 1 else float(np.ceil(high))
        rule = ", as in the training images" * held_out
        have = "has" if above == 1 else "have"
        return [
            f"{above:,} of {plural(len(mine), 'image')} {have} values above {white:,g}, which is "
            f"white{rule}: "
            f"{over:,} of {table.sum():,} values ({over / table.sum():.2%}) are clipped to 255. "
            f"{_setting(wanted)} keeps them: each of 256 steps is then {wanted / 255:.3g} wide, "
            f"instead of {white / 255:.3g}"
        ]

    def _dark(self, mine: list[Reach], white: float, *, held_out: bool) -> list[str]:
        """A note where almost all values are in a smaller range than that of white."""
        is_float = mine[0].is_float
        table = self._table(is_float)
        most = float(_values(_at_share(table), is_float)[0])
        end = range_end(most, is_float=is_float)
        if end >= white:
            return []
        text = f"99.9 % of the values lie at or below {most:,.6g}, but {white:,g} is white"
        if held_out:
            return [f"{text}, as in the training images: these images will be dark"]
        return [
            f"{text}: the images will be dark. Clip outliers, or set the white: {_setting(end)}"
        ]

    def _coloured(self, count: int) -> list[str]:
        if not count:
            return []
        most = int(_at_share(self._colours)[0])
        dark = (
            f"; 99.9 % of these lie at or below {most} of 255: the images will be dark"
            if most < _FEW_STEPS
            else ""
        )
        return [
            f"{_holding(count)} 16 bits a channel in colour; only the upper 8 are read{dark}. Rescale "
            "their values first, or give arrays [height, width, channels] of uint16 as .npy files, of "
            "which all bits are read"
        ]


def _holding(count: int) -> str:
    return "1 image holds" if count == 1 else f"{count:,} images hold"


def _setting(white: float) -> str:
    return f"--set data.options.white={white:.6g} (reacgan data prepare --white {white:.6g})"


def _at_share(table: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The bin of the 99.9 % quantile of the values."""
    counts = np.cumsum(table)
    return np.atleast_1d(np.searchsorted(counts, _MOST * counts[-1]))


def _bins(values: Any) -> npt.NDArray[np.int64]:
    """Bins of non-negative float32, in order: the upper bits, rounded up."""
    bits = (np.asarray(values, np.float32) + np.float32(0)).view(np.uint32)
    return ((np.maximum(bits, 1) - np.uint32(1)) >> np.uint32(_DROPPED_BITS)).astype(np.int64)


def _values(bins: npt.NDArray[np.int64], is_float: bool) -> npt.NDArray[np.float64]:
    """The largest value of each bin."""
    if not is_float:
        return bins.astype(np.float64)
    bits = (np.asarray(bins, np.uint32) + np.uint32(1)) << np.uint32(_DROPPED_BITS)
    values = np.asarray(bits.view(np.float32), np.float64)
    values[values == 16384] = 16383  # ends of ranges that are not ends of bins
    return np.minimum(values, LARGEST)


def measure(
    listing: Listing,
    heads: list[Header],
    *,
    max_pixels: int,
    whites: Whites | None,
    white: float | None,
) -> tuple[list[Header], Whites | None, tuple[str, ...], tuple[str, ...]]:
    """Headers (refused without a known scale), whites, notes, and notes on losses."""
    deep = [
        index
        for index, head in enumerate(heads)
        if not head.problem and (is_deep(head.mode) or head.mode.endswith(DEEP_COLOUR))
    ]
    if not deep:
        return heads, whites, (), ()
    census = Census(max_pixels)
    files = [str(listing.root / listing.entries[index].relative) for index in deep]
    counted: list[Counted] = []
    with pillow_warnings_off():
        for index, result in zip(deep, ordered_map(census, files), strict=True):
            if isinstance(result, str):
                heads[index] = Header(problem=result)
            else:
                counted.append(result)
    if not counted:
        return heads, whites, (), ()
    return heads, *census.summary(counted, white=white, known=whites)
