"""One logit a class, of which the label picks its own: MD-GAN's head."""

from __future__ import annotations

import torch
from torch import Tensor

from reacgan.heads.base import PLAIN_LAYERS, Head, HeadOutput, Layers


class MultiLogitHead(Head):
    """One real-or-fake logit a class: the label says which one counts.

    MD-GAN: the output layer of Mescheder, Geiger, Nowozin (ICML 2018)::

        score_i = (W h_i + b)[y_i]

    Where labels have less than their full influence s, the score is s times that and (1 - s) times
    the mean over classes.

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
    """Label's entry of each row of ``logits [N, K]``, drawn towards the row's mean: ``[N]``.

    strength x logits[i, y_i] + (1 - strength) x mean_k logits[i, k].
    """
    own = logits.gather(1, labels[:, None]).squeeze(1)
    return torch.lerp(logits.mean(dim=1), own, strength.to(logits.dtype))
