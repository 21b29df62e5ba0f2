"""Figures of a suite: bars of means, dependences, and curves over images seen; PNG bytes."""

from __future__ import annotations

import math
import statistics
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reacgan.reports.plots import figure_png, new_figure
from reacgan.suites.base import Figure
from reacgan.suites.results import Mean, Result, means
from reacgan.suites.words import in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Run = list[tuple[float, float]]
Key = tuple[str, str, float | None]
"""Column, row, place on the axis."""

_COLOURS = ("#c05621", "#2b6cb0", "#2f855a", "#6b46c1", "#b7791f", "#4a5568", "#d53f8c", "#319795")
_MARKS = "osD^vPX*"
_DASHES = ("-", "--", ":")
_WIDE = 11.6
_ALONE = 6.4
_HIGH = 3.1

Place = tuple[str, str]
"""A panel: what is shown, and of which column."""


def draw(figure: Figure, results: Sequence[Result]) -> bytes | None:
    """The figure; None where nothing of it was measured."""
    complete = [one for one in results if one.complete]
    return {"bars": _bars, "lines": _lines, "curves": _curves}[figure.kind](figure, complete)


def _panels(
    shown: Sequence[Place], title: str, results: Sequence[Result], height: float = _HIGH
) -> tuple[list[Axes], Any, int]:
    """Axes beside each other, the whole figure, and how many are in a row: at most three."""
    count = len(shown)
    across = 2 if count == 4 else min(count, 3)
    down = math.ceil(count / across)
    wide = _WIDE if count > 1 else _ALONE
    figure = new_figure(height * down + 0.9, wide)
    told = textwrap.fill(title, int(12 * wide))
    figure.suptitle(told, x=0.01, ha="left", fontsize=11, parse_math=False)
    axes = [figure.add_subplot(down, across, place + 1) for place in range(count)]
    for one, (name, column) in zip(axes, shown, strict=True):
        one.spines[["top", "right"]].set_visible(False)
        one.grid(alpha=0.3)
        one.set_axisbelow(True)
        words = in_words(name, _features(results))
        told = textwrap.fill(
            f"{words} · {_plain(column)}" if column else words, int(12 * wide / across)
        )
        one.set_title(told, fontsize=9, loc="left", parse_math=False)
    return axes, figure, across


def _plain(column: str) -> str:
    return column.replace("_", " ")


def _features(results: Sequence[Result]) -> str:
    """Whose features the distances are in, if all results agree."""
    found = set()
    for one in results:
        held = one.held.get("protocol", {}).get("extractor")
        found.add(held.get("name", "") if isinstance(held, Mapping) else "")
    return found.pop() if len(found) == 1 else ""


