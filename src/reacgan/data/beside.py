"""Files with labels beside folders of images: which are read, and what is said of the others.

``dataset.json`` of StyleGAN's tool decides wherever it names the images. The tables ``metadata.jsonl``,
``metadata.csv``, ``labels.csv``, ``train.csv`` and their like give the classes where the folders give
none; beside class folders they are compared and named. All other files are only named.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reacgan.data.cells import Table
from reacgan.data.dataset import DataError, MissingSplitError
from reacgan.data.flat import NO_CLASS
from reacgan.data.names import class_name_of, is_piece, shown, split_of
from reacgan.data.rows import (
    AmbiguousNameError,
    Files,
    Row,
    held_out_note,
    listings_of,
    split_of_path,
    split_of_table,
)
from reacgan.data.shape import Decision, Tree, Way
from reacgan.data.table import read_table
from reacgan.data.tree import image_names
from reacgan.data.walk import Listing, describe_file

STYLE_GAN = "dataset.json"
TABLES = (
    *("metadata.jsonl", "metadata.csv", "labels.csv"),
    *("train.csv", "train_labels.csv", "trainlabels.csv", "_classes.csv"),
)
READABLE = (".csv", ".tsv", ".jsonl")
TEST_TABLES = ("test.csv", "val.csv", "valid.csv", "validation.csv", "dev.csv", "eval.csv")


@dataclass(frozen=True)
class Beside:
    """What files beside the folders say: a table to read instead of folders, or nothing."""

    table: Table | None = None
    rows: tuple[Row, ...] = ()
    """The table's, each with the split that its file or folder says."""
    files: Files | None = None
    unlabelled: Path | None = None
    """A folder of which a file says that there are no classes."""
    notes: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    """Why tables that might have served cannot be read."""
    unread: tuple[Path, ...] = ()
    """Other files beside the images that may hold labels."""

    def listings(self, split: str) -> list[Listing] | None:
        """Train, followed by test where it is asked for; None where folders are the classes."""
        if self.unlabelled is not None:
            return [_one_class(self.unlabelled, split, self.notes)]
        if self.table is None or self.files is None:
            return None
        source = str(self.table.file)
        return listings_of(self.rows, self.files, source=source, split=split, notes=self.notes)

    @property
    def has_test(self) -> bool:
        """Whether it holds test images out."""
        return any(row.split == "test" for row in self.rows)


@dataclass(frozen=True)
class _Candidate:
    table: Table
    files: Files
    way: Way
    rows: tuple[Row, ...]
    found: dict[str, str]
    """Class of each file that is there, relative to the table's folder."""


def look_beside(root: Path, tree: Tree, decision: Decision) -> Beside:
    """Compare what files with labels say with what the folders say.

    Raises:
        DataError: several tables that say different things where folders say nothing.
    """
    style_gan: list[_Candidate] = []
    tables: list[_Candidate] = []
    refusals: list[str] = []
    names: list[str] = []
    for way, folder in _levels(tree, decision):
        for name in folder.tables:
            if name.casefold() not in (STYLE_GAN, *TABLES):
                names.append("/".join((*way, name)))
                continue
            try:
                table = read_table(root.joinpath(*way, name), Files(root.joinpath(*way)))
            except DataError as error:
                refusals.append(str(error))
                continue
            if table.without_labels:
                if not _are_class_folders(decision) or _are_pieces(decision):
                    return Beside(
                        unlabelled=root.joinpath(*way),
                        notes=(f"{name} says that there are no labels: one class, {NO_CLASS}",),
                    )
                refusals.append(
                    f"{table.file}: says that there are no labels; the folders are taken"
                )
                continue
            candidate = _found(table, root, way)
            if isinstance(candidate, str):
                refusals.append(f"{table.file}: {candidate}")
            else:
                (style_gan if name.casefold() == STYLE_GAN else tables).append(candidate)
    chosen = _choose(decision, style_gan, tables)
    if chosen is None:
        compared = [_comparison(one, root, decision) for one in (*style_gan, *tables)]
        compared += [f"not read: {refusal}" for refusal in refusals]
        return Beside(
            notes=(*filter(None, compared), *_unread_note(names)),
            refusals=tuple(refusals),
            unread=tuple(root / name for name in names if _may_have_labels(name)),
        )
    test_table, test = _test_rows(chosen, tree, root)
    rows = (*chosen.rows, *test)
    unread = [name for name in names if root / name != test_table]
    notes = [*_notes(chosen, rows), *_unread_note(unread)]
    if test_table is not None:
        notes.insert(
            1, f"test: classes from {test_table.relative_to(root)}, for {len(test):,} images"
        )
    return Beside(chosen.table, rows, chosen.files, notes=tuple(notes))


def _unread_note(names: Sequence[str]) -> tuple[str, ...]:
    return (f"files beside the images are not read: {shown(names)}",) if names else ()


def _may_have_labels(name: str) -> bool:
    """Whether it is a table that can be read, and no example of answers as competitions give it."""
    word = Path(name).name.casefold().replace("_", "").replace("-", "").replace(" ", "")
    return word.endswith(READABLE) and "samplesub" not in word


