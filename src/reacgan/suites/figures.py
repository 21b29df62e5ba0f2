"""Figures of a suite: bars of means, dependences, and curves over images seen; PNG bytes."""

from __future__ import annotations

import math
import statistics
import textwrap
from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from reacgan.reports.palette import INK, styles
from reacgan.reports.plots import figure_png, new_figure
from reacgan.suites.base import Figure
from reacgan.suites.results import Mean, Result, means
from reacgan.suites.tables import in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curve = list[tuple[float, float]]
Panel = tuple[str, str]
"""Metric or series, and column."""

_WIDE, _ALONE, _HIGH = 11.6, 6.4, 3.1
_MOST_TICKS, _DPI = 6, 110


def draw(figure: Figure, results: Sequence[Result]) -> bytes | None:
    """The figure as PNG; None without results.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    complete = [result for result in results if result.complete]
    if figure.kind == "lines":
        complete = [result for result in complete if result.trial.x is not None]
    rows = list(dict.fromkeys(result.trial.row for result in complete))
    panels: dict[Panel, Any] = {}
    for column, name in product(dict.fromkeys(r.trial.column for r in complete), figure.names):
        own = [result for result in complete if result.trial.column == column]
        content = (_curves_of if figure.kind == "curves" else _means_of)(own, name)
        if content:
            panels[name, column] = content
    if not panels:
        return None
    height = 0.75 + 0.27 * len(rows) if figure.kind == "bars" else _HIGH
    axes, whole, across = _axes(list(panels), figure.title, complete, height)
    for index, (each, content) in enumerate(zip(axes, panels.values(), strict=True)):
        if figure.kind == "bars":
            _bars(each, content, rows, named=index % across == 0, log=figure.log_x)
            continue
        if figure.kind == "lines":
            _lines(each, content, rows, figure)
        elif at := _only_moment(content):
            _bars(each, _ends_of(content), rows, named=index % across == 0, log=False)
            each.set_xlabel(f"at {at:,.0f} images seen")
            continue
        else:
            _curves(each, content, rows)
        if figure.log_y:
            _logarithmic(each)
    if figure.kind != "bars":
        _legend(axes, whole)
    return figure_png(whole, _DPI)


def _means_of(results: Sequence[Result], name: str) -> dict[tuple[str, float | None], Mean]:
    """By row and x."""
    by_key = means(results, name)
    return {(row, x): mean for (_, row, x), mean in by_key.items() if math.isfinite(mean.value)}


def _curves_of(results: Sequence[Result], name: str) -> dict[str, list[Curve]]:
    """Of every seed, by row."""
    curves: dict[str, list[Curve]] = {}
    for result in results:
        curve = [(x, y) for x, y in result.series(name) if math.isfinite(y)]
        if curve:
            curves.setdefault(result.trial.row, []).append(curve)
    return curves


def _only_moment(curves: Mapping[str, list[Curve]]) -> float | None:
    """Where all curves of a panel are one point: no course to draw; None where they are more."""
    moments = {x for own in curves.values() for curve in own for x, _ in curve}
    return moments.pop() if len(moments) == 1 else None


def _ends_of(curves: Mapping[str, list[Curve]]) -> dict[tuple[str, float | None], Mean]:
    """The last values of each row's seeds as a mean."""
    return {
        (row, None): Mean.of([curve[-1][1] for curve in own]) for row, own in curves.items() if own
    }


def _axes(
    panels: Sequence[Panel], title: str, results: Sequence[Result], height: float
) -> tuple[list[Axes], Any, int]:
    """Axes in a grid, the figure, and the number of columns: at most three."""
    count = len(panels)
    across = 2 if count == 4 else min(count, 3)
    wide = _WIDE if count > 1 else _ALONE
    figure = new_figure(height * math.ceil(count / across) + 0.9, wide)
    text = textwrap.fill(title, int(12 * wide))
    figure.suptitle(text, x=0.01, ha="left", fontsize=11, parse_math=False)
    features = {result.features for result in results}
    all_axes = []
    for number, (name, column) in enumerate(panels, 1):
        axes = figure.add_subplot(math.ceil(count / across), across, number)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
        words = in_words(name, next(iter(features)) if len(features) == 1 else "")
        text = f"{words} · {column.replace('_', ' ')}" if column else words
        text = textwrap.fill(text, int(12 * wide / across))
        axes.set_title(text, fontsize=9, loc="left", parse_math=False)
        all_axes.append(axes)
    return all_axes, figure, across


