"""FID and what is made of it: without the bias of few images, and class by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.metrics.base import Comparison, FeatureSet, Metric, Value
from reacgan.metrics.fid_pieces import Pieces, extrapolate
from reacgan.metrics.frechet import covariance_factor, distance_of_sets, frechet_distance
from reacgan.metrics.moments import Moments

Resamples = Annotated[int, Field(ge=2, le=1000)]
Points = Annotated[int, Field(ge=4, le=50)]
Seed = Annotated[int, Field(ge=0)]

FEW = 10_000
"""Below so many images FID is far from its limit in the features of FID's own network."""
_WORST = 10
_Z95 = 1.96


class Fid(Metric):
    """Fréchet distance of all fakes to the reference (Heusel et al. 2017).

    Args:
        interval: also give value +- 1.96 standard errors: the spread of the distance over 20 random
            halves of the fakes. It says how far other fakes of this generator would move the value; the
            reference stays as it is.
    """

    def __init__(self, *, interval: bool = False) -> None:
        self.interval = interval

    def measure(self, comparison: Comparison) -> list[Value]:
        """``fid``."""
        real, fake = comparison.real, comparison.fake
        value = distance_of_sets(real, fake)
        notes = _notes(real, fake)
        if not self.interval:
            return [Value("fid", value, "lower", notes=notes)]
        pieces = Pieces.of(real, fake.all_features(), points=10, seed=0)
        error = float(np.std([half.distance for half in pieces.halves(20, seed=0)], ddof=1))
        return [
            Value(
                "fid",
                value,
                "lower",
                low=max(value - _Z95 * error, 0.0),
                high=value + _Z95 * error,
                settings={"interval": "95 %, fakes only, from 20 random halves"},
                notes=notes,
            )
        ]


class FidInfinity(Metric):
    """FID of infinitely many fakes, extrapolated (Chong, Forsyth 2020).

    FID of N fakes is about FID of infinitely many + c / N. The fakes are cut into ``points`` random
    pieces of one size; FID is taken at 1, 2, ... pieces, averaged over as many disjoint choices as there
    are, and a line over 1 / N is fitted by least squares and read at 0. The reference is used as it is:
    the bias of its own number of images stays, equal for every generator.

    The interval is value +- 1.96 standard errors. The error is the spread over random halves of the
    pieces, each extrapolated by the line through the half itself and its pieces: halves of a set
    scatter about it as the set does about the generator, and hold no image twice, as a bootstrap would.

    Args:
        points: sizes at which FID is taken; the smallest share of the fakes is 1 / points.
        resamples: random halves.
        seed: of pieces and halves; an image's piece depends on its features, not on its place.
    """

    def __init__(self, *, points: Points = 10, resamples: Resamples = 20, seed: Seed = 0) -> None:
        self.points = points
        self.resamples = resamples
        self.seed = seed

    def measure(self, comparison: Comparison) -> list[Value]:
        """``fid_infinity``.

        Raises:
            ConfigError: too few fakes to cut up, or their features are not there.
        """
        features = comparison.fake.all_features()
        pieces = Pieces.of(comparison.real, features, points=self.points, seed=self.seed)
        counts, distances = pieces.curve()
        value = extrapolate(counts, distances)
        halves = [half.limit for half in pieces.halves(self.resamples, seed=self.seed)]
        error = float(np.std(halves, ddof=1))
        smallest = len(features) // self.points
        notes = _notes(comparison.real, None)
        if smallest <= features.shape[1]:
            notes += (
                f"the smallest sets hold {smallest} fakes for features of length {features.shape[1]}: "
                "FID bends there and the line fits badly; judge more fakes",
            )
        return [
            Value(
                "fid_infinity",
                value,
                "lower",
                low=value - _Z95 * error,
                high=value + _Z95 * error,
                settings={
                    "points": self.points,
                    "resamples": self.resamples,
                    "seed": self.seed,
                    "interval": "95 %, fakes only, from random halves",
                },
                details={"images": counts, "fid": distances, "standard_error": error},
                notes=notes,
            )
        ]


