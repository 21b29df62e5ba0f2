"""Label files beside folders of images: which are read, and which are only reported.

``dataset.json`` of StyleGAN's tool has priority where it names the images. The tables ``metadata.jsonl``,
``metadata.csv``, ``labels.csv``, ``train.csv`` and the like give the classes where the folders do
not; beside class folders they are compared and reported. All other files are only reported.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from reacgan.data.dataset import DataError, MissingSplitError
from reacgan.data.layout import Decision, Tree, Way
from reacgan.data.listing import NO_CLASS, Listing, describe_file, image_names
from reacgan.data.names import class_name_of, plural, shown, split_of
from reacgan.data.rows import (
    AmbiguousNameError,
    Files,
    Row,
    held_out_note,
    listings_of,
    split_of_path,
    split_of_table,
)
from reacgan.data.tables import Table, read_table
from reacgan.records import read_mapping

GENERATED = "reacgan generated images"
"""How the kind in ``manifest.json`` of a set of generated images begins."""
STYLE_GAN, MANIFEST = "dataset.json", "manifest.json"
TABLES = (
    *("metadata.jsonl", "metadata.csv", "labels.csv"),
    *("train.csv", "train_labels.csv", "trainlabels.csv", "_classes.csv"),
)
READABLE = (".csv", ".tsv", ".jsonl")
TEST_TABLES = ("test.csv", "val.csv", "valid.csv", "validation.csv", "dev.csv", "eval.csv")


@dataclass(frozen=True)
class Beside:
    """The result for label files: a table to read instead of folders, or none."""

    list_table: Callable[[str], list[Listing]] | None = None
    """Listings of train, and of test if requested; None where folders are the classes."""
    has_test: bool = False
    notes: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    """Reasons for tables that cannot be read."""
    unread: tuple[Path, ...] = ()
    """Other files beside the images that may hold labels."""


@dataclass(frozen=True)
class _Candidate:
    table: Table
    files: Files
    way: Way
    rows: tuple[Row, ...]
    labels: dict[str, str]
    """Class of each existing file, by path relative to the table's folder."""

    def agrees_with(self, decision: Decision) -> bool:
        """Whether folders and table partition the images equally, up to names of classes."""
        if decision.train is None:
            return False
        below = decision.train[len(self.way) :]
        pairs = set()
        for path, label in self.labels.items():
            parts = Path(path).parts
            if parts[: len(below)] == below and len(parts) > len(below) + 1:
                pairs.add((class_name_of(parts[len(below)]), label))
        folders, labels = {folder for folder, _ in pairs}, {label for _, label in pairs}
        return bool(pairs) and len(pairs) == len(folders) == len(labels)


def look_beside(root: Path, tree: Tree, decision: Decision) -> Beside:
    """Compare label files with the folders.

    Raises:
        DataError: several tables that contradict each other where folders give no classes.
    """
    style_gan: list[_Candidate] = []
    tables: list[_Candidate] = []
    refusals: list[str] = []
    names: list[str] = []
    said: list[str] = []
    for way, name in _label_files(tree, decision):
        folder = root.joinpath(*way)
        if name.casefold() == MANIFEST and _is_of_generated(folder / name):
            said.append(f"generated images: {'/'.join((*way, name))} says how they were made")
            said += _values_in(folder / name)
            continue
        if name.casefold() not in (STYLE_GAN, *TABLES):
            names.append("/".join((*way, name)))
            continue
        try:
            candidate = _candidate(read_table(folder / name, Files(folder)), folder, way)
        except DataError as error:
            refusals.append(f"{error}{_given_itself(folder / name, str(error))}")
            continue
        if not candidate.table.without_labels:
            (style_gan if name.casefold() == STYLE_GAN else tables).append(candidate)
        elif not decision.has_classes or decision.are_pieces:
            note = f"{name} declares no labels: one class, {NO_CLASS}"
            return Beside(partial(_list_unlabelled, folder, notes=(note,)))
        else:
            refusals.append(f"{folder / name}: declares no labels; the folders are used")
    chosen = _choose(decision, style_gan, tables)
    if chosen is None:
        differing = [each for each in (*style_gan, *tables) if not each.agrees_with(decision)]
        compared = [
            f"{each.table.file.relative_to(root)} gives other classes than the folders, which are "
            f"taken: to take its own, give {each.table.file}"
            for each in differing
        ]
        return Beside(
            notes=(
                *said,
                *compared,
                *(f"not read: {text}" for text in refusals),
                *_unread_note(names),
            ),
            refusals=tuple(refusals),
            unread=tuple(root / name for name in names if _may_have_labels(name)),
        )
    return _listed_by(chosen, tree, root, names)


def _given_itself(file: Path, refusal: str) -> str:
    """Options name columns of a table, not of a folder with one in it."""
    return f" (with {file} as the path)" if "--set" in refusal else ""


def _listed_by(chosen: _Candidate, tree: Tree, root: Path, names: Sequence[str]) -> Beside:
    test_table, test = _test_rows(chosen, tree, root)
    rows = (*chosen.rows, *test)
    notes = _notes(chosen, rows)
    if test_table is not None:
        name = test_table.relative_to(root)
        notes.insert(1, f"test: classes from {name}, for {plural(len(test), 'image')}")
    notes += _unread_note([name for name in names if root / name != test_table])
    source = str(chosen.table.file)

    def list_table(split: str) -> list[Listing]:
        return listings_of(rows, chosen.files, source=source, split=split, notes=tuple(notes))

    return Beside(list_table, any(row.split == "test" for row in rows))


