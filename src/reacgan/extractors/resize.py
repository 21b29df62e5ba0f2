"""Resize images for an extractor, by each convention of published scores.

Every function takes uint8 ``[N, C, H, W]`` and returns float32 ``[N, C, S, S]`` in 0..255, on the
device of the images; nothing is rounded to integers. The shape is stretched; images that have the
size are unchanged. Parmar, Zhang, Zhu 2022 measure the effect of the convention on scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan.config import ConfigError

Filter = Literal["bilinear", "bicubic"]


def clean(images: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Bicubic (a = -0.5) over the whole footprint of a pixel, as Pillow on floats; clipped to 0..255."""
    return _antialiased(images, size, "bicubic")


def friendly(images: Tensor, size: int, *, by: Filter = "bilinear") -> Tensor:
    """With the filter of the extractor's training, antialiased as in Pillow; clipped to 0..255."""
    return _antialiased(images, size, by)


def legacy(images: Tensor, size: int) -> Tensor:
    """Bilinear between the two nearest pixel centres, without antialiasing."""
    pixels = _pixels(images)
    if _has_size(images, size):
        return pixels
    return F.interpolate(pixels, (size, size), mode="bilinear", align_corners=False)


def legacy_tensorflow(images: Tensor, size: int) -> Tensor:
    """Bilinear on the grid of TensorFlow 1: target pixel i is at i x (H / S), not at centres.

    It shifts the image by up to half a pixel and aliases; the first FID used it.
    """
    pixels = _pixels(images)
    if _has_size(images, size):
        return pixels
    return _lerp_at(_lerp_at(pixels, size, 3), size, 2)


RESIZERS: Mapping[str, Callable[[Tensor, int], Tensor]] = {
    "clean": clean,
    "legacy": legacy,
    "legacy_tensorflow": legacy_tensorflow,
    "friendly": friendly,
}


def to_rgb(images: Tensor) -> Tensor:
    """uint8 ``[N, 3, H, W]`` of uint8 grey (repeated), RGB, or RGBA images (on white, rounded).

    Raises:
        ConfigError: another type, shape or number of channels.
    """
    if images.dim() != 4 or images.dtype != torch.uint8:
        raise ConfigError(
            f"images are {images.dtype} {list(images.shape)}; needed: torch.uint8 [N, C, H, W]"
        )
    channels = images.shape[1]
    if channels == 1:
        return images.expand(-1, 3, -1, -1)
    if channels == 3:
        return images
    if channels == 4:
        colour, opacity = images[:, :3].int(), images[:, 3:].int()
        return ((colour * opacity + 255 * (255 - opacity) + 127) // 255).to(torch.uint8)
    raise ConfigError(
        f"images have {channels} channels; this extractor takes 1 (grey), 3 (RGB) or 4 (RGBA). "
        "Choose an extractor that takes any number of channels"
    )


def _antialiased(images: Tensor, size: int | tuple[int, int], mode: Filter) -> Tensor:
    pixels = _pixels(images)
    if _has_size(images, size):
        return pixels
    sides = (size, size) if isinstance(size, int) else size
    resized = F.interpolate(pixels, sides, mode=mode, align_corners=False, antialias=True)
    return resized.clamp_(0, 255)


def _lerp_at(pixels: Tensor, size: int, dim: int) -> Tensor:
    """Linear along one axis; positions in float32, as in the original."""
    length = pixels.shape[dim]
    step = torch.tensor(length / size, dtype=torch.float32, device=pixels.device)
    position = torch.arange(size, dtype=torch.float32, device=pixels.device) * step
    low = position.long().clamp_max(length - 1)
    high = (low + 1).clamp_max(length - 1)
    shape = [1] * pixels.dim()
    shape[dim] = size
    share = (position - low).reshape(shape)
    before = pixels.index_select(dim, low)
    return before + (pixels.index_select(dim, high) - before) * share


def _pixels(images: Tensor) -> Tensor:
    if images.dtype != torch.uint8 or images.dim() != 4:
        raise ConfigError(
            f"images are {images.dtype} {list(images.shape)}; needed: torch.uint8 [N, C, H, W]"
        )
    return images.float()


def _has_size(images: Tensor, size: int | tuple[int, int]) -> bool:
    return tuple(images.shape[2:]) == ((size, size) if isinstance(size, int) else size)
