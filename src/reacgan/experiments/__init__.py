"""Complete, named configurations."""

from __future__ import annotations

from reacgan.config import Experiment, lookup
from reacgan.experiments.cifar10 import CIFAR10
from reacgan.experiments.digits import DIGITS

EXPERIMENTS: dict[str, Experiment] = {held.name: held for held in (*DIGITS, *CIFAR10)}

__all__ = ["EXPERIMENTS", "experiment"]


def experiment(name: str) -> Experiment:
    """The experiment called ``name``; raises ConfigError that lists the known ones."""
    return lookup("experiment", EXPERIMENTS, name)
