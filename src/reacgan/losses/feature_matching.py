"""Feature matching: G matches the mean features of real images."""

from __future__ import annotations

from torch import Tensor

from reacgan import distributed
from reacgan.config import PositiveFloat, PositiveInt
from reacgan.losses.terms import DiscriminatorOutput, Step, Term
from reacgan.tensors import widened


class FeatureMatching(Term):
    """Feature matching (Salimans et al., NeurIPS 2016, section 3.1), as MHGAN uses it.

    G minimises weight x mean_k |E f_k(x) - E f_k(G(z))|, with f the features of D's backbone, [N, F],
    and E the mean over the batch of all processes (with training.accumulate: over each part). Real
    features are constants. Salimans et al. take squares instead of absolute differences.

    Args:
        weight: factor.
        every: computed in one of so many steps of G, with so many times the weight.
    """

    needs_real = True

    def __init__(self, *, weight: PositiveFloat = 1.0, every: PositiveInt = 1) -> None:
        super().__init__(weight=weight, every=every)

    def g_term(self, step: Step) -> Tensor:
        """Mean absolute difference of the mean features.

        Raises:
            RuntimeError: D returns no features.
        """
        on_real = step.reals()[2]
        difference = _features(on_real).detach().mean(dim=0) - _features(step.on_fake).mean(dim=0)
        difference = distributed.sum_over_processes(difference) / distributed.world_size()
        return difference.abs().mean()


def _features(output: DiscriminatorOutput) -> Tensor:
    if output.features is None:
        raise RuntimeError("the discriminator returns no features, which feature_matching compares")
    return widened(output.features)
