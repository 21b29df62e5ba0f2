"""Draws per image, and helpers that augmentations share."""

from __future__ import annotations

import torch
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.randomness import Draws


class Chances:
    """Whether, and how much, an operation acts on each image of a batch.

    Args:
        draws: randomness, one draw an image.
        probability: scalar on the images' device: that an operation acts.
        images: ``[N, C, H, W]`` that they are for; draws have their type and device.
    """

    def __init__(self, draws: Draws, probability: Tensor, images: Tensor) -> None:
        self.probability = probability
        self._draws = draws
        self._count = images.shape[0]
        self._device, self._dtype = images.device, images.dtype

    def never(self) -> Tensor:
        """False for each image, ``[N]``; nothing is drawn."""
        return torch.zeros(self._count, dtype=torch.bool, device=self._device)

    def ones(self) -> Tensor:
        """1 for each image, ``[N]``; nothing is drawn."""
        return torch.ones(self._count, device=self._device, dtype=self._dtype)

    def fires(self, probability: Tensor | None = None) -> Tensor:
        """An independent coin for each image, bool ``[N]``."""
        coin = self._draws.uniform(self._count).to(self._device)
        return coin < (self.probability if probability is None else probability)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal ``[N, *shape]``."""
        return self._draws.normal(self._count, *shape).to(self._device, self._dtype)

    def uniform(self, low: float, high: float) -> Tensor:
        """Uniform on [low, high), ``[N]``."""
        return self._draws.uniform(self._count, low=low, high=high).to(self._device, self._dtype)

    def integers(self, high: int) -> Tensor:
        """Uniform on 0 to ``high`` - 1, int64 ``[N]``."""
        return self._draws.integers(self._count, high=high).to(self._device)

    def log_normal(self, octaves: float) -> Tensor:
        """Factors 2^n ``[N]`` with n normal of standard deviation ``octaves``."""
        return torch.exp2(self.normal() * octaves)


def reflected(index: Tensor, length: int) -> Tensor:
    """Pixel indices of any size, folded into [0, length) at the first and last pixel's centre."""
    last = length - 1
    if last == 0:
        return torch.zeros_like(index)
    return last - (index.remainder(2 * last) - last).abs()


def chosen(fired: Tensor, changed: Tensor, images: Tensor) -> Tensor:
    """The changed image where ``fired [N]``, else the image itself, bit for bit."""
    return torch.where(fired[:, None, None, None], changed, images)


def product(left: Tensor, right: Tensor) -> Tensor:
    """Product of small matrices ``[N, A, B]`` and ``[N, B, C]``, at full precision on any device."""
    return (left[:, :, :, None] * right[:, None]).sum(dim=2)


def check_images(images: Tensor) -> None:
    """Refuse what is no floating-point batch of four axes, by a :class:`ConfigError`."""
    if images.dim() != 4 or not images.is_floating_point():
        raise ConfigError(
            f"images: {images.dtype} {list(images.shape)}; needed: floating point [N, C, H, W]"
        )


def in_memory_format_of(images: Tensor, changed: Tensor) -> Tensor:
    """The changed images, channels last where the images are."""
    if images.is_contiguous(memory_format=torch.channels_last):
        return changed.contiguous(memory_format=torch.channels_last)
    return changed
