"""MD-GAN's head: one logit a class, selected by the label."""

from __future__ import annotations

import torch
from torch import Tensor

from reacgan.heads.base import PLAIN_LAYERS, Head, HeadOutput, Layers


class MultiLogitHead(Head, full_precision=False):
    """One real-or-fake logit a class, selected by the label.

    MD-GAN: the output layer of Mescheder, Geiger, Nowozin (ICML 2018)::

        score_i = (W h_i + b)[y_i]

    Where ``condition_strength`` s is below 1, the score is s times that plus (1 - s) times the mean
    over classes.

    Shapes: features ``[N, F]``, labels ``[N]``, score ``[N]``.
    D and G minimise the adversarial loss alone: the label acts through the score.
    """

    def __init__(
        self, *, in_features: int, num_classes: int, layers: Layers = PLAIN_LAYERS
    ) -> None:
        super().__init__()
        self.classes = layers.linear(in_features, num_classes, True)

    def forward(self, features: Tensor, labels: Tensor) -> HeadOutput:
        """Score ``[N]`` of features ``[N, F]`` under labels ``[N]``."""
        score = logit_of_label(self.classes(features), labels, self.condition_strength)
        return HeadOutput(score=score, labels=labels)


def logit_of_label(logits: Tensor, labels: Tensor, strength: Tensor) -> Tensor:
    """The label's entry of each row of ``logits [N, K]``, interpolated with the row's mean: ``[N]``.

    strength x logits[i, y_i] + (1 - strength) x mean_k logits[i, k].
    """
    own = logits.gather(1, labels[:, None]).squeeze(1)
    return torch.lerp(logits.mean(dim=1), own, strength.to(logits.dtype))
