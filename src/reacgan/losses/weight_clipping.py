"""Weight clipping: D stays Lipschitz because its parameters stay small."""

from __future__ import annotations

import torch
from torch import nn

from reacgan.config import PositiveFloat
from reacgan.losses.terms import Term


class WeightClipping(Term):
    """Weight clipping (Arjovsky, Chintala, Bottou, ICML 2017, algorithm 1).

    It adds nothing to a loss. After each of D's steps every trained parameter is clipped to [-limit,
    limit]; those frozen by FreezeD are not. Spectrally normalised weights are clipped before their
    normalisation, which undoes most of it: use another penalty for such a D.

    Args:
        limit: largest absolute value of a parameter, c of the paper.
    """

    def __init__(self, *, limit: PositiveFloat = 0.01) -> None:
        super().__init__(weight=1.0)
        self.limit = limit

    @torch.no_grad()
    def after_d_step(self, discriminator: nn.Module) -> None:
        """Clip the parameters in place."""
        for parameter in discriminator.parameters():
            if parameter.requires_grad:
                parameter.clamp_(-self.limit, self.limit)
