"""Consistency: D gives one output for two views of an image, and for images from neighbouring z.

Views get the run's augmentation with the draws of the main pass, so that only the second view differs.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan.config import NonNegativeFloat, PositiveFloat, PositiveInt
from reacgan.losses.terms import DiscriminatorOutput, Step, Term
from reacgan.tensors import widened


class ViewConsistency(Term):
    """CR-GAN (Zhang, Zhang, Odena, Lee, ICLR 2020, equation 2).

    D minimises weight x MSE(D(x), D(V(x))) over real images x, with V mirroring and shifting; gradients
    flow through both. MSE is over scores, [N], plus, with ``representation``, over what the head
    compares with classes: embeddings of length 1, [N, E], or logits, [N, K], each averaged over all
    entries. The paper's experiments match the last layer of D alone, which is ``representation=False``;
    the reference package adds the representation, as is the default here, so that a head with classes
    is consistent in both of its outputs.

    Args:
        weight: lambda of the paper.
        representation: whether to compare the representation too.
        every: computed in one of so many steps of D, with so many times the weight.
    """

    def __init__(
        self,
        *,
        weight: PositiveFloat = 10.0,
        representation: bool = True,
        every: PositiveInt = 1,
    ) -> None:
        super().__init__(weight=weight, every=every)
        self.representation = representation

    def d_term(self, step: Step) -> Tensor:
        """Squared difference on real images."""
        real, labels, on_real = step.reals()
        view = step.augment(step.view(real, "cr/real"), "real")
        return disagreement(on_real, step.discriminate(view, labels), self.representation)


class BalancedConsistency(Term):
    """bCR-GAN (Zhao, Singh, Lee, Zhang, Odena, Zhang, AAAI 2021, algorithm 1).

    D minimises real_weight x MSE(D(x), D(V(x))) + fake_weight x MSE(D(G(z)), D(V(G(z)))); see
    :class:`ViewConsistency`. Together with ``zcr`` it is ICR-GAN.

    Args:
        real_weight: lambda_real of the paper.
        fake_weight: lambda_fake of the paper.
        representation: see :class:`ViewConsistency`.
        every: computed in one of so many steps of D, with so many times the weight.
    """

    def __init__(
        self,
        *,
        real_weight: NonNegativeFloat = 10.0,
        fake_weight: NonNegativeFloat = 10.0,
        representation: bool = True,
        every: PositiveInt = 1,
    ) -> None:
        super().__init__(weight=1.0, every=every)
        self.real_weight = real_weight
        self.fake_weight = fake_weight
        self.representation = representation

    def d_term(self, step: Step) -> Tensor:
        """Weighted squared differences on real images and on fakes."""
        real, labels, on_real = step.reals()
        view = step.augment(step.view(real, "bcr/real"), "real")
        of_real = disagreement(on_real, step.discriminate(view, labels), self.representation)
        view = step.augment(step.view(step.fake, "bcr/fake"), "fake")
        on_view = step.discriminate(view, step.fake_labels)
        of_fake = disagreement(step.on_fake, on_view, self.representation)
        return self.real_weight * of_real + self.fake_weight * of_fake


class LatentConsistency(Term):
    """zCR-GAN (Zhao, Singh, Lee, Zhang, Odena, Zhang, AAAI 2021, algorithm 2).

    With z' = z + radius x n, n standard normal, D minimises d_weight x MSE(D(G(z)), D(G(z'))), see
    :class:`ViewConsistency`, and G minimises - g_weight x MSE(G(z), G(z')), averaged over all values of
    all pixels: images change with z although D's output does not.

    Args:
        radius: size of the step in z, sigma of the paper.
        d_weight: lambda_dis of the paper.
        g_weight: lambda_gen of the paper.
        representation: see :class:`ViewConsistency`.
        every: computed in one of so many steps, with so many times the weight.
    """

    def __init__(
        self,
        *,
        radius: PositiveFloat = 0.05,
        d_weight: NonNegativeFloat = 20.0,
        g_weight: NonNegativeFloat = 0.5,
        representation: bool = True,
        every: PositiveInt = 1,
    ) -> None:
        super().__init__(weight=1.0, every=every)
        self.radius = radius
        self.d_weight = d_weight
        self.g_weight = g_weight
        self.representation = representation

    def d_term(self, step: Step) -> Tensor:
        """Squared difference of D's outputs for fakes from z and from its neighbour."""
        with torch.no_grad():
            fake = step.generate(self._neighbour(step), step.fake_labels).to(step.fake.dtype)
        on_neighbour = step.discriminate(step.augment(fake, "fake"), step.fake_labels)
        return self.d_weight * disagreement(step.on_fake, on_neighbour, self.representation)

    def g_term(self, step: Step) -> Tensor:
        """The negative squared difference of the images."""
        fake = step.generate(self._neighbour(step), step.fake_labels)
        return -self.g_weight * F.mse_loss(widened(step.fake), widened(fake))

    def _neighbour(self, step: Step) -> Tensor:
        return step.z + self.radius * step.draws("zcr").normal(*step.z.shape, dtype=step.z.dtype)


def disagreement(
    first: DiscriminatorOutput, second: DiscriminatorOutput, representation: bool
) -> Tensor:
    """Mean squared difference of scores, plus that of representations where the head has one."""
    difference = F.mse_loss(widened(first.score), widened(second.score))
    pair = first.representation, second.representation
    if representation and pair[0] is not None and pair[1] is not None:
        difference = difference + F.mse_loss(widened(pair[0]), widened(pair[1]))
    return difference
