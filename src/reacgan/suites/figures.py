"""Figures of a suite: bars of means, dependences, and curves over images seen; PNG bytes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reacgan.pictures.drawing import figure_png, new_figure
from reacgan.suites.base import Figure
from reacgan.suites.results import Result, means

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = ("#c05621", "#2b6cb0", "#2f855a", "#6b46c1", "#b7791f", "#4a5568", "#d53f8c", "#319795")
_MARKS = "osD^vPX*"
_PANEL = (4.4, 3.4)
_MOST_PANELS = 4


def draw(figure: Figure, results: Sequence[Result]) -> bytes | None:
    """The figure; None where nothing of it was measured."""
    complete = [one for one in results if one.complete]
    return {"bars": _bars, "lines": _lines, "curves": _curves}[figure.kind](figure, complete)


def _panels(count: int, title: str, height: float = _PANEL[1]) -> tuple[list[Axes], object]:
    """So many axes beside each other, at most four in a row."""
    across = min(count, _MOST_PANELS)
    down = math.ceil(count / across)
    figure = new_figure(height * down + 0.7, _PANEL[0] * across)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    axes = [figure.add_subplot(down, across, place + 1) for place in range(count)]
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.grid(alpha=0.3)
    return axes, figure


def _style(place: int) -> dict[str, Any]:
    return {"color": _COLOURS[place % len(_COLOURS)], "marker": _MARKS[place % len(_MARKS)]}


def _bars(figure: Figure, results: Sequence[Result]) -> bytes | None:
    rows = list(dict.fromkeys(one.trial.row for one in results))
    columns = list(dict.fromkeys(one.trial.column for one in results))
    shown = [
        (name, column, means([one for one in results if one.trial.column == column], name))
        for column in columns
        for name in figure.names
    ]
    shown = [held for held in shown if held[2]]
    if not shown:
        return None
    axes, whole = _panels(len(shown), figure.title, 1.2 + 0.3 * len(rows))
    for one, (name, column, held) in zip(axes, shown, strict=True):
        found = {row: mean for (_, row, _), mean in held.items()}
        places = [place for place, row in enumerate(rows) if row in found]
        values = [found[rows[place]] for place in places]
        one.barh(
            places,
            [mean.value for mean in values],
            xerr=[mean.deviation or 0.0 for mean in values],
            color=[_COLOURS[place % len(_COLOURS)] for place in places],
            ecolor="#4a5568",
            height=0.7,
        )
        one.set_yticks(range(len(rows)), rows, fontsize=8, parse_math=False)
        one.set_ylim(len(rows) - 0.4, -0.6)
        if figure.log_x:
            one.set_xscale("log")
        one.set_title(f"{name}  {column}".strip(), fontsize=9, loc="left", parse_math=False)
    return figure_png(whole)  # type: ignore[arg-type]


def _lines(figure: Figure, results: Sequence[Result]) -> bytes | None:
    rows = list(dict.fromkeys(one.trial.row for one in results))
    shown = [(name, means(results, name)) for name in figure.names]
    shown = [(name, held) for name, held in shown if any(key[2] is not None for key in held)]
    if not shown:
        return None
    axes, whole = _panels(len(shown), figure.title)
    for one, (name, held) in zip(axes, shown, strict=True):
        for place, row in enumerate(rows):
            points = sorted(
                (x, mean) for (_, mine, x), mean in held.items() if mine == row and x is not None
            )
            if not points:
                continue
            one.errorbar(
                [x for x, _ in points],
                [mean.value for _, mean in points],
                yerr=[mean.deviation or 0.0 for _, mean in points],
                label=row,
                capsize=3,
                linewidth=1.5,
                markersize=5,
                **_style(place),
            )
        if figure.log_x:
            one.set_xscale("log")
            ticks = sorted({x for (_, _, x) in held if x is not None})
            one.set_xticks(ticks, [f"{x:g}" for x in ticks])
            one.minorticks_off()
        if figure.log_y:
            one.set_yscale("log")
        one.set_xlabel(figure.axis)
        one.set_title(name, fontsize=9, loc="left")
    _legend(axes[0], whole)
    return figure_png(whole)  # type: ignore[arg-type]


def _curves(figure: Figure, results: Sequence[Result]) -> bytes | None:
    rows = list(dict.fromkeys(one.trial.row for one in results))
    columns = list(dict.fromkeys(one.trial.column for one in results))
    wanted = [
        (name, column)
        for column in columns
        for name in figure.names
        if any(one.series(name) for one in results if one.trial.column == column)
    ]
    if not wanted:
        return None
    axes, whole = _panels(len(wanted), figure.title)
    for one, (name, column) in zip(axes, wanted, strict=True):
        for place, row in enumerate(rows):
            runs = [
                held.series(name)
                for held in results
                if held.trial.row == row and held.trial.column == column and held.series(name)
            ]
            colour = _COLOURS[place % len(_COLOURS)]
            for run in runs:  # every seed, thin
                one.plot(*zip(*run, strict=True), color=colour, linewidth=0.6, alpha=0.35)
            if runs:
                middle = _middle(runs)
                one.plot(*zip(*middle, strict=True), color=colour, linewidth=1.8, label=row)
        if figure.log_y:
            one.set_yscale("log")
        one.set_xlabel("images seen")
        one.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value else "0")
        one.set_title(
            f"{name.replace('/', ': ').replace('_', ' ')}  {column}".strip(),
            fontsize=9,
            loc="left",
            parse_math=False,
        )
    _legend(axes[0], whole)
    return figure_png(whole)  # type: ignore[arg-type]


def _middle(runs: Sequence[Sequence[tuple[float, float]]]) -> list[tuple[float, float]]:
    """Mean over seeds at each moment that all of them have, smoothed over five."""
    common = sorted(set.intersection(*({x for x, _ in run} for run in runs)))
    held = [dict(run) for run in runs]
    values = [statistics.fmean(run[x] for run in held) for x in common]
    smooth = [
        statistics.fmean(values[max(0, place - 2) : place + 3]) for place in range(len(values))
    ]
    return list(zip(common, smooth, strict=True))


def _legend(axes: Axes, whole: object) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        whole.legend(  # type: ignore[attr-defined]
            handles, labels, loc="outside lower left", ncols=4, fontsize=8, frameon=False
        )
