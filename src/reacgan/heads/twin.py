"""TAC-GAN's head: a twin classifier, trained on fakes alone."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from reacgan.config import Component, ConfigError, PositiveFloat, component
from reacgan.heads.base import PLAIN_LAYERS, HeadOutput, Layers
from reacgan.heads.over import HeadBuilder, OverHead


class TwinHead(OverHead, full_precision=False):
    """TAC-GAN's head (Gong, Xu, Li, Zhang, Batmanghelich, NeurIPS 2019), over AC, 2C, D2D-CE ...

    An auxiliary classifier alone rewards G for samples that are easy to classify, so that classes lose
    their overlap. A twin, a second head of the same kind with its own layers, is trained on fakes
    alone, and G maximises its loss. With L the inner head's loss of samples and their labels, and w the
    ``twin_weight``::

        D minimises L_main(real, y) + w L_twin(fake, y)
        G minimises L_main(fake, y) - w L_twin(fake, y)

    The paper has cross-entropies (``over=auxiliary``). In some published code the twin's loss uses the
    main head's outputs, so that the twin never learns; here it uses the twin's.

    Shapes: as the inner head's, and the same under ``twin``, which has no layer ``score``: that is zero.

    Args:
        in_features: width F of the features.
        num_classes: K.
        layers: factories of layers.
        build: builds the inner head and the twin.
        over: the kind of both heads, with its options.
        twin_weight: w, relative to the main loss; the two share ``loss.conditioning_weight``.
    """

    def __init__(
        self,
        *,
        in_features: int,
        num_classes: int,
        layers: Layers = PLAIN_LAYERS,
        build: HeadBuilder,
        over: Component = component("d2dce"),  # noqa: B008 - frozen
        twin_weight: PositiveFloat = 1.0,
    ) -> None:
        main, twin = (
            build(over, in_features=in_features, num_classes=num_classes, layers=layers)
            for _ in range(2)
        )
        super().__init__(main)
        self.twin_weight = twin_weight
        if isinstance(getattr(twin, "score", None), nn.Module):
            twin.score = _NoScore()
        self.twin = twin

    def forward(self, features: Tensor, labels: Tensor) -> HeadOutput:
        """The inner head's output for features ``[N, F]``, and the twin's."""
        output: HeadOutput = self.inner(features, labels)
        return replace(output, twin=self.twin(features, labels))

    def d_loss(self, real: HeadOutput, fake: HeadOutput) -> Tensor:
        """The main head's loss of real samples and w times the twin's of fake ones."""
        return self.inner.d_loss(real, fake) + self.twin_weight * self._twin_loss(fake)

    def g_loss(self, fake: HeadOutput) -> Tensor:
        """The main head's loss of fake samples, minus w times the twin's."""
        return self.inner.g_loss(fake) - self.twin_weight * self._twin_loss(fake)

    def _twin_loss(self, fake: HeadOutput) -> Tensor:
        if fake.twin is None:
            raise ConfigError("the output holds no twin; needed: the output of a head twin")
        return self.twin.g_loss(fake.twin)


class _NoScore(nn.Module):
    """Replaces a head's score layer; gives zeros."""

    def forward(self, features: Tensor) -> Tensor:
        return features.new_zeros(features.shape[0], 1)
