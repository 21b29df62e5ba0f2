"""Pictures of scores and of a run's journal, as PNG bytes; they need the extra ``plots``."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reacgan.config import ConfigError
from reacgan.evaluation.scores import Score
from reacgan.pictures.drawing import figure_png, new_figure
from reacgan.reports.tables import column
from reacgan.reports.text import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_BARS = 30
_MOST_LETTERS = 36
_WIDTH = 7.0
_ACCENT, _SOFT, _SECOND = "#2b6cb0", "#a0aec0", "#c05621"

Points = Sequence[tuple[float, float]]


def class_bars(score: Score) -> bytes:
    """One bar a class of ``details["classes"]``, the worst on top, the worst 30 of many.

    Dashed: the median of all classes, and where the settings hold it the judge's own accuracy.

    Raises:
        ConfigError: no matplotlib, or no values of classes in the score.
    """
    held = _detail(score, "classes", Mapping)
    values = {
        str(name): float(value) for name, value in held.items() if isinstance(value, int | float)
    }
    if not values:
        raise ConfigError(f"{score.metric}: no class has a value; there is nothing to draw")
    ranked = sorted(values.items(), key=lambda one: one[1], reverse=score.better == "lower")
    shown = ranked[:_MOST_BARS]
    figure, axes = _figure(1.1 + 0.22 * len(shown))
    places = range(len(shown))
    axes.barh(places, [value for _, value in shown], color=_ACCENT, height=0.75)
    axes.set_yticks(places, [_short(name) for name, _ in shown], parse_math=False, fontsize=8)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    median = statistics.median(values.values())
    marks = [(f"median of the classes {median:.4g}", median, _SOFT)]
    settings = score.protocol.get("metric")
    own = settings.get(f"judge_held_out_{score.metric}") if isinstance(settings, Mapping) else None
    if isinstance(own, int | float):
        marks.append((f"the judge itself on held-out real images {own:.4g}", own, _SECOND))
    for label, value, colour in marks:
        axes.axvline(value, color=colour, linestyle="--", linewidth=1, label=label)
    few = f"worst {len(shown)} of {len(values)} classes" if len(shown) < len(values) else "by class"
    _title(axes, f"{score.metric}, {few}")
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside lower left", ncols=2, fontsize=8, frameon=False)
    return figure_png(figure)


def metric_curve(scores: Sequence[Score], metric: str) -> bytes:
    """A metric over the images that generators have seen, a line for each subject, with intervals.

    Raises:
        ConfigError: no matplotlib, scores of different protocols, or none with images seen.
    """
    lines: dict[str, dict[int, Score]] = {}
    for score in column(scores, metric):
        if score.images_seen is not None:
            lines.setdefault(score.subject, {})[score.images_seen] = score
    if not lines:
        raise ConfigError(f"{metric}: no score says how many images its generator has seen")
    figure, axes = _figure(3.2)
    better = "neither"
    for subject, states in lines.items():
        seen = sorted(states)
        line = axes.plot(
            seen, [states[at].value for at in seen], marker="o", markersize=4, label=_key(subject)
        )[0]
        known = [at for at in seen if states[at].low is not None and states[at].high is not None]
        low, high = [states[at].low for at in known], [states[at].high for at in known]
        if len(known) > 1:
            axes.fill_between(known, low, high, color=line.get_color(), alpha=0.15, linewidth=0)  # type: ignore[arg-type]
        elif known:
            axes.vlines(known, low, high, color=line.get_color(), alpha=0.5)  # type: ignore[arg-type]
        better = states[seen[0]].better
    toward = "" if better == "neither" else f" ({better} is better)"
    return _finish(figure, axes, f"{metric}{toward}", "images seen", len(lines) > 1)


def extrapolation(score: Score) -> bytes:
    """FID against 1/N with the line through its values, and where that meets infinite N.

    ``details`` holds ``images`` (each N) and ``fid`` (each value).

    Raises:
        ConfigError: no matplotlib, or no such values in the score.
    """
    counts, values = _detail(score, "images", Sequence), _detail(score, "fid", Sequence)
    if len(counts) != len(values) or not counts:
        raise ConfigError(f"{score.metric}: {len(counts)} counts and {len(values)} values of FID")
    figure, axes = _figure(3.2)
    inverse = [1 / count for count in counts]
    axes.plot(inverse, values, "o", color=_ACCENT, markersize=4, label="FID of N images")
    if len(set(inverse)) > 1:
        fit = statistics.linear_regression(inverse, values)
        ends = [0.0, max(inverse)]
        line = [fit.intercept + fit.slope * end for end in ends]
        axes.plot(ends, line, color=_SOFT, linestyle="--", label="straight line")
    error = None
    if score.low is not None and score.high is not None:
        error = [[max(score.value - score.low, 0)], [max(score.high - score.value, 0)]]
    axes.errorbar([0], [score.value], yerr=error, fmt="s", color=_SECOND, label=_key(score.metric))
    axes.set_xlim(left=-0.03 * max(inverse))
    axes.set_ylabel("FID")
    return _finish(figure, axes, f"{score.metric}: {score.value:.4g}", "1 / N", True)


def precision_recall(score: Score) -> bytes:
    """The curve in ``details["curve"]``: precision and recall of distributions.

    Raises:
        ConfigError: no matplotlib, or no curve in the score.
    """
    points = _detail(score, "curve", Sequence)
    try:
        recall = [float(point["recall"]) for point in points]
        precision = [float(point["precision"]) for point in points]
    except (TypeError, KeyError, ValueError) as error:
        raise ConfigError(f"{score.metric}: its curve is not read: {error!r}") from None
    figure, axes = _figure(4.0, width=4.4)
    axes.plot(recall, precision, color=_ACCENT, marker="." if len(points) < 3 else "")
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), ylabel="precision", aspect="equal")
    return _finish(figure, axes, "precision and recall of distributions", "recall", False)


def journal_curve(series: Mapping[str, Points], title: str, *, from_zero: bool = False) -> bytes:
    """Lines of (images seen, value) by name.

    Raises:
        ConfigError: no matplotlib, or not one point.
    """
    held = {name: points for name, points in series.items() if points}
    if not held:
        raise ConfigError(f"{title}: there is nothing to draw")
    figure, axes = _figure(2.8)
    for name, points in held.items():
        mark = "o" if len(points) == 1 else ""
        axes.plot(*zip(*points, strict=True), label=_key(name), marker=mark, linewidth=1.2)
    if from_zero:
        axes.set_ylim(bottom=0)
    return _finish(figure, axes, title, "images seen", len(held) > 1)


def pictures_of(score: Score) -> dict[str, bytes]:
    """Every picture that the details of a score allow, by a caption.

    Raises:
        ConfigError: no matplotlib.
    """
    drawn = {}
    for key, caption, draw in (
        ("classes", "classes", class_bars),
        ("fid", "extrapolation to infinitely many images", extrapolation),
        ("curve", "precision and recall", precision_recall),
    ):
        if score.details.get(key):
            drawn[f"{score.metric}: {caption}"] = draw(score)
    return drawn


def have_plots() -> bool:
    """Whether matplotlib is there."""
    try:
        _figure(1.0)
    except ConfigError:
        return False
    return True


def _detail(score: Score, key: str, kind: Any) -> Any:
    held = score.details.get(key)
    if not isinstance(held, kind) or isinstance(held, str):
        known = ", ".join(score.details) or "none"
        raise ConfigError(f"{score.metric} has no details {key!r} to draw; it has: {known}")
    return held


def _figure(height: float, width: float = _WIDTH) -> tuple[Figure, Axes]:
    figure = new_figure(height, width)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _finish(figure: Figure, axes: Axes, title: str, along: str, legend: bool) -> bytes:
    _title(axes, title)
    axes.set_xlabel(along)
    axes.grid(alpha=0.3)
    if "images" in along:
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.locator_params(axis="x", nbins=6)
    if legend:  # below, where it hides no line
        box = figure.legend(loc="outside lower left", ncols=3, fontsize=8, frameon=False)
        for text in box.get_texts():
            text.set_parse_math(False)
    return figure_png(figure)


def _title(axes: Axes, text: str) -> None:
    axes.set_title(one_line(text), fontsize=10, loc="left", parse_math=False)


def _short(name: str) -> str:
    """Long names lose their middle: both ends may tell classes apart."""
    text = one_line(name)
    half = _MOST_LETTERS // 2
    return text if len(text) <= _MOST_LETTERS else f"{text[:half]}…{text[-half + 1 :]}"


def _key(name: str) -> str:
    """For a legend, which leaves out what starts with an underscore."""
    return f" {_short(name)}" if name.startswith("_") else _short(name)
