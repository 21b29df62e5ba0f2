"""The projection discriminator's head."""

from __future__ import annotations

from torch import Tensor

from reacgan.heads.base import PLAIN_LAYERS, Head, HeadOutput, Layers


class ProjectionHead(Head, full_precision=False):
    """Projection of the features on the label's vector (Miyato, Koyama, ICLR 2018).

    The score is w . h + b + E[y] . h, with E one learned vector a class.

    Shapes: features ``[N, F]``, labels ``[N]``, score ``[N]``.
    D and G minimise the adversarial loss alone: the label acts through the score.
    """

    def __init__(
        self, *, in_features: int, num_classes: int, layers: Layers = PLAIN_LAYERS
    ) -> None:
        super().__init__()
        self.score = layers.linear(in_features, 1, True)
        self.class_vectors = layers.embedding(num_classes, in_features)

    def forward(self, features: Tensor, labels: Tensor) -> HeadOutput:
        """Score ``[N]`` of features ``[N, F]`` under labels ``[N]``."""
        projection = (self.class_vectors(labels) * features).sum(dim=1) * self.condition_strength
        return HeadOutput(score=self.score(features).squeeze(1) + projection, labels=labels)
