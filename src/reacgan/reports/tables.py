"""Tables of scores in which no column holds two protocols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reacgan.config import ConfigError
from reacgan.evaluation.protocols import flatten, name_of, word
from reacgan.evaluation.scores import Score, canonical, comparable
from reacgan.reports.blocks import Block, Column, Row, settings_of
from reacgan.reports.text import aligned, markdown_rows, one_line, safe

_ARROWS = {"lower": "↓", "higher": "↑", "neither": ""}
_ABSENT = "absent"


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
            lines = [block.title, *(f"  {line}" for line in block.lines)]
            lines += [*(f"warning: {text}" for text in block.warnings), ""]
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
            lines += [f"\n**Warning:** {safe(text)}" for text in block.warnings]
            lines += ["", *markdown_rows(block.head(), block.body(), block.numbers)]
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
        settings = canonical(settings_of(score))
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
    return Block(shared, name, tuple(columns), _notes(columns), _warnings(group))


def _notes(columns: Sequence[Column]) -> tuple[str, ...]:
    """Each note once, with the metrics that it belongs to."""
    notes: dict[str, dict[str, None]] = {}
    for one in columns:
        for row, score in one.scores.items():
            for note in score.notes:
                notes.setdefault(note, {})[f"{row.subject} {one.metric}".strip()] = None
    return tuple(f"{', '.join(where)}: {note}" for note, where in notes.items())


def _warnings(group: Sequence[Score]) -> tuple[str, ...]:
    """Each once, with the subjects that it belongs to."""
    told: dict[str, dict[str, None]] = {}
    for score in group:
        for text in score.warnings:
            told.setdefault(text, {})[score.subject] = None
    return tuple(
        f"{', '.join(filter(None, where)) or 'images'}: {text}" for text, where in told.items()
    )


def _seed(score: Score) -> int | None:
    fake = score.protocol.get("fake")
    seed = fake.get("seed") if isinstance(fake, Mapping) else None
    return seed if isinstance(seed, int) else None


def _told_apart(score: Score, alike: Sequence[Score]) -> str:
    """The settings in which columns of one metric differ: `` (k 3)``."""
    facts = _differing([settings_of(one) for one in alike])
    own = flatten(settings_of(score))
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
