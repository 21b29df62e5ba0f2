"""What a suite of experiments is: trials, what is measured, claims, and what is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from reacgan.config import Device

Scale = Literal["toy", "cpu", "full"]
SCALES: tuple[Scale, ...] = get_args(Scale)
"""``toy``: seconds, on the embedded digits, to see that everything works; ``cpu``: minutes to hours on two
cores; ``full``: as published, for a GPU."""

Better = Literal["lower", "higher", "neither"]


@dataclass(frozen=True)
class Context:
    """What a trial is run with, beside its folder and seed."""

    device: Device = "auto"
    data: Mapping[str, str] = field(default_factory=dict)
    """Where data sets are, by their registered names."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Dotted values that are changed in every experiment, such as the precision."""
    by_domain: bool = False
    """Score by a classifier of the images where the published protocol would need Inception."""
    quiet: bool = True


@dataclass(frozen=True)
class Outcome:
    """What a trial measured; plain JSON."""

    values: Mapping[str, float]
    """By metric."""
    better: Mapping[str, Better]
    """Which way each metric is better."""
    protocol: Mapping[str, Any]
    """All that the values depend on beside the trial: one for all of them."""
    series: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)
    """Curves by name: pairs of images seen and value."""
    cost: Mapping[str, float] = field(default_factory=dict)
    """Seconds, images a second, parameters, bytes."""
    pictures: Sequence[str] = ()
    """Pictures in the trial's folder, for the report."""
    notes: Sequence[str] = ()


class TrialWork(Protocol):
    """What one trial does for one seed."""

    def settings(self, seed: int, context: Context) -> dict[str, Any]:
        """All that decides the outcome, as plain JSON; a trial of other settings is made again."""
        ...

    def run(self, folder: Path, seed: int, context: Context) -> Outcome:
        """Run, or resume, in ``folder``; errors are raised."""
        ...

    def command(self, folder: Path, seed: int, context: Context) -> str:
        """What a person types for the same."""
        ...


@dataclass(frozen=True, eq=False)
class Trial:
    """One row of a suite: something to run for each seed."""

    name: str
    """Of its folder; equal names stand for equal settings, so that suites share trials."""
    row: str
    """What it is called in tables and figures."""
    work: TrialWork
    column: str = ""
    """Data set or setting that tables are split by."""
    x: float | None = None
    """Its value on the axis of a figure that shows a dependence."""
    published: str | None = None
    """The experiment whose published score stands beside it."""


@dataclass(frozen=True)
class Claim:
    """That one row is better than another, put so that it can turn out false."""

    text: str
    metric: str
    """A metric, or ``series:max``, ``series:last``, ``series:growth`` of a curve."""
    rows: tuple[str, str]
    """The first is claimed to be below, or above, the second."""
    first: Literal["below", "above"] = "below"
    columns: tuple[str, ...] = ()
    """Where it is claimed; everywhere if empty."""
    source: str = "paper"
    """``paper`` or ``ours``."""


def closer(text: str, first: str, second: str, source: str = "paper") -> Claim:
    """The claim that the first row's FID is below the second's."""
    return Claim(text, "fid", (first, second), source=source)


PRDC = ("precision", "recall", "density", "coverage")
SHORT_SCORES = ("fid", "recall", "coverage", "top1", "ifid")


@dataclass(frozen=True)
class Figure:
    """What a report draws.

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
    """Experiments x seeds x what to measure x what to draw: one experiment of the paper, or of ours."""

    name: str
    numbers: tuple[int, ...]
    """Of the experiments of the paper that it covers (docs/reproducing.md); empty for our own."""
    title: str
    about: str
    """What is asked and how, in plain words."""
    trials: Callable[[Scale], tuple[Trial, ...]]
    metrics: tuple[str, ...]
    """Columns of the table, in their order."""
    claims: tuple[Claim, ...] = ()
    figures: tuple[Figure, ...] = ()
    drawn: Callable[[Sequence[tuple[Trial, int, Path]]], Mapping[str, bytes]] | None = None
    """Further figures, PNG by caption, from the folders of complete trials and their seeds."""
    notes: Mapping[Scale, str] = field(default_factory=dict)
    """What a scale leaves out."""
