"""Figures as PNG bytes: the parts that all figures share, and plots of scores and of a run's journal.

They need the extra ``plots``. Settings of matplotlib stay as they are. Figures are small enough to be read
on a telephone; words in any script are drawn with the fonts of sheets.
"""

from __future__ import annotations

import io
import statistics
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reacgan.config import ConfigError
from reacgan.evaluation.scores import Score
from reacgan.metrics.names import title_of
from reacgan.reports.palette import ACCENT, INK, SOFT, Style, styles
from reacgan.reports.record import Points, section
from reacgan.reports.tables import column
from reacgan.sampling import fonts
from reacgan.text import one_line, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

_MOST_BARS = 30
_MOST_LETTERS = 36
_WIDTH, _DPI, _TICK = 4.8, 160, 170


def new_figure(height: float, width: float = _WIDTH) -> Figure:
    """A figure; sizes in inches.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError:
        raise ConfigError(
            "plots need matplotlib, which is not installed: pip install 'reacgan[plots]'"
        ) from None
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def have_plots() -> bool:
    """Whether matplotlib is installed."""
    try:
        new_figure(1.0)
    except ConfigError:
        return False
    return True


def open_axes(axes: Axes, title: str = "") -> Axes:
    """The style of a panel: no frame at the top and right, a title at the left."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(textwrap.fill(one_line(title), 48), fontsize=10, loc="left", parse_math=False)
    return axes


def legend(figure: Figure, *entries: Sequence[Any], **options: Any) -> Legend:
    """Add a legend below the panels.

    Args:
        figure: of one panel or several.
        entries: handles and their names; by default all of the figure.
        options: of matplotlib's legend.
    """
    columns = max(1, round(figure.get_figwidth() / 2.4))
    style = {"loc": "outside lower left", "ncols": columns, "fontsize": 9, "frameon": False}
    options = style | options
    box = figure.legend(*entries, **options)
    for text in box.get_texts():
        text.set_parse_math(False)
    return box


def figure_png(figure: Figure, dpi: int = _DPI) -> bytes:
    """The figure as PNG, its words in any script; equal figures give equal bytes."""
    import matplotlib  # noqa: PLC0415
    from matplotlib.text import Text  # noqa: PLC0415

    png = io.BytesIO()
    words: list[Any] = figure.findobj(Text)  # those of ticks come when they are drawn: numbers
    for text in words:
        if any(fonts.font_of(cluster) is None for cluster in fonts.clusters(text.get_text())):
            text.set_text(fonts.spelt(text.get_text()))
    families = fonts.families(text.get_text() for text in words)
    for text in words:
        text.set_fontfamily(fonts.families([text.get_text()]))  # a bold word asks no other font
    with warnings.catch_warnings(), matplotlib.rc_context({"font.family": families}):
        warnings.simplefilter("ignore", UserWarning)  # of signs without ink
        figure.savefig(png, format="png", dpi=dpi, metadata={"Software": None})
    return png.getvalue()


def class_bars(score: Score, style: Style | None = None) -> bytes:
    """One bar a class of ``details["classes"]``, the worst on top, at most 30; ``style``: its colour.

    Dashed: the median of all classes, and the classifier's own accuracy where the settings hold it.

    Raises:
        ConfigError: no matplotlib, or no values of classes in the score.
    """
    _detail(score, "classes", Mapping)
    ranked = worst_first(score)
    if not ranked:
        raise ConfigError(f"{score.metric}: no class has a value; there is nothing to draw")
    shown = ranked[:_MOST_BARS]
    few = f"worst {len(shown)} of {len(ranked)} classes" if len(shown) < len(ranked) else "by class"
    lines = sum(_tick(name).count("\n") + 1 for name, _ in shown)
    figure = new_figure(1.3 + 0.2 * max(len(shown), lines))
    title = title_of(score.metric)
    said_already = few == "by class" and few in title
    axes = open_axes(figure.add_subplot(), title if said_already else f"{title}, {few}")
    rows = range(len(shown))
    colour = ACCENT if style is None else style.colour
    axes.barh(rows, [value for _, value in shown], color=colour, height=0.75)
    names = [_tick(name) for name, _ in shown]
    axes.set_yticks(rows, names, parse_math=False, fontsize=9)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    median = statistics.median(value for _, value in ranked)
    marks = [(f"median of the classes {median:.4g}", median, SOFT, "--")]
    own = section(score.protocol, "metric").get(f"judge_held_out_{score.metric}")
    if isinstance(own, int | float):
        said = f"the classifier itself on held-out real images {own:.4g}"
        marks.append((said, own, INK, ":"))
    for label, value, ink, dash in marks:
        axes.axvline(value, color=ink, linestyle=dash, linewidth=1.2, label=label)
    axes.grid(axis="x", alpha=0.3)
    legend(figure, ncols=1)
    return figure_png(figure)


