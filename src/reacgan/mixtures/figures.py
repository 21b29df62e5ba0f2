"""Pictures of generated points beside the mixture, as PNG bytes; they need the extra ``plots``."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from reacgan.config import ConfigError
from reacgan.mixtures.results import summarise
from reacgan.mixtures.targets import Mixture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = (
    *("#2b6cb0", "#c05621", "#2f855a", "#b83280", "#6b46c1"),
    *("#b7791f", "#0987a0", "#9b2c2c", "#4a5568"),
)
_COLUMNS = 3


def panels(
    target: Mixture, results: Mapping[str, Mapping[str, Any]], captions: Mapping[str, str]
) -> bytes:
    """One panel a method: each class as it is and as it was generated.

    In 1-D a line is the true density of a class and the filled histogram the generated one. In 2-D
    dots are generated points, and the circles hold 39 and 86 of 100 real points of a class (one and
    two deviations).

    Args:
        target: the mixture.
        results: a result of it (``MixtureResult.to_json``) for each method, in the order of panels.
        captions: titles by method; a method's name where there is none.

    Raises:
        ConfigError: no result, or no matplotlib.
    """
    if not results:
        raise ConfigError("no result to draw; needed: one or more")
    columns = min(_COLUMNS, len(results))
    rows = math.ceil(len(results) / columns)
    height = 2.0 if target.dimensions == 1 else 3.0
    figure = _figure(max(3.2 * columns, 6.4), height * rows + 0.9)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flatten()
    for place, (method, result) in zip(axes, results.items(), strict=False):
        draw = _line_panel if target.dimensions == 1 else _plane_panel
        draw(place, target, result["points"])
        values = result["measures"]["by_class"]
        place.set_title(
            f"{captions.get(method, method)}\n"
            f"deviation × {values['deviation']:.2f}, agreement {values['agreement']:.2f}",
            fontsize=9,
        )
    for place in axes[len(results) :]:
        place.set_axis_off()
    settings = next(iter(results.values()))["settings"]
    what = "outlines: true densities, filled: generated"
    if target.dimensions == 2:
        what = "circles: one and two true deviations, dots: generated"
    figure.suptitle(
        f"{target.name} ({what}); real points agree {target.bayes_accuracy():.2f}; "
        f"seed {settings['seed']}, {settings['steps']} steps",
        fontsize=10,
    )
    return _bytes(figure)


def _line_panel(axes: Axes, target: Mixture, points: Sequence[Any]) -> None:
    low, high = (float(side[0]) for side in target.box(3.0))
    places = torch.linspace(low, high, 300)
    true = target.densities(places[:, None])
    for label, colour in zip(range(target.num_classes), _cycle(target), strict=True):
        mine = [min(max(point[0], low), high) for point in points[label]]
        axes.hist(mine, bins=48, range=(low, high), density=True, color=colour, alpha=0.35)
        axes.plot(places, true[:, label], color=colour, linewidth=1.4)
    axes.set_xlim(low, high)
    axes.set_ylim(0, 2.2 * float(true.max()))
    axes.set_yticks([])


def _plane_panel(axes: Axes, target: Mixture, points: Sequence[Any]) -> None:
    from matplotlib.patches import Circle  # noqa: PLC0415

    for label, colour in zip(range(target.num_classes), _cycle(target), strict=True):
        across, up = zip(*points[label], strict=True)
        axes.scatter(across, up, s=5, color=colour, alpha=0.6, linewidths=0)
        for times in (1, 2):
            axes.add_patch(
                Circle(
                    (target.means[label][0], target.means[label][1]),
                    times * target.deviations[label],
                    fill=False,
                    edgecolor=colour,
                    linewidth=1.0,
                    linestyle="-" if times == 1 else ":",
                )
            )
    low, high = (side.tolist() for side in target.box(3.0))
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])


def comparison(results: Sequence[Mapping[str, Any]], captions: Mapping[str, str]) -> bytes:
    """Two panels, a row a method and a mark a target: spread and agreement, with their deviations.

    Classes that are too well separated lie left of the line in the first and right of it in the second.

    Raises:
        ConfigError: no result, or no matplotlib.
    """
    found = summarise(results)
    if not found:
        raise ConfigError("no result to draw; needed: one or more")
    bayes = {
        result["settings"]["target"]["name"]: result["measures"]["by_class"]["agreement"]
        - result["measures"]["overall"]["separation"]
        for result in results
    }
    methods = list(dict.fromkeys(result["method"] for result in results))
    figure = _figure(9.6, 1.4 + 0.34 * len(methods))
    axes = figure.subplots(1, 2, sharey=True)
    for number, (target, rows) in enumerate(found.items()):
        shift = 0.16 * (number - (len(found) - 1) / 2)
        style: dict[str, Any] = {
            "color": _COLOURS[number % len(_COLOURS)],
            "marker": "osD^v"[number % 5],
            "linestyle": "none",
            "markersize": 5,
            "label": target,
        }
        places = [methods.index(method) + shift for method in rows]
        for place, column, less in ((axes[0], "deviation", 0.0), (axes[1], "agreement", 1.0)):
            middles = [row[column][0] - less * bayes[target] for row in rows.values()]
            spreads = [row[column][1] for row in rows.values()]
            place.errorbar(middles, places, xerr=spreads, **style)
    axes[0].set_yticks(range(len(methods)), [captions.get(one, one) for one in methods])
    axes[0].invert_yaxis()
    for place, ideal, title in (
        (axes[0], 1.0, "generated deviation of a class / true"),
        (axes[1], 0.0, "agreement less Bayes accuracy"),
    ):
        place.axvline(ideal, color="#a0aec0", linewidth=1, zorder=0)
        place.set_title(title, fontsize=10)
        place.grid(axis="y", alpha=0.25)
    axes[0].legend(fontsize=8, frameon=False)
    return _bytes(figure)


def _cycle(target: Mixture) -> list[str]:
    return [_COLOURS[label % len(_COLOURS)] for label in range(target.num_classes)]


def _figure(width: float, height: float) -> Figure:
    """A figure that no global state knows of."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError:
        raise ConfigError(
            "figures need matplotlib, which is not installed: pip install 'reacgan[plots]'"
        ) from None
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _bytes(figure: Figure) -> bytes:
    held = io.BytesIO()
    figure.savefig(held, format="png")
    return held.getvalue()