def _style(place: int) -> dict[str, Any]:
    """Colours come again after eight rows, with other lines."""
    return {
        "color": _COLOURS[place % len(_COLOURS)],
        "linestyle": _DASHES[place // len(_COLOURS) % len(_DASHES)],
    }


def _finite(held: Mapping[Key, Mean]) -> dict[Key, Mean]:
    return {key: mean for key, mean in held.items() if math.isfinite(mean.value)}


def _shown(
    figure: Figure, results: Sequence[Result]
) -> tuple[list[str], dict[Place, dict[Key, Mean]]]:
    """All rows, and the means of each panel that has any."""
    rows = list(dict.fromkeys(one.trial.row for one in results))
    columns = list(dict.fromkeys(one.trial.column for one in results))
    held = {
        (name, column): _finite(means([one for one in results if one.trial.column == column], name))
        for column in columns
        for name in figure.names
    }
    return rows, {place: found for place, found in held.items() if found}


def _bars(figure: Figure, results: Sequence[Result]) -> bytes | None:
    rows, shown = _shown(figure, results)
    if not shown:
        return None
    height = 0.75 + 0.27 * len(rows)
    axes, whole, across = _panels(list(shown), figure.title, results, height)
    for number, (one, held) in enumerate(zip(axes, shown.values(), strict=True)):
        found = {row: mean for (_, row, _), mean in held.items()}
        places = [place for place, row in enumerate(rows) if row in found]
        values = [found[rows[place]] for place in places]
        one.barh(
            places,
            [mean.value for mean in values],
            color=[_COLOURS[place % len(_COLOURS)] for place in places],
            height=0.7,
        )
        for place, mean in zip(places, values, strict=True):
            if mean.deviation:
                one.errorbar(
                    mean.value, place, xerr=mean.deviation, color="#1a202c", capsize=2, linewidth=1
                )
        names = [_short(row) for row in rows] if number % across == 0 else [""] * len(rows)
        one.set_yticks(range(len(rows)), names, fontsize=8, parse_math=False)
        one.set_ylim(len(rows) - 0.4, -0.6)
        if figure.log_x:
            one.set_xscale("log")
        else:
            one.locator_params(axis="x", nbins=5)
    return figure_png(whole)


def _short(row: str) -> str:
    return textwrap.fill(row.strip(), 30)


def _lines(figure: Figure, results: Sequence[Result]) -> bytes | None:
    placed = [one for one in results if one.trial.x is not None]
    rows, shown = _shown(figure, placed)
    if not shown:
        return None
    axes, whole, _ = _panels(list(shown), figure.title, placed)
    for one, held in zip(axes, shown.values(), strict=True):
        for place, row in enumerate(rows):
            points = sorted(
                ((x, mean) for (_, mine, x), mean in held.items() if mine == row and x is not None),
                key=lambda pair: pair[0],
            )
            if not points:
                continue
            one.errorbar(
                [x for x, _ in points],
                [mean.value for _, mean in points],
                yerr=[mean.deviation or 0.0 for _, mean in points],
                label=row.strip(),
                capsize=3,
                linewidth=1.5,
                markersize=5,
                marker=_MARKS[place % len(_MARKS)],
                **_style(place),
            )
        ticks = sorted({x for (_, _, x) in held if x is not None})
        if figure.log_x:
            one.set_xscale("log")
            one.minorticks_off()
        if figure.log_x or len(ticks) <= _MOST_TICKS:
            one.set_xticks(ticks, [f"{x:g}" for x in ticks], fontsize=8 if len(ticks) > 5 else 10)
        if figure.log_y:
            _logarithmic(one)
        one.set_xlabel(figure.axis)
    _legend(axes, whole)
    return figure_png(whole)


_MOST_TICKS = 6


def _curves(figure: Figure, results: Sequence[Result]) -> bytes | None:
    rows = list(dict.fromkeys(one.trial.row for one in results))
    columns = list(dict.fromkeys(one.trial.column for one in results))
    shown: dict[Place, dict[str, list[Run]]] = {}
    for column in columns:
        for name in figure.names:
            for result in results:
                run = [(x, y) for x, y in result.series(name) if math.isfinite(y)]
                if run and result.trial.column == column:
                    of_rows = shown.setdefault((name, column), {})
                    of_rows.setdefault(result.trial.row, []).append(run)
    if not shown:
        return None
    axes, whole, _ = _panels(list(shown), figure.title, results)
    for one, held in zip(axes, shown.values(), strict=True):
        for place, row in enumerate(rows):
            runs = held.get(row, [])
            for run in runs:  # every seed, thin
                one.plot(*zip(*run, strict=True), linewidth=0.6, alpha=0.35, **_style(place))
            if middle := _middle(runs):
                style: dict[str, Any] = {"marker": "o", "markersize": 3} if len(middle) == 1 else {}
                one.plot(
                    *zip(*middle, strict=True),
                    linewidth=1.8,
                    label=row.strip(),
                    **style,
                    **_style(place),
                )
        if figure.log_y:
            _logarithmic(one)
        one.set_xlabel("images seen")
        one.locator_params(axis="x", nbins=6)
        one.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value else "0")
    _legend(axes, whole)
    return figure_png(whole)


def _logarithmic(axes: Axes) -> None:
    """Plain numbers at powers of ten, at 2 and 5 too where there are few of those."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: PLC0415

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    between = (1.0, 2.0, 5.0) if high / low > 4 else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
    axes.yaxis.set_major_locator(LogLocator(subs=between if high / low < 300 else (1.0,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _middle(runs: Sequence[Run]) -> Run:
    """Mean over seeds at each moment that all of them have, smoothed over five."""
    if not runs:
        return []
    common = sorted(set.intersection(*({x for x, _ in run} for run in runs)))
    held = [dict(run) for run in runs]
    values = [statistics.fmean(run[x] for run in held) for x in common]
    smooth = [
        statistics.fmean(values[max(0, place - 2) : place + 3]) for place in range(len(values))
    ]
    return list(zip(common, smooth, strict=True))


def _legend(axes: Sequence[Axes], whole: Any) -> None:
    """Below everything: each row once, whichever panels it is in."""
    found: dict[str, Any] = {}
    for one in axes:
        for handle, label in zip(*one.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if found:
        across = max(1, min(len(found), int(whole.get_figwidth() / 2.9)))
        whole.legend(
            list(found.values()),
            [name.replace("$", r"\$") for name in found],
            loc="outside lower left",
            ncols=across,
            fontsize=8,
            frameon=False,
        )
