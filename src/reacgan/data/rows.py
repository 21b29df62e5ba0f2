"""Rows of a table (file, class, split) to listings of files that are there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from reacgan.data.dataset import DataError, MissingSplitError
from reacgan.data.lookup import AmbiguousNameError, Files, split_of_path
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


class _Located(NamedTuple):
    row: Row
    """With the path that was found, and its split."""
    written: str = ""
    """The path as the table has it, where the file was found by its name alone."""


def listings_of(
    rows: Sequence[Row],
    files: Files,
    *,
    source: str,
    split: str,
    notes: tuple[str, ...] = (),
    named: str = "",
) -> list[Listing]:
    """Train, followed by test where it is asked for.

    A file named twice counts once; one with two classes is refused; both are said. Rows without a
    split have that of their folders, where some are train. Of files of one name that in a folder
    called as the split is taken, or as ``named``, which the table itself is called for.

    Raises:
        DataError: no image for train, or no test split; a name that several files have.
    """
    try:
        located = _locate(rows, files, named)
    except AmbiguousNameError as error:
        raise DataError(f"{source}: {error}") from None
    if not any(row.split for row in rows):
        notes += held_out_note([one.row for one in located])
    parts = {part: _gather(located, part) for part in ("train", "test")}
    if not parts["train"].labels:
        raise DataError(f"{source}: names no image for train")
    if split == "test" and not parts["test"].labels:
        raise MissingSplitError(
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


def held_out_note(rows: Sequence[Row]) -> tuple[str, ...]:
    """That files are held out for their folders' names alone."""
    paths = [row.path for row in rows if row.split == "test"]
    if not paths:
        return ()
    return (f"{len(paths):,} images are held out, as their folders say: {shown(paths, 1)}",)


def sort_classes(names: set[str]) -> tuple[str, ...]:
    """As numbers where all are whole numbers, otherwise by code point."""
    ordered = sorted(names)
    if all(re.fullmatch(r"-?[0-9]+", name) for name in ordered):
        ordered.sort(key=int)
    return tuple(ordered)


def _locate(rows: Sequence[Row], files: Files, named: str) -> list[_Located]:
    """Each row with the file that it means; by name where no path of its split is there."""
    exact = [files.exact(row.path) for row in rows]
    there = {row.split for row, path in zip(rows, exact, strict=True) if path is not None}
    located = []
    for row, known in zip(rows, exact, strict=True):
        path = known
        if known is None and row.split not in there:
            path = files.by_name(row.path, row.split or named)
        split = row.split or split_of_path(path or row.path) or "train"
        moved = known is None and path is not None
        located.append(_Located(Row(path or row.path, row.label, split), row.path if moved else ""))
    if not any(row.split for row in rows) and all(one.row.split == "test" for one in located):
        return [one._replace(row=one.row._replace(split="train")) for one in located]
    return located


def _gather(located: Sequence[_Located], part: str) -> _Gathered:
    found = _Gathered({}, [])
    for row, written in located:
        if row.split != part:
            continue
        if written:
            found.moved.append((written, row.path))
        found.labels.setdefault(row.path, []).append(row.label)
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
