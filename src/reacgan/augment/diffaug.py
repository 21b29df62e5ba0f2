"""Differentiable augmentation: colour, translation, cutout."""

from __future__ import annotations

import torch
from torch import Tensor

from reacgan.augment.base import Augment
from reacgan.augment.chances import check_images, in_memory_format_of
from reacgan.config import UnitFloat
from reacgan.randomness import Draws


class DiffAug(Augment):
    """DiffAug (Zhao, Liu, Lin, Zhu, Han, NeurIPS 2020): colour, then translation, then cutout.

    Each image has its own draws:

    - brightness: adds U(-0.5, 0.5);
    - saturation: multiplies the deviation from the mean over channels by U(0, 2), which leaves an
      image of one channel as it is;
    - contrast: multiplies the deviation from the image's mean by U(0.5, 1.5);
    - translation: a whole number of pixels, uniform up to ``translation`` x side either way and axis,
      padded with zeros;
    - cutout: zeros in a square of ``cutout`` x side whose centre is uniform over the image, so that it
      may extend beyond the border.

    Colour is computed in float32 at least; values may leave [-1, 1]. The result has the type and
    memory format of the images.

    Args:
        color: whether to change brightness, saturation and contrast.
        translation: largest shift as a share of the side; 0 switches it off.
        cutout: side of the square as a share of the image's; 0 switches it off.
    """

    def __init__(
        self, *, color: bool = True, translation: UnitFloat = 0.125, cutout: UnitFloat = 0.5
    ) -> None:
        super().__init__()
        self.color = color
        self.translation = translation
        self.cutout = cutout

    def forward(self, images: Tensor, draws: Draws) -> Tensor:
        """Change ``images [N, C, H, W]``; the gradient flows to them.

        Raises:
            ConfigError: the images are not a floating-point batch of four axes.
        """
        check_images(images)
        changed = images
        if self.color:
            changed = change_colors(changed, *_color_draws(images, draws))
        height, width = images.shape[2:]
        if self.translation:
            rows = _shift(images, draws, _pixels(self.translation, height))
            columns = _shift(images, draws, _pixels(self.translation, width))
            changed = translate(changed, rows, columns)
        if self.cutout:
            sides = _pixels(self.cutout, height), _pixels(self.cutout, width)
            tops = _corner(images, draws, height, sides[0])
            lefts = _corner(images, draws, width, sides[1])
            changed = cut_out(changed, tops, lefts, sides)
        return in_memory_format_of(images, changed.to(images.dtype))


def _pixels(share: float, side: int) -> int:
    """Round a share of a side to pixels, half up."""
    return int(share * side + 0.5)


def _color_draws(images: Tensor, draws: Draws) -> tuple[Tensor, Tensor, Tensor]:
    count = images.shape[0]
    brightness = draws.uniform(count, 1, 1, 1, low=-0.5, high=0.5)
    saturation = draws.uniform(count, 1, 1, 1, low=0.0, high=2.0)
    contrast = draws.uniform(count, 1, 1, 1, low=0.5, high=1.5)
    device = images.device
    return brightness.to(device), saturation.to(device), contrast.to(device)


def _shift(images: Tensor, draws: Draws, most: int) -> Tensor:
    return draws.integers(images.shape[0], low=-most, high=most + 1).to(images.device)


def _corner(images: Tensor, draws: Draws, length: int, side: int) -> Tensor:
    """First pixel of a square whose centre is uniform: on a pixel, or between two if even."""
    centre = draws.integers(images.shape[0], low=0, high=length + 1 - side % 2)
    return (centre - side // 2).to(images.device)


def change_colors(
    images: Tensor, brightness: Tensor, saturation: Tensor, contrast: Tensor
) -> Tensor:
    """Add brightness, then scale deviations by saturation and contrast; draws ``[N, 1, 1, 1]``."""
    images = images + brightness
    grey = images.mean(dim=1, keepdim=True)
    images = (images - grey) * saturation + grey
    level = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images - level) * contrast + level


def translate(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Move each image down by ``rows [N]`` and right by ``columns [N]`` pixels; zero-padded."""
    count, channels, height, width = images.shape
    row = torch.arange(height, device=images.device) - rows[:, None]  # [N, H]: where it comes from
    column = torch.arange(width, device=images.device) - columns[:, None]  # [N, W]
    outside = ((row < 0) | (row >= height))[:, None, :, None]
    outside = outside | ((column < 0) | (column >= width))[:, None, None, :]
    source = row.clamp(0, height - 1)[:, :, None] * width + column.clamp(0, width - 1)[:, None, :]
    source = source.flatten(1)[:, None].expand(-1, channels, -1)  # [N, C, H W]
    moved = images.flatten(2).gather(2, source).view(count, channels, height, width)
    return moved.masked_fill(outside, 0.0)


def cut_out(images: Tensor, tops: Tensor, lefts: Tensor, sides: tuple[int, int]) -> Tensor:
    """Zero a rectangle of ``sides`` pixels from ``tops [N]``, ``lefts [N]``, clipped."""
    height, width = images.shape[2:]
    row = torch.arange(height, device=images.device) - tops[:, None]
    column = torch.arange(width, device=images.device) - lefts[:, None]
    rows = ((row >= 0) & (row < sides[0]))[:, None, :, None]
    columns = ((column >= 0) & (column < sides[1]))[:, None, None, :]
    return images.masked_fill(rows & columns, 0.0)