def metric_curve(
    scores: Sequence[Score], metric: str, drawn_as: Mapping[str, Style] | None = None
) -> bytes:
    """A metric over images seen, a line for each subject, with intervals.

    ``drawn_as``: how subjects are drawn.

    Raises:
        ConfigError: no matplotlib, scores of different protocols, or none with images seen.
    """
    lines: dict[str, dict[int, Score]] = {}
    for score in column(scores, metric):
        if score.images_seen is not None:
            lines.setdefault(score.subject, {})[score.images_seen] = score
    if not lines:
        raise ConfigError(f"{metric}: no score holds the number of images seen")
    figure = new_figure(3.2)
    axes = figure.add_subplot()
    better = "neither"
    for (subject, states), style in zip(lines.items(), _styles(lines, drawn_as), strict=True):
        seen = sorted(states)
        values = [states[at].value for at in seen]
        mark: dict[str, Any] = {"marker": style.mark, "markersize": 4, "label": _label(subject)}
        line = axes.plot(seen, values, **mark, **style.line())[0]
        known = [at for at in seen if states[at].low is not None and states[at].high is not None]
        low, high = [states[at].low for at in known], [states[at].high for at in known]
        if len(known) > 1:
            axes.fill_between(known, low, high, color=line.get_color(), alpha=0.15, linewidth=0)  # type: ignore[arg-type]
        elif known:
            axes.vlines(known, low, high, color=line.get_color(), alpha=0.5)  # type: ignore[arg-type]
        better = states[seen[0]].better
    toward = "" if better == "neither" else f" ({better} is better)"
    return _finish(axes, f"{title_of(metric)}{toward}", "images seen", len(lines) > 1)


def extrapolation(score: Score, style: Style | None = None) -> bytes:
    """FID over 1/N with the fitted line and its value at infinite N; ``style``: of the points.

    ``details`` holds ``images`` (each N) and ``fid`` (each value).

    Raises:
        ConfigError: no matplotlib, or no such values in the score.
    """
    counts, values = _detail(score, "images", Sequence), _detail(score, "fid", Sequence)
    if len(counts) != len(values) or not counts:
        raise ConfigError(f"{score.metric}: {len(counts)} counts and {len(values)} values of FID")
    axes = new_figure(3.2).add_subplot()
    inverse = [1 / count for count in counts]
    colour = ACCENT if style is None else style.colour
    axes.plot(inverse, values, "o", color=colour, markersize=4, label="FID of N images")
    if len(set(inverse)) > 1:
        fit = statistics.linear_regression(inverse, values)
        ends = [0.0, max(inverse)]
        line = [fit.intercept + fit.slope * end for end in ends]
        axes.plot(ends, line, color=SOFT, linestyle="--", label="straight line")
    error = None
    if score.low is not None and score.high is not None:
        error = [[max(score.value - score.low, 0)], [max(score.high - score.value, 0)]]
    label = _label(score.metric)
    axes.errorbar([0], [score.value], yerr=error, fmt="s", color=INK, label=label)
    axes.set_xlim(left=-0.03 * max(inverse))
    axes.set_ylabel("FID")
    return _finish(axes, f"{title_of(score.metric)}: {score.value:.4g}", "1 / N", True)


