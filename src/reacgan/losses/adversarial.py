"""Adversarial losses: the pair of numbers that D and G minimise, from the scores alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Adversarial(NamedTuple):
    """The two sides of an adversarial loss; scores ``[N]`` in, scalars out (float32 at least)."""

    d: Callable[[Tensor, Tensor], Tensor]
    """``(real scores, fake scores)`` to what D minimises."""
    g: Callable[[Tensor], Tensor]
    """``(fake scores)`` to what G minimises."""


def _wide(score: Tensor) -> Tensor:
    return score.to(torch.promote_types(score.dtype, torch.float32))


def hinge_d(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge (Lim, Ye, 2017; Tran et al., 2017): E max(0, 1 - real) + E max(0, 1 + fake)."""
    return F.relu(1 - _wide(real)).mean() + F.relu(1 + _wide(fake)).mean()


def hinge_g(fake: Tensor) -> Tensor:
    """Hinge: - E fake."""
    return -_wide(fake).mean()


def non_saturating_d(real: Tensor, fake: Tensor) -> Tensor:
    """Logistic (Goodfellow et al., 2014): E ln(1 + exp(-real)) + E ln(1 + exp(fake))."""
    return F.softplus(-_wide(real)).mean() + F.softplus(_wide(fake)).mean()


def non_saturating_g(fake: Tensor) -> Tensor:
    """Non-saturating logistic: E ln(1 + exp(-fake))."""
    return F.softplus(-_wide(fake)).mean()


def least_squares_d(real: Tensor, fake: Tensor) -> Tensor:
    """Least squares (Mao et al., 2017): E (real - 1)^2 / 2 + E fake^2 / 2."""
    return 0.5 * (_wide(real) - 1).square().mean() + 0.5 * _wide(fake).square().mean()


def least_squares_g(fake: Tensor) -> Tensor:
    """Least squares: E (fake - 1)^2 / 2."""
    return 0.5 * (_wide(fake) - 1).square().mean()


def wasserstein_d(real: Tensor, fake: Tensor) -> Tensor:
    """Wasserstein (Arjovsky, Chintala, Bottou, 2017): E fake - E real; D must be kept Lipschitz."""
    return _wide(fake).mean() - _wide(real).mean()


def wasserstein_g(fake: Tensor) -> Tensor:
    """Wasserstein: - E fake."""
    return -_wide(fake).mean()
