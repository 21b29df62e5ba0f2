"""The second view of an image that consistency regularisation compares with the first."""

from __future__ import annotations

import torch
from torch import Tensor

from reacgan.randomness import Draws


def second_view(images: Tensor, draws: Draws) -> Tensor:
    """Mirror half of the images, and shift each by up to an eighth of its sides, edges reflected.

    Zhang et al. 2020 (CR) and Zhao et al. 2021 (bCR). Differentiable.

    Args:
        images: ``[N, C, H, W]``.
        draws: randomness, one draw an image.
    """
    count, channels, height, width = images.shape
    mirrored = (draws.uniform(count) < 0.5)[:, None, None, None]
    images = torch.where(mirrored, images.flip(-1), images)
    rows = _reflected(draws, count, height)[:, None, :, None].expand(-1, channels, -1, width)
    columns = _reflected(draws, count, width)[:, None, None, :].expand(-1, channels, height, -1)
    return images.gather(2, rows).gather(3, columns)


def _reflected(draws: Draws, count: int, length: int) -> Tensor:
    """Where each of ``length`` pixels comes from, ``[count, length]``."""
    most = length // 8
    shift = draws.integers(count, 1, low=-most, high=most + 1)
    place = (torch.arange(length, device=shift.device) - shift).abs()
    return torch.where(place < length, place, 2 * (length - 1) - place)
