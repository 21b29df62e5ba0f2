"""The interface of metrics: a comparison of two sets of features in, values out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.data import ImageData
from reacgan.metrics.moments import Moments

CPU = torch.device("cpu")

Need = Literal["real features", "logits", "labels", "images", "training", "held out", "classifier"]
"""What a metric may need beside the fake features and the moments of the reference:

real features   each feature of the reference, not its moments alone
logits          class scores of the extractor (``fake.logits``)
labels          the class of every fake and every reference image, and equal class names
images          the fakes' pixels (``fake_data``)
training        the generator's training images (``training``, ``training_data``)
held out        real images that it was not trained on (``held_out``, ``held_out_data``)
classifier      a classifier of the reference's classes (``classification``)
"""

Keep = Callable[[str, Callable[[], Mapping[str, Tensor]]], Mapping[str, Tensor]]
"""``keep(name, make)``: the tensors of ``make()``, computed once and then read from a cache."""


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """Features of a set of images, in the order of the images.

    Args:
        features: float32 ``[N, D]``, or None where only the moments are known.
        logits: float32 ``[N, K]``, or None where the extractor is no classifier.
        labels: int64 ``[N]``, or None without classes.
        class_names: in label order.
        known_moments: moments of a file of statistics or a cache.
        keep_in: a cache for results that depend on this set alone (a factor of its covariance, radii);
            by default they are kept in this object.
    """

    features: Tensor | None
    logits: Tensor | None = None
    labels: Tensor | None = None
    class_names: tuple[str, ...] = ()
    known_moments: Moments | None = None
    keep_in: Keep | None = None
    device: torch.device | None = None
    """Where distances, moments and factors are worked out; None for where the features are. What is kept
    is on the CPU."""
    _made: dict[str, Mapping[str, Tensor]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.features) if self.features is not None else self.moments.count

    @property
    def works_on(self) -> torch.device:
        """Where the heavy work of metrics is done."""
        if self.device is not None:
            return self.device
        return self.features.device if self.features is not None else CPU

    def all_features(self) -> Tensor:
        """float32 ``[N, D]``.

        Raises:
            ConfigError: only moments are known.
        """
        if self.features is None:
            raise ConfigError(
                "this reference is a file of statistics: it gives fid alone. Name the images instead"
            )
        return self.features

    @cached_property
    def moments(self) -> Moments:
        """Count, mean and covariance, on the CPU."""
        if self.known_moments is not None:
            return self.known_moments

        def make() -> Mapping[str, Tensor]:
            return Moments.of(self.all_features().to(self.works_on)).to(CPU).tensors()

        return Moments.from_tensors(self.keep("moments", make))

    def keep(self, name: str, make: Callable[[], Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
        """The tensors of ``make()``, computed once for this set; ``name`` holds all its options."""
        if name not in self._made:
            self._made[name] = make() if self.keep_in is None else self.keep_in(name, make)
        return self._made[name]


@dataclass(frozen=True, eq=False)
class Classification:
    """The fakes' class scores by a classifier that was trained on real images."""

    logits: Tensor
    """float32 ``[N, K]``, K classes of the reference."""
    held_out_top1: float
    """Of the classifier, on real images that it was not trained on; NaN where none are held out."""
    held_out_top5: float
    facts: Mapping[str, Any]
    """The classifier, as plain JSON."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """The input of all metrics; what no chosen metric needs is None."""

    fake: FeatureSet
    real: FeatureSet
    """The reference."""
    training: FeatureSet | None = None
    held_out: FeatureSet | None = None
    classification: Classification | None = None
    fake_data: ImageData | None = None
    real_data: ImageData | None = None
    training_data: ImageData | None = None
    held_out_data: ImageData | None = None


@dataclass(frozen=True)
class Value:
    """One number of a metric."""

    name: str
    """``fid``, ``precision``, ``gan_train_top1``, ..."""
    value: float
    better: Literal["lower", "higher", "neither"]
    low: float | None = None
    """Lower end of the interval, whose kind ``settings`` names."""
    high: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Options and counts that this number depends on, as plain JSON: part of its protocol."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """A value for each class, a curve, pairs of indices, as plain JSON."""
    notes: tuple[str, ...] = ()
    """Warnings to show beside the value."""


def share_of(chosen: Tensor) -> float:
    """Share of True in bool ``[N]``.

    Counted on the tensor's device and divided in Python: rounding of a mean depends on the device.
    """
    return int(chosen.sum()) / len(chosen)


class Metric(ABC):
    """A metric; its options are the keyword-only, annotated parameters of the constructor."""

    needs: ClassVar[frozenset[Need]] = frozenset()
    wants: ClassVar[frozenset[Need]] = frozenset()
    """Optional needs: used where they are met."""

    def __init__(self) -> None:  # noqa: B027 - a signature to read options from
        """No options, unless a metric has some."""

    @abstractmethod
    def measure(self, comparison: Comparison) -> list[Value]:
        """Compute the values; none depends on the order of the images.

        Raises:
            ConfigError: too few images, or an unmet need.
        """
