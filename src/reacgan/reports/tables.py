"""Tables of scores that never mix protocols, for a terminal, Markdown and HTML."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from reacgan.config import ConfigError, flatten
from reacgan.evaluation.protocols import (
    PROTOCOLS,
    describe,
    describe_settings,
    name_of,
    word,
)
from reacgan.evaluation.scores import Score, canonical, comparable, protocol_id
from reacgan.metrics.names import title_of, with_arrow
from reacgan.reports.cells import Cell, aligned, broken, markdown_rows
from reacgan.reports.record import section
from reacgan.text import one_line, safe

TINY = 1e-3
"""Smaller numbers have three significant digits."""

_DIGITS = 4
_MOST_COLUMNS = 9
_FEW_ROWS = 5
_ABSENT = "absent"


def interval(score: Score, number: Callable[[float], str]) -> str:
    """``0.70 to 0.75``, or nothing."""
    if score.low is None or score.high is None:
        return ""
    return f"{number(score.low)} to {number(score.high)}"


def owners_of(texts: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Notes or warnings, each once, with all its owners.

    Args:
        texts: pairs of a text and its owner.
    """
    owners: dict[str, dict[str, None]] = {}
    for text, owner in texts:
        owners.setdefault(text, {})[owner] = None
    return {text: list(names) for text, names in owners.items()}


class ScoreRow(NamedTuple):
    """What was scored."""

    subject: str
    images_seen: int | None
    seed: int | None


@dataclass(frozen=True)
class ScoreColumn:
    """Scores of one metric under one protocol, by row; the newest where a row has several."""

    metric: str
    title: str
    """Metric, settings that differ between columns, and the direction that is better."""
    scores: Mapping[ScoreRow, Score]

    @cached_property
    def best(self) -> frozenset[ScoreRow]:
        """Rows with the best value, where values differ and one direction is better."""
        better = {score.better for score in self.scores.values()}
        if better not in ({"lower"}, {"higher"}):
            return frozenset()
        choose = min if better == {"lower"} else max
        value = choose(score.value for score in self.scores.values())
        rows = frozenset(row for row, score in self.scores.items() if score.value == value)
        return rows if len(rows) < len(self.scores) else frozenset()

    def cell(self, row: ScoreRow) -> str:
        """``12.34 [11.90, 12.78]``, or nothing."""
        score = self.scores.get(row)
        if score is None:
            return ""
        text = self.number(score.value)
        if score.low is None and score.high is None:
            return text
        ends = ("…" if end is None else self.number(end) for end in (score.low, score.high))
        return f"{text} [{', '.join(ends)}]"

    def number(self, value: float) -> str:
        """A number with the digits of the column."""
        if isinstance(value, int):
            return f"{value:,}"
        return f"{value:.3g}" if abs(value) < TINY else f"{value:,.{self._decimals}f}"

    @cached_property
    def _decimals(self) -> int:
        """Four digits of the largest value, one more if the smallest needs it."""
        sizes = [abs(score.value) for score in self.scores.values() if abs(score.value) >= TINY]
        if not sizes:
            return 0
        large, small = (
            max(0, _DIGITS - 1 - math.floor(math.log10(end(sizes)))) for end in (max, min)
        )
        return min(small, large + 1)


