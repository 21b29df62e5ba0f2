"""Images with any number of channels, from ``.npy`` files: one array a file, never unpickled.

An array is ``[height, width]`` or ``[height, width, channels]`` of uint8, or of uint16 with one
white value for the whole set (``depth.py``; in a single file 65535). Channels are last. Earlier versions
of ``reacgan sample`` wrote them first; such files are refused, also where the shape is ambiguous.
Arrays are cropped and resized like pictures, each channel separately. 1, 3 and 4 channels are grey, RGB
and RGBA and converted like pictures; other counts are unchanged.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image

from reacgan.config import Resolution
from reacgan.data.dataset import MAX_CHANNELS, PICTURE_CHANNELS
from reacgan.data.decode import (
    MAX_PIXELS,
    MIN_SIDE,
    UnreadableImageError,
    fit,
    size_problem,
    to_array,
)
from reacgan.data.depth import LARGEST, Whites
from reacgan.unpacking import npy_in, open_npy

ARRAY_SUFFIX = ".npy"


def is_array(path: str | Path) -> bool:
    """Whether a file has the extension of an array."""
    return str(path).lower().endswith(ARRAY_SUFFIX)


def open_array(
    path: str | Path, *, content: IO[bytes] | None = None, max_pixels: int = MAX_PIXELS
) -> npt.NDArray[np.generic]:
    """Memory-map an array ``[height, width, channels]``; only its header is read.

    ``content``, if given, is read instead of the file.

    Raises:
        UnreadableImageError: another kind of file, shape or type, too small or too large.
    """
    try:
        array: npt.NDArray[np.generic] = open_npy(path) if content is None else npy_in(content)
    except Exception as error:  # the header of a hostile file is arbitrary text
        raise UnreadableImageError(path, f"not a .npy array ({type(error).__name__})") from None
    if array.ndim not in (2, 3) or array.dtype not in (np.uint8, np.uint16):
        raise UnreadableImageError(
            path,
            f"an array of {array.dtype} in {array.ndim} dimensions, needed: uint8 or uint16, "
            "[height, width] or [height, width, channels]",
        )
    array = array[:, :, None] if array.ndim == 2 else array
    height, width, channels = array.shape
    reason = size_problem((width, height), 4 * max_pixels // max(4, channels))
    if not 1 <= channels <= MAX_CHANNELS:
        reason = (
            f"an array of {channels} channels (the last dimension), allowed: 1 to {MAX_CHANNELS}"
        )
    if reason:
        raise UnreadableImageError(path, reason + _order_of(array.shape))
    if _may_be_turned(Path(path), array):
        raise UnreadableImageError(path, _EITHER_ORDER.format(shape=list(array.shape)))
    return array


_TURN = (
    "transpose it: numpy.save(FILE, numpy.asfortranarray(numpy.moveaxis(numpy.load(FILE), 0, -1))), or "
    "sample again"
)
_EITHER_ORDER = (
    "an array {shape} with the name of a sample, whose first dimension may be its channels: earlier "
    "versions of `reacgan sample` wrote [channels, height, width], needed: [height, width, channels]. If "
    f"it is one, {_TURN}; if its channels are last, give it a name that is not a number"
)


def _order_of(shape: tuple[int, ...]) -> str:
    """A hint where the shape would be valid with channels first."""
    channels, *sides = shape
    if not (1 <= channels <= MAX_CHANNELS and min(sides) >= MIN_SIDE):
        return f": {list(shape)} was read as [height, width, channels]"
    return (
        f": {list(shape)} was read as [height, width, channels]. If it is [channels, height, width], as "
        f"earlier versions of `reacgan sample` wrote, {_TURN}"
    )


def _may_be_turned(path: Path, array: npt.NDArray[np.generic]) -> bool:
    """Whether a file may be a sample of an earlier version, in the order [C, H, W].

    Its name is a seed, its shape fits either order, and it is not in the Fortran order of current
    samples. A square image whose number of channels differs from its side is unambiguous.
    """
    if re.fullmatch(r"0|[1-9][0-9]*", path.stem) is None or array.flags.f_contiguous:
        return False
    first, second, last = array.shape
    fits = first <= MAX_CHANNELS and min(second, last) >= MIN_SIDE
    return fits and not (first == second != last)


def decode_array(
    path: str | Path,
    *,
    resolution: Resolution,
    channels: int,
    whites: Whites | None = None,
    content: IO[bytes] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> npt.NDArray[np.uint8]:
    """Decode an array file: uint8 ``[channels, height, width]`` of ``resolution``.

    Raises:
        UnreadableImageError: as :func:`open_array`, or other channels.
    """
    array = np.asarray(open_array(path, content=content, max_pixels=max_pixels))
    if array.dtype == np.uint16:
        white = (whites and whites[0]) or LARGEST
        array = np.round(np.clip(array.astype(np.float64) * (255 / white), 0, 255))
    pixels = array.astype(np.uint8)
    own = pixels.shape[2]
    if own in PICTURE_CHANNELS and channels in PICTURE_CHANNELS:
        picture = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if own == 1 else pixels))
        return to_array(picture, resolution=resolution, channels=channels)
    if own != channels:
        raise UnreadableImageError(
            path,
            f"an array of {own} channels, asked for: {channels} (data.channels)"
            + (_order_of(pixels.shape) if pixels.shape[0] == channels else ""),
        )
    planes = [Image.fromarray(np.ascontiguousarray(pixels[:, :, c])) for c in range(own)]
    return np.stack([np.asarray(fit(plane, resolution=resolution)) for plane in planes])
