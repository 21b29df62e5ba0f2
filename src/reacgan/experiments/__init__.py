"""Complete, named configurations."""

from __future__ import annotations

from reacgan.config import ConfigError, Experiment, lookup
from reacgan.experiments import cifar
from reacgan.experiments.digits import DIGITS
from reacgan.experiments.glyphs import GLYPHS
from reacgan.experiments.methods import METHODS
from reacgan.experiments.photos import PHOTOS
from reacgan.experiments.small import small_rows

_CIFAR10 = cifar.rows("cifar10")

EXPERIMENTS: dict[str, Experiment] = {
    held.name: held
    for held in (
        *DIGITS,
        *GLYPHS,
        *small_rows(_CIFAR10),
        *_CIFAR10,
        *cifar.rows("cifar100"),
        *PHOTOS,
    )
}

__all__ = ["EXPERIMENTS", "experiment"]


def experiment(name: str) -> Experiment:
    """The experiment called ``name``.

    Raises:
        ConfigError: an unknown name. Says which ones end alike, or which one a method's title means.
    """
    if name not in EXPERIMENTS:
        alike = [held for held in EXPERIMENTS if held.rpartition("/")[2] == name.lower()]
        alike += [held.experiment for held in METHODS if held.title.lower() == name.lower()]
        if alike:
            shown = ", ".join(dict.fromkeys(alike))
            raise ConfigError(f"unknown experiment {name!r}; there are: {shown}")
    return lookup("experiment", EXPERIMENTS, name)
