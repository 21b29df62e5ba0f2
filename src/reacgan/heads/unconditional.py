"""The head of an unconditional discriminator."""

from __future__ import annotations

from torch import Tensor

from reacgan.heads.base import PLAIN_LAYERS, Head, HeadOutput, Layers


class UnconditionalHead(Head, full_precision=False):
    """The plain real-or-fake score (Goodfellow et al., NeurIPS 2014): w . h + b.

    Shapes: features ``[N, F]``, score ``[N]``. The labels are passed on and otherwise ignored.
    D and G minimise the adversarial loss alone.
    """

    def __init__(
        self, *, in_features: int, num_classes: int, layers: Layers = PLAIN_LAYERS
    ) -> None:
        super().__init__()
        self.score = layers.linear(in_features, 1, True)

    def forward(self, features: Tensor, labels: Tensor) -> HeadOutput:
        """Score ``[N]`` of features ``[N, F]``."""
        return HeadOutput(score=self.score(features).squeeze(1), labels=labels)
