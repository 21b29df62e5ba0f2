"""A table of files and classes: CSV with a header line, one JSON object a line, or ``dataset.json``.

Columns, in any case, by one of these names: the file ``path`` | ``file`` | ``filename`` |
``file_name`` | ``image``, relative to the table or absolute, with slashes or backslashes; its class
``label`` | ``class`` | ``target``; and, where images are held out, ``split``: train (training) or test
(testing, val, valid, validation, dev, eval), in every line. Columns with other names, also in other
languages, are used if unambiguous, with a note (``columns.py``); the options ``file``, ``label`` and
``split_column`` name them. Further columns are reported, not read. Without a split column folders named
as splits divide the files. CSV is separated by commas, semicolons, tabs or bars. Classes are sorted: as
numbers where all are whole numbers, otherwise by code point.

``dataset.json`` is that of StyleGAN's tool: ``{"labels": [[path, class], ...]}``, or null for none.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from reacgan.data.column_names import LABEL_NAMES, LABELS, PATH_NAMES, PATHS, SPLIT_VALUES, SPLITS
from reacgan.data.columns import (
    AUTOMATIC,
    Columns,
    ColumnsError,
    Wanted,
    choose_columns,
    class_column_of,
    find_split,
    meaning,
    named,
    no_label,
    or_name,
    plain_name,
    split_taken,
    taken_note,
    unread_note,
)
from reacgan.data.dataset import DataError
from reacgan.data.listing import Listing, read_text
from reacgan.data.names import IMAGE_SUFFIXES, class_name_of, suffix_of
from reacgan.data.rows import Files, Row, listings_of, split_of_table
from reacgan.files import is_file_name
from reacgan.records import parse_json

_DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
_SAMPLED_ROWS = 100
_EMPTY = "empty; needed: a header line with path and label"
_STYLE_GAN = (
    'needed: {"labels": [["00000/img00000000.png", 3], ...]}, as StyleGAN\'s tool writes it'
)


@dataclass(frozen=True)
class Table:
    """The rows of a table, and notes on it."""

    file: Path
    rows: tuple[Row, ...]
    has_split: bool = False
    notes: tuple[str, ...] = ()
    without_labels: bool = False
    """Whether it declares that there are no classes."""


def list_csv(
    path: str | None,
    *,
    split: str,
    file: str | None = None,
    label: str | None = None,
    split_column: str | None = None,
    encoding: str | None = None,
) -> list[Listing]:
    """The images that a CSV file names, separated by commas, semicolons, tabs or bars.

    Args:
        path: the file; its header names path (or file, filename, file_name, image), label (or class,
            target) and, where images are held out, split.
        split: train or test.
        file: the column of the files; None finds it by its name.
        label: the column of the classes; likewise.
        split_column: the column of the split; likewise.
        encoding: of the file, such as cp1252; None is UTF-8, or UTF-16 with a byte order mark.

    Raises:
        DataError: no such file or columns, an invalid line, or too many unusable images.
    """
    return _listings(path, split, ".csv", Wanted(file, label, split_column), encoding)


def list_jsonl(
    path: str | None,
    *,
    split: str,
    file: str | None = None,
    label: str | None = None,
    split_column: str | None = None,
) -> list[Listing]:
    """The images that a JSON-lines file names, or StyleGAN's dataset.json.

    Args:
        path: the file; each object in it has path, label and perhaps split, named as for csv.
        split: train or test.
        file: the key of the files; None finds it by its name.
        label: the key of the classes; likewise.
        split_column: the key of the split; likewise.

    Raises:
        DataError: as :func:`list_csv`.
    """
    return _listings(path, split, ".jsonl", Wanted(file, label, split_column))


TABLE_LISTERS = {".csv": list_csv, ".tsv": list_csv, ".jsonl": list_jsonl, ".json": list_jsonl}
"""What lists a table, by the extension of its file."""
TABLE_OPTIONS = ("file", "label", "split_column", "encoding")


def _listings(
    path: str | None, split: str, kind: str, wanted: Wanted, encoding: str | None = None
) -> list[Listing]:
    if path is None:
        raise DataError("data.path is missing; give the file with the columns path and label")
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{file}: no such file; give the file with the columns path and label")
    files = Files(file.parent)
    kind = ".json" if file.suffix.lower() == ".json" else kind
    table = read_table(file, files, kind=kind, wanted=wanted, encoding=encoding)
    if table.without_labels:
        raise DataError(f"{file}: declares no labels (null); give its folder for one class")
    listings = listings_of(
        table.rows,
        files,
        source=str(file),
        split=split,
        notes=table.notes,
        named=split_of_table(file),
    )
    return [replace(listing, table=file) for listing in listings]


def read_table(
    file: Path,
    files: Files,
    *,
    kind: str | None = None,
    wanted: Wanted = AUTOMATIC,
    encoding: str | None = None,
) -> Table:
    """Read a table.

    Args:
        file: the table.
        files: used only to find the column of files.
        kind: ``.csv``, ``.jsonl`` or ``.json``; None as the file's extension says.
        wanted: columns that the user names.
        encoding: of CSV; None is UTF-8, or UTF-16 with a byte order mark.

    Raises:
        DataError: not readable, no such columns, or an invalid line.
    """
    kind = file.suffix.lower() if kind is None else kind
    try:
        if kind == ".json":
            return _read_style_gan(file)
        if kind == ".jsonl":
            return _read_json_lines(file, wanted)
        return _read_csv(file, files, wanted, encoding)
    except ColumnsError as error:
        raise DataError(f"{file}: {error}") from None


def _read_csv(file: Path, files: Files, wanted: Wanted, encoding: str | None) -> Table:
    text = read_text(file, may_be_wide=True, encoding=encoding)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    spoken = re.match(r'"?sep=(.)"?\n', text)
    if spoken:  # the ``sep=`` line of spreadsheets
        text = text[spoken.end() :]
    delimiter = spoken[1] if spoken else _delimiter(text)
    try:
        rows = [row for row in _parsed(text, delimiter) if any(value.strip() for value in row)]
    except csv.Error as error:
        raise DataError(f"{file}: not readable as CSV: {error}") from None
    if not rows:
        raise DataError(f"{file}: {_EMPTY}")
    header, body = rows[0], rows[1:]
    if any(suffix_of(name.strip()) in IMAGE_SUFFIXES for name in header):
        raise DataError(
            f"{file}: the first line has only {', '.join(header)}; needed: one of {', '.join(PATHS)} "
            f"and one of {', '.join(LABELS)}, as a header above the lines of files"
        )
    for number, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise DataError(
                f"{file}, row {number}: {len(row)} values, needed: {len(header)}, one for each of "
                f"{', '.join(header)} (a value that holds {_DELIMITERS.get(delimiter, delimiter)} "
                "needs double quotes)"
            )
    columns = choose_columns(header, body, files.may_be_named, wanted)
    table_rows = tuple(
        _csv_row(row, header, columns, f"{file}, row {number}")
        for number, row in enumerate(body, start=2)
    )
    return Table(file, table_rows, columns.split is not None, columns.notes)


def _csv_row(row: Sequence[str], header: Sequence[str], columns: Columns, where: str) -> Row:
    path = _path_in(row[columns.path], header[columns.path], where)
    if columns.label is not None:
        label = _label_in(row[columns.label], header[columns.label], where)
    else:
        index = class_column_of(row, columns.one_hot)
        assert index is not None  # every row has been checked
        label = _label_in(header[index], header[index], where)
    split = columns.split
    return Row(path, label, "" if split is None else _split_in(row[split], header[split], where))


def _parsed(text: str, delimiter: str, *, strict: bool = True) -> Iterator[list[str]]:
    """Rows of CSV, with line breaks within quotes and cells of any length."""
    before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=strict)
    finally:
        csv.field_size_limit(before)


def _delimiter(text: str) -> str:
    """The delimiter that splits the header and the rows into equally many cells."""
    best, ranked = ",", (-1.0, 0)
    for mark in _DELIMITERS:
        try:
            rows = list(islice(_parsed(text, mark, strict=False), _SAMPLED_ROWS + 1))
        except csv.Error:
            continue
        width = len(rows[0]) if rows else 0
        body = [row for row in rows[1:] if row]
        alike = sum(len(row) == width for row in body) / max(1, len(body))
        if width > 1 and (alike, width) > ranked:
            best, ranked = mark, (alike, width)
    return best


def _read_json_lines(file: Path, wanted: Wanted) -> Table:
    """Rows of objects with path, label and perhaps a split, in every line or in none."""
    titles: dict[str, str] = {}
    objects = list(_objects(file, titles))
    keys, header = list(titles), list(titles.values())
    texts = [
        ["" if item.get(key) is None else str(item[key]) for key in keys] for _, item in objects
    ]
    named_keys = [
        None if index is None else keys[index]
        for index in (wanted.column_of(role, header) for role in Wanted._fields)
    ]
    _refuse_without_label(header, keys, texts, named_keys)
    pairs = [_path_and_label(item, where, named_keys, titles) for where, item in objects]
    used = [keys.index(key) for key in dict.fromkeys(key for pair in pairs for key in pair)]
    split_key = named_keys[2]
    if split_key is None and (index := find_split(keys, texts, used)) is not None:
        split_key = keys[index]
    rows = []
    for (where, item), (path, label) in zip(objects, pairs, strict=True):
        split = "" if split_key is None else _split_in(item.get(split_key), split_key, where)
        rows.append(
            Row(_path_in(item[path], path, where), _label_in(item[label], label, where), split)
        )
    first = pairs[0] if pairs else None
    notes = (
        [taken_note(header, keys.index(first[0]), keys.index(first[1]), wanted)] if first else []
    )
    split_index = None if split_key is None else keys.index(split_key)
    if split_index is not None:
        used.append(split_index)
        if split_key not in SPLITS and wanted.split_column is None:
            values = [text[split_index] for text in texts]
            notes.append(split_taken(header[split_index], keys[split_index], values))
    notes.append(unread_note(header, keys, texts, used, split_index))
    return Table(file, tuple(rows), split_key is not None, tuple(filter(None, notes)))


def _refuse_without_label(
    header: Sequence[str],
    keys: Sequence[str],
    texts: Sequence[Sequence[str]],
    named_keys: Sequence[str | None],
) -> None:
    """Raise where no key is known for the class, with those that may hold it."""
    known = {name for names in LABEL_NAMES for name in names}
    if not keys or named_keys[1] is not None or not known.isdisjoint(keys):
        return
    paths = {name for names in PATH_NAMES for name in names}
    split = find_split(keys, texts, ()) if named_keys[2] is None else keys.index(named_keys[2])
    free = (index for index, key in enumerate(keys) if key not in paths and index != split)
    if left := [index for index in free if keys[index] != named_keys[0]]:
        raise ColumnsError(no_label(header, texts, left))


def _objects(file: Path, titles: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The location of each object, and its values by plain names, whose titles join ``titles``."""
    for number, line in enumerate(read_text(file, may_be_wide=True).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            item = parse_json(line)
        except ValueError:
            item = None
        if not isinstance(item, dict):
            raise DataError(
                f'{where}: not a JSON object such as {{"path": "1.png", "label": "cat"}}'
            )
        for key in item:
            titles.setdefault(plain_name(key), key.strip())
        yield where, {plain_name(key): value for key, value in item.items()}


def _path_and_label(
    item: Mapping[str, Any],
    where: str,
    named_keys: Sequence[str | None],
    titles: Mapping[str, str],
) -> tuple[str, str]:
    """The keys of file and class of an object: those that are named, or known."""
    keys = []
    roles = ("file", PATH_NAMES), ("label", LABEL_NAMES)
    for wanted, (role, known) in zip(named_keys, roles, strict=False):
        if wanted is not None and wanted in item:
            keys.append(wanted)
            continue
        names = list(item)
        try:
            index = None if wanted is not None else named(names, role, known)
        except ColumnsError as error:
            raise DataError(f"{where}: {error}") from None
        if index is None:
            needed = wanted or f"one of {', '.join(known[0])}{or_name(role)}"
            there = ", ".join(titles[name] for name in names) or "nothing"
            raise DataError(f"{where}: has only {there}; needed: {needed}")
        keys.append(names[index])
    return keys[0], keys[1]


def _read_style_gan(file: Path) -> Table:
    """``{"labels": [[path, class], ...]}``; a class is a whole number, a text, or a one-hot vector."""
    try:
        content = parse_json(read_text(file, may_be_wide=True))
    except ValueError:
        raise DataError(f"{file}: not JSON; {_STYLE_GAN}") from None
    if not isinstance(content, dict) or "labels" not in content:
        raise DataError(f"{file}: holds no labels; {_STYLE_GAN}")
    labels = content["labels"]
    if labels is None:
        return Table(file, (), without_labels=True)
    if not isinstance(labels, list) or not all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in labels
    ):
        raise DataError(f"{file}: its labels are not a list of [path, class]; {_STYLE_GAN}")
    if labels and all(label is None for _, label in labels):
        return Table(file, (), without_labels=True)
    rows = []
    for number, (name, label) in enumerate(labels, start=1):
        where = f"{file}, label {number}"
        path = _path_in(name, "path", where)
        rows.append(Row(path, _label_in(_from_one_hot(label), "label", where), ""))
    return Table(file, tuple(rows))


def _from_one_hot(label: Any) -> Any:
    """The index of a one-hot vector; other values unchanged."""
    if isinstance(label, list) and sorted(label, key=str) == [0] * (len(label) - 1) + [1]:
        return label.index(1)
    return label


def _path_in(value: Any, name: str, where: str) -> str:
    """A non-empty text, such as a file's name."""
    text = str(value) if isinstance(value, str | int) and value is not True else ""
    if not text.strip() or not is_file_name(text) or value is False:
        raise DataError(f"{where}: {name} is {value!r}; needed: a text or a whole number")
    return text


def _label_in(value: Any, name: str, where: str) -> str:
    """A class in Unicode's composed form."""
    return class_name_of(_path_in(value, name, where).strip())


def _split_in(value: Any, name: str, where: str) -> str:
    """The split of a cell; an empty cell is refused."""
    text = "" if value is None else str(value)
    split = meaning(text, plain_name(name))
    if not split:
        state = f"is {value!r}" if text.strip() else "is empty"
        raise DataError(f"{where}: {name.strip()} {state}; allowed: {SPLIT_VALUES}")
    return split
