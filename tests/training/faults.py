"""A kernel that fails now and then: the fused attention of G, at one moment of a run."""

from __future__ import annotations

import math

import torch

from reacgan import distributed
from reacgan.models.attention import SelfAttention
from reacgan.training.loop import Trainer

AT = 112
"""Images seen; the tiny experiment's seventh step of G."""


class _BadGradient(torch.autograd.Function):
    """cuDNN's fault: values are right, gradients are not numbers."""

    @staticmethod
    def forward(ctx, values):
        return values.clone()

    @staticmethod
    def backward(ctx, gradient):
        return torch.full_like(gradient, math.nan)


def inject(patch, *, direction="backward", narrow=False, ranks=(0,)):
    """From now on G's attention fails in its step at that moment, where it is fused.

    ``narrow``: by plain operations too, but only in bfloat16. Gives a list of how often it did.
    """
    step, whole = Trainer.generator_step, SelfAttention.forward
    failing, times = [], []

    def generator_step(self, journal):
        if self.state.images_seen == AT and distributed.rank() in ranks:
            failing[:] = self.state.generator.modules()
        step(self, journal)
        failing.clear()

    def forward(self, images):
        result = whole(self, images)
        if self not in failing:
            return result
        if not (result.dtype == torch.bfloat16 if narrow else self.fused_layers):
            return result
        times.append(direction)
        if direction == "forward":
            return torch.full_like(result, math.inf)
        return _BadGradient.apply(result)

    patch.setattr(Trainer, "generator_step", generator_step)
    patch.setattr(SelfAttention, "forward", forward)
    return times
