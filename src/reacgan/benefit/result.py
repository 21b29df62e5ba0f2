"""What a study has shown: means, intervals, classes, and a verdict in words."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from reacgan.metrics.intervals import student95

_NORMAL = 1.959963984540054
_FEW_IMAGES = 200
LEAST_OF_CLASS = 10
"""Held-out images of a class that an interval needs."""
METHOD = (
    "in brackets 95 % intervals: Student's t over the repeats; of a difference the repeats are paired, and "
    "the standard error of the held-out images is added in squares. Of many classes one in twenty stands "
    "out by luck"
)

Verdict = Literal["helps", "harms", "not shown"]


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval, which a single repeat has not."""

    value: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, values: Sequence[float], error: float = 0.0) -> Interval:
        """The mean of repeats by Student's t; ``error`` is a further standard error, added in squares."""
        mean = statistics.fmean(values)
        if len(values) < 2:
            return cls(mean)
        student = student95(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
        reach = math.hypot(student, _NORMAL * error)
        return cls(mean, mean - reach, mean + reach)

    def points(self) -> str:
        """As a difference in percentage points; without an interval it says why."""
        return self._with_ends("{:+.1f}", "", -1.0)

    def percent(self) -> str:
        """As a share, its ends within 0 and 100 %."""
        return self._with_ends("{:.1f}", " %", 0.0)

    def _with_ends(self, form: str, unit: str, least: float) -> str:
        text = form.format(100 * self.value) + unit
        if self.low is None or self.high is None:
            return f"{text} (one repeat)"
        ends = (max(self.low, least), min(self.high, 1.0))
        return f"{text} ({' to '.join(form.format(100 * end) for end in ends)})"

    @property
    def sign(self) -> int:
        """1 where all of the interval is above 0, -1 where all is below, else 0."""
        above = self.low is not None and self.low > 0
        return above - (self.high is not None and self.high < 0)


@dataclass(frozen=True)
class ArmResult:
    """A set of training images, and how right classifiers of it are on held-out real images."""

    name: str
    size: int | None
    """Real images of each class; None for all."""
    real: int
    """Real images learned from."""
    generated: int
    """Generated images learned from."""
    accuracy: Interval
    """Share of held-out images that are classified rightly."""
    repeats: tuple[float, ...]
    classes: Mapping[str, float]
    """The same by class, the mean of the repeats; classes without held-out images are left out."""
    difference: Interval | None = None
    """From the classifiers of real images alone, of the same seeds; None for these."""
    class_differences: Mapping[str, Interval] = field(default_factory=dict)
    """The same by class; without those of fewer than ten held-out images."""

    @property
    def is_mixture(self) -> bool:
        """Whether it has images of both kinds."""
        return bool(self.real and self.generated)

    @property
    def verdict(self) -> Verdict | None:
        """Whether the difference is beyond its interval; None where there is none."""
        if self.difference is None:
            return None
        verdicts: dict[int, Verdict] = {1: "helps", -1: "harms", 0: "not shown"}
        return verdicts[self.difference.sign]


@dataclass(frozen=True)
class Study:
    """The result of :func:`reacgan.augment_study`."""

    arms: tuple[ArmResult, ...]
    """By size of the real set; in each, real images alone come first."""
    held_out: int
    """Real images that classifiers are tested on."""
    repeats: int
    settings: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    complete: bool = True
    """False where it was stopped; the arms are then those with a finished repeat."""

    def words(self) -> list[str]:
        """A sentence for each size of the real set."""
        sizes = list(dict.fromkeys(arm.size for arm in self.arms))
        return [self._sentence(size) for size in sizes]

    def warnings(self) -> list[str]:
        """What a reader has to know before trusting the numbers."""
        texts = list(self.notes)
        mixtures = len({arm.name for arm in self.arms if arm.is_mixture})
        if mixtures > 1:
            texts.append(
                f"{mixtures} mixtures are compared, each at 95 %: that one of them seems to help by "
                f"luck has a chance of up to {1 - 0.975**mixtures:.0%}"
            )
        if self.held_out < _FEW_IMAGES:
            texts.append(
                f"{self.held_out} held-out images are few: one of them is "
                f"{100 / self.held_out:.1f} points"
            )
        if any(arm.size is not None for arm in self.arms):
            texts.append(
                "the generator has seen all of its training images, also those that a small real set "
                "leaves out: with so few of your own it would be a worse one"
            )
        return texts

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain JSON."""
        return {
            "kind": "reacgan augment study 1",
            "complete": self.complete,
            "held_out": self.held_out,
            "repeats": self.repeats,
            "arms": [{**asdict(arm), "verdict": arm.verdict} for arm in self.arms],
            "words": self.words(),
            "warnings": self.warnings(),
            "settings": dict(self.settings),
        }

    def best_mixture(self, size: int | None) -> ArmResult | None:
        """The mixture with the highest mean; None where there is none."""
        mixtures = [arm for arm in self.arms if arm.size == size and arm.is_mixture]
        return max(mixtures, key=lambda arm: arm.accuracy.value, default=None)

    def baseline(self, size: int | None) -> ArmResult | None:
        """Real images alone."""
        arms = (arm for arm in self.arms if arm.size == size and not arm.generated)
        return next(arms, None)

    def _sentence(self, size: int | None) -> str:
        best, base = self.best_mixture(size), self.baseline(size)
        among = (
            "With all real images"
            if size is None
            else f"With {size:,} real image{'s' * (size > 1)} a class"
        )
        if best is None or base is None or best.difference is None:
            return f"{among}: there is no mixture to compare with real images alone."
        points = f"{best.name} against real images alone: {best.difference.points()} points"
        if self.repeats == 1:
            return (
                f"{among} one repeat shows nothing: {points}. --repeats 3 or more gives intervals."
            )
        if best.verdict == "helps":
            return f"{among} generated images help: {points}."
        verdicts = {arm.verdict for arm in self.arms if arm.size == size and arm.is_mixture}
        if verdicts == {"harms"}:
            return f"{among} generated images harm in every mixture; the best, {points}."
        return (
            f"{among} no difference can be told from {self.repeats} repeats and {self.held_out:,} held-out "
            f"images: {points}."
        )


def compared(
    right: Sequence[npt.NDArray[np.bool_]], base: Sequence[npt.NDArray[np.bool_]]
) -> Interval:
    """The difference in accuracy of two arms, paired by repeat and by held-out image.

    Student's t over the repeats, which differ in weights, order and images, and the standard error of a
    mean over these held-out images, added in squares.

    Args:
        right: whether each held-out image is classified rightly, bool ``[N]`` for each repeat.
        base: the same of real images alone.
    """
    pairs = zip(right, base, strict=True)
    apart = np.stack([ours.astype(float) - theirs for ours, theirs in pairs])
    each = apart.mean(0)
    error = float(each.std(ddof=1)) / math.sqrt(len(each)) if len(each) > 1 else 0.0
    return Interval.of(apart.mean(1).tolist(), error)


def compared_by_class(
    right: Sequence[npt.NDArray[np.bool_]],
    base: Sequence[npt.NDArray[np.bool_]],
    labels: npt.NDArray[np.int64],
    names: Sequence[str],
) -> dict[str, Interval]:
    """As :func:`compared`, for each class with ten held-out images or more.

    Args:
        right: whether each held-out image is classified rightly, bool ``[N]`` for each repeat.
        base: the same of real images alone.
        labels: of the held-out images, ``[N]``.
        names: of the classes.
    """
    members = {name: np.flatnonzero(labels == label) for label, name in enumerate(names)}
    return {
        name: compared([each[chosen] for each in right], [each[chosen] for each in base])
        for name, chosen in members.items()
        if len(chosen) >= LEAST_OF_CLASS
    }