@dataclass(frozen=True)
class ScoreBlock:
    """Scores of one protocol; settings of metrics may differ."""

    protocol: Mapping[str, Any]
    """The shared protocol; seeds are in the rows."""
    name: str | None
    """Of a published protocol."""
    columns: tuple[ScoreColumn, ...]
    notes: tuple[str, ...] = ()
    """Notes of the scores, each once, with its owners."""
    warnings: tuple[str, ...] = ()
    """Likewise; shown above the values."""

    @cached_property
    def rows(self) -> tuple[ScoreRow, ...]:
        """In the order of the scores; states of one subject by images seen."""
        rows = dict.fromkeys(row for column in self.columns for row in column.scores)
        subjects = [*dict.fromkeys(row.subject for row in rows)]

        def order(row: ScoreRow) -> tuple[int, int, int]:
            return subjects.index(row.subject), row.images_seen or 0, row.seed or 0

        return tuple(sorted(rows, key=order))

    @property
    def title(self) -> str:
        """The protocol's name or a short description, then its digest."""
        words = f"protocol {self.name}" if self.name else _phrase(self.protocol)
        return f"{words} [{protocol_id(self.protocol)}]"

    @property
    def lines(self) -> list[str]:
        """The protocol in words."""
        named = [PROTOCOLS[self.name].description] if self.name else []
        settings = owners_of(
            (
                describe_settings(settings_of(next(iter(column.scores.values())))),
                title_of(column.metric),
            )
            for column in self.columns
        )
        own = [f"{', '.join(metrics)}: {words}" for words, metrics in settings.items() if words]
        return [*named, *describe(self.protocol), *own]

    def table(self, width: int | None = None) -> list[str]:
        """Aligned lines; columns that do not fit in so many columns of text go below the others."""
        head, body = self.head(), self.body()
        labels = len(head) - self.numbers
        lines: list[str] = []
        first = labels
        while first < len(head):
            last = len(head)
            while True:
                chosen = [*range(labels), *range(first, last)]
                rows = [[row[at] for at in chosen] for row in body]
                part = aligned([head[at] for at in chosen], rows)
                if width is None or last == first + 1 or max(map(len, part)) <= width:
                    break
                last -= 1
            lines += [*([""] if lines else []), *part]
            first = last
        return lines

    @property
    def numbers(self) -> int:
        """Number of numeric columns, the last ones of :meth:`head`."""
        return len(self.rows) if self._turned else len(self.columns)

    def head(self) -> list[str]:
        """Titles of :meth:`body`'s columns."""
        if self._turned:
            return ["score", *map(", ".join, zip(*self._labels().values(), strict=True))]
        return [*self._labels(), *(column.title for column in self.columns)]

    def body(self) -> list[list[Cell]]:
        """One line of cells for each row, or for each score if there are many scores and few rows."""
        values = [
            [Cell(column.cell(row), row in column.best) for row in self.rows]
            for column in self.columns
        ]
        if self._turned:
            return [
                [Cell(column.title), *cells]
                for column, cells in zip(self.columns, values, strict=True)
            ]
        labels = [[Cell(text) for text in texts] for texts in self._labels().values()]
        return [list(cells) for cells in zip(*labels, *values, strict=True)]

    @property
    def _turned(self) -> bool:
        return len(self.columns) > _MOST_COLUMNS and len(self.rows) <= _FEW_ROWS

    def _labels(self) -> dict[str, list[str]]:
        """The columns that distinguish rows: a text for each row, by title."""
        seen = [row.images_seen for row in self.rows]
        seeds = [row.seed for row in self.rows]
        labels = {"subject": [row.subject for row in self.rows]}
        if any(count is not None for count in seen):
            labels["images seen"] = ["" if count is None else f"{count:,}" for count in seen]
        if len(set(seeds)) > 1:
            labels["seed"] = ["" if seed is None else str(seed) for seed in seeds]
        return labels


@dataclass(frozen=True)
class ScoreTable:
    """Blocks of comparable scores, as text or :meth:`markdown`."""

    blocks: tuple[ScoreBlock, ...] = ()

    def differences(self) -> list[str]:
        """The differences of each block's protocol from the first one's."""
        lines = []
        for block in self.blocks[1:]:
            first = self.blocks[0]
            facts = _differing([first.protocol, block.protocol])
            words = "; ".join(f"{key} {values[1]}, not {values[0]}" for key, values in facts)
            lines.append(f"{block.title} is not comparable with {first.title}: {words}")
        return lines

    def __str__(self) -> str:
        return self.text()

    def text(self, width: int | None = None) -> str:
        """For a terminal, broken at so many columns; None breaks nothing."""
        parts = []
        for block in self.blocks:
            lines = [block.title, *(f"  {line}" for line in block.lines)]
            lines += [*(f"warning: {text}" for text in block.warnings)]
            notes = [f"note: {note}" for note in block.notes]
            table = [one_line(line) for line in block.table(width)]
            parts.append("\n".join([*broken(lines, width), "", *table, *broken(notes, width)]))
        if any(column.best for block in self.blocks for column in block.columns):
            parts.append("* best of its column")
        return "\n\n".join([*parts, *broken(self.differences(), width)])

    def markdown(self) -> str:
        """The same as Markdown."""
        parts = []
        for block in self.blocks:
            lines = [f"**{safe(block.title)}**", "", *(f"- {safe(line)}" for line in block.lines)]
            lines += [f"\n**Warning:** {safe(text)}" for text in block.warnings]
            lines += ["", *markdown_rows(block.head(), block.body(), block.numbers)]
            lines += [f"\nNote: {safe(note)}" for note in block.notes]
            parts.append("\n".join(lines))
        return "\n\n".join([*parts, *map(safe, self.differences())]) + "\n"


def score_table(scores: Sequence[Score]) -> ScoreTable:
    """Sort scores into blocks by protocol and columns by metric; each score is in exactly one."""
    groups: dict[str, list[Score]] = {}
    for score in scores:
        groups.setdefault(canonical(shared_protocol(score)), []).append(score)
    return ScoreTable(tuple(_block(group) for group in groups.values()))


