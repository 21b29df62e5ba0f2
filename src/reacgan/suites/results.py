"""What trials have left: reading it, and means over seeds with what they are worth."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reacgan.files import write_text
from reacgan.metrics.intervals import student95
from reacgan.suites.base import Suite, Trial

FILE = "trial.json"
_FORMAT = 1
_QUANTILES = {1: 12.706, 2: 4.303}


@dataclass(frozen=True)
class Result:
    """One trial of one seed: its file, and what stands in it."""

    trial: Trial
    seed: int
    held: Mapping[str, Any]

    @property
    def complete(self) -> bool:
        """Whether it was run to its end."""
        return self.held.get("status") == "complete"

    @property
    def values(self) -> Mapping[str, float]:
        """By metric; costs are among them, as ``cost/...``."""
        costs = {f"cost/{name}": value for name, value in self.held.get("cost", {}).items()}
        return {**self.held.get("values", {}), **costs}

    def series(self, name: str) -> list[tuple[float, float]]:
        """Pairs of images seen and value; none where it was not recorded."""
        return [(float(x), float(y)) for x, y in self.held.get("series", {}).get(name, ())]

    def value(self, metric: str) -> float | None:
        """A metric, or what a curve's maximum, last value or growth is (``name:growth``)."""
        name, _, summary = metric.partition(":")
        found = self.values.get(metric)
        if summary:
            points = [y for _, y in self.series(name)]
            found = _SUMMARIES[summary](points) if points else None
        return found if found is not None and math.isfinite(found) else None


def _growth(points: Sequence[float]) -> float:
    """Mean of the last fifth over the mean of the first: how often it has multiplied."""
    part = max(1, len(points) // 5)
    first = statistics.fmean(points[:part])
    return statistics.fmean(points[-part:]) / first if first else math.inf


_SUMMARIES: dict[str, Callable[[Sequence[float]], float]] = {
    "max": max,
    "last": lambda points: points[-1],
    "growth": _growth,
}


def write_result(folder: Path, held: Mapping[str, Any]) -> None:
    """Keep what a trial found."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"format": _FORMAT, **held}, indent=1, allow_nan=False)
    write_text(folder / FILE, text + "\n")


def read_result(folder: Path) -> dict[str, Any] | None:
    """What a trial's folder says; None where nothing, or nothing that is readable."""
    try:
        held = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(held, dict) or held.get("format") != _FORMAT:
        return None
    return held if isinstance(held.get("command"), str) and "status" in held else None


def folder_of(out: Path, scale: str, trial: Trial, seed: int) -> Path:
    """Where a trial of a seed lies: shared by all suites."""
    return out / scale / trial.name.replace("/", "-") / f"seed-{seed}"


def seeds_of(out: Path, scale: str, trial: Trial) -> list[int]:
    """The seeds that have a folder."""
    place = folder_of(out, scale, trial, 0).parent
    if not place.is_dir():
        return []
    names = [one.name for one in place.iterdir()]
    return sorted(int(name[5:]) for name in names if name[:5] == "seed-" and name[5:].isdecimal())


def results_of(
    suite: Suite, out: Path, scale: Any, *, seeds: Sequence[int] | None = None
) -> list[Result]:
    """All that a suite's trials have left, in their order."""
    found = []
    for trial in suite.trials(scale):
        for seed in seeds_of(out, scale, trial) if seeds is None else seeds:
            held = read_result(folder_of(out, scale, trial, seed))
            if held is not None:
                found.append(Result(trial, seed, held))
    return found


@dataclass(frozen=True)
class Mean:
    """A mean over seeds."""

    value: float
    deviation: float | None
    """Sample standard deviation; None of a single one."""
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Mean:
        """Of one value or more."""
        spread = statistics.stdev(values) if len(values) > 1 else None
        return cls(statistics.fmean(values), spread, len(values))

    def text(self) -> str:
        """``12.3 ± 0.4``, four digits."""
        shown = number(self.value)
        if self.deviation is None:
            return shown
        return f"{shown} ± {number(self.deviation, like=self.value)}"


def number(value: float, *, like: float | None = None) -> str:
    """Four digits; ``like`` gives the size whose decimals are taken."""
    size = abs(like if like is not None else value)
    if size and not 1e-4 <= size < 1e7:
        return f"{value:.2e}"
    if size >= 1000:
        return f"{value:,.0f}"
    decimals = 3 if size < 1 else max(0, 2 - math.floor(math.log10(size)))
    return f"{value:.{decimals}f}"


def means(results: Iterable[Result], metric: str) -> dict[tuple[str, str, float | None], Mean]:
    """By (column, row, x), of the complete ones."""
    held: dict[tuple[str, str, float | None], list[float]] = {}
    for one in results:
        value = one.value(metric) if one.complete else None
        if value is not None:
            held.setdefault((one.trial.column, one.trial.row, one.trial.x), []).append(value)
    return {key: Mean.of(values) for key, values in held.items()}


@dataclass(frozen=True)
class Difference:
    """Mean of some numbers less that of others, with a 95 % interval by Welch's t where it has one."""

    value: float
    low: float | None
    high: float | None


def difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Of two samples of one number or more; no interval where one is single or nothing spreads."""
    value = statistics.fmean(first) - statistics.fmean(second)
    if min(len(first), len(second)) < 2:
        return Difference(value, None, None)
    parts = [statistics.variance(held) / len(held) for held in (first, second)]
    error = math.sqrt(sum(parts))
    if error <= 1e-9 * max(map(abs, (*first, *second))):  # no spread says nothing of the error
        return Difference(value, None, None)
    squares = (part**2 / (len(held) - 1) for part, held in zip(parts, (first, second), strict=True))
    freedom = math.floor(sum(parts) ** 2 / sum(squares) + 1e-9)
    wide = error * (_QUANTILES.get(freedom) or student95(freedom))
    return Difference(value, value - wide, value + wide)
