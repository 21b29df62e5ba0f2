"""Adaptive pseudo augmentation: fakes are shown to D as real images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reacgan.augment.controller import Controller
from reacgan.randomness import Draws

Labelled = tuple[Tensor, Tensor]
"""Images ``[N, C, H, W]`` and their labels ``[N]``."""


class PseudoAugment(nn.Module):
    """Adaptive pseudo augmentation (Jiang, Dai, Wu, Loy, NeurIPS 2021).

    A fake replaces each real image of D's batch with probability p, to keep D from overfitting. p
    adapts to D's scores of that batch (:class:`reacgan.augment.controller.Controller`), whose buffers
    are part of the run's state. A fake keeps its own label (in the authors' code it gets that of the
    real image that it replaces).

    Args:
        target: see :class:`reacgan.config.ApaConfig`.
        speed: images.
        every: steps.
    """

    def __init__(self, *, target: float = 0.6, speed: float = 500_000, every: int = 4) -> None:
        super().__init__()
        self.controller = Controller(target=target, speed=speed, every=every)

    @property
    def probability(self) -> Tensor:
        """The present p, a scalar on the device."""
        return self.controller.probability

    def forward(self, real: Labelled, fake: Labelled, draws: Draws) -> Labelled:
        """Real images and labels, each replaced by its fake with the present probability.

        Fakes are detached and cast to the type of the real images.
        """
        images, labels = real
        fakes, fake_labels = fake
        poses = draws.uniform(len(labels)).to(images.device) < self.probability
        fakes = fakes.detach().to(images.dtype)
        chosen = torch.where(poses[:, None, None, None], fakes, images)
        return chosen, torch.where(poses, fake_labels, labels)

    def observe(self, real_scores: Tensor, *, batch: int) -> None:
        """As :meth:`reacgan.augment.Augment.observe`."""
        self.controller.observe(real_scores, batch=batch)
