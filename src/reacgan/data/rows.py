"""Rows of a table (file, class, split) to listings of files that are there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from reacgan.data.dataset import DataError
from reacgan.data.lookup import Files
from reacgan.data.names import shown
from reacgan.data.walk import Entry, Listing, describe_file


class Row(NamedTuple):
    """A line of a table; an empty split means that it has none."""

    path: str
    label: str
    split: str


@dataclass
class _Gathered:
    """Files of one split in a fixed order, each with the classes that rows give it."""

    labels: dict[str, list[str]]
    moved: list[tuple[str, str]]


def listings_of(
    rows: Sequence[Row], files: Files, *, source: str, split: str, notes: tuple[str, ...] = ()
) -> list[Listing]:
    """Train, followed by test where it is asked for.

    A file named twice counts once; one with two classes is refused; both are said.

    Raises:
        DataError: no image for train, or no test split.
    """
    parts = {"train": _gather(rows, files, "train"), "test": _gather(rows, files, "test")}
    if not parts["train"].labels:
        raise DataError(f"{source}: names no image for train")
    if split == "test" and not parts["test"].labels:
        raise DataError(
            f"{source}: has no test split; add a column called split with train or test in each line"
        )
    names = sort_classes({label for found in parts["train"].labels.values() for label in found})
    places = {name: label for label, name in enumerate(names)}
    both = sorted(set(parts["train"].labels) & set(parts["test"].labels))
    if both:
        notes += (f"{len(both):,} files are in train and in test, such as {shown(both[:1])}",)
    wanted = ("train", "test")[: 1 + (split == "test")]
    return [
        _listing(parts[part], places, names, files, part, notes if part == split else ())
        for part in wanted
    ]


def sort_classes(names: set[str]) -> tuple[str, ...]:
    """As numbers where all are whole numbers, otherwise by code point."""
    ordered = sorted(names)
    if all(re.fullmatch(r"-?[0-9]+", name) for name in ordered):
        ordered.sort(key=int)
    return tuple(ordered)


def _gather(rows: Sequence[Row], files: Files, part: str) -> _Gathered:
    mine = [row for row in rows if (row.split or "train") == part]
    exact = [files.exact(row.path) for row in mine]
    look_further = not any(exact)
    found = _Gathered({}, [])
    for row, known in zip(mine, exact, strict=True):
        path = known
        if known is None and look_further:
            path = files.by_name(row.path, part)
            if path is not None:
                found.moved.append((row.path, path))
        found.labels.setdefault(path or row.path, []).append(row.label)
    return found


def _listing(
    part: _Gathered,
    places: dict[str, int],
    names: tuple[str, ...],
    files: Files,
    split: str,
    notes: tuple[str, ...],
) -> Listing:
    entries: list[Entry] = []
    twice, several = [], []
    for path in sorted(part.labels):
        labels = sorted(set(part.labels[path]))
        entry = describe_file(files.folder / path, path, places.get(labels[0], -1))
        if len(labels) > 1:
            several.append(f"{path} ({', '.join(labels[:3])})")
            entry = replace(entry, problem="the table gives it several classes")
        elif len(part.labels[path]) > 1:
            twice.append(path)
        entries.append(entry)
    if part.moved:
        value, path = part.moved[0]
        notes += (f"{len(part.moved):,} files found by name: {value} is {path}",)
    if twice:
        notes += (
            f"{len(twice):,} files are named more than once, each counts once: {shown(twice, 3)}",
        )
    if several:
        notes += (f"{len(several):,} files have several classes, not read: {shown(several, 3)}",)
    return Listing(files.folder, split, names, tuple(entries), notes=notes)
