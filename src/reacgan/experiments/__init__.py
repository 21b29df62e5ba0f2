"""Complete, named configurations."""

from __future__ import annotations

import shlex

from reacgan.config import (
    ConfigError,
    Experiment,
    UnknownNameError,
    load_experiment,
    lookup,
    path_of,
)
from reacgan.experiments import cifar
from reacgan.experiments.digits import DIGITS, GLYPHS
from reacgan.experiments.methods import METHODS
from reacgan.experiments.photos import PHOTOS
from reacgan.experiments.small import small_rows

_CIFAR10 = cifar.rows("cifar10")


class _Experiments(dict[str, Experiment]):
    """Every ready experiment by name; an unknown one gets the error of :func:`experiment`."""

    def __missing__(self, name: str) -> Experiment:
        return experiment(name)


EXPERIMENTS: dict[str, Experiment] = _Experiments(
    (member.name, member)
    for member in (
        *DIGITS,
        *GLYPHS,
        *small_rows(_CIFAR10),
        *_CIFAR10,
        *cifar.rows("cifar100"),
        *PHOTOS,
    )
)

_ENDINGS = (".json", ".yaml", ".yml")
_OF_DATA = (".safetensors", ".csv", ".tsv", ".jsonl", ".zip", ".npz", ".npy", ".parquet", ".tar")
"""Extensions of images and their tables, which a person may give in place of an experiment."""

__all__ = ["EXPERIMENTS", "experiment", "named_or_file"]


def named_or_file(text: str) -> Experiment:
    """The experiment of that name, or the one in that file, with any extension.

    Raises:
        ConfigError: as :func:`experiment` and :func:`reacgan.load_experiment`.
    """
    path = path_of(text)
    if text not in EXPERIMENTS and (path.is_dir() or path.suffix.lower() in _OF_DATA):
        kind = "a folder" if path.is_dir() else "a file of images or labels"
        again = shlex.join(["reacgan", "train", "--data", text])
        raise ConfigError(
            f"{text} is {kind}, needed: an experiment; to train on its images: {again}"
        )
    is_file = path.suffix.lower() in _ENDINGS or path.is_file()
    return load_experiment(path) if is_file and text not in EXPERIMENTS else experiment(text)


def experiment(name: str) -> Experiment:
    """The experiment called ``name``.

    Raises:
        ConfigError: an unknown name; suggests names with the same ending, or of that method's title.
    """
    if name not in EXPERIMENTS:
        alike = [known for known in EXPERIMENTS if known.rpartition("/")[2] == name.lower()]
        alike += [method.experiment for method in METHODS if method.title.lower() == name.lower()]
        if alike:
            shown = ", ".join(dict.fromkeys(alike))
            raise UnknownNameError(f"unknown experiment {name!r}; there are: {shown}")
    return lookup("experiment", EXPERIMENTS, name)