def _is_of_generated(manifest: Path) -> bool:
    """Whether the file is the record that ``reacgan generate`` leaves beside its images."""
    try:
        with manifest.open(encoding="utf-8") as file:
            return GENERATED in file.read(200)
    except (OSError, UnicodeDecodeError):
        return False


def _values_in(manifest: Path) -> list[str]:
    """How pixels map back to values of more than 8 bits, where the record says so."""
    white = (read_mapping(manifest) or {}).get("white")
    if isinstance(white, bool) or not isinstance(white, int | float):
        return []
    return [
        f"their pixels stand for other values, value = pixel / 255 * {white:g}, which a model that is "
        "trained on them does not know"
    ]


def _unread_note(names: Sequence[str]) -> list[str]:
    return [f"files beside the images are not read: {shown(names)}"] if names else []


def _may_have_labels(name: str) -> bool:
    """Whether it is a readable table, but not a sample submission of a competition."""
    word = Path(name).name.casefold().replace("_", "").replace("-", "").replace(" ", "")
    return word.endswith(READABLE) and "samplesub" not in word


def _label_files(tree: Tree, decision: Decision) -> Iterator[tuple[Way, str]]:
    """Folder and name of possible label files on the path to the class folders."""
    for way in dict.fromkeys(decision.levels):
        folder = tree
        for name in way:
            folder = next(below for below in folder.folders if below.name == name)
        yield from ((way, name) for name in folder.tables)


def _candidate(table: Table, folder: Path, way: Way) -> _Candidate:
    """The table with its existing files.

    Raises:
        DataError: it cannot be used.
    """
    files = Files(folder)
    named = split_of_table(table.file)
    labels: dict[str, str] = {}
    rows = []
    for row in table.rows:
        try:
            path = files.find(row.path, row.split or named)
        except AmbiguousNameError as error:
            raise DataError(f"{table.file}: {error}") from None
        if path is not None:
            labels[path] = row.label
        split = row.split or split_of_path("/".join((*way, path or "")))
        rows.append(Row(path or row.path, row.label, split or "train"))
    paths = {row.path for row in table.rows}
    if not table.without_labels and 2 * len(labels) <= len(paths):
        raise DataError(f"{table.file}: most of the files that it names are missing")
    return _Candidate(table, files, way, tuple(rows), labels)


def _choose(
    decision: Decision, style_gan: Sequence[_Candidate], tables: Sequence[_Candidate]
) -> _Candidate | None:
    """The table to read; None where the folders are the classes."""
    if style_gan:
        agrees = style_gan[0].agrees_with(decision) and not decision.are_pieces
        return None if agrees else style_gan[0]
    if not tables or (decision.has_classes and not decision.are_pieces):
        return None
    if decision.has_classes and all(table.agrees_with(decision) for table in tables):
        return None
    first = tables[0]
    for other in tables[1:]:
        if other.labels != first.labels or other.way != first.way:
            raise DataError(
                f"{first.table.file} and {other.table.file} both name images; give the one that has "
                "the classes as the path"
            )
    return first


def _test_rows(chosen: _Candidate, tree: Tree, root: Path) -> tuple[Path | None, tuple[Row, ...]]:
    """A table of held-out images beside the chosen one, or of the same name in test/, and its rows."""
    if chosen.table.has_split or any(row.split == "test" for row in chosen.rows):
        return None, ()
    base = chosen.files.folder
    candidates = [base / name for name in TEST_TABLES]
    if chosen.way:
        above = root.joinpath(*chosen.way[:-1])
        tests = [folder.name for folder in tree.folders if split_of(folder.name)[0] == "test"]
        candidates += [above / name / chosen.table.file.name for name in tests]
    for file in filter(Path.is_file, candidates):
        files = Files(file.parent)
        try:
            table = read_table(file, files)
        except DataError:  # a table without classes, as in competitions
            continue
        try:
            paths = [files.find(row.path, "test") for row in table.rows]
        except AmbiguousNameError as error:
            raise DataError(f"{file}: {error}") from None
        rows = [
            Row(Path(os.path.relpath(file.parent / path, base)).as_posix(), row.label, "test")
            for path, row in zip(paths, table.rows, strict=True)
            if path is not None
        ]
        if 2 * len(rows) > len(table.rows):
            return file, tuple(rows)
    return None, ()


def _notes(chosen: _Candidate, rows: Sequence[Row]) -> list[str]:
    name = chosen.table.file.name
    listed = {row.path for row in rows}
    folders = {str(Path(path).parent) for path in chosen.labels}
    left = [
        path
        for path in image_names(chosen.files.folder)
        if path not in listed and str(Path(path).parent) in folders
    ]
    notes = [f"classes from {name}, for {plural(len(chosen.labels), 'image')}"]
    if left:
        are = "image is" if len(left) == 1 else "images are"
        notes.append(f"{len(left):,} {are} not in {name}, not read: {shown(left, 2)}")
    held_out = () if chosen.table.has_split else held_out_note(chosen.rows)
    return [*notes, *held_out, *(f"{name}: {note}" for note in chosen.table.notes)]


def _list_unlabelled(folder: Path, split: str, *, notes: tuple[str, ...]) -> list[Listing]:
    """All images below a folder as one class."""
    if split != "train":
        raise MissingSplitError(f"{folder}: has no test split")
    entries = [describe_file(folder / name, name, 0) for name in image_names(folder)]
    return [replace(Listing(folder, "train", (NO_CLASS,), tuple(entries)), notes=notes)]
