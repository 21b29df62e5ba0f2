"""Adversarial losses: what D and G minimise, from the scores alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

from reacgan.config import ConfigError
from reacgan.tensors import widened


class Adversarial(NamedTuple):
    """The two sides of an adversarial loss; scores ``[N]`` in, scalars out (float32 at least)."""

    d: Callable[[Tensor, Tensor], Tensor]
    """``(real scores, fake scores)`` to what D minimises."""
    g: Callable[[Tensor, Tensor | None], Tensor]
    """``(fake scores, real scores)`` to what G minimises; real scores only if ``paired``."""
    paired: bool = False
    """Whether G's side compares fake with real scores, so that G's step needs real images."""
    d_with_means: Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]] | None = None
    """What D minimises with the means of real and fake scores, as one fused operation."""


def hinge_d(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge (Lim, Ye, 2017; Tran et al., 2017): E max(0, 1 - real) + E max(0, 1 + fake)."""
    return F.relu(1 - widened(real)).mean() + F.relu(1 + widened(fake)).mean()


def hinge_g(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """Hinge: - E fake."""
    return -widened(fake).mean()


def non_saturating_d(real: Tensor, fake: Tensor) -> Tensor:
    """Logistic (Goodfellow et al., 2014): E ln(1 + exp(-real)) + E ln(1 + exp(fake))."""
    return F.softplus(-widened(real)).mean() + F.softplus(widened(fake)).mean()


def non_saturating_g(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """Non-saturating logistic: E ln(1 + exp(-fake))."""
    return F.softplus(-widened(fake)).mean()


def least_squares_d(real: Tensor, fake: Tensor) -> Tensor:
    """Least squares (Mao et al., 2017): E (real - 1)^2 / 2 + E fake^2 / 2."""
    return 0.5 * (widened(real) - 1).square().mean() + 0.5 * widened(fake).square().mean()


def least_squares_g(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """Least squares: E (fake - 1)^2 / 2."""
    return 0.5 * (widened(fake) - 1).square().mean()


def wasserstein_d(real: Tensor, fake: Tensor) -> Tensor:
    """Wasserstein (Arjovsky, Chintala, Bottou, 2017): E fake - E real; D must be kept Lipschitz."""
    return widened(fake).mean() - widened(real).mean()


def wasserstein_g(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """Wasserstein: - E fake."""
    return -widened(fake).mean()


def relativistic_d(real: Tensor, fake: Tensor) -> Tensor:
    """Relativistic pairing (RpGAN; Jolicoeur-Martineau 2019; Huang et al. 2024, R3GAN).

    E ln(1 + exp(fake_i - real_i)): sample i of the real is compared with sample i of the fake.
    """
    return F.softplus(widened(fake) - widened(real)).mean()


def relativistic_g(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """Relativistic pairing: E ln(1 + exp(real_i - fake_i)).

    Raises:
        ConfigError: no real scores were given.
    """
    if real is None:
        raise ConfigError("real scores are missing; needed: as many as fake scores")
    return F.softplus(widened(real) - widened(fake)).mean()


def nothing_d(real: Tensor, fake: Tensor) -> Tensor:
    """No adversarial loss: zero, for heads whose own loss tells real from fake."""
    return 0.0 * (widened(real).mean() + widened(fake).mean())


def nothing_g(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """No adversarial loss: zero."""
    return 0.0 * widened(fake).mean()
