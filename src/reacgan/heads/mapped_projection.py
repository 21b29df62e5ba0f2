"""StyleGAN2's head: projection of the features on the mapped label."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field
from torch import Tensor

from reacgan.config import Width
from reacgan.heads.base import PLAIN_LAYERS, Head, HeadOutput, Layers
from reacgan.heads.equalised import LabelMapping
from reacgan.tensors import without_autocast


class MappedProjectionHead(Head, full_precision=False):
    """Projection on a vector that a mapping network makes of the label (Karras et al. 2020, ADA).

    With f = W h + b of width d: score = f . map(y) / sqrt(d). There is no score without the label:
    where ``condition_strength`` s is below 1, map gets s times the one-hot label plus (1 - s) times the
    uniform mixture of all classes.

    Shapes: features ``[N, F]``, labels ``[N]``, score ``[N]``.
    D and G minimise the adversarial loss alone: the label acts through the score.

    Args:
        in_features: F.
        num_classes: K.
        layers: factories of the layers; the mapping network is always StyleGAN2's own.
        mapping_layers: depth of the mapping network after its first, linear layer.
        width: d; None for F.
    """

    def __init__(
        self,
        *,
        in_features: int,
        num_classes: int,
        layers: Layers = PLAIN_LAYERS,
        mapping_layers: Annotated[int, Field(ge=0, le=1000)] = 8,
        width: Width | None = None,
    ) -> None:
        super().__init__()
        width = in_features if width is None else width
        self.scale = 1 / math.sqrt(width)
        self.num_classes = num_classes
        self.projection = layers.linear(in_features, width, True)
        self.mapping = LabelMapping(num_classes, width, layers=mapping_layers)

    def forward(self, features: Tensor, labels: Tensor) -> HeadOutput:
        """Score ``[N]`` of features ``[N, F]`` under labels ``[N]``."""
        projected = self.projection(features)
        with without_autocast(features):
            mapped = self.mapping(labels, self.condition_strength)
            score = (projected.to(mapped.dtype) * mapped).sum(dim=1) * self.scale
        return HeadOutput(score=score, labels=labels)