def precision_recall(score: Score, style: Style | None = None) -> bytes:
    """The curve in ``details["curve"]``: precision and recall of distributions; ``style``: its colour.

    Raises:
        ConfigError: no matplotlib, or no curve in the score.
    """
    points = _detail(score, "curve", Sequence)
    try:
        recall = [float(point["recall"]) for point in points]
        precision = [float(point["precision"]) for point in points]
    except (TypeError, KeyError, ValueError) as error:
        raise ConfigError(f"{score.metric}: damaged curve: {error!r}") from None
    axes = new_figure(4.0, width=4.4).add_subplot()
    colour = ACCENT if style is None else style.colour
    axes.plot(recall, precision, color=colour, marker="." if len(points) < 3 else "")
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), ylabel="precision", aspect="equal")
    return _finish(axes, "precision and recall of distributions", "recall", False)


def journal_curve(
    series: Mapping[str, Points],
    title: str,
    *,
    from_zero: bool = False,
    drawn_as: Mapping[str, Style] | None = None,
) -> bytes:
    """Lines of (images seen, value) by name; ``drawn_as``: how names are drawn.

    Raises:
        ConfigError: no matplotlib, or no point.
    """
    drawn = {name: points for name, points in series.items() if points}
    if not drawn:
        raise ConfigError(f"{title}: there is nothing to draw")
    axes = new_figure(2.8).add_subplot()
    for (name, points), style in zip(drawn.items(), _styles(drawn, drawn_as), strict=True):
        mark = style.mark if len(points) == 1 else ""
        line = {"label": _label(name), "marker": mark, "linewidth": 1.2, **style.line()}
        axes.plot(*zip(*points, strict=True), **line)
    if from_zero:
        axes.set_ylim(bottom=0)
    return _finish(axes, title, "images seen", len(drawn) > 1)


def pictures_of(score: Score, style: Style | None = None) -> dict[str, bytes]:
    """All pictures that the details of a score allow, by what they show; ``style``: of what was scored.

    Raises:
        ConfigError: no matplotlib.
    """
    plots = (
        ("classes", "classes", class_bars),
        ("fid", "extrapolation to infinitely many images", extrapolation),
        ("curve", "precision and recall", precision_recall),
    )
    return {caption: draw(score, style) for key, caption, draw in plots if score.details.get(key)}


def worst_first(score: Score) -> list[tuple[str, float]]:
    """Classes and values of ``details["classes"]``."""
    classes = section(score.details, "classes").items()
    values = [(str(name), value) for name, value in classes if isinstance(value, int | float)]
    return sorted(values, key=lambda pair: pair[1], reverse=score.better == "lower")


def _styles(names: Mapping[str, Any], known: Mapping[str, Style] | None) -> list[Style]:
    """Of names that are drawn together: the known ones, or by their order."""
    if known is not None and all(name in known for name in names):
        return [known[name] for name in names]
    return styles(list(names))


def _tick(name: str) -> str:
    """A name beside a bar: in two lines at most, both ends of a very long one."""
    return "\n".join(fonts.wrapped(shorten(name, _MOST_LETTERS), 12, _TICK))


def _detail(score: Score, key: str, kind: Any) -> Any:
    value = score.details.get(key)
    if not isinstance(value, kind) or isinstance(value, str):
        known = ", ".join(score.details) or "none"
        raise ConfigError(f"{score.metric} has no details {key!r} to draw; it has: {known}")
    return value


def _finish(axes: Axes, title: str, along: str, named: bool) -> bytes:
    open_axes(axes, title)
    axes.set_xlabel(along)
    axes.grid(alpha=0.3)
    if "images" in along:
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.locator_params(axis="x", nbins=4)
    figure: Any = axes.figure
    if named:
        legend(figure)
    return figure_png(figure)


def _label(name: str) -> str:
    """A name for a legend, which omits names that start with an underscore."""
    short = shorten(fonts.visible(name), _MOST_LETTERS)
    return f" {short}" if short.startswith("_") else short
