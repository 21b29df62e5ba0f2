"""The second view of an image that consistency regularisation compares with the first."""

from __future__ import annotations

import torch
from torch import Tensor

from reacgan.augment.chances import reflected
from reacgan.randomness import Draws


def second_view(images: Tensor, draws: Draws) -> Tensor:
    """Mirror half of the images, and shift each by up to an eighth of its sides, edges reflected.

    Zhang et al., ICLR 2020 (CR) and Zhao et al., AAAI 2021 (bCR): whole pixels, uniform, each axis
    by itself. Differentiable; type and memory format stay.

    Args:
        images: ``[N, C, H, W]``.
        draws: randomness, one draw an image.
    """
    count, channels, height, width = images.shape
    mirrored = (draws.uniform(count, 1) < 0.5).to(images.device)
    rows, columns = _sources(images, draws, height), _sources(images, draws, width)
    columns = torch.where(mirrored, width - 1 - columns, columns)  # mirrored, then shifted
    source = (rows[:, :, None] * width + columns[:, None, :]).flatten(1)  # [N, H W]
    view = images.flatten(2).gather(2, source[:, None].expand(-1, channels, -1))
    view = view.view(images.shape)
    if images.is_contiguous(memory_format=torch.channels_last):
        view = view.contiguous(memory_format=torch.channels_last)
    return view


def _sources(images: Tensor, draws: Draws, length: int) -> Tensor:
    """Where each of ``length`` pixels comes from, ``[N, length]``."""
    most = length // 8
    shift = draws.integers(images.shape[0], 1, low=-most, high=most + 1).to(images.device)
    return reflected(torch.arange(length, device=images.device) - shift, length)
