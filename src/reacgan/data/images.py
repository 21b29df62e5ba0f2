"""One file of a set, a picture or an array: its header and its pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from reacgan.config import Resolution
from reacgan.data.arrays import decode_array, is_array, open_array
from reacgan.data.decode import (
    Box,
    UnreadableImageError,
    colour_of_16_bits,
    decode_file,
    is_grey,
    open_header,
)
from reacgan.data.depth import Whites

DEEP_COLOUR = ";16"
"""Suffix of the mode of 16-bit colour, of which the upper 8 bits are read."""


class Header(NamedTuple):
    """A file's header: (width, height), mode, channels; or the reason for refusing it."""

    size: tuple[int, int] = (0, 0)
    mode: str = ""
    channels: int = 3
    animated: bool = False
    problem: str = ""


def read_header(path: str, max_pixels: int) -> Header:
    """Read a file's header; ``problem`` is set for unusable files."""
    try:
        if is_array(path):
            array = open_array(path, max_pixels=max_pixels)
            height, width, channels = array.shape
            return Header((width, height), f"{array.dtype} x {channels}", channels)
        with open_header(path, max_pixels=max_pixels) as image:
            animated = bool(getattr(image, "is_animated", False))
            mode = image.mode + DEEP_COLOUR * colour_of_16_bits(image)
            return Header(image.size, mode, 1 if is_grey(image) else 3, animated)
    except UnreadableImageError as error:
        return Header(problem=error.reason)
    except Exception as error:  # frames of hostile files raise anything
        return Header(problem=f"not readable ({type(error).__name__})")


def decode_image(
    path: str,
    *,
    resolution: Resolution,
    channels: int,
    box: Box | None = None,
    whites: Whites | None = None,
    max_pixels: int,
) -> npt.NDArray[np.uint8] | str:
    """The pixels of a file, uint8 ``[channels, height, width]``, or the reason for refusing it."""
    try:
        if is_array(path):
            return decode_array(
                path,
                resolution=resolution,
                channels=channels,
                whites=whites,
                max_pixels=max_pixels,
            )
        return decode_file(
            path,
            resolution=resolution,
            channels=channels,
            box=box,
            whites=whites,
            max_pixels=max_pixels,
        )
    except UnreadableImageError as error:
        return error.reason
