"""A study as a table for the terminal and as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reacgan.benefit.result import LEAST_OF_CLASS, METHOD, ArmResult, Interval, Study
from reacgan.reports.cells import Cell, aligned
from reacgan.reports.plots import figure_png, new_figure, open_axes
from reacgan.text import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_CLASSES = 30
_NAMED = 3
_REAL, _FAKE, _MIXED, _BAD = "#4a5568", "#b7791f", "#2b6cb0", "#c05621"
_WORDS = {"helps": "helps", "harms": "harms", "not shown": "unclear", None: ""}
_ONE_REPEAT = "one repeat has no interval: --repeats 3 or more"


def table(study: Study) -> str:
    """The arms as aligned lines, the classes that change most, the verdict, and what to know."""
    repeats = f"{study.repeats} repeat{'s' * (study.repeats != 1)}"
    lines = [f"tested on {study.held_out:,} held-out real images, {repeats}"]
    for size in dict.fromkeys(arm.size for arm in study.arms):
        rows = [
            [
                Cell(arm.name),
                Cell(arm.accuracy.percent()),
                Cell("" if arm.difference is None else arm.difference.points()),
                Cell(_WORDS[arm.verdict]),
            ]
            for arm in study.arms
            if arm.size == size
        ]
        lines += ["", *_of_size(study, size)]
        lines += aligned(("learned from", "right", "against real, points", ""), rows)
        lines += _by_class(study, size)
    lines += ["", *study.words(), "", METHOD if study.repeats > 1 else _ONE_REPEAT]
    return "\n".join([*lines, *(f"note: {text}" for text in study.warnings())])


def _of_size(study: Study, size: int | None) -> list[str]:
    """A heading where several sizes of the real set are compared."""
    base = study.baseline(size)
    if size is None or base is None:
        return []
    return [f"{size:,} real image{'s' * (size > 1)} a class, {base.real:,} in all:"]


def figure(study: Study) -> bytes:
    """One PNG: the arms with their intervals, and what the best mixture changes in each class.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    size = next((arm.size for arm in reversed(study.arms)), None)
    changes = _changes(study, size)
    shown = (
        (changes[: _MOST_CLASSES // 2] + changes[-_MOST_CLASSES // 2 :])
        if (len(changes) > _MOST_CLASSES)
        else changes
    )
    height = 1.4 + 0.34 * max(len(study.arms), 0.7 * len(shown))
    drawn: Any = new_figure(height, 10.0 if shown else 6.4)
    _draw_arms(drawn.add_subplot(1, 2 if shown else 1, 1), study)
    best = study.best_mixture(size)
    if shown and best is not None:
        axes = open_axes(
            drawn.add_subplot(1, 2, 2),
            f"{_name(best, sized=size is not None)}, by class",
        )
        values = [100 * change.value for _, change in shown]
        colours = [_MIXED if value >= 0 else _BAD for value in values]
        axes.barh(range(len(shown)), values, color=colours, height=0.7, alpha=0.8)
        for row, (_, change) in enumerate(shown):
            if change.low is not None and change.high is not None:
                ends = [100 * max(change.low, -1), 100 * min(change.high, 1)]
                axes.plot(ends, [row, row], color=_REAL, linewidth=1)
        names = [shorten(name, 24) for name, _ in shown]
        axes.set_yticks(range(len(shown)), names, fontsize=8, parse_math=False)
        axes.invert_yaxis()
        axes.axvline(0, color=_REAL, linewidth=0.8)
        single = study.repeats == 1
        axes.set_xlabel(
            "points against real images alone, "
            + ("one repeat: no interval" if single else "95 % interval")
        )
        axes.grid(axis="x", alpha=0.3)
    return figure_png(drawn)


def _draw_arms(axes: Axes, study: Study) -> None:
    open_axes(axes, f"right on {study.held_out:,} held-out real images, {study.repeats} repeats")
    sized = any(arm.size is not None for arm in study.arms)
    names = []
    for row, arm in enumerate(study.arms):
        colour = _REAL if not arm.generated else _MIXED if arm.real else _FAKE
        value, low, high = arm.accuracy.value, arm.accuracy.low, arm.accuracy.high
        if low is not None and high is not None:
            axes.plot(
                [100 * max(low, 0), 100 * min(high, 1)], [row, row], color=colour, linewidth=2
            )
        axes.plot(
            [100 * share for share in arm.repeats], [row] * len(arm.repeats), "|", color=colour
        )
        axes.plot([100 * value], [row], "o", color=colour, markersize=7)
        names.append(_name(arm, sized=sized))
        if not arm.generated:  # a line through the arms that it is compared with
            last = row + sum(other.size == arm.size for other in study.arms) - 1
            rows = [row, last + 0.4]
            axes.plot(
                [100 * value] * 2, rows, color=_REAL, linestyle="--", linewidth=0.8, alpha=0.6
            )
    axes.set_yticks(range(len(names)), names, fontsize=9, parse_math=False)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel("%, mean, 95 % interval, and each repeat")
    axes.grid(axis="x", alpha=0.3)


def _changes(study: Study, size: int | None) -> list[tuple[str, Interval]]:
    """Class and change from real images alone to the best mixture, the largest gain first."""
    best = study.best_mixture(size)
    changes = {} if best is None else best.class_differences
    return sorted(changes.items(), key=lambda pair: -pair[1].value)


def _name(arm: ArmResult, *, sized: bool) -> str:
    """The name of an arm, with its number of real images where several are compared."""
    return f"{arm.size or 'all'} a class: {arm.name}" if sized else arm.name


def _by_class(study: Study, size: int | None) -> list[str]:
    """The classes that the best mixture changes beyond their intervals, and what is said of the others."""
    best, changes = study.best_mixture(size), _changes(study, size)
    if best is None:
        return []
    few = len(best.classes) - len(changes)
    lines = []
    if changes and study.repeats == 1:
        lines.append(f"by class: needs 2 repeats or more; this is {study.repeats}")
    elif changes:
        lines += _listed("gains", [pair for pair in changes if pair[1].sign > 0])
        lines += _listed("losses", [pair for pair in changes[::-1] if pair[1].sign < 0])
        lines = lines or ["no class differs by more than its interval"]
        lines = [f"{best.name}, by class, points:", *(f"  {line}" for line in lines)]
    if few:
        lines.append(f"by class: {few} classes have fewer than {LEAST_OF_CLASS} held-out images")
    return ["", *lines] if lines else []


def _listed(title: str, pairs: list[tuple[str, Interval]]) -> list[str]:
    """The first few classes of a kind, a line each."""
    lines = [f"{title}: {shorten(name, 30)} {change.points()}" for name, change in pairs[:_NAMED]]
    more = len(pairs) - _NAMED
    return lines + ([f"{title}: {more} more in study.json"] if more > 0 else [])
