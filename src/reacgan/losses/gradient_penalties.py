"""Penalties on the gradient of D's score with respect to images.

Each is a term of D's loss alone. The score is differentiated twice: once with respect to images, here,
with autocast off and in float32 at least; once with respect to D's parameters, by the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from reacgan import distributed
from reacgan.config import PositiveFloat, PositiveInt
from reacgan.losses.slopes import slope
from reacgan.losses.terms import Step, Term
from reacgan.tensors import widened, without_autocast

Form = Literal["paper", "released"]


class _Penalty(Term):
    """A penalty with the defaults weight 10 and every step."""

    def __init__(self, *, weight: PositiveFloat = 10.0, every: PositiveInt = 1) -> None:
        super().__init__(weight=weight, every=every)


class R1(_Penalty):
    """R1 (Mescheder, Geiger, Nowozin, ICML 2018, equation 9): D is flat at real images.

    D minimises weight x E ||grad_x D(T(x))||^2 / 2 over real images x under their labels, with the
    gradient with respect to the image before the run's augmentation T (Karras et al. 2020).

    Args:
        weight: gamma of the paper.
        every: computed in one of so many steps of D, with so many times the weight. StyleGAN2's
            published code takes a separate optimiser step for it; here it is added to D's loss.
    """

    def d_term(self, step: Step) -> Tensor:
        """Half the mean squared length of the gradient at real images."""
        return _half_mean_square(step, "real")


class R2(_Penalty):
    """R2 (Mescheder, Geiger, Nowozin, ICML 2018, equation 10): D is flat at fakes.

    As :class:`R1`, over fakes under the labels they were made from.

    Args:
        weight: gamma of the paper.
        every: see :class:`R1`.
    """

    def d_term(self, step: Step) -> Tensor:
        """Half the mean squared length of the gradient at fakes."""
        return _half_mean_square(step, "fake")


def _half_mean_square(step: Step, role: str) -> Tensor:
    """Of the gradient at real images or at fakes; where both are wanted, they pass D together."""
    if role not in step.shared:
        together = step.merges and {"r1", "r2"} <= step.due
        step.shared.update(_half_mean_squares(step, ["real", "fake"] if together else [role]))
    return step.shared.pop(role)


def _half_mean_squares(step: Step, roles: list[str]) -> dict[str, Tensor]:
    real, labels, _ = step.reals()
    known = {"real": (real, labels), "fake": (step.fake, step.fake_labels)}
    images, under = zip(*(known[role] for role in roles), strict=True)
    sizes = [len(batch) for batch in images]

    def score(points: Tensor) -> Tensor:
        batches = zip(points.split(sizes), roles, strict=True)
        augmented = [step.augment(batch, role) for batch, role in batches]
        return step.discriminate(_joined(augmented), _joined(under)).score

    squares = _squares(slope(score, _joined([widened(batch.detach()) for batch in images])))
    halves = zip(roles, squares.split(sizes), strict=True)
    return {role: 0.5 * half.mean() for role, half in halves}


def _joined(batches: Sequence[Tensor]) -> Tensor:
    return batches[0] if len(batches) == 1 else torch.cat(list(batches))


class WassersteinGradientPenalty(_Penalty):
    """WGAN-GP (Gulrajani et al., NeurIPS 2017, equation 3): D has slope 1 between real and fake.

    D minimises weight x E (||grad D(x)|| - 1)^2 at x = a x_real + (1 - a) x_fake, with one a ~ U(0, 1)
    an image, and x_real, x_fake what D compares in this step: with the run's augmentation. A
    conditional D sees them under the labels of the real images.

    Args:
        weight: lambda of the paper.
        every: computed in one of so many steps of D, with so many times the weight.
    """

    def d_term(self, step: Step) -> Tensor:
        """Mean squared difference of the gradient's length from 1."""
        return _off_unit_length(
            slope(_score_of_real(step), _between(step, "gradient_penalty"))
        ).mean()