class IntraFid(Metric):
    """Mean over classes of the Fréchet distance within the class (Miyato, Koyama 2018).

    Classes count alike. Classes with fewer than two fakes or reference images are left out.
    """

    needs = frozenset({"real features", "labels"})

    def measure(self, comparison: Comparison) -> list[Value]:
        """``ifid``; ``details`` holds each class's distance and which are worst.

        Raises:
            ConfigError: no labels, or no class with two images on both sides.
        """
        real, fake = comparison.real, comparison.fake
        distances = class_distances(real, fake)
        held = {label: value for label, value in enumerate(distances) if value is not None}
        if not held:
            raise ConfigError("no class has two fakes and two reference images; judge more fakes")
        names = real.class_names or tuple(str(label) for label in range(len(distances)))
        worst = sorted(held, key=lambda label: (-held[label], label))[:_WORST]
        return [
            Value(
                "ifid",
                float(np.mean(list(held.values()))),
                "lower",
                settings={"classes": len(held)},
                details={
                    "classes": {names[label]: value for label, value in held.items()},
                    "worst": [names[label] for label in worst],
                },
                notes=_class_notes(real, fake, distances, names),
            )
        ]


def class_distances(real: FeatureSet, fake: FeatureSet) -> list[float | None]:
    """Fréchet distance of each class, in label order; None where a side has fewer than two images.

    What depends on a reference class alone is kept with the reference.
    """
    real_labels, fake_labels = _labels(real, "reference"), _labels(fake, "fakes")
    real_features, fake_features = real.all_features(), fake.all_features()
    distances: list[float | None] = []
    for label in range(_num_classes(real, fake)):
        ours, theirs = real_features[real_labels == label], fake_features[fake_labels == label]
        if min(len(ours), len(theirs)) < 2:
            distances.append(None)
        elif len(ours) <= ours.shape[1]:
            distances.append(frechet_distance(ours, theirs))
        else:
            moments, factor = _kept_class(real, label, ours)
            distances.append(frechet_distance(moments, theirs, factor=factor))
    return distances


def _kept_class(real: FeatureSet, label: int, features: Tensor) -> tuple[Moments, Tensor]:
    def make() -> Mapping[str, Tensor]:
        moments = Moments.of(features)
        return {**moments.tensors(), "factor": covariance_factor(moments)}

    held = real.keep(f"cholesky of class {label}", make)
    return Moments.from_tensors(held), held["factor"]


def _labels(images: FeatureSet, name: str) -> Tensor:
    if images.labels is None:
        raise ConfigError(f"ifid needs a class for every image; the {name} have none")
    return images.labels


def _num_classes(real: FeatureSet, fake: FeatureSet) -> int:
    highest = max(int(_labels(side, "set").max()) if len(side) else -1 for side in (real, fake))
    return max(len(real.class_names), highest + 1)


def _notes(real: FeatureSet, fake: FeatureSet | None) -> tuple[str, ...]:
    """What the counts of both sides do to the value."""
    notes = []
    for name, side in (("fakes", fake), ("reference images", real)):
        if side is None:
            continue
        count = len(side)
        width = side.features.shape[1] if side.features is not None else len(side.moments.mean)
        if name == "reference images" and not count:
            notes.append("the file of statistics does not say how many images it was made of")
        elif count <= width:
            notes.append(
                f"{count} {name} for features of length {width}: biased upwards, "
                "comparable at equal counts only"
            )
        elif count < FEW:
            notes.append(f"{count} {name}: FID depends on the count, compare at equal counts only")
    return tuple(notes)


def _class_notes(
    real: FeatureSet, fake: FeatureSet, distances: Sequence[Any], names: Sequence[str]
) -> tuple[str, ...]:
    notes = []
    left_out = [names[label] for label, value in enumerate(distances) if value is None]
    if left_out:
        shown = ", ".join(left_out[:5]) + (", ..." if len(left_out) > 5 else "")
        notes.append(f"{len(left_out)} classes with fewer than two images left out: {shown}")
    width = real.all_features().shape[1]
    for name, side in (("fakes", fake), ("reference images", real)):
        counts = torch.bincount(_labels(side, name), minlength=len(distances))
        fewest = min(
            int(counts[label]) for label, value in enumerate(distances) if value is not None
        )
        if fewest <= width:
            notes.append(
                f"as few as {fewest} {name} a class for features of length {width}: "
                "biased upwards, comparable at equal counts only"
            )
    return tuple(notes)
