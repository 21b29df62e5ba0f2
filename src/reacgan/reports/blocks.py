"""A block of scores under one protocol: its rows, its columns, and how they are laid out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from reacgan.evaluation.protocols import PROTOCOLS, describe, describe_settings
from reacgan.evaluation.scores import Score, comparable, protocol_id
from reacgan.reports.text import TINY, Cell

_DIGITS = 4
_MOST_COLUMNS = 9
_FEW_ROWS = 5


class Row(NamedTuple):
    """What was scored."""

    subject: str
    images_seen: int | None
    seed: int | None


@dataclass(frozen=True)
class Column:
    """Scores of one metric under one protocol, by row; of several for one row the newest."""

    metric: str
    title: str
    """Metric, settings where two columns differ in them, and which way is better."""
    scores: Mapping[Row, Score]

    @cached_property
    def best(self) -> frozenset[Row]:
        """Rows with the best value, where values differ and there is a better way."""
        better = {score.better for score in self.scores.values()}
        if len(self.scores) < 2 or better not in ({"lower"}, {"higher"}):
            return frozenset()
        choose = min if better == {"lower"} else max
        value = choose(score.value for score in self.scores.values())
        rows = frozenset(row for row, score in self.scores.items() if score.value == value)
        return rows if len(rows) < len(self.scores) else frozenset()

    def cell(self, row: Row) -> str:
        """``12.34 [11.90, 12.78]``, or nothing."""
        score = self.scores.get(row)
        if score is None:
            return ""
        text = self.number(score.value)
        if score.low is None and score.high is None:
            return text
        ends = ("…" if end is None else self.number(end) for end in (score.low, score.high))
        return f"{text} [{', '.join(ends)}]"

    @cached_property
    def _decimals(self) -> int:
        """Four digits of the largest value, one more where the smallest needs it."""
        sizes = [abs(score.value) for score in self.scores.values()]
        sizes = [size for size in sizes if size >= TINY]
        if not sizes:
            return 0
        large, small = (max(0, 3 - math.floor(math.log10(end(sizes)))) for end in (max, min))
        return min(small, large + 1)

    def number(self, value: float) -> str:
        """With as many digits as the column needs."""
        if isinstance(value, int):
            return f"{value:,}"
        return f"{value:.3g}" if abs(value) < TINY else f"{value:,.{self._decimals}f}"


@dataclass(frozen=True)
class Block:
    """Scores of one protocol, which several metrics share but for their own settings."""

    protocol: Mapping[str, Any]
    """What the scores have in common; seeds are in the rows."""
    name: str | None
    """Of a published protocol."""
    columns: tuple[Column, ...]
    notes: tuple[str, ...] = ()
    """Of the scores, each once, with what it belongs to."""
    warnings: tuple[str, ...] = ()
    """Likewise; they stand above the values."""

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """In the order in which the scores came, states of one subject by images seen."""
        found = dict.fromkeys(row for column in self.columns for row in column.scores)
        subjects = list(dict.fromkeys(row.subject for row in found))
        places = {subject: place for place, subject in enumerate(subjects)}
        return tuple(
            sorted(
                found, key=lambda row: (places[row.subject], row.images_seen or 0, row.seed or 0)
            )
        )

    @property
    def title(self) -> str:
        """The protocol's name, or in a few words what it is; then its digest."""
        told = f"protocol {self.name}" if self.name else _phrase(self.protocol)
        return f"{told} [{protocol_id(self.protocol)}]"

    @property
    def lines(self) -> list[str]:
        """The protocol in words."""
        named = [PROTOCOLS[self.name].description] if self.name else []
        metrics: dict[str, dict[str, None]] = {}
        for one in self.columns:
            told = describe_settings(settings_of(next(iter(one.scores.values()))))
            metrics.setdefault(told, {})[one.metric] = None
        own = [f"{', '.join(names)}: {told}" for told, names in metrics.items() if told]
        return [*named, *describe(self.protocol), *own]

    @property
    def numbers(self) -> int:
        """How many of :meth:`head`'s columns hold numbers; the last ones."""
        return len(self.rows) if self._lying else len(self.columns)

    def head(self) -> list[str]:
        """Titles of :meth:`body`'s columns."""
        if self._lying:
            keys = self._keys()
            return [
                "score",
                *(", ".join(self._held(row)[key] for key in keys) for row in self.rows),
            ]
        return [*self._keys(), *(column.title for column in self.columns)]

    def body(self) -> list[list[Cell]]:
        """A line of cells a row; a line a score where there are many scores of few rows."""
        cells = [
            [Cell(column.cell(row), row in column.best) for column in self.columns]
            for row in self.rows
        ]
        if self._lying:
            turned = zip(self.columns, zip(*cells, strict=True), strict=True)
            return [[Cell(column.title), *held] for column, held in turned]
        keys = self._keys()
        return [
            [*(Cell(self._held(row)[key]) for key in keys), *held]
            for row, held in zip(self.rows, cells, strict=True)
        ]

    @property
    def _lying(self) -> bool:
        return len(self.columns) > _MOST_COLUMNS and len(self.rows) <= _FEW_ROWS

    def _held(self, row: Row) -> dict[str, str]:
        return {
            "subject": row.subject,
            "images seen": "" if row.images_seen is None else f"{row.images_seen:,}",
            "seed": "" if row.seed is None else str(row.seed),
        }

    def _keys(self) -> list[str]:
        keys = ["subject"]
        if any(row.images_seen is not None for row in self.rows):
            keys.append("images seen")
        return [*keys, "seed"] if len({row.seed for row in self.rows}) > 1 else keys


def _phrase(protocol: Mapping[str, Any]) -> str:
    fake, reference, extractor, selection = (
        held if isinstance(held, Mapping) else {}
        for held in map(protocol.get, ("fake", "reference", "extractor", "selection"))
    )
    count, split = fake.get("images"), reference.get("split")
    part = "" if reference.get("part") in (None, "whole") else "part of the "
    state = selection.get("checkpoint")
    told = [
        f"{count:,} fakes" if isinstance(count, int) else "",
        f"{part}{split} split" if split else "",
        str(extractor.get("name") or ""),
        {"best": "best state", "each": "states during training"}.get(str(state), ""),
    ]
    return ", ".join(filter(None, told)) or "protocol"


def settings_of(score: Score) -> Mapping[str, Any]:
    """The part of a protocol that is the metric's own."""
    held = comparable(score.protocol).get("metric", {})
    return held if isinstance(held, Mapping) else {"settings": held}
