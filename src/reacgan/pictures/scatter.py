"""Points of two dimensions coloured by class, each class named where its points are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from reacgan.reports.palette import SOFT, class_style
from reacgan.reports.plots import figure_png, legend, new_figure
from reacgan.sampling import fonts
from reacgan.sampling.grids import rows_for
from reacgan.text import shorten

_SIDE, _LEGEND, _NAME = 4.4, 9, 8
"""Of a panel in inches; sizes of the words in points."""
_LETTERS, _NEAR_LETTERS = 36, 14
_LINE, _KEY, _WIDTH = 81, 30, 345
"""In points: the longest line in the legend, what stands beside it, all of it."""
_BOLD, _WAYS = 1.2, (-1, 1, -3, 3, -5, 5, -7)
"""Bold over regular width; lower edges of a name that are tried, in half lines from its points."""
_DENSE = 400
"""With more points those of a class are smaller."""


def draw_points(parts: Mapping[str, Tensor], labels: Tensor, names: Sequence[str]) -> bytes:
    """A panel a part, one below the other, with common limits.

    Of more than 25 classes, 25 evenly spaced ones have colours and names, as on sheets; others are grey.
    A name that would cover another one is moved up or down; without room it is left to the legend.

    Args:
        parts: by title, float ``[N, 2]``.
        labels: int64 ``[N]``, the same for all parts.
        names: of the classes.
    """
    figure = new_figure(_SIDE * len(parts) + 1.4)
    panels: Any = figure.subplots(len(parts), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    low, high = torch.cat(list(parts.values())).aminmax(dim=0)
    middle, half = ((low + high) / 2).tolist(), 0.53 * float((high - low).max()) or 1.0
    named = [label for label in rows_for(len(names)) if bool((labels == label).any())]
    others = ~torch.isin(labels, torch.tensor(named))
    size = 16 if len(labels) <= _DENSE else 9
    for axes, (title, points) in zip(panels, parts.items(), strict=True):
        axes.set_title(title, fontsize=10, loc="left")
        axes.set(xticks=[], yticks=[], aspect="equal")
        axes.spines[:].set_color(SOFT)
        axes.set(
            xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half)
        )
        axes.scatter(*points[others].T.numpy(), color=SOFT, s=5, alpha=0.35, linewidths=0)
        for rank, label in enumerate(named):
            style = class_style(rank)
            drawn: dict[str, Any] = {"s": size, "alpha": 0.75, "linewidths": 0}
            drawn |= {"color": style.colour, "marker": style.mark, "label": _words(names[label])}
            axes.scatter(*points[labels == label].T.numpy(), **drawn)
        _name(axes, {label: points[labels == label] for label in named}, names, 2 * half)
    _legend(figure, panels[0], len(names) - len(named))
    return figure_png(figure)


def _name(axes: Any, points: Mapping[int, Tensor], names: Sequence[str], side: float) -> None:
    """Write each class at the median of its points; ``side``: of the panel, in their units."""
    from matplotlib.patheffects import withStroke  # noqa: PLC0415

    scale = side / (72 * _SIDE)
    boxes: list[tuple[float, float, float, float]] = []
    for rank, (label, own) in enumerate(points.items()):
        x, y = own.median(dim=0).values.tolist()
        text = shorten(fonts.visible(names[label]), _NEAR_LETTERS)
        wide = (_BOLD * fonts.text_width(text, _NAME) + 7) / 2 * scale
        high = (fonts.line_height(_NAME) + 1) / 2 * scale
        ways = [(x - wide, x + wide, y + way * high, y + (way + 2) * high) for way in _WAYS]
        free = (box for box in ways if not any(_meet(box, other) for other in boxes))
        if (box := next(free, None)) is None:
            continue
        boxes.append(box)
        y = (box[2] + box[3]) / 2
        written = axes.text(x, y, text, fontsize=_NAME, ha="center", va="center", parse_math=False)
        written.set_color(class_style(rank).colour)
        if len(fonts.families([text])) == 1:  # other fonts have one weight
            written.set_fontweight("bold")
        written.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
        written.set_in_layout(False)


def _meet(box: Sequence[float], other: Sequence[float]) -> bool:
    return box[0] < other[1] and other[0] < box[1] and box[2] < other[3] and other[2] < box[3]


def _legend(figure: Any, axes: Any, rest: int) -> None:
    """In as many columns as the longest name allows."""
    handles, texts = axes.get_legend_handles_labels()
    longest = max(fonts.text_width(line, _LEGEND) for text in texts for line in text.split("\n"))
    columns = max(1, min(8, int(_WIDTH // (_KEY + longest))))
    close = {"columnspacing": 1.0, "handlelength": 1.0, "markerscale": 1.5, "fontsize": _LEGEND}
    box = legend(figure, handles, texts, ncols=columns, alignment="left", **close)
    if rest:
        box.set_title(f"{len(texts)} of {len(texts) + rest} classes; grey: the others")
        box.get_title().set_fontsize(_LEGEND)


def _words(name: str) -> str:
    """A name for the legend, which leaves out those that start with an underscore."""
    return " " + "\n".join(fonts.wrapped(shorten(name, _LETTERS), _LEGEND, _LINE))
