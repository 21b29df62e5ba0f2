"""Convert rows of a table (file, class, split) to listings of existing files.

A row refers to a file by its path, or by its name if that is unique.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from reacgan.data.dataset import DataError, MissingSplitError
from reacgan.data.listing import Entry, Listing, describe_file, image_names, parts_up_to
from reacgan.data.names import IMAGE_SUFFIXES, plural, shown, split_of, suffix_of


class AmbiguousNameError(ValueError):
    """A name that several files have; the message lists them."""


class Files:
    """The files that a table in a folder may name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, value: str, split: str = "") -> str | None:
        """The path relative to the folder: as written, or else by name.

        Raises:
            AmbiguousNameError: as :meth:`by_name`.
        """
        return self.exact(value) or self.by_name(value, split)

    def exact(self, value: str) -> str | None:
        """The path relative to the folder, as written or with slashes for backslashes, if it exists."""
        for text in _spellings(value):
            path = self.folder / text
            if os.path.lexists(path) and not path.is_dir():
                return os.path.normpath(text)
        return None

    def by_name(self, value: str, split: str = "") -> str | None:
        """The image below the folder whose path ends with ``value``, with or without its extension.

        Of several, the one in a folder named as the split.

        Raises:
            AmbiguousNameError: several, even with the split.
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

    def may_be_named(self, value: str) -> bool:
        """Whether a value may name an image."""
        return suffix_of(value.strip()) in IMAGE_SUFFIXES or bool(self._alike(value))

    def _alike(self, value: str) -> list[str]:
        wanted = _composed(list(_spellings(value))[-1]).removeprefix("./")
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
    """The split in a table's name: ``test.csv``, ``trainLabels.csv``."""
    split = split_of(file.stem)[0]
    return split or ("train" if file.stem.casefold() == "trainlabels" else "")


def split_of_path(path: str) -> str:
    """The split in the folders of a path, if any."""
    kinds = {split_of(folder)[0] for folder in PurePosixPath(path).parts[:-1]} - {""}
    return kinds.pop() if len(kinds) == 1 else ""


def _spellings(value: str) -> Iterator[str]:
    """The value stripped, Unicode composed and decomposed, and last with slashes."""
    yield value
    for text in (value, value.strip()):
        for form in (text, text.replace("\\", "/")):
            yield from (form, _composed(form), unicodedata.normalize("NFD", form))
    yield value.strip().replace("\\", "/")


def _composed(path: str) -> str:
    return unicodedata.normalize("NFC", path)


class Row(NamedTuple):
    """A line of a table; ``split`` is empty without one."""

    path: str
    label: str
    split: str


class _Located(NamedTuple):
    row: Row
    """The row with the path of its file, and its split."""
    written: str = ""
    """The path in the table, where the file was found by its name."""


def listings_of(
    rows: Sequence[Row],
    files: Files,
    *,
    source: str,
    split: str,
    notes: tuple[str, ...] = (),
    named: str = "",
) -> list[Listing]:
    """Listings of train, and of test if requested.

    A file named twice counts once, one with two classes is refused, both with notes. Rows without a
    split have that of their folders, if some are train. Of files of one name that in a folder named as
    the split is used, or as ``named``, the split in the table's name.

    Raises:
        DataError: no image for train, or no test split; a name that several files have.
    """
    try:
        located = _locate(rows, files, named)
    except AmbiguousNameError as error:
        raise DataError(f"{source}: {error}") from None
    if not any(row.split for row in rows):
        notes += held_out_note([each.row for each in located])
    parts = {
        part: [each for each in located if each.row.split == part] for part in ("train", "test")
    }
    if not parts["train"]:
        raise DataError(f"{source}: names no image for train")
    if split == "test" and not parts["test"]:
        raise MissingSplitError(
            f"{source}: has no test split; add a column called split with train or test in each line"
        )
    names = sort_classes({each.row.label for each in parts["train"]})
    train, test = ({each.row.path for each in parts[part]} for part in ("train", "test"))
    if train & test:
        both = sorted(train & test)
        notes += (f"{plural(len(both), 'file')} in train and in test, such as {shown(both[:1])}",)
    return [
        _listing(parts[part], names, files, part, notes if part == split else ())
        for part in parts_up_to(split)
    ]


def held_out_note(rows: Sequence[Row]) -> tuple[str, ...]:
    """A note on files that are held out by their folders' names."""
    paths = [row.path for row in rows if row.split == "test"]
    if not paths:
        return ()
    images = "1 image is" if len(paths) == 1 else f"{len(paths):,} images are"
    return (f"{images} held out, as their folders say: {shown(paths, 1)}",)


def sort_classes(names: set[str]) -> tuple[str, ...]:
    """Sorted as numbers if all are whole numbers, otherwise by code point."""
    ordered = sorted(names)
    if all(re.fullmatch(r"-?[0-9]+", name) for name in ordered):
        ordered.sort(key=int)
    return tuple(ordered)


def _locate(rows: Sequence[Row], files: Files, named: str) -> list[_Located]:
    """Each row with its file; by name where no path of its split exists."""
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
    if not any(row.split for row in rows) and all(each.row.split == "test" for each in located):
        return [each._replace(row=each.row._replace(split="train")) for each in located]
    return located


def _listing(
    located: Sequence[_Located],
    names: tuple[str, ...],
    files: Files,
    split: str,
    notes: tuple[str, ...],
) -> Listing:
    """The files of a split in a fixed order, with their classes."""
    labels_of: dict[str, list[str]] = defaultdict(list)
    for each in located:
        labels_of[each.row.path].append(each.row.label)
    numbers = {name: label for label, name in enumerate(names)}
    entries: list[Entry] = []
    twice, several = [], []
    for path in sorted(labels_of):
        labels = sorted(set(labels_of[path]))
        entry = describe_file(files.folder / path, path, numbers.get(labels[0], -1))
        if len(labels) > 1:
            several.append(f"{path} ({', '.join(labels[:3])})")
            entry = replace(entry, problem="the table gives it several classes")
        elif len(labels_of[path]) > 1:
            twice.append(path)
        entries.append(entry)
    moved = [each for each in located if each.written]
    if moved:
        first = f"{moved[0].written} is {moved[0].row.path}"
        notes += (f"{plural(len(moved), 'file')} found by name: {first}",)
    if twice:
        count = f"{plural(len(twice), 'file')} named more than once, counted once"
        notes += (f"{count}: {shown(twice, 3)}",)
    if several:
        files_of = plural(len(several), "file")
        notes += (f"{files_of} of several classes, not read: {shown(several, 3)}",)
    return Listing(files.folder, split, names, tuple(entries), notes=notes)
