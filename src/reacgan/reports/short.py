"""The few scores of a report that a person looks at first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reacgan.evaluation.scores import Score
from reacgan.reports import page
from reacgan.reports.blocks import Block, Column, Row
from reacgan.reports.tables import Table
from reacgan.reports.text import Cell

_METRICS = ("fid", "kid", "recall", "coverage", "top1", "memorised_share")
_ARROWS = {"lower": " ↓", "higher": " ↑"}
_EMPTY = Cell("")

Place = tuple[int, Row]
"""A block of the table, and a row of it."""


def in_short(table: Table) -> list[str]:
    """A line for each subject's newest scores of six metrics; another where protocols differ."""
    lines: dict[Place, dict[str, Cell]] = {}
    better: dict[str, str] = {}
    for subject in dict.fromkeys(row.subject for block in table.blocks for row in block.rows):
        for metric in _METRICS:
            found = [one for one in _scores(table, metric) if one[2].subject == subject]
            if found:
                place, column, row = max(found, key=lambda one: _age(one[1].scores[one[2]]))
                lines.setdefault((place, row), {})[metric] = _cell(column, row)
                better[metric] = column.scores[row].better
    if not lines:
        return []
    shown = [metric for metric in _METRICS if metric in better]
    seen = any(row.images_seen is not None for _, row in lines)
    head = ["under", "subject", *(["images seen"] if seen else [])]
    body = [
        [*_where(table.blocks[place], row, seen), *(held.get(one, _EMPTY) for one in shown)]
        for (place, row), held in lines.items()
    ]
    head += [f"{metric}{_ARROWS.get(better[metric], '')}" for metric in shown]
    return [page.heading("In short"), page.rows(head, body, len(shown))]


def _scores(table: Table, metric: str) -> Iterator[tuple[int, Column, Row]]:
    for place, block in enumerate(table.blocks):
        for column in block.columns:
            if column.metric == metric:
                yield from ((place, column, row) for row in column.scores)


def _age(score: Score) -> tuple[bool, int, str]:
    """Scores on which states were chosen during training come before all others."""
    selection = score.protocol.get("selection")
    during = isinstance(selection, Mapping) and selection.get("checkpoint") == "each"
    return not during, score.images_seen or 0, score.time


def _cell(column: Column, row: Row) -> Cell:
    """The value; its interval stands in the table. A share of copies means nothing without chance."""
    score = column.scores[row]
    settings = score.protocol.get("metric")
    chance = settings.get("chance") if isinstance(settings, Mapping) else None
    beside = f" (chance {chance:.2g})" if isinstance(chance, int | float) else ""
    return Cell(f"{column.number(score.value)}{beside}")


def _where(block: Block, row: Row, seen: bool) -> list[Cell]:
    at = "" if row.images_seen is None else f"{row.images_seen:,}"
    return [Cell(block.title), Cell(row.subject), *([Cell(at)] if seen else [])]
