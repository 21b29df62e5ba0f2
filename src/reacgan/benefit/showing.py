"""A study as a table for the terminal and as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reacgan.benefit.result import ArmResult, Study
from reacgan.reports.plots import figure_png, new_figure, open_axes
from reacgan.reports.text import one_line, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_CLASSES = 30
_NAMED = 3
_REAL, _FAKE, _MIXED, _BAD = "#4a5568", "#b7791f", "#2b6cb0", "#c05621"
_WORDS = {"helps": "helps", "harms": "harms", "not shown": "no difference shown", None: ""}


def table(study: Study) -> str:
    """The arms as aligned lines, the classes that change most, the verdict, and what to know."""
    sized = any(arm.size is not None for arm in study.arms)
    rows = [("learned from", "images", "right", "95 % interval", "against real, points", "")]
    for arm in study.arms:
        name = _name(arm, sized=sized)
        low, high = arm.accuracy.low, arm.accuracy.high
        wide = (
            f"{max(low, 0):.1%} to {min(high, 1):.1%}"
            if low is not None and high is not None
            else "-"
        )
        apart = arm.difference.points() if arm.difference is not None else "-"
        images = f"{arm.real + arm.generated:,}"
        rows.append((name, images, f"{arm.accuracy.value:.1%}", wide, apart, _WORDS[arm.verdict]))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    for size in dict.fromkeys(arm.size for arm in study.arms):
        changes = _changes(study, size)
        best = study.best_mixture(size)
        if best is not None and changes:
            lines += ["", _classes_in_words(_name(best, sized=sized), changes)]
    return "\n".join(
        [
            f"tested on {study.held_out:,} held-out real images, {study.repeats} repeats",
            "",
            *lines,
            "",
            *study.words(),
            *(f"note: {text}" for text in study.warnings()),
        ]
    )


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
        values = [100 * change for _, change in shown]
        colours = [_MIXED if value >= 0 else _BAD for value in values]
        axes.barh(range(len(shown)), values, color=colours, height=0.7)
        names = [shorten(name, 24) for name, _ in shown]
        axes.set_yticks(range(len(shown)), names, fontsize=8, parse_math=False)
        axes.invert_yaxis()
        axes.axvline(0, color=_REAL, linewidth=0.8)
        axes.set_xlabel("points more or less right than with real images alone")
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


def _changes(study: Study, size: int | None) -> list[tuple[str, float]]:
    """Class and change from real images alone to the best mixture, the largest gain first."""
    best, base = study.best_mixture(size), study.baseline(size)
    if best is None or base is None:
        return []
    changes = [(name, share - base.classes[name]) for name, share in best.classes.items()]
    return sorted(changes, key=lambda pair: -pair[1])


def _name(arm: ArmResult, *, sized: bool) -> str:
    """The name of an arm, with its number of real images where several are compared."""
    return f"{arm.size or 'all'} a class: {arm.name}" if sized else arm.name


def _classes_in_words(best: str, changes: list[tuple[str, float]]) -> str:
    def listed(pairs: list[tuple[str, float]]) -> str:
        return ", ".join(f"{one_line(name)} {100 * value:+.1f}" for name, value in pairs)

    gains = [pair for pair in changes[:_NAMED] if pair[1] > 0]
    losses = [pair for pair in changes[: -_NAMED - 1 : -1] if pair[1] < 0]
    parts = [f"gains: {listed(gains)}"] if gains else []
    parts += [f"losses: {listed(losses)}"] if losses else []
    return f"{best}, by class, points: {'; '.join(parts) or 'no change'}"
