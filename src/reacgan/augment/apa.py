"""Adaptive pseudo augmentation: fakes that pose as real images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reacgan.randomness import Draws

Labelled = tuple[Tensor, Tensor]
"""Images ``[N, C, H, W]`` and their labels ``[N]``."""


class PseudoAugment(nn.Module):
    """Adaptive pseudo augmentation (Jiang, Dai, Wu, Loy, NeurIPS 2021).

    Args:
        target: see :class:`reacgan.config.ApaConfig`.
        speed: images.
        every: steps.
    """

    probability: Tensor

    def __init__(self, *, target: float = 0.6, speed: float = 500_000, every: int = 4) -> None:
        super().__init__()
        self.register_buffer("probability", torch.zeros(()))

    def forward(self, real: Labelled, fake: Labelled, draws: Draws) -> Labelled:
        """Real images and labels, each replaced by its fake with the present probability."""
        raise NotImplementedError

    def observe(self, real_scores: Tensor, *, batch: int) -> None:
        """As :meth:`reacgan.augment.Augment.observe`."""
