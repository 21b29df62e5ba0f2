"""Doubling and halving of images, from slices alone: same results on every run of every device."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Resampling = Literal["bilinear", "nearest"]


def doubled(images: Tensor, how: Resampling) -> Tensor:
    """[N, C, H, W] -> [N, C, 2H, 2W], nearest or bilinear (borders repeated)."""
    if how == "nearest":
        return F.interpolate(images, scale_factor=2)
    # Channels last inside, so that images in this memory order stay in it.
    return _doubled(_doubled(images.permute(0, 2, 3, 1), 1), 2).permute(0, 3, 1, 2)


def halved(images: Tensor, how: Resampling) -> Tensor:
    """[N, C, H, W] -> [N, C, H/2, W/2]: 2x2 averages, or the bilinear filter (1 3 3 1)/8 each way."""
    if how == "nearest":
        return F.avg_pool2d(images, 2)
    return _halved(_halved(images.permute(0, 2, 3, 1), 1), 2).permute(0, 3, 1, 2)


def _doubled(images: Tensor, dim: int) -> Tensor:
    size = images.shape[dim]
    before = torch.cat([images.narrow(dim, 0, 1), images.narrow(dim, 0, size - 1)], dim)
    after = torch.cat([images.narrow(dim, 1, size - 1), images.narrow(dim, size - 1, 1)], dim)
    pair = torch.stack([torch.lerp(images, before, 0.25), torch.lerp(images, after, 0.25)], dim + 1)
    return pair.flatten(dim, dim + 1)


def _halved(images: Tensor, dim: int) -> Tensor:
    even, odd = images.unflatten(dim, (-1, 2)).unbind(dim + 1)
    size = even.shape[dim]
    before = torch.cat([even.narrow(dim, 0, 1), odd.narrow(dim, 0, size - 1)], dim)
    after = torch.cat([even.narrow(dim, 1, size - 1), odd.narrow(dim, size - 1, 1)], dim)
    return ((even + odd) * 3 + before + after) / 8
