"""Path length regularisation: steps of one length in w change the image by one amount."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from reacgan import distributed
from reacgan.config import ConfigError, PositiveFloat, PositiveInt
from reacgan.losses.terms import Step, Term
from reacgan.tensors import gradients_of_inputs_alone, widened, without_autocast


class PathLength(Term):
    """Penalty on how the length of J_w^T y varies (Karras et al., CVPR 2020, equation 4).

    G minimises E (|J_w^T y| - a)^2, with J_w the derivative of the image by w, y an image of N(0, 1) /
    sqrt(H W) and a the long-running mean of the lengths. J_w^T y is the gradient of sum(G(w) y). As in
    the authors' code, each layer has its own w and squared lengths are averaged over layers. Only every
    ``shrink``-th sample is used, to save time, and the term is lazy: ``every`` multiplies its weight.
    With training.accumulate, each part updates a.

    Args:
        weight: factor of the term.
        every: computed in one of so many steps of G.
        decay: share of the newest mean length in a.
        shrink: one sample of so many is used.
        constant_mean: a is a constant for the gradient, as the paper says; published code lets the
            gradient through the newest part of a.
    """

    mean: Tensor
    """a; part of the run's state."""

    def __init__(
        self,
        *,
        weight: PositiveFloat = 2.0,
        every: PositiveInt = 4,
        decay: Annotated[float, Field(gt=0, le=1)] = 0.01,
        shrink: PositiveInt = 2,
        constant_mean: bool = True,
    ) -> None:
        super().__init__(weight=weight, every=every)
        self.decay = decay
        self.shrink = shrink
        self.constant_mean = constant_mean
        self.register_buffer("mean", torch.zeros(()))

    def g_term(self, step: Step) -> Tensor:
        """Mean squared difference between lengths and their long-running mean.

        Raises:
            ConfigError: the generator has no ``mapping`` and ``synthesis``.
        """
        generator = step.generator
        if not (hasattr(generator, "mapping") and hasattr(generator, "synthesis")):
            raise ConfigError(
                f"penalties.path_length needs a generator with styles w; {type(generator).__name__} "
                "has none. Take model.generator stylegan2, or leave path_length out."
            )
        # Every shrink-th sample, not the first ones, so that processes together take what one would.
        z = step.z.detach()[:: self.shrink]
        draws = step.draws("path_length")
        w = generator.mapping(z, step.fake_labels[:: self.shrink], draws)
        images = generator.synthesis(w, draws)
        with without_autocast(images):
            wide = widened(images)
            y = draws.normal(len(z), *images.shape[1:], dtype=wide.dtype)
            total = (wide * y).sum() / math.sqrt(images.shape[2] * images.shape[3])
            with gradients_of_inputs_alone():
                (gradient,) = torch.autograd.grad(total, w, create_graph=True)
            return self._penalty(_lengths(gradient.to(wide.dtype)))

    def _penalty(self, lengths: Tensor) -> Tensor:
        newest = lengths.detach() if self.constant_mean else lengths
        newest = distributed.sum_over_processes(newest.mean()) / distributed.world_size()
        mean = torch.lerp(self.mean.to(newest.dtype), newest, self.decay)
        self.mean.copy_(mean.detach())
        return (lengths - mean).square().mean()


def _lengths(gradient: Tensor) -> Tensor:
    """[N, layers, D] -> root of the squared length, averaged over layers; [N, D] -> length: [N]."""
    layers = 1 if gradient.dim() == 2 else gradient.shape[1]
    return torch.linalg.vector_norm(gradient.flatten(1), dim=1) / math.sqrt(layers)
