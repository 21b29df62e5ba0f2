"""ADC-GAN's head: a classifier of 2K classes, a real and a fake one for each class."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from reacgan.config import Component, component
from reacgan.heads.base import PLAIN_LAYERS, HeadOutput, Layers
from reacgan.heads.over import HeadBuilder, OverHead


class DiscriminativeHead(OverHead, full_precision=False):
    """ADC-GAN's head (Hou, Cao, Shen, Pan, Cheng, ICML 2022), over AC, 2C, D2D-CE ...

    The inner head has 2K classes: 2y is "a real y" and 2y + 1 "a fake y". With L its loss of samples
    and their classes::

        D minimises L(real, 2y) + L(fake, 2y + 1)
        G minimises L(fake, 2y) - L(fake, 2y + 1)

    The paper has cross-entropies (``over=auxiliary``), where a sample's loss depends on no other.
    Losses that compare samples (2C, D2D-CE) take D's real and fake samples as one batch, L being twice
    their mean: only then is a fake y a negative of a real y. ``together=False`` gives each its own
    batch, as published code does; nothing then separates the two classes, and with 2C their vectors
    coincide.

    Shapes: as the inner head's with 2K classes; the output's labels are y.

    Args:
        in_features: width F of the features.
        num_classes: K.
        layers: factories of layers.
        build: builds the inner head.
        over: the inner head, with its options.
        together: whether D's real and fake samples are one batch.
    """

    def __init__(
        self,
        *,
        in_features: int,
        num_classes: int,
        layers: Layers = PLAIN_LAYERS,
        build: HeadBuilder,
        over: Component = component("d2dce"),  # noqa: B008 - frozen
        together: bool = True,
    ) -> None:
        super().__init__(
            build(over, in_features=in_features, num_classes=2 * num_classes, layers=layers)
        )
        self.together = together

    def forward(self, features: Tensor, labels: Tensor) -> HeadOutput:
        """The inner head's output for features ``[N, F]``."""
        output: HeadOutput = self.inner(features, labels)
        return output

    def d_loss(self, real: HeadOutput, fake: HeadOutput) -> Tensor:
        """Loss of real samples as real ones of their class and of fake ones as fake ones."""
        if not (self.together and self.inner.couples_samples):
            return self._loss(real, 0) + self._loss(fake, 1)
        real = replace(real, labels=2 * real.labels, latents=None)
        fake = replace(fake, labels=2 * fake.labels + 1, latents=None)
        return 2 * self.inner.g_loss(HeadOutput.join([real, fake]))

    def g_loss(self, fake: HeadOutput) -> Tensor:
        """Loss of fake samples as real ones of their class, minus that as fake ones."""
        return self._loss(fake, 0) - self._loss(fake, 1)

    def class_logits(self, output: HeadOutput) -> Tensor | None:
        """Of the real classes, every second one, ``[N, K]``."""
        logits = self.inner.class_logits(output)
        return None if logits is None else logits[:, 0::2]

    def _loss(self, output: HeadOutput, is_fake: int) -> Tensor:
        return self.inner.g_loss(replace(output, labels=2 * output.labels + is_fake))
