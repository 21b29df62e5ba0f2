"""Base class of augmentations, and the second view of an image that consistency compares."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reacgan.augment.chances import in_memory_format_of, reflected
from reacgan.randomness import Draws


class Augment(nn.Module):
    """Images to changed images of the same shape and type, differentiable.

    It is applied to real and fake images before D. All its randomness comes from ``draws``, one draw an
    image, so that each process gets its slice of what a single one would draw.
    """

    @property
    def probability(self) -> Tensor | None:
        """The present probability, for the journal; None for members that do not adapt."""
        return None

    def forward(self, images: Tensor, draws: Draws) -> Tensor:
        """Change ``images [N, C, H, W]``, floating point, in the range [-1, 1]."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def observe(self, real_scores: Tensor, *, batch: int) -> None:
        """Take D's scores of this process's real images into account, after each step of D.

        An adaptive member keeps its state in buffers, which are part of the run's state, averages over
        processes, and does not wait for the device.

        Args:
            real_scores: ``[N]``, without gradient.
            batch: real images of this step over all processes.
        """


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
    return in_memory_format_of(images, view.view(images.shape))


def _sources(images: Tensor, draws: Draws, length: int) -> Tensor:
    """Where each of ``length`` pixels comes from, ``[N, length]``."""
    most = length // 8
    shift = draws.integers(images.shape[0], 1, low=-most, high=most + 1).to(images.device)
    return reflected(torch.arange(length, device=images.device) - shift, length)
