"""InfoGAN's head: Q predicts the codes in z."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan.config import CodesConfig, Component, ConfigError, PositiveFloat, component
from reacgan.heads.base import PLAIN_LAYERS, HeadOutput, Layers
from reacgan.heads.over import HeadBuilder, OverHead
from reacgan.tensors import widened

LEAST_VARIANCE = 0.01  # a code is uniform on [-1, 1], of variance 1/3

Variance = Literal["learned", "unit"]


class ReadCodes(NamedTuple):
    """The codes of N latents."""

    discrete: list[Tensor]
    """Of each discrete code its values, int64 ``[N]``."""
    continuous: Tensor
    """``[N, C]`` in [-1, 1]."""


def coded_entries(codes: CodesConfig) -> int:
    """How many of the first entries of z hold codes."""
    return sum(codes.discrete) + codes.continuous


def read_codes(codes: CodesConfig, z: Tensor) -> ReadCodes:
    """The codes in standard normal ``z [N, Z]``.

    A discrete code of c values is the index of the largest of its c entries, which is uniform over
    them; a continuous one is erf(entry / sqrt 2), uniform on [-1, 1].
    """
    *groups, last = z[:, : coded_entries(codes)].split([*codes.discrete, codes.continuous], dim=1)
    return ReadCodes([group.argmax(dim=1) for group in groups], torch.erf(last / math.sqrt(2)))


def discrete_loss(logits: Sequence[Tensor], values: Sequence[Tensor]) -> Tensor:
    """- ln Q(c | x) of discrete codes: cross-entropy, summed over codes, mean over samples.

    Args:
        logits: of each code, ``[N, c]``.
        values: of each code, int64 ``[N]``.
    """
    pairs = zip(logits, values, strict=True)
    return torch.stack([F.cross_entropy(scores, value) for scores, value in pairs]).sum()


def continuous_loss(mean: Tensor, log_variance: Tensor, values: Tensor) -> Tensor:
    """- ln Q(c | x) of continuous codes under a Gaussian, summed over codes, mean over samples.

    (ln(2 pi v) + (c - mean)^2 / v) / 2 with v the variance. All arguments are ``[N, C]``.
    """
    squares = (values - mean).square() * torch.exp(-log_variance)
    return 0.5 * (math.log(2 * math.pi) + log_variance + squares).sum(dim=1).mean()


class InfoGANHead(OverHead, full_precision=False):
    """InfoGAN's head (Chen, Duan, Houthooft, Schulman, Sutskever, Abbeel, NeurIPS 2016).

    The first entries of z hold codes (``model.codes``, :func:`read_codes`). Q, a linear layer on the
    features, predicts an image's codes: a softmax for each discrete code, a Gaussian for each
    continuous one. Beside the inner head's losses::

        D and G minimise - E ln Q(c | G(z)),

    a bound on the mutual information of codes and images. Q is not trained on real images, whose codes
    are unknown. In the paper Q has one more hidden layer, and its variance is exp(s), with s an output;
    here it is exp(s) + 0.01, so that poor first predictions do not dominate all other losses.
    ``variance=unit`` fixes it at 1, as published code does.

    Shapes: as the inner head's, and under ``twin`` Q's raw outputs as logits ``[N, Q]``: those of the
    discrete codes, the means of the continuous ones, and s where it is learned.

    Args:
        in_features: width F of the features.
        num_classes: K.
        layers: factories of layers.
        codes: the codes in z.
        build: builds the inner head.
        over: the inner head, with its options.
        discrete_weight: of discrete codes, relative to the inner head's loss; all of them share
            ``loss.conditioning_weight``.
        continuous_weight: likewise, of continuous codes (the paper advises a smaller weight).
        variance: whether the Gaussian's variance is learned.
    """

    needs_codes: ClassVar[bool] = True
    over_conditioned: ClassVar[bool] = False

    def __init__(
        self,
        *,
        in_features: int,
        num_classes: int,
        layers: Layers = PLAIN_LAYERS,
        codes: CodesConfig,
        build: HeadBuilder,
        over: Component = component("unconditional"),  # noqa: B008 - frozen
        discrete_weight: PositiveFloat = 1.0,
        continuous_weight: PositiveFloat = 1.0,
        variance: Variance = "learned",
    ) -> None:
        super().__init__(
            build(over, in_features=in_features, num_classes=num_classes, layers=layers)
        )
        self.codes = codes
        self.discrete_weight = discrete_weight
        self.continuous_weight = continuous_weight
        self.sizes = [*codes.discrete, codes.continuous]
        if variance == "learned":
            self.sizes.append(codes.continuous)
        self.q = layers.linear(in_features, sum(self.sizes), True)

    def forward(self, features: Tensor, labels: Tensor) -> HeadOutput:
        """The inner head's output for features ``[N, F]``, and Q's."""
        output: HeadOutput = self.inner(features, labels)
        zeros = torch.zeros_like(output.score)
        # The inner head may itself wrap another: its twin goes under Q's.
        codes = HeadOutput(zeros, labels, logits=self.q(features), twin=output.twin)
        return replace(output, twin=codes)

    def d_loss(self, real: HeadOutput, fake: HeadOutput) -> Tensor:
        """The inner head's loss, and Q's of fake samples."""
        return self.inner.d_loss(_of_inner(real), _of_inner(fake)) + self._loss_of_codes(fake)

    def g_loss(self, fake: HeadOutput) -> Tensor:
        """The inner head's loss, and Q's of fake samples."""
        return self.inner.g_loss(_of_inner(fake)) + self._loss_of_codes(fake)

    def class_logits(self, output: HeadOutput) -> Tensor | None:
        """The inner head's."""
        return self.inner.class_logits(_of_inner(output))

    def _loss_of_codes(self, fake: HeadOutput) -> Tensor:
        if fake.twin is None or fake.twin.logits is None or fake.latents is None:
            raise ConfigError(
                "the output holds no codes to compare; needed: the output of a head infogan, "
                "with the latents that the fakes were made from"
            )
        outputs = widened(fake.twin.logits)
        codes = read_codes(self.codes, fake.latents.detach())
        count = len(self.codes.discrete)
        parts = outputs.split(self.sizes, dim=1)
        loss = outputs.new_zeros(())
        if count:
            loss = loss + self.discrete_weight * discrete_loss(parts[:count], codes.discrete)
        if self.codes.continuous:
            mean, values = parts[count], codes.continuous.to(outputs.dtype)
            # ln(exp(s) + 0.01), without overflow
            floor = torch.full_like(mean, math.log(LEAST_VARIANCE))
            learned = len(parts) > count + 1
            log_variance = torch.logaddexp(parts[-1], floor) if learned else torch.zeros_like(mean)
            loss = loss + self.continuous_weight * continuous_loss(mean, log_variance, values)
        return loss


def _of_inner(output: HeadOutput) -> HeadOutput:
    """The output as the inner head gave it."""
    return replace(output, twin=None if output.twin is None else output.twin.twin)
