"""The adaptive probability of ADA and APA."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reacgan import distributed


class Controller(nn.Module):
    """A probability that adapts to how sure D is of real images (Karras et al., NeurIPS 2020, eq. 1).

    r = E[sign(D(real))] is near 0 while D cannot tell real from fake, and 1 when D is sure of every
    training image. Every ``every`` observed steps

        p <- clip(p + sign(r - target) x images / speed, 0, 1)

    with r and the number of real images over those steps.

    All of its state is in buffers, also the steps and signs since the last adjustment, so a resumed run
    continues exactly. (The reference package adapts five times faster after a resume.) It does not wait
    for the device.

    Args:
        probability: the initial p.
        target: the r at which p stays; None keeps p as it is.
        speed: images in which p can go from 0 to 1.
        every: observed steps between two adjustments.
    """

    probability: Tensor
    steps: Tensor
    images: Tensor
    scores: Tensor
    signs: Tensor

    def __init__(
        self, *, probability: float = 0.0, target: float | None, speed: float, every: int
    ) -> None:
        super().__init__()
        self.target = target
        self.speed = speed
        self.every = every
        self.register_buffer("probability", torch.tensor(float(probability)))
        for name in ("steps", "images", "scores", "signs"):  # since the last adjustment
            self.register_buffer(name, torch.zeros(()))

    @torch.no_grad()
    def observe(self, real_scores: Tensor, *, batch: int) -> None:
        """Take D's scores ``[N]`` of this process's real images into account.

        Args:
            real_scores: higher is more real, 0 undecided.
            batch: real images of this step over all processes.
        """
        if self.target is None:
            return
        signs = real_scores.detach().float().sign()
        counts = distributed.sum_over_processes(
            torch.stack([signs.sum(), torch.ones_like(signs).sum()]), "augmentation"
        )
        signs, scores = self.signs + counts[0], self.scores + counts[1]
        steps, images = self.steps + 1, self.images + batch
        due = steps >= self.every
        moved = self.probability + (signs / scores - self.target).sign() * images / self.speed
        self.probability.copy_(torch.where(due, moved.clamp(0, 1), self.probability))
        kept = (~due).float()
        self.steps.copy_(steps * kept)
        self.images.copy_(images * kept)
        self.scores.copy_(scores * kept)
        self.signs.copy_(signs * kept)
