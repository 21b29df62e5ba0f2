"""The scores of one subject, one below another, with what they depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reacgan.evaluation.protocols import describe, name_of
from reacgan.evaluation.scores import Score
from reacgan.reports.text import TINY, Cell, aligned, one_line

_ARROWS = {"lower": "↓", "higher": "↑", "neither": ""}
_MOST_SETTINGS = 3
_MOST_CLASSES = 4


def listing(scores: Sequence[Score]) -> str:
    """Lines for a terminal: warnings, a row a score, its interval, the worst classes, then the protocol.

    All scores are of one subject and one pass, so what they share is said once.
    """
    if not scores:
        return "no scores"
    rows = [
        [
            Cell(f"{score.metric} {_ARROWS[score.better]}".strip()),
            Cell(_number(score.value)),
            Cell(_interval(score)),
            Cell(_detail(score)),
        ]
        for score in scores
    ]
    head = ["score", "value", "interval", "what with"]
    protocol = {
        key: value for key, value in scores[0].protocol.items() if key not in ("metric", "software")
    }
    named = {name_of(score.protocol) for score in scores}
    warnings = dict.fromkeys(text for score in scores for text in score.warnings)
    lines = [
        one_line(scores[0].subject or "images"),
        *(f"warning: {one_line(text)}" for text in warnings),
        "",
        *aligned(head, rows),
        "",
    ]
    if len(named) == 1 and None not in named:
        lines.append(f"protocol {named.pop()}:")
    lines += [f"  {one_line(text)}" for text in describe(protocol)]
    notes: dict[str, list[str]] = {}
    for score in scores:
        for note in score.notes:
            notes.setdefault(note, []).append(score.metric)
    everywhere = len(scores)
    for note, metrics in notes.items():
        owner = "" if len(metrics) == everywhere and everywhere > 1 else f"{', '.join(metrics)}: "
        lines.append(f"note: {owner}{one_line(note)}")
    return "\n".join(lines)


def _number(value: float) -> str:
    size = abs(value)
    if size == 0 or TINY <= size < 1e6:
        return "0" if size == 0 else f"{value:,.4f}" if size < 10 else f"{value:,.2f}"
    return f"{value:.3g}"


def _interval(score: Score) -> str:
    if score.low is None or score.high is None:
        return ""
    return f"{_number(score.low)} to {_number(score.high)}"


def _detail(score: Score) -> str:
    """The worst classes with their values, or the settings that matter most."""
    worst: Any = score.details.get("worst")
    if isinstance(worst, Mapping):
        worst = list(worst)
    if isinstance(worst, list) and worst:
        held = score.details.get("classes")
        values = held if isinstance(held, Mapping) else {}
        names = [one[0] if isinstance(one, list) and one else one for one in worst[:_MOST_CLASSES]]
        return "worst: " + ", ".join(_class(str(name), values.get(name)) for name in names)
    held = score.protocol.get("metric")
    settings = held if isinstance(held, Mapping) else {}
    needed = ("chance", "percentile", f"judge_held_out_{score.metric}")  # to understand the value
    keys = [*(key for key in needed if key in settings), *settings]
    told = {
        key: f"{key.replace('_', ' ')} {_setting(settings[key])}"
        for key in keys
        if isinstance(settings[key], int | float | str) and not isinstance(settings[key], bool)
    }
    return ", ".join(list(told.values())[:_MOST_SETTINGS])


def _class(name: str, value: object) -> str:
    return f"{name} {value:.3g}" if isinstance(value, int | float) else name


def _setting(value: float | str) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
