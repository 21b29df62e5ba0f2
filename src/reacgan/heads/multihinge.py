"""MHGAN's head: a multi-class hinge loss over K classes and one for fakes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan.config import ConfigError
from reacgan.heads.base import PLAIN_LAYERS, Head, HeadOutput, Layers
from reacgan.heads.multilogit import logit_of_label
from reacgan.tensors import widened


def crammer_singer(logits: Tensor, targets: Tensor) -> Tensor:
    """Multi-class hinge loss (Crammer, Singer, JMLR 2001), a scalar in float32 at least.

    ::

        loss = mean_i max(0, 1 + max_(k != t_i) o_ik - o_it_i)

    Args:
        logits: ``[N, C]``, C at least 2: the outputs o.
        targets: ``[N]`` int64 of 0 .. C - 1: the right outputs t.
    """
    logits = widened(logits)
    own = logits.gather(1, targets[:, None]).squeeze(1)
    is_own = torch.arange(logits.shape[1], device=logits.device) == targets[:, None]
    best_other = logits.masked_fill(is_own, -torch.inf).amax(dim=1)
    return F.relu(1 + best_other - own).mean()


class MultiHingeHead(Head, full_precision=False):
    """MHGAN's head (Kavalerov, Czaja, Chellappa, WACV 2021).

    One linear layer gives K + 1 outputs o = W h + b: a class each, and the last for fakes. With
    CS(o, t) the multi-class hinge loss of :func:`crammer_singer`::

        D minimises CS(o(real), y) + CS(o(fake), K)
        G minimises CS(o(fake), y)

    D has no other loss; G also matches features (``loss.adversarial=none``,
    ``loss.g_conditioning_weight=0.05``, ``consistency=feature_matching``). For penalties and other
    adversarial losses, the score is o_y - o_K. Where ``condition_strength`` is below 1, o_y is
    interpolated with the mean over classes, as in :mod:`reacgan.heads.multilogit`.

    Shapes: features ``[N, F]``, score ``[N]``, logits ``[N, K + 1]``.
    """

    is_adversarial = True

    def __init__(
        self, *, in_features: int, num_classes: int, layers: Layers = PLAIN_LAYERS
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.classes = layers.linear(in_features, num_classes + 1, True)

    def forward(self, features: Tensor, labels: Tensor) -> HeadOutput:
        """Score ``[N]`` and logits ``[N, K + 1]`` of features ``[N, F]``."""
        logits = self.classes(features)
        of_classes, of_fake = logits.split([self.num_classes, 1], dim=1)
        own = logit_of_label(of_classes, labels, self.condition_strength)
        return HeadOutput(score=own - of_fake.squeeze(1), labels=labels, logits=logits)

    def d_loss(self, real: HeadOutput, fake: HeadOutput) -> Tensor:
        """CS of real samples under their labels and of fake ones under the class of fakes."""
        all_fake = torch.full_like(fake.labels, self.num_classes)
        return self._loss(real, real.labels) + self._loss(fake, all_fake)

    def g_loss(self, fake: HeadOutput) -> Tensor:
        """CS of fake samples under the labels they were given."""
        return self._loss(fake, fake.labels)

    def class_logits(self, output: HeadOutput) -> Tensor | None:
        """Of the K classes; that of fakes is left out."""
        return None if output.logits is None else output.logits[:, : self.num_classes]

    def _loss(self, output: HeadOutput, targets: Tensor) -> Tensor:
        logits = output.logits
        if logits is None or logits.shape[1] != self.num_classes + 1:
            raise ConfigError(
                "the output holds no logits of classes and fakes; "
                "needed: the output of a head multihinge"
            )
        return crammer_singer(logits, targets)
