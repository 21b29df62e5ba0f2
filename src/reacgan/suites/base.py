"""A suite of experiments: trials, metrics, claims and figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from reacgan.config import Device

Scale = Literal["toy", "cpu", "full"]
SCALES: tuple[Scale, ...] = get_args(Scale)
"""``toy``: seconds, on the embedded digits, as a smoke test; ``cpu``: minutes to hours on two
cores; ``full``: as published, for a GPU."""

Better = Literal["lower", "higher", "neither"]


@dataclass(frozen=True)
class Context:
    """Settings of a trial besides its folder and seed."""

    device: Device = "auto"
    data: Mapping[str, str] = field(default_factory=dict)
    """Paths of data sets by their registered names."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Changes by dotted keys for every experiment, such as the precision."""
    by_domain: bool = False
    """Score by a classifier of the images where the published protocol would need Inception."""
    quiet: bool = True


@dataclass(frozen=True)
class Outcome:
    """The results of a trial, plain JSON."""

    values: Mapping[str, float]
    """By metric."""
    better: Mapping[str, Better]
    """The better direction of each metric."""
    protocol: Mapping[str, Any]
    """The shared protocol of the values."""
    series: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)
    """Curves by name: pairs of images seen and value."""
    cost: Mapping[str, float] = field(default_factory=dict)
    """Seconds, images a second, parameters, bytes."""
    pictures: Sequence[str] = ()
    """Pictures in the trial's folder, for the report."""
    notes: Sequence[str] = ()


class TrialWork(Protocol):
    """The work of a trial for one seed."""

    def settings(self, seed: int, context: Context) -> dict[str, Any]:
        """Everything that the outcome depends on, as plain JSON."""
        ...

    def run(self, folder: Path, seed: int, context: Context) -> Outcome:
        """Run or resume in ``folder``."""
        ...

    def command(self, folder: Path, seed: int, context: Context) -> str:
        """An equivalent command line."""
        ...


@dataclass(frozen=True, eq=False)
class Trial:
    """One row of a suite, run for each seed."""

    name: str
    """Names its folder; equal names mean equal settings, so that suites share trials."""
    row: str
    """Its label in tables and figures."""
    work: TrialWork
    column: str = ""
    """Data set or setting; each has a table of its own."""
    x: float | None = None
    """Its abscissa in figures of kind ``lines``."""
    published: str | None = None
    """The experiment whose published score is shown beside it."""


@dataclass(frozen=True)
class Claim:
    """A falsifiable claim that one row is better than another."""

    text: str
    metric: str
    """A metric, or ``series:max``, ``series:last``, ``series:growth`` of a curve."""
    rows: tuple[str, str]
    """The first is claimed to be below, or above, the second."""
    first: Literal["below", "above"] = "below"
    columns: tuple[str, ...] = ()
    """The column of the claim; all columns if empty."""
    source: str = "paper"
    """``paper`` or ``ours``."""


def closer(text: str, first: str, second: str, source: str = "paper") -> Claim:
    """The claim that the first row's FID is below the second's."""
    return Claim(text, "fid", (first, second), source=source)


PRDC = ("precision", "recall", "density", "coverage")
SHORT_SCORES = ("fid", "recall", "coverage", "top1", "ifid")


@dataclass(frozen=True)
class Figure:
    """A figure of a report.

    ``bars``: means of ``names`` by row; ``lines``: ``names`` over the trials' ``x``, one line a row;
    ``curves``: series ``names`` over images seen, one line a row.
    """

    kind: Literal["bars", "lines", "curves"]
    names: tuple[str, ...]
    title: str
    axis: str = ""
    """What ``x`` is."""
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True)
class Suite:
    """Trials with metrics, claims and figures: one experiment of the paper, or of ours."""

    name: str
    numbers: tuple[int, ...]
    """Of the experiments of the paper that it covers (docs/reproducing.md); empty for our own."""
    title: str
    about: str
    """The question and the setup."""
    trials: Callable[[Scale], tuple[Trial, ...]]
    metrics: tuple[str, ...]
    """Columns of the table, in their order."""
    claims: tuple[Claim, ...] = ()
    figures: tuple[Figure, ...] = ()
    drawn: Callable[[Sequence[tuple[Trial, int, Path]]], Mapping[str, bytes]] | None = None
    """Further figures, PNG by caption, from the folders of complete trials and their seeds."""
    notes: Mapping[Scale, str] = field(default_factory=dict)
    """What a scale leaves out."""
