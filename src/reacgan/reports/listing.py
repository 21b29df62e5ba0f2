"""The scores of one subject as a list, with their protocols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reacgan.evaluation.protocols import describe, name_of
from reacgan.evaluation.scores import Score
from reacgan.reports.record import section
from reacgan.reports.tables import TINY, Cell, aligned, interval, owners_of, with_arrow
from reacgan.reports.text import one_line

_MOST_SETTINGS = 3
_MOST_CLASSES = 4


def listing(scores: Sequence[Score]) -> str:
    """Lines for a terminal: warnings, a row a score, its interval, the worst classes, the protocol.

    All scores are of one subject and one pass, so the shared protocol is listed once.
    """
    if not scores:
        return "no scores"
    rows = [
        [
            Cell(with_arrow(score.metric, score.better)),
            Cell(_number(score.value)),
            Cell(interval(score, _number)),
            Cell(_detail(score)),
        ]
        for score in scores
    ]
    first = scores[0]
    protocol = {
        key: value for key, value in first.protocol.items() if key not in ("metric", "software")
    }
    names = {name_of(score.protocol) for score in scores}
    warnings = dict.fromkeys(text for score in scores for text in score.warnings)
    lines = [
        one_line(first.subject or "images"),
        *(f"warning: {one_line(text)}" for text in warnings),
        "",
        *aligned(["score", "value", "interval", "what with"], rows),
        "",
        *(f"protocol {name}:" for name in names if len(names) == 1 and name),
        *(f"  {one_line(text)}" for text in describe(protocol)),
    ]
    metrics = {score.metric for score in scores}
    notes = owners_of((note, score.metric) for score in scores for note in score.notes)
    for note, owners in notes.items():
        everywhere = len(owners) == len(metrics) and len(scores) > 1
        lines.append(f"note: {'' if everywhere else ', '.join(owners) + ': '}{one_line(note)}")
    return "\n".join(lines)


def _number(value: float) -> str:
    size = abs(value)
    if size == 0:
        return "0"
    if not TINY <= size < 1e6:
        return f"{value:.3g}"
    return f"{value:,.4f}" if size < 10 else f"{value:,.2f}"


def _detail(score: Score) -> str:
    """The worst classes with their values, or the settings that matter most."""
    worst: Any = score.details.get("worst")
    if isinstance(worst, list | Mapping) and worst:
        values = section(score.details, "classes")
        pairs = [[*entry] if isinstance(entry, list) else [entry] for entry in worst]
        names = [str(entry[0]) for entry in pairs[:_MOST_CLASSES] if entry]
        numbers = {key: float(value) for key, value in values.items() if _is_number(value)}
        return "worst: " + ", ".join(_with_value(name, numbers.get(name)) for name in names)
    settings = section(score.protocol, "metric")
    needed = ("chance", "percentile", f"judge_held_out_{score.metric}")  # to interpret the value
    keys = dict.fromkeys([*(key for key in needed if key in settings), *settings])
    words = [
        _with_value(key.replace("judge", "classifier").replace("_", " "), settings[key])
        for key in keys
        if isinstance(settings[key], str) or _is_number(settings[key])
    ]
    return ", ".join(words[:_MOST_SETTINGS])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _with_value(name: str, value: object) -> str:
    if isinstance(value, float):
        return f"{name} {value:.3g}"
    return name if value is None else f"{name} {value}"