class Dragan(Term):
    """DRAGAN (Kodali, Abernethy, Hays, Kira 2017): D has slope 1 around real images.

    D minimises weight x E (||grad D(x + d)|| - 1)^2 under the labels of the real images x, which carry
    the run's augmentation. In the paper d is normal, of unspecified variance: here its standard
    deviation is ``spread`` times that of all values of the batch (with training.accumulate: of each
    part). ``form="released"`` is what the authors' code and the reference package draw instead: d = a x
    spread x deviation x u, with one a ~ U(0, 1) an image and one u ~ U(0, 1) a value.

    Args:
        weight: lambda of the paper.
        spread: size of the noise.
        form: ``"paper"`` or ``"released"``.
        every: computed in one of so many steps of D, with so many times the weight.
    """

    def __init__(
        self,
        *,
        weight: PositiveFloat = 10.0,
        spread: PositiveFloat = 0.5,
        form: Form = "paper",
        every: PositiveInt = 1,
    ) -> None:
        super().__init__(weight=weight, every=every)
        self.spread = spread
        self.form: Form = form

    def d_term(self, step: Step) -> Tensor:
        """Mean squared difference of the gradient's length from 1."""
        return _off_unit_length(slope(_score_of_real(step), self._around(step))).mean()

    @torch.no_grad()
    def _around(self, step: Step) -> Tensor:
        real = _augmented(step, step.reals()[0], "real")
        draws, count = step.draws("dragan"), len(real)
        size = self.spread * _deviation(real)
        if self.form == "paper":
            return real + size * draws.normal(*real.shape, dtype=real.dtype)
        share = draws.uniform(count, 1, 1, 1).to(real.dtype)
        return real + share * size * draws.uniform(*real.shape).to(real.dtype)


class MaxGradient(_Penalty):
    """Largest gradient (Zhou et al., ICML 2019, Lipschitz GANs): D's steepest slope is penalised.

    D minimises weight x max_i ||grad D(x_i)||^2 over the whole batch of all processes (with
    training.accumulate: the mean over parts of each part's largest), at points x_i between real and
    fake as in :class:`WassersteinGradientPenalty`.

    Args:
        weight: lambda of the paper.
        every: computed in one of so many steps of D, with so many times the weight.
    """

    def d_term(self, step: Step) -> Tensor:
        """Largest squared length of the gradient."""
        squares = _squares(slope(_score_of_real(step), _between(step, "max_gradient")))
        return distributed.gather(squares).amax()


def _score_of_real(step: Step) -> Callable[[Tensor], Tensor]:
    labels = step.reals()[1]
    return lambda points: step.discriminate(points, labels).score


@torch.no_grad()
def _between(step: Step, stream: str) -> Tensor:
    """One random point between each fake and a real image, both augmented."""
    real = _augmented(step, step.reals()[0], "real")
    fake = _augmented(step, step.fake, "fake")
    share = step.draws(stream).uniform(len(real), 1, 1, 1).to(real.dtype)
    return share * real + (1 - share) * fake


def _augmented(step: Step, images: Tensor, role: str) -> Tensor:
    with without_autocast(images):
        return step.augment(widened(images), role)


def _deviation(images: Tensor) -> Tensor:
    """Standard deviation of all values of the images of all processes."""
    world = distributed.world_size()
    mean = distributed.sum_over_processes(images.mean()) / world
    return (distributed.sum_over_processes((images - mean).square().mean()) / world).sqrt()


def _squares(gradient: Tensor) -> Tensor:
    """Squared length of each sample's gradient, ``[N]``."""
    return gradient.flatten(1).square().sum(dim=1)


def _off_unit_length(gradient: Tensor) -> Tensor:
    """(||g_i|| - 1)^2, ``[N]``; where g_i is zero, its gradient is zero."""
    return (torch.linalg.vector_norm(gradient.flatten(1), dim=1) - 1).square()