def _bars(
    axes: Axes,
    content: Mapping[tuple[str, float | None], Mean],
    rows: Sequence[str],
    *,
    named: bool,
    log: bool,
) -> None:
    colours = styles(rows)
    of_rows = {row: mean for (row, _), mean in content.items()}
    for index, row in enumerate(rows):
        if (mean := of_rows.get(row)) is None:
            continue
        axes.barh(index, mean.value, color=colours[index].colour, height=0.7)
        if mean.deviation:
            deviation = {"xerr": mean.deviation, "color": INK, "capsize": 2, "linewidth": 1}
            axes.errorbar(mean.value, index, **deviation)  # type: ignore[arg-type]
    names = [textwrap.fill(row.strip(), 30) if named else "" for row in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=8, parse_math=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    if log:
        axes.set_xscale("log")
    else:
        axes.locator_params(axis="x", nbins=5)


def _lines(
    axes: Axes, content: Mapping[tuple[str, float], Mean], rows: Sequence[str], figure: Figure
) -> None:
    for row, style in zip(rows, styles(rows), strict=True):
        points = sorted((x, mean) for (own, x), mean in content.items() if own == row)
        if points:
            axes.errorbar(
                [x for x, _ in points],
                [mean.value for _, mean in points],
                yerr=[mean.deviation or 0.0 for _, mean in points],
                label=row.strip(),
                capsize=3,
                linewidth=1.5,
                markersize=5,
                marker=style.mark,
                **style.line(),
            )
    ticks = sorted({x for _, x in content})
    if figure.log_x:
        axes.set_xscale("log")
        axes.minorticks_off()
    if figure.log_x or len(ticks) <= _MOST_TICKS:
        axes.set_xticks(ticks, [f"{x:g}" for x in ticks], fontsize=8 if len(ticks) > 5 else 10)
    axes.set_xlabel(figure.axis)


def _curves(axes: Axes, content: Mapping[str, list[Curve]], rows: Sequence[str]) -> None:
    for row, own in zip(rows, styles(rows), strict=True):
        curves, style = content.get(row, []), own.line()
        for curve in curves:  # every seed, thin
            axes.plot(*zip(*curve, strict=True), linewidth=0.6, alpha=0.35, **style)
        if middle := _middle(curves):
            mark: dict[str, Any] = {"marker": "o", "markersize": 3} if len(middle) == 1 else {}
            label = row.strip()
            axes.plot(*zip(*middle, strict=True), linewidth=1.8, label=label, **mark, **style)
    axes.set_xlabel("images seen")
    axes.locator_params(axis="x", nbins=6)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value else "0")


def _logarithmic(axes: Axes) -> None:
    """Plain numbers at powers of ten, and at 2 and 5 where those are few."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: PLC0415

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    between = (1.0, 2.0, 5.0) if high / low > 4 else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
    axes.yaxis.set_major_locator(LogLocator(subs=between if high / low < 300 else (1.0,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _middle(curves: Sequence[Curve]) -> Curve:
    """Mean over seeds at each common moment, smoothed over five."""
    if not curves:
        return []
    by_moment = [dict(curve) for curve in curves]
    common = sorted(set.intersection(*map(set, by_moment)))
    values = [statistics.fmean(curve[x] for curve in by_moment) for x in common]
    smooth = [statistics.fmean(values[max(0, at - 2) : at + 3]) for at in range(len(values))]
    return list(zip(common, smooth, strict=True))


def _legend(axes: Sequence[Axes], whole: Any) -> None:
    """A legend below the panels, with each row once."""
    handles: dict[str, Any] = {}
    for each in axes:
        for handle, label in zip(*each.get_legend_handles_labels(), strict=True):
            handles.setdefault(label.replace("$", r"\$"), handle)
    if handles:
        across = max(1, min(len(handles), int(whole.get_figwidth() / 2.3)))
        style = {"loc": "outside lower left", "fontsize": 9, "frameon": False}
        whole.legend(list(handles.values()), list(handles), ncols=across, **style)
