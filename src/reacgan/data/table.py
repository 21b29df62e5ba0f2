"""A table of files and classes: CSV with a header line, one JSON object a line, or ``dataset.json``.

Columns, in any case, whichever of the names is there: the file ``path`` | ``file`` | ``filename`` |
``file_name`` | ``image``, relative to the table or absolute, with slashes or backslashes; its class
``label`` | ``class`` | ``target``; and, where images are held out, ``split``: train (training) or test
(testing, val, valid, validation, dev, eval). Of other names, in other languages too, those are taken
that leave no choice, and that is said (``columns.py``). Further columns are not read. CSV is separated
by commas, semicolons, tabs or bars. Classes are sorted: as numbers where all are whole numbers,
otherwise by code point.

``dataset.json`` is that of StyleGAN's tool: ``{"labels": [[path, class], ...]}``, or null for none.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reacgan.config import Resolution
from reacgan.data.columns import (
    LABELS,
    PATHS,
    Columns,
    ColumnsError,
    choose_columns,
    one_of,
    plain_name,
)
from reacgan.data.dataset import DataError, ImageData, check_request
from reacgan.data.lookup import Files
from reacgan.data.names import IMAGE_SUFFIXES, TEST_NAMES, TRAIN_NAMES, class_name_of, suffix_of
from reacgan.data.pack import open_listings
from reacgan.data.rows import Row, listings_of
from reacgan.data.walk import Listing, read_text

_DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
_LOOKED_AT = 100


@dataclass(frozen=True)
class Table:
    """The rows of a table, and what is to be said of it."""

    file: Path
    rows: tuple[Row, ...]
    has_split: bool = False
    notes: tuple[str, ...] = ()
    without_labels: bool = False
    """Whether it says that there are no classes."""


def open_csv(path: str | None, *, split: str, resolution: Resolution, channels: int) -> ImageData:
    """The images that a CSV file names, separated by commas, semicolons, tabs or bars.

    Args:
        path: the file; its header names path (or file, filename, file_name, image), label (or class,
            target) and, where images are held out, split.
        split: train or test.
        resolution: side, or (height, width).
        channels: 1, 3, 4, or what the arrays have.

    Raises:
        DataError: no such file or columns, a line that does not fit, or too many unusable images.
    """
    check_request(split=split, resolution=resolution, channels=channels)
    return open_listings(list_csv(path, split=split), resolution=resolution, channels=channels)


def open_jsonl(path: str | None, *, split: str, resolution: Resolution, channels: int) -> ImageData:
    """The images that a JSON-lines file names, or StyleGAN's dataset.json.

    Args:
        path: the file; each object in it has path, label and perhaps split, named as for csv.
        split: train or test.
        resolution: side, or (height, width).
        channels: 1, 3, 4, or what the arrays have.

    Raises:
        DataError: as :func:`open_csv`.
    """
    check_request(split=split, resolution=resolution, channels=channels)
    return open_listings(list_jsonl(path, split=split), resolution=resolution, channels=channels)


def list_csv(path: str | None, *, split: str) -> list[Listing]:
    """What :func:`open_csv` opens: train, followed by test where it is asked for."""
    return _listings(path, split, ".csv")


def list_jsonl(path: str | None, *, split: str) -> list[Listing]:
    """What :func:`open_jsonl` opens: train, followed by test where it is asked for."""
    return _listings(path, split, ".jsonl")


def _listings(path: str | None, split: str, kind: str) -> list[Listing]:
    if path is None:
        raise DataError("data.path is missing; give the file with the columns path and label")
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{file}: no such file; give the file with the columns path and label")
    files = Files(file.parent)
    table = read_table(file, files, kind=".json" if file.suffix.lower() == ".json" else kind)
    if table.without_labels:
        raise DataError(
            f"{file}: says that there are no labels (null); give its folder for one class"
        )
    return listings_of(table.rows, files, source=str(file), split=split, notes=table.notes)


def read_table(file: Path, files: Files, *, kind: str | None = None) -> Table:
    """Read a table; its files are only looked up where that tells which column names them.

    Raises:
        DataError: not readable, no such columns, or a line that does not fit.
    """
    kind = file.suffix.lower() if kind is None else kind
    if kind == ".json":
        return _style_gan_table(file)
    if kind == ".jsonl":
        rows = tuple(_json_rows(file))
        return Table(file, rows, has_split=any(row.split for row in rows))
    return _csv_table(file, files)


def _csv_table(file: Path, files: Files) -> Table:
    text = read_text(file, may_be_wide=True).replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise DataError(f"{file}: empty; needed: a header line with path and label")
    spoken = re.match(r'"?sep=(.)"?\n', text)
    if spoken:  # what spreadsheets write to tell each other
        text = text[spoken.end() :]
    delimiter = spoken[1] if spoken else _delimiter(text)
    try:
        rows = [row for row in _parsed(text, delimiter) if any(value.strip() for value in row)]
    except csv.Error as error:
        raise DataError(f"{file}: not readable as CSV: {error}") from None
    if not rows:
        raise DataError(f"{file}: empty; needed: a header line with path and label")
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
                "stands in double quotes)"
            )
    try:
        columns = choose_columns(header, body, files.looks_like_one)
    except ColumnsError as error:
        raise DataError(f"{file}: {error}") from None
    found = []
    for number, row in enumerate(body, start=2):
        where = f"{file}, row {number}"
        path = _path(row[columns.path], header[columns.path], where)
        label = _class_in(row, header, columns, where)
        split = "" if columns.split is None else _split(row[columns.split], where)
        found.append(Row(path, label, split))
    notes = (f"{file.name}: {columns.note}",) if columns.note else ()
    return Table(file, tuple(found), columns.split is not None, notes)


def _class_in(row: Sequence[str], header: Sequence[str], columns: Columns, where: str) -> str:
    if columns.label is not None:
        return _label(row[columns.label], header[columns.label], where)
    place = one_of(row, columns.one_hot)
    assert place is not None  # every row has been looked at
    return _label(header[place], header[place], where)


def _parsed(text: str, delimiter: str, *, strict: bool = True) -> Iterator[list[str]]:
    """Rows of CSV, line breaks within quotes kept, cells as long as they are."""
    before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=strict)
    finally:
        csv.field_size_limit(before)


def _delimiter(text: str) -> str:
    """The mark that divides the header and the rows below it alike."""
    best, ranked = ",", (-1.0, 0)
    for mark in _DELIMITERS:
        rows: list[list[str]] = []
        try:
            for row in _parsed(text, mark, strict=False):
                rows.append(row)
                if len(rows) > _LOOKED_AT:
                    break
        except csv.Error:
            continue
        width = len(rows[0]) if rows else 0
        body = [row for row in rows[1:] if row]
        alike = sum(len(row) == width for row in body) / max(1, len(body))
        if width > 1 and (alike, width) > ranked:
            best, ranked = mark, (alike, width)
    return best


def _json_rows(file: Path) -> Iterator[Row]:
    for number, line in enumerate(read_text(file, may_be_wide=True).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            held = json.loads(line)
        except (ValueError, RecursionError):
            held = None
        if not isinstance(held, dict):
            raise DataError(
                f'{where}: not a JSON object such as {{"path": "1.png", "label": "cat"}}'
            )
        named = {plain_name(key): value for key, value in held.items()}
        path_key, label_key = _key(named, PATHS, where), _key(named, LABELS, where)
        split = _split(named["split"] or "", where) if "split" in named else ""
        path = _path(named[path_key], path_key, where)
        yield Row(path, _label(named[label_key], label_key, where), split)


def _key(held: Mapping[str, Any], names: Sequence[str], where: str) -> str:
    there = [name for name in names if name in held]
    if len(there) == 1:
        return there[0]
    state = f"both {' and '.join(there[:2])}" if there else f"only {', '.join(held) or 'nothing'}"
    raise DataError(f"{where}: has {state}; needed: one of {', '.join(names)}")


def _style_gan_table(file: Path) -> Table:
    """``{"labels": [[path, class], ...]}``; a class is a whole number, a text, or a one-hot vector."""
    needed = (
        'needed: {"labels": [["00000/img00000000.png", 3], ...]}, as StyleGAN\'s tool writes it'
    )
    try:
        held = json.loads(read_text(file, may_be_wide=True))
    except (ValueError, RecursionError):
        raise DataError(f"{file}: not JSON; {needed}") from None
    if not isinstance(held, dict) or "labels" not in held:
        raise DataError(f"{file}: holds no labels; {needed}")
    labels = held["labels"]
    if labels is None:
        return Table(file, (), without_labels=True)
    if not isinstance(labels, list) or not all(
        isinstance(one, list) and len(one) == 2 and isinstance(one[0], str) for one in labels
    ):
        raise DataError(f"{file}: its labels are no list of [path, class]; {needed}")
    if labels and all(label is None for _, label in labels):
        return Table(file, (), without_labels=True)
    rows = []
    for number, (path, label) in enumerate(labels, start=1):
        where = f"{file}, label {number}"
        rows.append(Row(_path(path, "path", where), _label(_one_hot(label), "label", where), ""))
    return Table(file, tuple(rows))


def _one_hot(label: Any) -> Any:
    """The place of the only 1 among 0s; anything else as it is."""
    if isinstance(label, list) and sorted(label, key=str) == [0] * (len(label) - 1) + [1]:
        return label.index(1)
    return label


def _path(value: Any, name: str, where: str) -> str:
    text = str(value) if isinstance(value, str | int) and value is not True else ""
    if not text.strip() or "\0" in text or value is False:
        raise DataError(f"{where}: {name} is {value!r}; needed: a text or a whole number")
    return text


def _label(value: Any, name: str, where: str) -> str:
    return class_name_of(_path(value, name, where).strip())


def _split(value: Any, where: str) -> str:
    name = str(value).strip().casefold()
    if name and name not in (*TRAIN_NAMES, *TEST_NAMES):
        raise DataError(
            f"{where}: split is {value!r}; allowed: {', '.join(TRAIN_NAMES + TEST_NAMES)}"
        )
    return "test" if name in TEST_NAMES else "train"