def require_same_protocol(scores: Sequence[Score]) -> None:
    """Check that scores are comparable.

    Raises:
        ConfigError: they were measured under different protocols; names the differing facts.
    """
    facts = _differing([comparable(score.protocol) for score in scores])
    if facts:
        listed = "\n".join(f"  {key}: {' / '.join(values)}" for key, values in facts)
        raise ConfigError(
            f"{len(scores)} scores of different protocols cannot be compared; these facts "
            f"differ:\n{listed}\nScore them again under one protocol, or use the scores of one"
        )


def column(scores: Sequence[Score], metric: str) -> list[Score]:
    """The scores of one metric, in their order.

    Raises:
        ConfigError: no score, or different protocols.
    """
    chosen = [score for score in scores if score.metric == metric]
    if not chosen:
        known = ", ".join(dict.fromkeys(score.metric for score in scores)) or "none at all"
        raise ConfigError(f"no score of {metric!r}; there are: {known}")
    require_same_protocol(chosen)
    return chosen


def shared_protocol(score: Score) -> dict[str, Any]:
    """The protocol without the metric's settings."""
    facts = comparable(score.protocol)
    facts.pop("metric", None)
    return facts


def settings_of(score: Score) -> Mapping[str, Any]:
    """The metric's settings in the protocol."""
    settings = comparable(score.protocol).get("metric", {})
    return settings if isinstance(settings, Mapping) else {"settings": settings}


def _block(group: Sequence[Score]) -> ScoreBlock:
    shared = shared_protocol(group[0])
    name = name_of(shared)
    by_metric: dict[str, dict[str, dict[ScoreRow, Score]]] = {}
    for score in group:
        seed = section(score.protocol, "fake").get("seed")
        row = ScoreRow(score.subject, score.images_seen, seed if isinstance(seed, int) else None)
        settings = canonical(settings_of(score))
        rows = by_metric.setdefault(score.metric, {}).setdefault(settings, {})
        if row not in rows or score.time >= rows[row].time:
            rows[row] = score
    columns = []
    for metric, by_settings in by_metric.items():
        firsts = [next(iter(rows.values())) for rows in by_settings.values()]
        facts = _differing([settings_of(score) for score in firsts])
        for score, rows in zip(firsts, by_settings.values(), strict=True):
            own = flatten(settings_of(score))
            words = ", ".join(f"{key} {word(own.get(key, _ABSENT))}" for key, _ in facts)
            title = title_of(metric) + (f" ({words})" if words else "")
            if name and name_of(score.protocol) is None:
                title += f" (not as in {name})"
            columns.append(ScoreColumn(metric, with_arrow(title, score.better), rows))
    warnings = owners_of((text, score.subject) for score in group for text in score.warnings)
    return ScoreBlock(
        shared,
        name,
        tuple(columns),
        tuple(_notes(columns)),
        tuple(
            text
            if len(owners) == 1 and owners[0] and text.startswith(f"{owners[0]} ")
            else f"{', '.join(filter(None, owners)) or 'images'}: {text}"
            for text, owners in warnings.items()
        ),
    )


def _notes(columns: Sequence[ScoreColumn]) -> Iterator[str]:
    """Each note once, with its scores; of a subject all of whose scores have it, the subject alone."""
    titles: dict[str, dict[str, None]] = {}
    noted: dict[str, dict[str, dict[str, None]]] = {}
    for of_metric in columns:
        title = title_of(of_metric.metric)
        for row, score in of_metric.scores.items():
            titles.setdefault(row.subject, {})[title] = None
            for note in score.notes:
                noted.setdefault(note, {}).setdefault(row.subject, {})[title] = None
    for note, by_subject in noted.items():
        owners = (
            subject
            if subject and len(own) == len(titles[subject]) > 1
            else ", ".join(f"{subject} {title}".strip() for title in own)
            for subject, own in by_subject.items()
        )
        yield f"{', '.join(owners)}: {note}"


def _phrase(protocol: Mapping[str, Any]) -> str:
    fake, reference, extractor, selection = (
        section(protocol, key) for key in ("fake", "reference", "extractor", "selection")
    )
    count, split = fake.get("images"), reference.get("split")
    part = "" if reference.get("part") in (None, "whole") else "part of the "
    state = str(selection.get("checkpoint"))
    words = [
        f"{count:,} fakes" if isinstance(count, int) else "",
        f"{part}{split} split" if split else "",
        str(extractor.get("name") or ""),
        {"best": "best state", "each": "states during training"}.get(state, ""),
    ]
    return ", ".join(filter(None, words)) or "protocol"


def _differing(protocols: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """Facts that differ, with the distinct values in their order."""
    flat = [flatten(protocol) for protocol in protocols]
    facts = []
    for key in dict.fromkeys(key for protocol in flat for key in protocol):
        values = [protocol.get(key, _ABSENT) for protocol in flat]
        different = {canonical(value): word(value) for value in values}
        if len(different) > 1:
            facts.append((key, list(different.values())))
    return facts
