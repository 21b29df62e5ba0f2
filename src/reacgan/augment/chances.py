"""Draws of which each image gets its own, and what images have in common when they are changed."""

from __future__ import annotations

import torch
from torch import Tensor

from reacgan.randomness import Draws


class Chances:
    """Whether, and how much, an operation acts on each image of a batch.

    Args:
        draws: randomness, one draw an image.
        probability: scalar on the images' device: how often an operation acts.
        images: ``[N, C, H, W]`` that they are for; draws have their type and place.
    """

    def __init__(self, draws: Draws, probability: Tensor, images: Tensor) -> None:
        self.probability = probability
        self._draws = draws
        self._count = images.shape[0]
        self._place = images.device, images.dtype

    def never(self) -> Tensor:
        """False for each image, ``[N]``; nothing is drawn."""
        return torch.zeros(self._count, dtype=torch.bool, device=self._place[0])

    def ones(self) -> Tensor:
        """1 for each image, ``[N]``; nothing is drawn."""
        return torch.ones(self._count, device=self._place[0], dtype=self._place[1])

    def fires(self, probability: Tensor | None = None) -> Tensor:
        """An independent coin for each image, bool ``[N]``."""
        coin = self._draws.uniform(self._count).to(self._place[0])
        return coin < (self.probability if probability is None else probability)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal ``[N, *shape]``."""
        return self._draws.normal(self._count, *shape).to(*self._place)

    def uniform(self, low: float, high: float) -> Tensor:
        """Uniform on [low, high), ``[N]``."""
        return self._draws.uniform(self._count, low=low, high=high).to(*self._place)

    def integers(self, high: int) -> Tensor:
        """Uniform on 0 to ``high`` - 1, int64 ``[N]``."""
        return self._draws.integers(self._count, high=high).to(self._place[0])

    def log_normal(self, octaves: float) -> Tensor:
        """Factors 2^n ``[N]`` with n normal of standard deviation ``octaves``."""
        return torch.exp2(self.normal() * octaves)


def reflected(place: Tensor, length: int) -> Tensor:
    """Pixel indices of any size, folded into [0, length) at the first and last pixel's centre."""
    last = length - 1
    if last == 0:
        return torch.zeros_like(place)
    return last - (place.remainder(2 * last) - last).abs()


def chosen(fired: Tensor, changed: Tensor, images: Tensor) -> Tensor:
    """The changed image where the coin ``[N]`` says so, else the image as it is, to the bit."""
    return torch.where(fired[:, None, None, None], changed, images)


def product(left: Tensor, right: Tensor) -> Tensor:
    """Product of small matrices ``[N, A, B]`` and ``[N, B, C]``, at full precision on any device."""
    return (left[:, :, :, None] * right[:, None]).sum(dim=2)
