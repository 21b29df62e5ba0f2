"""What every metric takes and gives: a comparison of two sets of features in, values out."""

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

Need = Literal["real features", "logits", "labels", "images", "training", "held out", "judge"]
"""What a metric may need beside the fake features and the moments of the reference:

real features   each feature of the reference, not its moments alone
logits          class scores of the extractor (``fake.logits``)
labels          the class of every fake and every reference image, and equal class names
images          the fakes' pixels (``fake_data``)
training        what the generator learned from (``training``, ``training_data``)
held out        real images of the same kind that it did not (``held_out``, ``held_out_data``)
judge           a classifier of the reference's classes (``judgement``)
"""

Keep = Callable[[str, Callable[[], Mapping[str, Tensor]]], Mapping[str, Tensor]]
"""``keep(name, make)``: the tensors that ``make`` gives, made once and then read from a cache."""


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """One set of images as an extractor sees it, image by image in the set's own order.

    Args:
        features: float32 ``[N, D]``, or None where only the moments are known.
        logits: float32 ``[N, K]``, or None where the extractor is no classifier.
        labels: int64 ``[N]``, or None where no class is known.
        class_names: in label order.
        known_moments: moments that are known already (a file of statistics, a cache).
        keep: where things that depend on this set alone are kept (a factor of its covariance, radii);
            by default not beyond this object.
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
        """What ``make`` gives, made once for this set; ``name`` holds every option it depends on."""
        if name not in self._made:
            self._made[name] = make() if self.keep_in is None else self.keep_in(name, make)
        return self._made[name]


@dataclass(frozen=True, eq=False)
class Judgement:
    """What a classifier trained on real images says of the fakes."""

    logits: Tensor
    """float32 ``[N, K]``, K classes of the reference."""
    held_out_accuracy: float
    """Of the classifier, on real images that it did not see."""
    held_out_top5: float
    facts: Mapping[str, Any]
    """The classifier, as plain JSON."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """All that metrics may look at; what no chosen metric needs is None."""

    fake: FeatureSet
    real: FeatureSet
    """The reference."""
    training: FeatureSet | None = None
    held_out: FeatureSet | None = None
    judgement: Judgement | None = None
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
    """Lower end of the interval; what interval is said in ``settings``."""
    high: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Options and counts that this number depends on, as plain JSON: part of its protocol."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What lies behind it (a value for each class, a curve, pairs of indices), as plain JSON."""
    notes: tuple[str, ...] = ()
    """Warnings that belong beside it, in plain words."""


def share_of(chosen: Tensor) -> float:
    """Share of True in bool ``[N]``.

    Counted where the tensor lies and divided here: a mean is rounded otherwise on another device.
    """
    return int(chosen.sum()) / len(chosen)


class Metric(ABC):
    """A metric; its options are the keyword-only, annotated parameters of the constructor."""

    needs: ClassVar[frozenset[Need]] = frozenset()
    wants: ClassVar[frozenset[Need]] = frozenset()
    """What it looks at where it is there, and does without where it is not."""

    def __init__(self) -> None:  # noqa: B027 - a signature to read options from
        """No options, unless a metric has some."""

    @abstractmethod
    def measure(self, comparison: Comparison) -> list[Value]:
        """Measure; every result depends on the arguments alone, not on the order of the images.

        Raises:
            ConfigError: too few images, or what it needs is not there.
        """
