"""Rows of a table (file, class, split) to listings of files that are there.

A table means a file by its path, or by its name where no other file is called so.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from reacgan.data.dataset import DataError, MissingSplitError
from reacgan.data.names import IMAGE_SUFFIXES, shown, split_of, suffix_of
from reacgan.data.tree import image_names
from reacgan.data.walk import Entry, Listing, describe_file


class AmbiguousNameError(ValueError):
    """A name that several files have; the text names them and begins after the table's own name."""


class Files:
    """The files that a table in a folder may name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def exact(self, value: str) -> str | None:
        """The path relative to the folder, as written or with slashes for backslashes, if it is there."""
        for text in _spellings(value):
            place = self.folder / text
            if os.path.lexists(place) and not place.is_dir():
                return os.path.normpath(text)
        return None

    def by_name(self, value: str, split: str = "") -> str | None:
        """The one image below the folder whose path ends so, with or without its extension.

        Of several, the one in a folder that is called as the split.

        Raises:
            AmbiguousNameError: several, and the split does not say which.
        """
        alike = self._alike(value)
        if len(alike) > 1 and split:
            alike = [path for path in alike if split_of_path(path) == split] or alike
        if len(alike) > 1:
            raise AmbiguousNameError(
                f"names {value.strip()}, which may be {' or '.join(alike[:3])}; write the path with its "
                "folder in the table"
            )
        return alike[0] if alike else None

    def looks_like_one(self, value: str) -> bool:
        """Whether a value may name an image."""
        return suffix_of(value.strip()) in IMAGE_SUFFIXES or bool(self._alike(value))

    def _alike(self, value: str) -> list[str]:
        wanted = unicodedata.normalize("NFC", _spellings(value)[-1]).removeprefix("./")
        return [
            path
            for path in self._by_name.get(PurePosixPath(wanted).name, ())
            if f"/{_composed(path)}".endswith(f"/{wanted}")
            or f"/{PurePosixPath(_composed(path)).with_suffix('')}".endswith(f"/{wanted}")
        ]

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        known: dict[str, list[str]] = defaultdict(list)
        for path in image_names(self.folder):
            name = _composed(PurePosixPath(path).name)
            known[name].append(path)
            known[name[: name.rfind(".")]].append(path)
        return known


def split_of_table(file: Path) -> str:
    """Which split a table's name speaks of: ``test.csv``, ``trainLabels.csv``."""
    said = split_of(file.stem)[0]
    return said or ("train" if file.stem.casefold() == "trainlabels" else "")


def split_of_path(path: str) -> str:
    """Which split the folders of a path speak of, if one does."""
    kinds = {split_of(folder)[0] for folder in PurePosixPath(path).parts[:-1]} - {""}
    return kinds.pop() if len(kinds) == 1 else ""


def _spellings(value: str) -> list[str]:
    """As written, composed and decomposed, without spaces at the ends, with slashes."""
    texts = [value]
    for text in (value, value.strip()):
        slashes = text.replace("\\", "/")
        for form in (text, slashes):
            texts += [form, unicodedata.normalize("NFC", form), unicodedata.normalize("NFD", form)]
    last = value.strip().replace("\\", "/")
    return [*dict.fromkeys(text for text in texts if text), last]


def _composed(path: str) -> str:
    return unicodedata.normalize("NFC", path)


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
