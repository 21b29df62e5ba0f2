"""Tables of scores in which no column holds two protocols."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from reacgan.config import ConfigError
from reacgan.evaluation.protocols import (
    PROTOCOLS,
    describe,
    describe_settings,
    flatten,
    name_of,
    word,
)
from reacgan.evaluation.results import Score, canonical, comparable, protocol_id
from reacgan.evaluation.text import Cell, aligned, markdown_rows, one_line, safe

_ARROWS = {"lower": "↓", "higher": "↑", "neither": ""}
_ABSENT = "absent"


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
        text = self._number(score.value)
        if score.low is None and score.high is None:
            return text
        ends = ("…" if end is None else self._number(end) for end in (score.low, score.high))
        return f"{text} [{', '.join(ends)}]"

    @cached_property
    def _decimals(self) -> int:
        """Four digits of the largest value, one more where the smallest needs it."""
        sizes = [abs(score.value) for score in self.scores.values() if score.value]
        if not sizes:
            return 0
        large, small = (max(0, 3 - math.floor(math.log10(end(sizes)))) for end in (max, min))
        return min(small, large + 1)

    def _number(self, value: float) -> str:
        if isinstance(value, int):
            return f"{value:,}"
        return f"{value:,.{self._decimals}f}" if self._decimals <= 7 else f"{value:.3g}"


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
        """The protocol's digest, and its name where it has one."""
        digest = protocol_id(self.protocol)
        return f"protocol {digest}" + (f": {self.name}" if self.name else "")

    @property
    def lines(self) -> list[str]:
        """The protocol in words."""
        named = [PROTOCOLS[self.name].description] if self.name else []
        metrics: dict[str, dict[str, None]] = {}
        for one in self.columns:
            told = describe_settings(_settings(next(iter(one.scores.values()))))
            metrics.setdefault(told, {})[one.metric] = None
        own = [f"{', '.join(names)}: {told}" for told, names in metrics.items() if told]
        return [*named, *describe(self.protocol), *own]

    def head(self) -> list[str]:
        """Titles of :meth:`body`'s columns."""
        return [*self._keys(), *(column.title for column in self.columns)]

    def body(self) -> list[list[Cell]]:
        """A line of cells for each of the rows."""
        keys = self._keys()
        lines = []
        for row in self.rows:
            held = {
                "subject": row.subject,
                "images seen": "" if row.images_seen is None else f"{row.images_seen:,}",
                "seed": "" if row.seed is None else str(row.seed),
            }
            cells = [Cell(column.cell(row), row in column.best) for column in self.columns]
            lines.append([*(Cell(held[key]) for key in keys), *cells])
        return lines

    def _keys(self) -> list[str]:
        keys = ["subject"]
        if any(row.images_seen is not None for row in self.rows):
            keys.append("images seen")
        return [*keys, "seed"] if len({row.seed for row in self.rows}) > 1 else keys


@dataclass(frozen=True)
class Table:
    """Blocks of comparable scores; print one, or take :meth:`markdown`."""

    blocks: tuple[Block, ...] = field(default=())

    def differences(self) -> list[str]:
        """What keeps the blocks apart, in words; each against the first."""
        said = []
        for block in self.blocks[1:]:
            first = self.blocks[0]
            facts = _differing([first.protocol, block.protocol])
            told = "; ".join(f"{key} {values[1]}, not {values[0]}" for key, values in facts)
            said.append(f"{block.title} is not comparable with {first.title}: {told}")
        return said

    def __str__(self) -> str:
        parts = []
        for block in self.blocks:
            lines = [block.title, *(f"  {line}" for line in block.lines), ""]
            lines += aligned(block.head(), block.body())
            lines += [f"note: {note}" for note in block.notes]
            parts.append("\n".join(map(one_line, lines)))
        if any(column.best for block in self.blocks for column in block.columns):
            parts.append("* best of its column")
        return "\n\n".join([*parts, *map(one_line, self.differences())])

    def markdown(self) -> str:
        """The same as Markdown."""
        parts = []
        for block in self.blocks:
            lines = [f"**{safe(block.title)}**", "", *(f"- {safe(line)}" for line in block.lines)]
            lines += ["", *markdown_rows(block.head(), block.body(), len(block.columns))]
            lines += [f"\nNote: {safe(note)}" for note in block.notes]
            parts.append("\n".join(lines))
        return "\n\n".join([*parts, *map(safe, self.differences())]) + "\n"


