"""Images with any number of channels, from ``.npy`` files: one array a file, never unpickled.

An array is ``[height, width]`` or ``[height, width, channels]`` of uint8, or of uint16, which is
divided by 257 and rounded. It is cropped and resized like a picture, each channel by itself. One of
1, 3 or 4 channels is grey, RGB, or RGB and opacity, and is converted as pictures are; any other
number is served as it is.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from reacgan.config import Resolution
from reacgan.data.dataset import MAX_CHANNELS, PICTURE_CHANNELS
from reacgan.data.decode import MAX_PIXELS, UnreadableImageError, fit, size_problem, to_array

ARRAY_SUFFIX = ".npy"


def is_array(path: str | Path) -> bool:
    """Whether a file's name says that it holds an array."""
    return str(path).lower().endswith(ARRAY_SUFFIX)


def open_array(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.generic]:
    """Memory-map an array ``[height, width, channels]``; only its header is read.

    Raises:
        UnreadableImageError: not such a file, another shape or type, too small or too large.
    """
    try:
        array: npt.NDArray[np.generic] = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # a header is text that a hostile file fills
        raise UnreadableImageError(path, f"no .npy array ({type(error).__name__})") from None
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
        reason = f"an array of {channels} channels (the last dimension), allowed: 1 to 64"
    if reason:
        raise UnreadableImageError(path, reason)
    return array


def decode_array(
    path: str | Path, *, resolution: Resolution, channels: int, max_pixels: int = MAX_PIXELS
) -> npt.NDArray[np.uint8]:
    """Decode an array file: uint8 ``[channels, height, width]`` of ``resolution``.

    Raises:
        UnreadableImageError: what :func:`open_array` refuses, or channels that it does not have.
    """
    array = np.asarray(open_array(path, max_pixels=max_pixels))
    if array.dtype == np.uint16:
        array = np.round(array.astype(np.float64) / 257)
    pixels = array.astype(np.uint8)
    found = pixels.shape[2]
    if found in PICTURE_CHANNELS and channels in PICTURE_CHANNELS:
        picture = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if found == 1 else pixels))
        return to_array(picture, resolution=resolution, channels=channels)
    if found != channels:
        raise UnreadableImageError(
            path, f"an array of {found} channels, asked for: {channels} (data.channels)"
        )
    planes = [Image.fromarray(np.ascontiguousarray(pixels[:, :, c])) for c in range(found)]
    return np.stack([np.asarray(fit(plane, resolution=resolution)) for plane in planes])
