"""ACGAN's head, an auxiliary classifier, with the normalisations that prevent its collapse."""

from __future__ import annotations

from typing import cast

from torch import Tensor
from torch.nn import functional as F

from reacgan.config import ConfigError, PositiveFloat
from reacgan.heads.base import PLAIN_LAYERS, Head, HeadOutput, Layers, unit
from reacgan.tensors import widened, without_autocast


class AuxiliaryHead(Head, full_precision=False):
    """An auxiliary classifier beside the score (Odena, Olah, Shlens, ICML 2017).

    The score is w . h + b; the logits are W h / temperature, without bias, and::

        loss = - mean_i log softmax(logits_i)[y_i]

    ``normalize_features`` puts h on the unit hypersphere, ``normalize_weights`` each row of W (Kang,
    Shim, Cho, Park, NeurIPS 2021, section 3.2: the gradient of W grows with the length of h). The two
    are independent; with both, the logits are cosines / temperature. The score always uses h itself.

    Shapes: features ``[N, F]``, score ``[N]``, logits ``[N, K]``.
    D minimises the loss of real samples and does not classify fake ones; G minimises the loss of
    fake samples with the labels it was given. A mean over equal local batches is the mean over the
    global one, so nothing is gathered.

    Args:
        in_features: F.
        num_classes: K.
        layers: how linear layers are built.
        normalize_features: put h on the unit hypersphere.
        normalize_weights: put each row of W there.
        temperature: the logits are divided by it.
    """

    def __init__(
        self,
        *,
        in_features: int,
        num_classes: int,
        layers: Layers = PLAIN_LAYERS,
        normalize_features: bool = False,
        normalize_weights: bool = False,
        temperature: PositiveFloat = 1.0,
    ) -> None:
        super().__init__()
        self.normalize_features = normalize_features
        self.normalize_weights = normalize_weights
        self.temperature = temperature
        self.score = layers.linear(in_features, 1, True)
        self.classifier = layers.linear(in_features, num_classes, False)

    def forward(self, features: Tensor, labels: Tensor) -> HeadOutput:
        """Score ``[N]`` and logits ``[N, K]`` of features ``[N, F]``."""
        return HeadOutput(
            score=self.score(features).squeeze(1), labels=labels, logits=self._logits(features)
        )

    def _logits(self, features: Tensor) -> Tensor:
        inputs = unit(features).to(features.dtype) if self.normalize_features else features
        if self.normalize_weights:
            # Row lengths cancel, and so does any scale that a layer applies to its weight.
            weight = unit(cast(Tensor, self.classifier.weight))
            with without_autocast(inputs):
                logits = F.linear(inputs.to(weight.dtype), weight)
        else:
            logits = self.classifier(inputs)
        return logits / self.temperature

    def d_loss(self, real: HeadOutput, fake: HeadOutput) -> Tensor:
        """Cross-entropy of the real samples."""
        return _cross_entropy(real)

    def g_loss(self, fake: HeadOutput) -> Tensor:
        """Cross-entropy of the fake samples."""
        return _cross_entropy(fake)


def _cross_entropy(output: HeadOutput) -> Tensor:
    if output.logits is None:
        raise ConfigError("the output holds no logits; needed: the output of a classifier head")
    return F.cross_entropy(widened(output.logits), output.labels)