def _levels(tree: Tree, decision: Decision) -> Iterator[tuple[Way, Tree]]:
    for way in dict.fromkeys(decision.levels):
        folder = tree
        for name in way:
            folder = next(one for one in folder.folders if one.name == name)
        yield way, folder


def _found(table: Table, root: Path, way: Way) -> _Candidate | str:
    """The table with those of its files that are there, or why it cannot serve."""
    files = Files(root.joinpath(*way))
    named = split_of_table(table.file)
    found: dict[str, str] = {}
    rows = []
    for row in table.rows:
        try:
            path = files.exact(row.path) or files.by_name(row.path, row.split or named)
        except AmbiguousNameError as error:
            return str(error)
        if path is not None:
            found[path] = row.label
        split = row.split or split_of_path("/".join((*way, path or "")))
        rows.append(Row(path or row.path, row.label, split or "train"))
    if 2 * len(found) <= len({row.path for row in table.rows}):
        return "most of the files that it names are not there"
    return _Candidate(table, files, way, tuple(rows), found)


def _choose(
    decision: Decision, style_gan: Sequence[_Candidate], tables: Sequence[_Candidate]
) -> _Candidate | None:
    """The table to read; None where the folders are the classes."""
    if style_gan:
        one = style_gan[0]
        return None if _agrees(one, decision) and not _are_pieces(decision) else one
    if not tables or (_are_class_folders(decision) and not _are_pieces(decision)):
        return None
    if _are_class_folders(decision) and all(_agrees(one, decision) for one in tables):
        return None
    first, *more = tables
    for one in more:
        if one.found != first.found or one.way != first.way:
            raise DataError(
                f"{first.table.file} and {one.table.file} both name images; give the one that has the "
                "classes as the path"
            )
    return first


def _are_class_folders(decision: Decision) -> bool:
    return decision.train is not None and len(decision.classes) > 1


def _are_pieces(decision: Decision) -> bool:
    """Whether the folders are called as parts of one large set: ``00000``, ``images_part_2``."""
    return all(map(is_piece, decision.classes))


def _agrees(candidate: _Candidate, decision: Decision) -> bool:
    """Whether folders and table divide the images alike, whatever they call the classes."""
    if decision.train is None:
        return False
    below = decision.train[len(candidate.way) :]
    pairs = set()
    for path, label in candidate.found.items():
        parts = Path(path).parts
        if parts[: len(below)] == below and len(parts) > len(below) + 1:
            pairs.add((class_name_of(parts[len(below)]), label))
    folders, labels = {folder for folder, _ in pairs}, {label for _, label in pairs}
    return bool(pairs) and len(pairs) == len(folders) == len(labels)


def _comparison(candidate: _Candidate, root: Path, decision: Decision) -> str:
    name = candidate.table.file.relative_to(root)
    if _agrees(candidate, decision):
        return ""
    return (
        f"{name} gives other classes than the folders, which are taken: to take its own, give "
        f"{candidate.table.file}"
    )


def _test_rows(chosen: _Candidate, tree: Tree, root: Path) -> tuple[Path | None, tuple[Row, ...]]:
    """A table of held-out images beside the one chosen, or of the same name in test/, and its rows."""
    if chosen.table.has_split or any(row.split == "test" for row in chosen.rows):
        return None, ()
    base = chosen.files.folder
    places = [base / name for name in TEST_TABLES]
    if chosen.way:
        sister = [root.joinpath(*chosen.way[:-1], one.name) for one in tree.folders]
        places += [
            one / chosen.table.file.name for one in sister if split_of(one.name)[0] == "test"
        ]
    for place in places:
        if not place.is_file():
            continue
        files = Files(place.parent)
        try:
            table = read_table(place, files)
        except DataError:  # a table of images without classes, as competitions give them
            continue
        rows = []
        for row in table.rows:
            try:
                path = files.exact(row.path) or files.by_name(row.path, "test")
            except AmbiguousNameError as error:
                raise DataError(f"{place}: {error}") from None
            if path is not None:
                relative = Path(os.path.relpath(place.parent / path, base)).as_posix()
                rows.append(Row(relative, row.label, "test"))
        if 2 * len(rows) > len(table.rows):
            return place, tuple(rows)
    return None, ()


def _notes(chosen: _Candidate, rows: Sequence[Row]) -> tuple[str, ...]:
    kept = {row.path for row in rows}
    folders = {str(Path(path).parent) for path in chosen.found}
    left = [
        path
        for path in image_names(chosen.files.folder)
        if path not in kept and str(Path(path).parent) in folders
    ]
    said = [f"classes from {chosen.table.file.name}, for {len(chosen.found):,} images"]
    if left:
        said.append(
            f"{len(left):,} images are not in {chosen.table.file.name}, not read: {shown(left, 2)}"
        )
    held_out = () if chosen.table.has_split else held_out_note(chosen.rows)
    return (*said, *held_out, *chosen.table.notes)


def _one_class(folder: Path, split: str, notes: tuple[str, ...]) -> Listing:
    """All images below a folder as one class."""
    if split != "train":
        raise MissingSplitError(f"{folder}: has no test split")
    entries = [describe_file(folder / name, name, 0) for name in image_names(folder)]
    return replace(Listing(folder, "train", (NO_CLASS,), tuple(entries)), notes=notes)
