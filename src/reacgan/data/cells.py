"""A row of a table, its cells, and a whole table as it is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reacgan.data.columns import plain_name
from reacgan.data.dataset import DataError
from reacgan.data.names import class_name_of
from reacgan.data.rows import Row
from reacgan.data.splits import ALLOWED, meaning


@dataclass(frozen=True)
class Table:
    """The rows of a table, and what is to be said of it."""

    file: Path
    rows: tuple[Row, ...]
    has_split: bool = False
    notes: tuple[str, ...] = ()
    without_labels: bool = False
    """Whether it says that there are no classes."""


def path_in(value: Any, name: str, where: str) -> str:
    """A file's name, or any text that is not empty."""
    text = str(value) if isinstance(value, str | int) and value is not True else ""
    if not text.strip() or "\0" in text or value is False:
        raise DataError(f"{where}: {name} is {value!r}; needed: a text or a whole number")
    return text


def label_in(value: Any, name: str, where: str) -> str:
    """A class in Unicode's composed form."""
    return class_name_of(path_in(value, name, where).strip())


def split_in(value: Any, name: str, where: str) -> str:
    """What a cell of the split's column says; an empty one is refused."""
    text = "" if value is None else str(value)
    said = meaning(text, plain_name(name))
    if not said:
        state = f"is {value!r}" if text.strip() else "is empty"
        raise DataError(f"{where}: {name.strip()} {state}; allowed: {ALLOWED}")
    return said