def score_table(scores: Sequence[Score]) -> Table:
    """Sort scores into blocks by protocol and columns by metric; every score is in just one."""
    groups: dict[str, list[Score]] = {}
    for score in scores:
        groups.setdefault(canonical(_shared(score)), []).append(score)
    return Table(tuple(_block(group) for group in groups.values()))


def require_same_protocol(scores: Sequence[Score]) -> None:
    """Check that scores may stand beside each other.

    Raises:
        ConfigError: they were measured under different protocols; names the facts that differ.
    """
    facts = _differing([comparable(score.protocol) for score in scores])
    if facts:
        listed = "\n".join(f"  {key}: {' / '.join(values)}" for key, values in facts)
        raise ConfigError(
            f"{len(scores)} scores of different protocols cannot be compared; these facts "
            f"differ:\n{listed}\nScore them anew under one protocol, or take the scores of one"
        )


def column(scores: Sequence[Score], metric: str) -> list[Score]:
    """The scores of one metric, in their order.

    Raises:
        ConfigError: there are none, or they were measured under different protocols.
    """
    chosen = [score for score in scores if score.metric == metric]
    if not chosen:
        known = ", ".join(dict.fromkeys(score.metric for score in scores)) or "none at all"
        raise ConfigError(f"no score of {metric!r}; there are: {known}")
    require_same_protocol(chosen)
    return chosen


def _shared(score: Score) -> dict[str, Any]:
    return {key: held for key, held in comparable(score.protocol).items() if key != "metric"}


def _block(group: Sequence[Score]) -> Block:
    shared = _shared(group[0])
    name = name_of(shared)
    found: dict[str, dict[str, dict[Row, Score]]] = {}
    for score in group:
        row = Row(score.subject, score.images_seen, _seed(score))
        settings = canonical(_settings(score))
        held = found.setdefault(score.metric, {}).setdefault(settings, {})
        if row not in held or score.time >= held[row].time:
            held[row] = score
    columns = []
    for metric, alike in found.items():
        firsts = [next(iter(held.values())) for held in alike.values()]
        for one, held in zip(firsts, alike.values(), strict=True):
            told = _told_apart(one, firsts)
            if name and name_of(one.protocol) is None:
                told += f" (not as in {name})"
            title = f"{metric}{told} {_ARROWS.get(one.better, '')}".strip()
            columns.append(Column(metric, title, held))
    return Block(shared, name, tuple(columns), _notes(columns))


def _notes(columns: Sequence[Column]) -> tuple[str, ...]:
    """Each note once, with the metrics that it belongs to."""
    notes: dict[str, dict[str, None]] = {}
    for one in columns:
        for row, score in one.scores.items():
            for note in score.notes:
                notes.setdefault(note, {})[f"{row.subject} {one.metric}".strip()] = None
    return tuple(f"{', '.join(where)}: {note}" for note, where in notes.items())


def _seed(score: Score) -> int | None:
    fake = score.protocol.get("fake")
    seed = fake.get("seed") if isinstance(fake, Mapping) else None
    return seed if isinstance(seed, int) else None


def _settings(score: Score) -> Mapping[str, Any]:
    held = comparable(score.protocol).get("metric", {})
    return held if isinstance(held, Mapping) else {"settings": held}


def _told_apart(score: Score, alike: Sequence[Score]) -> str:
    """The settings in which columns of one metric differ: `` (k 3)``."""
    facts = _differing([_settings(one) for one in alike])
    own = flatten(_settings(score))
    told = [f"{key} {word(own.get(key, _ABSENT))}" for key, _ in facts]
    return f" ({', '.join(told)})" if told else ""


def _differing(protocols: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """Facts that are not the same in all, with the different values in their order."""
    flat = [flatten(protocol) for protocol in protocols]
    facts = []
    for key in dict.fromkeys(key for one in flat for key in one):
        values = {canonical(one.get(key, _ABSENT)): word(one.get(key, _ABSENT)) for one in flat}
        if len(values) > 1:
            facts.append((key, list(values.values())))
    return facts
