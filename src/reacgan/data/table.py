"""A table of files and classes: CSV with a header line, or one JSON object a line.

Columns, whichever of the names is there: the file ``path`` | ``file`` | ``filename`` |
``file_name`` | ``image``, relative to the table or absolute; its class ``label`` | ``class`` |
``target``; and, where images are held out, ``split``: train (training) or test (testing, val, valid,
validation). Other columns are not read. Classes are sorted: as numbers where all are whole numbers,
otherwise by code point.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reacgan.config import Resolution
from reacgan.data.dataset import DataError, ImageData, check_request
from reacgan.data.pack import open_listings
from reacgan.data.walk import TEST_NAMES, TRAIN_NAMES, Listing, describe_file, read_lines

_PATHS = ("path", "file", "filename", "file_name", "image")
_LABELS = ("label", "class", "target")
_READ = (*_PATHS, *_LABELS, "split")

Row = tuple[str, str, str]
"""Path, class, split."""


def open_csv(path: str | None, *, split: str, resolution: Resolution, channels: int) -> ImageData:
    """The images that a CSV file names, comma- or tab-separated.

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
    """The images that a JSON-lines file names.

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
    return _listings(path, _csv_rows, split)


def list_jsonl(path: str | None, *, split: str) -> list[Listing]:
    """What :func:`open_jsonl` opens: train, followed by test where it is asked for."""
    return _listings(path, _json_rows, split)


def _listings(path: str | None, read: Any, split: str) -> list[Listing]:
    if path is None:
        raise DataError("data.path is missing; give the file with the columns path and label")
    table = Path(path)
    if not table.is_file():
        raise DataError(f"{table}: no such file; give the file with the columns path and label")
    parts: dict[str, list[Row]] = {"train": [], "test": []}
    for row in read(table):
        parts[row[2]].append(row)
    if not parts["train"]:
        raise DataError(f"{table}: names no image for train")
    if split == "test" and not parts["test"]:
        raise DataError(
            f"{table}: has no test split; add a column called split with train or test in each line"
        )
    names = sorted({row[1] for row in parts["train"]})
    if all(re.fullmatch(r"-?[0-9]+", name) for name in names):
        names.sort(key=int)
    places = {name: label for label, name in enumerate(names)}
    listings = []
    for part in ("train", "test")[: 1 + (split == "test")]:
        entries = []
        for relative, name, _ in sorted(parts[part]):
            entry = describe_file(table.parent / relative, relative, places.get(name, -1))
            entries.append(entry)
        listings.append(Listing(table.parent, part, tuple(names), tuple(entries)))
    return listings


def _csv_rows(table: Path) -> Iterator[Row]:
    lines = read_lines(table)
    if not lines:
        raise DataError(f"{table}: empty; needed: a header line with path and label")
    tabs = "\t" in lines[0] and "," not in lines[0]
    try:
        rows = list(csv.reader(lines, delimiter="\t" if tabs else ",", strict=True))
    except csv.Error as error:
        raise DataError(f"{table}: not readable as CSV: {error}") from None
    header = [name.strip() for name in rows[0]]
    for name in header:
        if name in _READ and header.count(name) > 1:
            raise DataError(f"{table}: names the column {name} twice; leave one out")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise DataError(
                f"{table}, row {number}: {len(row)} values, needed: {len(header)}, one for each of "
                f"{', '.join(header)} (a value that holds a comma stands in double quotes)"
            )
        yield _row(dict(zip(header, row, strict=True)), f"{table}, row {number}")


def _json_rows(table: Path) -> Iterator[Row]:
    for number, line in enumerate(read_lines(table), start=1):
        try:
            held = json.loads(line)
        except (ValueError, RecursionError):
            held = None
        if not isinstance(held, dict):
            raise DataError(
                f'{table}, line {number}: not a JSON object such as {{"path": "1.png", "label": '
                '"cat"}'
            )
        yield _row(held, f"{table}, line {number}")


def _row(held: Mapping[str, Any], where: str) -> Row:
    path, label = _value(held, _PATHS, where), _value(held, _LABELS, where)
    split = str(held.get("split") or "train").strip().casefold()
    if split not in (*TRAIN_NAMES, *TEST_NAMES):
        raise DataError(
            f"{where}: split is {held['split']!r}; allowed: {', '.join(TRAIN_NAMES + TEST_NAMES)}"
        )
    return path, label, "train" if split in TRAIN_NAMES else "test"


def _value(held: Mapping[str, Any], names: tuple[str, ...], where: str) -> str:
    there = [name for name in names if name in held]
    if len(there) != 1:
        state = (
            f"both {' and '.join(there[:2])}" if there else f"only {', '.join(held) or 'nothing'}"
        )
        raise DataError(f"{where}: has {state}; needed: one of {', '.join(names)}")
    value = held[there[0]]
    text = str(value).strip() if isinstance(value, str | int) and value is not True else ""
    if not text or "\0" in text or value is False:
        raise DataError(f"{where}: {there[0]} is {value!r}; needed: a text or a whole number")
    return text
