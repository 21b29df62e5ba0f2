"""Records of trials, and means and differences over seeds."""

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
from reacgan.records import read_mapping
from reacgan.suites.base import Suite, Trial

FILE = "trial.json"
_FORMAT = 1


@dataclass(frozen=True)
class Result:
    """A trial of one seed and its record."""

    trial: Trial
    seed: int
    record: Mapping[str, Any]

    @property
    def complete(self) -> bool:
        """Whether the trial was completed."""
        return self.record.get("status") == "complete"

    @property
    def values(self) -> Mapping[str, float]:
        """Values by metric; costs are ``cost/...``."""
        costs = {f"cost/{name}": value for name, value in self.record.get("cost", {}).items()}
        return {**self.record.get("values", {}), **costs}

    @property
    def protocol(self) -> Mapping[str, Any]:
        """The protocol of the values."""
        protocol: Mapping[str, Any] = self.record.get("protocol", {})
        return protocol

    @property
    def features(self) -> str:
        """Name of the extractor; empty without one."""
        extractor = self.protocol.get("extractor")
        return str(extractor.get("name", "")) if isinstance(extractor, Mapping) else ""

    def series(self, name: str) -> list[tuple[float, float]]:
        """Pairs of images seen and value; empty where it was not recorded."""
        return [(float(x), float(y)) for x, y in self.record.get("series", {}).get(name, ())]

    def value(self, metric: str) -> float | None:
        """A metric, or the maximum, last value or growth of a curve (``name:growth``)."""
        name, _, summary = metric.partition(":")
        value = self.values.get(metric)
        if summary:
            points = [y for _, y in self.series(name)]
            value = _SUMMARIES[summary](points) if points else None
        return value if value is not None and math.isfinite(value) else None


def _growth(points: Sequence[float]) -> float:
    """Mean of the last fifth divided by the mean of the first."""
    part = max(1, len(points) // 5)
    first = statistics.fmean(points[:part])
    return statistics.fmean(points[-part:]) / first if first else math.inf


_SUMMARIES: dict[str, Callable[[Sequence[float]], float]] = {
    "max": max,
    "last": lambda points: points[-1],
    "growth": _growth,
}


def write_result(folder: Path, record: Mapping[str, Any]) -> None:
    """Write a trial's file."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"format": _FORMAT, **record}, indent=1, allow_nan=False)
    write_text(folder / FILE, text + "\n")


def read_result(folder: Path) -> dict[str, Any] | None:
    """A trial's record; None where it is missing or unreadable."""
    record = read_mapping(folder / FILE)
    if record is None or record.get("format") != _FORMAT:
        return None
    return record if isinstance(record.get("command"), str) and "status" in record else None


def folder_of(out: Path, scale: str, trial: Trial, seed: int) -> Path:
    """The folder of a trial and seed, shared by all suites."""
    return out / scale / trial.name.replace("/", "-") / f"seed-{seed}"


def seeds_of(out: Path, scale: str, trial: Trial) -> list[int]:
    """The seeds with a folder."""
    folder = folder_of(out, scale, trial, 0).parent
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(name[5:]) for name in names if name[:5] == "seed-" and name[5:].isdecimal())


def results_of(
    suite: Suite, out: Path, scale: Any, *, seeds: Sequence[int] | None = None
) -> list[Result]:
    """The records of a suite's trials, in their order."""
    return [
        Result(trial, seed, record)
        for trial in suite.trials(scale)
        for seed in (seeds_of(out, scale, trial) if seeds is None else seeds)
        if (record := read_result(folder_of(out, scale, trial, seed))) is not None
    ]


@dataclass(frozen=True)
class Mean:
    """A mean over seeds."""

    value: float
    deviation: float | None
    """Sample standard deviation; None for a single value."""
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
    """Four digits; ``like`` determines the decimals."""
    size = abs(like if like is not None else value)
    if size and not 1e-4 <= size < 1e7:
        return f"{value:.2e}"
    if size >= 1000:
        return f"{value:,.0f}"
    decimals = 3 if size < 1 else max(0, 2 - math.floor(math.log10(size)))
    return f"{value:.{decimals}f}"


def means(results: Iterable[Result], metric: str) -> dict[tuple[str, str, float | None], Mean]:
    """Means of complete trials by (column, row, x)."""
    values: dict[tuple[str, str, float | None], list[float]] = {}
    for result in results:
        trial, value = result.trial, result.value(metric) if result.complete else None
        if value is not None:
            values.setdefault((trial.column, trial.row, trial.x), []).append(value)
    return {key: Mean.of(of_key) for key, of_key in values.items()}


@dataclass(frozen=True)
class Difference:
    """Difference of two means, with a 95 % interval by Welch's t where there is one."""

    value: float
    low: float | None
    high: float | None


def difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """The difference of two samples; no interval for single values or without spread."""
    value = statistics.fmean(first) - statistics.fmean(second)
    if min(len(first), len(second)) < 2:
        return Difference(value, None, None)
    parts = [statistics.variance(sample) / len(sample) for sample in (first, second)]
    error = math.sqrt(sum(parts))
    if error <= 1e-9 * max(map(abs, (*first, *second))):  # without spread the error is unknown
        return Difference(value, None, None)
    counts = (len(first) - 1, len(second) - 1)
    squares = (part**2 / count for part, count in zip(parts, counts, strict=True))
    freedom = math.floor(sum(parts) ** 2 / sum(squares) + 1e-9)
    wide = error * student95(freedom)
    return Difference(value, value - wide, value + wide)
