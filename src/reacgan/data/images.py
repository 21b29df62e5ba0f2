"""One file of a set, a picture or an array: what its header says, and its pixels."""

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
"""What follows the mode of colour of 16 bits a channel, of which the upper 8 are read."""


class Header(NamedTuple):
    """What a file's header says: (width, height), mode, own channels; or why it is refused."""

    size: tuple[int, int] = (0, 0)
    mode: str = ""
    channels: int = 3
    animated: bool = False
    problem: str = ""


def read_header(path: str, max_pixels: int) -> Header:
    """What a file's header says; a file that cannot be used has a problem."""
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
    except Exception as error:  # reading further frames of a hostile file raises anything
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
    """The pixels of a file, uint8 ``[channels, height, width]``, or why it is refused."""
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
