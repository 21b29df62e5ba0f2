"""Complete, named configurations."""

from __future__ import annotations

from reacgan.config import Experiment, lookup
from reacgan.experiments import cifar
from reacgan.experiments.digits import DIGITS
from reacgan.experiments.photos import PHOTOS
from reacgan.experiments.small import small_rows

_CIFAR10 = cifar.rows("cifar10")

EXPERIMENTS: dict[str, Experiment] = {
    held.name: held
    for held in (
        *DIGITS,
        *small_rows(_CIFAR10),
        *_CIFAR10,
        *cifar.rows("cifar100"),
        *PHOTOS,
    )
}

__all__ = ["EXPERIMENTS", "experiment"]


def experiment(name: str) -> Experiment:
    """The experiment called ``name``; raises ConfigError that lists the known ones."""
    return lookup("experiment", EXPERIMENTS, name)
