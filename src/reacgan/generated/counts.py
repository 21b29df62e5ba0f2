"""How many images each class gets: balanced, as in the training images, or by shares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from reacgan.config import MOST, ConfigError, check_whole
from reacgan.data import DataError, survey_dataset
from reacgan.data.order import apportion
from reacgan.models.trained import TrainedGenerator

Distribution: TypeAlias = str | Mapping[str, float]
"""``balanced``, ``training``, or shares: ``cat=3,dog=1``, or the same as a mapping."""

NUM = 100
"""Images of each class where no number is given."""

_ALLOWED = "balanced, training, or shares such as cat=3,dog=1"


def class_counts(
    model: TrainedGenerator,
    *,
    classes: Sequence[int | str] | str | int = "all",
    num: int | None = None,
    total: int | None = None,
    distribution: Distribution = "balanced",
) -> npt.NDArray[np.int64]:
    """Images of each class, int64 ``[num_classes]``.

    Args:
        model: knows the classes, and where its training images are.
        classes: those that get images; as in :func:`reacgan.sample`.
        num: images of each class; with another distribution than ``balanced`` their mean.
        total: images of all classes, instead of ``num``.
        distribution: ``balanced``; ``training``, as often as in the training images; or shares by class
            name or index, whose sum does not matter: classes that are not named get none.

    Raises:
        ConfigError: an unknown class, a number out of range, training images that are not here, or no
            image at all.
    """
    chosen = list(dict.fromkeys(model.class_indices(classes)))
    if num is not None and total is not None:
        raise ConfigError(f"num is {num} and total is {total}; give one of them")
    for name, value in (("num", num), ("total", total)):
        check_whole(name, value, most=MOST, optional=True)
    shares = _shares(model, distribution, chosen, everything=classes == "all")
    if not shares.any():
        raise ConfigError(f"distribution is {distribution!r}, which gives no class an image")
    wanted = len(np.flatnonzero(shares)) if isinstance(distribution, Mapping) else len(chosen)
    if isinstance(distribution, str) and "=" in distribution:
        wanted = len(np.flatnonzero(shares))
    in_all = total or (num or NUM) * wanted
    if in_all > MOST:
        raise ConfigError(
            f"num is {num} for each of {wanted:,} classes, {in_all:,} images; allowed: {MOST:,} in all"
        )
    return apportion(in_all, shares)


def training_counts(model: TrainedGenerator) -> dict[str, int]:
    """Training images of each class, by its name.

    Raises:
        ConfigError: they are not where the model's configuration says.
    """
    data = model.experiment.data
    try:
        survey = survey_dataset(data)
    except (DataError, OSError) as error:
        where = f" ({data.path})" if data.path else ""
        raise ConfigError(
            f"distribution is 'training', but the training images, data set {data.name!r}{where}, are "
            f"not here: {error}. Give the shares, such as {model.class_names[0]}=3,"
            f"{model.class_names[-1]}=1, or balanced"
        ) from None
    counts = [int(count) for count in survey.counts]
    return dict(zip(survey.class_names, counts, strict=True))


def _shares(
    model: TrainedGenerator, distribution: Distribution, chosen: list[int], *, everything: bool
) -> npt.NDArray[np.float64]:
    """A number for each class, 0 for those that get no image."""
    shares = np.zeros(len(model.class_names))
    if distribution == "balanced":
        shares[chosen] = 1
    elif distribution == "training":
        known = training_counts(model)
        shares[chosen] = [known.get(model.class_names[label], 0) for label in chosen]
    else:
        if not everything:
            raise ConfigError(
                f"distribution is {distribution!r}, which names the classes itself; leave classes out"
            )
        named = distribution if isinstance(distribution, Mapping) else _parsed(distribution)
        for name, share in named.items():
            if not 0 <= share < math.inf:
                raise ConfigError(
                    f"distribution: the share of {name} is {share}; allowed: 0 or more"
                )
            shares[model.class_indices([name])[0]] = share
    return shares


def _parsed(text: str) -> dict[str, float]:
    """The shares of ``cat=3,dog=1``."""
    shares = {}
    for part in text.split(","):
        name, separator, number = part.rpartition("=")
        try:
            if not (separator and name.strip()):
                raise ValueError(part)
            shares[name.strip()] = float(number)
        except ValueError:
            raise ConfigError(f"distribution is {text!r}; allowed: {_ALLOWED}") from None
    return shares
