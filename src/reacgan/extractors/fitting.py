"""Convert images to the channels and size of an extractor's input: both sides by one rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.data import ImageData
from reacgan.extractors.resize import clean, to_rgb

Shape = tuple[int, int, int]
"""Channels, height and width."""

RULE = (
    "grey repeated, colour to grey as ITU-R 601-2, opacity on white; stretched, bicubic, antialiased; "
    "uint8"
)
"""Part of the protocol of every score with converted images."""

_PICTURES = (1, 3, 4)
_ROWS = 1024


def fitted(images: Tensor, shape: Shape) -> Tensor:
    """uint8 ``[N, C, H, W]`` converted to ``shape``; the same tensor where it has that shape.

    Raises:
        ConfigError: channels that cannot be converted.
    """
    if images.shape[1] != shape[0]:
        images = _with_channels(images, shape[0])
    height, width = shape[1:]
    if tuple(images.shape[2:]) == (height, width):
        return images
    return clean(images, (height, width)).round_().to(torch.uint8)


def fitted_data(data: ImageData, shape: Shape) -> ImageData:
    """A set converted to ``shape``, in memory; the same object where it has that shape."""
    if data.images.shape[1:] == shape:
        return data
    parts = [
        fitted(
            torch.tensor(np.ascontiguousarray(data.images[start : start + _ROWS])), shape
        ).numpy()
        for start in range(0, len(data), _ROWS)
    ]
    return replace(data, images=np.concatenate(parts), known_digest=None)


def _with_channels(images: Tensor, channels: int) -> Tensor:
    own_channels = images.shape[1]
    if own_channels not in _PICTURES or channels not in _PICTURES:
        raise ConfigError(
            f"the images have {own_channels} channels, needed: {channels}. Grey, RGB and RGBA (1, 3, 4) "
            "convert to one another; other counts must agree"
        )
    colour = to_rgb(images)
    if channels == 1:
        return _grey(colour)
    if channels == 3:
        return colour.contiguous()
    return torch.cat([colour, torch.full_like(colour[:, :1], 255)], 1)


def _grey(images: Tensor) -> Tensor:
    """RGB to grey as in Pillow: 0.299 R + 0.587 G + 0.114 B in 16 bits, rounded."""
    weights = torch.tensor([19595, 38470, 7471], dtype=torch.int32, device=images.device)
    total = (images.int() * weights[:, None, None]).sum(1, keepdim=True)
    return ((total + 0x8000) >> 16).to(torch.uint8)
