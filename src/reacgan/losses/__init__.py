"""Losses of the scores. One pair of functions and one line a member."""

from __future__ import annotations

from reacgan.config import lookup
from reacgan.losses.adversarial import (
    Adversarial,
    hinge_d,
    hinge_g,
    least_squares_d,
    least_squares_g,
    non_saturating_d,
    non_saturating_g,
    wasserstein_d,
    wasserstein_g,
)

__all__ = ["ADVERSARIAL", "Adversarial", "adversarial"]

ADVERSARIAL: dict[str, Adversarial] = {
    "hinge": Adversarial(hinge_d, hinge_g),
    "non_saturating": Adversarial(non_saturating_d, non_saturating_g),
    "least_squares": Adversarial(least_squares_d, least_squares_g),
    "wasserstein": Adversarial(wasserstein_d, wasserstein_g),
}


def adversarial(name: str) -> Adversarial:
    """Look up the adversarial loss called ``name``.

    Raises:
        ConfigError: an unknown name; the message lists the known ones.
    """
    return lookup("adversarial loss", ADVERSARIAL, name)
