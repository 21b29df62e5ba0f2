"""Tables of a suite: means over seeds beside what is published, one table a data set and protocol."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reacgan.evaluation.protocols import describe, describe_settings, flatten
from reacgan.experiments.notes import differences_of, fid_of
from reacgan.experiments.published import Published, published_for
from reacgan.reports.tables import Cell
from reacgan.suites.base import Suite, Trial
from reacgan.suites.results import Mean, Result
from reacgan.suites.words import in_words

_ARROWS = {"lower": " ↓", "higher": " ↑", "neither": ""}


@dataclass(frozen=True)
class Block:
    """A table of trials that share a column and a protocol."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numbers: int
    lines: tuple[str, ...]
    """The protocol in words."""


def blocks_of(suite: Suite, results: Sequence[Result]) -> list[Block]:
    """One table for each column and protocol; two protocols never share one."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for one in results:
        if one.complete:
            shared = {key: held for key, held in _protocol(one).items() if key != "metrics"}
            key = one.trial.column, json.dumps(shared, sort_keys=True)
            groups.setdefault(key, []).append(one)
    return [
        _block(suite, column, held, _lines_of(json.loads(text), held))
        for (column, text), held in groups.items()
    ]


def _protocol(one: Result) -> Mapping[str, Any]:
    held: Mapping[str, Any] = one.held.get("protocol", {})
    return held


def _features(one: Result) -> str:
    held = _protocol(one).get("extractor")
    return str(held.get("name", "")) if isinstance(held, Mapping) else ""


def _lines_of(shared: Mapping[str, Any], results: Sequence[Result]) -> tuple[str, ...]:
    """The protocol in words, and the metrics whose settings are not the same in all rows."""
    if "extractor" in shared:
        lines = describe(shared)
    else:
        lines = [f"{key}: {value}" for key, value in flatten(shared).items() if value]
    settings: dict[str, dict[str, None]] = {}
    for one in results:
        for name, held in _protocol(one).get("metrics", {}).items():
            settings.setdefault(name, {})[describe_settings(held)] = None
    told = [
        f"{in_words(name)} is not measured alike in all rows: {'; '.join(held)}"
        for name, held in settings.items()
        if len(held) > 1
    ]
    return (*lines, *told)


def _block(suite: Suite, column: str, results: Sequence[Result], lines: tuple[str, ...]) -> Block:
    kept = [name for name in suite.metrics if any(one.value(name) is not None for one in results)]
    trials = list(dict.fromkeys(one.trial for one in results))
    published = {trial: published_of(trial) for trial in trials}
    extra = ("published FID (IS)",) if any(published.values()) else ()
    means = {
        (trial, name): Mean.of(values)
        for trial in trials
        for name in kept
        if (values := _values(results, trial, name))
    }
    best = {name: _best(name, results, means) for name in kept}
    rows = []
    for trial in trials:
        cells = [
            Cell(label_of(trial)),
            Cell(str(len(_values(results, trial, kept[0])) if kept else 0)),
        ]
        cells += [
            Cell(means[trial, name].text() if (trial, name) in means else "", trial in best[name])
            for name in kept
        ]
        cells += [Cell(_told(published[trial])) for _ in extra]
        rows.append(tuple(cells))
    better: Mapping[str, str] = next((one.held.get("better", {}) for one in results), {})
    heads = tuple(
        f"{in_words(name, _features(results[0]))}{_ARROWS[better.get(name, 'neither')]}"
        for name in kept
    )
    return Block(
        column.replace("_", " ") or "Measured",
        ("", "seeds", *heads, *extra),
        tuple(rows),
        1 + len(heads) + len(extra),
        lines,
    )


def label_of(trial: Trial) -> str:
    """What a trial is called where its place on the axis matters too."""
    return trial.row if trial.x is None else f"{trial.row}, {trial.x:g}"


def _values(results: Sequence[Result], trial: Trial, name: str) -> list[float]:
    found = (one.value(name) for one in results if one.trial == trial)
    return [value for value in found if value is not None]


def _best(
    name: str, results: Sequence[Result], means: Mapping[tuple[Trial, str], Mean]
) -> set[Trial]:
    better = {one.held.get("better", {}).get(name) for one in results}
    held = {trial: mean.value for (trial, mine), mean in means.items() if mine == name}
    if len(held) < 2 or better not in ({"lower"}, {"higher"}):
        return set()
    best = (min if better == {"lower"} else max)(held.values())
    found = {trial for trial, value in held.items() if value == best}
    return found if 2 * len(found) <= len(held) else set()


def published_of(trial: Trial) -> tuple[Published, ...]:
    """What is published for it."""
    return published_for(trial.published) if trial.published else ()


def differences_in(trials: Iterable[Trial]) -> tuple[str, ...]:
    """What the asterisks beside published scores mean: each difference with the rows it is of."""
    rows: dict[str, dict[str, None]] = {}
    for trial in trials:
        for score in published_of(trial):
            for text in differences_of(score):
                rows.setdefault(text, {})[trial.row.strip()] = None
    return tuple(f"* {', '.join(names)}: {text}" for text, names in rows.items())


def _told(held: tuple[Published, ...]) -> str:
    return "; ".join(
        fid_of(one)
        + (f" ({one.inception_score:g})" if one.inception_score is not None else "")
        + f" [{one.protocol}]"
        for one in held
    )
