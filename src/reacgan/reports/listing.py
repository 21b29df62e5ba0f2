"""The scores of one subject as a list, with their protocols."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reacgan.evaluation.protocols import describe, describe_settings, name_of
from reacgan.evaluation.scores import Score
from reacgan.metrics.names import LEGEND, meaning_of, title_of
from reacgan.reports.cells import Cell, aligned, broken
from reacgan.reports.record import chance_of, section
from reacgan.reports.tables import TINY, interval, owners_of, settings_of
from reacgan.text import one_line, shorten

_MOST_CLASSES = 3
_LONGEST_NAME = 24
_COUNTS = frozenset(
    {
        *("images", "classes", "real", "fake", "training", "held_out", "calibrated_on", "of"),
        *("calibration", "chance", "interval", "canonical", "ball", "exact"),
    }
)
"""Settings that no option of a metric sets; they are in the file of scores."""
_NARROWEST = 24
"""Columns of the text beside the numbers, at least."""


def listing(scores: Sequence[Score], width: int = 80) -> str:
    """Lines for a terminal: warnings, a row a score and what it says, the protocol.

    All scores are of one subject and one pass, so the shared protocol is listed once.

    Args:
        scores: in the order of the rows.
        width: columns that lines are broken at.
    """
    if not scores:
        return "no scores"
    first = scores[0]
    warnings = dict.fromkeys(text for score in scores for text in score.warnings)
    lines = [
        one_line(first.subject or "images"),
        *broken((f"warning: {text}" for text in warnings), width),
        "",
        *_rows(scores, width),
        "",
        *broken([LEGEND], width),
        "",
        "Measured with:",
        *broken((f"  {text}" for text in _protocol(scores)), width),
    ]
    notes = _notes(scores)
    if notes:
        lines += ["", *broken(notes, width)]
    return "\n".join(lines)


def _rows(scores: Sequence[Score], width: int) -> Iterator[str]:
    """A line a score, its meaning broken into the columns that are left, further facts below it."""
    cells = [
        [Cell(title_of(score.metric, score.better)), Cell(_number(score.value))] for score in scores
    ]
    head, *lines = aligned(["score", "value"], cells)
    left = max(map(len, lines)) + 2
    room = max(width - left, _NARROWEST)
    yield f"{head:<{left}}what it says"
    for line, score in zip(lines, scores, strict=True):
        texts = filter(None, (meaning_of(score.metric), _beside(score)))
        said = [part for text in texts for part in textwrap.wrap(one_line(text), room)] or [""]
        yield f"{line:<{left}}{said[0]}".rstrip()
        yield from (" " * left + part for part in said[1:])


def _protocol(scores: Sequence[Score]) -> Iterator[str]:
    """What all scores were measured with, then the settings of each metric."""
    protocol = {
        key: value for key, value in scores[0].protocol.items() if key not in ("metric", "software")
    }
    names = {name_of(score.protocol) for score in scores}
    if len(names) == 1 and None not in names:
        yield f"protocol {names.pop()}"
    yield from map(one_line, describe(protocol))
    settings = owners_of(
        (describe_settings(_options_of(score)), title_of(score.metric)) for score in scores
    )
    yield from (
        one_line(f"{', '.join(titles)}: {words}") for words, titles in settings.items() if words
    )


def _options_of(score: Score) -> dict[str, Any]:
    return {
        key: value
        for key, value in settings_of(score).items()
        if key not in _COUNTS and not key.startswith("judge")
    }


def _notes(scores: Sequence[Score]) -> list[str]:
    """Notes, each once with the scores that it is on."""
    notes = owners_of((note, title_of(score.metric)) for score in scores for note in score.notes)
    everywhere = len({score.metric for score in scores})
    return [
        f"note: {'' if len(owners) == everywhere > 1 else ', '.join(owners) + ': '}{one_line(note)}"
        for note, owners in notes.items()
    ]


def _number(value: float) -> str:
    size = abs(value)
    if size == 0:
        return "0"
    if not TINY <= size < 1e6:
        return f"{value:.3g}"
    return f"{value:,.4f}" if size < 10 else f"{value:,.2f}"


def _beside(score: Score) -> str:
    """What a value is compared with: its interval, chance, real images, the worst classes."""
    settings = section(score.protocol, "metric")
    facts = [f"interval {text}" if (text := interval(score, _number)) else ""]
    if (chance := chance_of(score)) is not None:
        facts.append(f"by chance {chance:.3g}")
    if _is_number(own := settings.get(f"judge_held_out_{score.metric}")):
        facts.append(f"real images {own:.4f}")
    facts.append(_worst(score))
    return "; ".join(filter(None, facts))


def _worst(score: Score) -> str:
    """The worst classes with their values."""
    worst: Any = score.details.get("worst")
    if not (isinstance(worst, list | Mapping) and worst):
        return ""
    values = section(score.details, "classes")
    pairs = [[*entry] if isinstance(entry, list) else [entry] for entry in worst]
    names = [str(entry[0]) for entry in pairs[:_MOST_CLASSES] if entry]
    numbers = {key: float(value) for key, value in values.items() if _is_number(value)}
    return "worst: " + ", ".join(_with_value(name, numbers.get(name)) for name in names)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _with_value(name: str, value: float | None) -> str:
    short = shorten(name, _LONGEST_NAME)
    return short if value is None else f"{short} ({value:.3g})"
