"""A table of files and classes: CSV with a header line, one JSON object a line, or ``dataset.json``.

Columns, in any case, whichever of the names is there: the file ``path`` | ``file`` | ``filename`` |
``file_name`` | ``image``, relative to the table or absolute, with slashes or backslashes; its class
``label`` | ``class`` | ``target``; and, where images are held out, ``split``: train (training) or test
(testing, val, valid, validation, dev, eval), in every line. Of other names, in other languages too,
those are taken that leave no choice, and that is said (``columns.py``, ``splits.py``). Further columns
are named and not read. Without such a column folders called as splits divide the files. CSV is
separated by commas, semicolons, tabs or bars. Classes are sorted: as numbers where all are whole numbers,
otherwise by code point.

``dataset.json`` is that of StyleGAN's tool: ``{"labels": [[path, class], ...]}``, or null for none.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from reacgan.data.cells import Table, label_in, path_in, split_in
from reacgan.data.columns import (
    LABELS,
    PATHS,
    Columns,
    ColumnsError,
    choose_columns,
    one_of,
)
from reacgan.data.dataset import DataError
from reacgan.data.json_tables import read_json_lines, read_style_gan
from reacgan.data.names import IMAGE_SUFFIXES, suffix_of
from reacgan.data.rows import Files, Row, listings_of, split_of_table
from reacgan.data.walk import Listing, read_text

_DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
_LOOKED_AT = 100


def list_csv(path: str | None, *, split: str) -> list[Listing]:
    """The images that a CSV file names, separated by commas, semicolons, tabs or bars.

    Args:
        path: the file; its header names path (or file, filename, file_name, image), label (or class,
            target) and, where images are held out, split.
        split: train or test.

    Raises:
        DataError: no such file or columns, a line that does not fit, or too many unusable images.
    """
    return _listings(path, split, ".csv")


def list_jsonl(path: str | None, *, split: str) -> list[Listing]:
    """The images that a JSON-lines file names, or StyleGAN's dataset.json.

    Args:
        path: the file; each object in it has path, label and perhaps split, named as for csv.
        split: train or test.

    Raises:
        DataError: as :func:`list_csv`.
    """
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
    named = split_of_table(file)
    return listings_of(
        table.rows, files, source=str(file), split=split, notes=table.notes, named=named
    )


def read_table(file: Path, files: Files, *, kind: str | None = None) -> Table:
    """Read a table; its files are only looked up where that tells which column names them.

    Raises:
        DataError: not readable, no such columns, or a line that does not fit.
    """
    kind = file.suffix.lower() if kind is None else kind
    if kind == ".json":
        return read_style_gan(file)
    if kind == ".jsonl":
        return read_json_lines(file)
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
        path = path_in(row[columns.path], header[columns.path], where)
        label = _class_in(row, header, columns, where)
        place = columns.split
        split = "" if place is None else split_in(row[place], header[place], where)
        found.append(Row(path, label, split))
    notes = tuple(f"{file.name}: {note}" for note in columns.notes)
    return Table(file, tuple(found), columns.split is not None, notes)


def _class_in(row: Sequence[str], header: Sequence[str], columns: Columns, where: str) -> str:
    if columns.label is not None:
        return label_in(row[columns.label], header[columns.label], where)
    place = one_of(row, columns.one_hot)
    assert place is not None  # every row has been looked at
    return label_in(header[place], header[place], where)


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
