"""LeCam regularisation: real scores are pulled towards the average of fake ones, and vice versa."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from reacgan import distributed
from reacgan.config import PositiveFloat, PositiveInt
from reacgan.losses.terms import DiscriminatorOutput, Step, Term
from reacgan.tensors import widened


class LeCam(Term):
    """LeCam regularisation (Tseng, Jiang, Liu, Yang, Yang, CVPR 2021, equation 3).

    With a_real and a_fake the moving averages of D's mean score on real images and on fakes, over all
    processes and including the present step, D minimises::

        weight x ( E (D(x) - a_fake)^2 + E (D(G(z)) - a_real)^2 )

    ``form="released"`` is what the authors' code and the reference package compute instead: scores
    beyond the other side's average are not penalised,
    E max(D(x) - a_fake, 0)^2 + E max(a_real - D(G(z)), 0)^2.

    Args:
        weight: lambda of the paper.
        decay: of the moving averages, gamma of the paper.
        start: real images seen before the term counts; until then the averages are the present means.
            Published code counts steps of G, each of which is training.batch x training.d_steps images.
        form: ``"paper"`` or ``"released"``.
        every: computed in one of so many steps of D, with so many times the weight.
    """

    averages: Tensor
    """``[2]``: of D's score on real images and on fakes."""
    images: Tensor
    """How many real images D has seen, over all processes."""
    counts: Tensor
    """1 in a step in which the term counts, else 0."""

    def __init__(
        self,
        *,
        weight: PositiveFloat = 0.3,
        decay: Annotated[float, Field(ge=0, lt=1)] = 0.99,
        start: Annotated[int, Field(ge=0)] = 64_000,
        form: Literal["paper", "released"] = "paper",
        every: PositiveInt = 1,
    ) -> None:
        super().__init__(weight=weight, every=every)
        self.decay = decay
        self.start = start
        self.form: Literal["paper", "released"] = form
        self.register_buffer("averages", torch.zeros(2))
        self.register_buffer("images", torch.zeros((), dtype=torch.int64))
        self.register_buffer("counts", torch.zeros(()))

    @torch.no_grad()
    def observe(self, on_real: DiscriminatorOutput, on_fake: DiscriminatorOutput) -> None:
        """Move the averages towards the mean scores of all processes' batches."""
        means = torch.stack([widened(on_real.score).mean(), widened(on_fake.score).mean()])
        means = distributed.sum_over_processes(means) / distributed.world_size()
        self.counts.copy_(self.images > self.start)
        self.averages.lerp_(means.to(self.averages.dtype), 1 - self.decay * self.counts)
        self.images += len(on_real.score) * distributed.world_size()

    def d_term(self, step: Step) -> Tensor:
        """Distance of scores from the other side's average; zero until ``start``."""
        real, fake = widened(step.reals()[2].score), widened(step.on_fake.score)
        of_real, of_fake = self.averages.to(real.dtype).unbind()
        above, below = real - of_fake, of_real - fake
        if self.form == "released":
            above, below = above.relu(), below.relu()
        distance = above.square().mean() + below.square().mean()
        return distance * self.counts.to(distance.dtype)
