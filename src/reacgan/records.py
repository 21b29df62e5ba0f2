"""JSON that others may have touched: bounded, plain errors, and sealed where a letter counts.

A sealed record holds the digest of everything else in it, so that one changed letter is seen. It guards
against damage, not against forgery: who rewrites the record can seal it again.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reacgan.files import read_regular

SEAL = "seal"
"""The key of a record's digest."""

MOST_BYTES = 64 * 2**20
"""Of a file of JSON that is read as a whole; longer ones are refused before they are read."""


MOST_LINES_BYTES = 512 * 2**20
"""Of a file of JSON lines, which grows with a run."""
MOST_LEVELS = 100
"""Of lists and mappings within one another: what walks through them calls itself at each level."""
MOST_DIGITS = 300
"""Of a whole number: larger ones do not fit into a float."""
_LONG = re.compile(rf"[0-9]{{{MOST_DIGITS + 1}}}")
_LONG_BYTES = re.compile(_LONG.pattern.encode())
TOO_DEEP = f"nested too deeply to be read, at most {MOST_LEVELS} levels are"


def parse_json(text: str | bytes, *, finite: bool = False, **options: Any) -> Any:
    """What JSON says; unlike :func:`json.loads` all that is wrong with it is a ValueError.

    Args:
        text: of one value.
        finite: whether ``NaN``, ``Infinity`` and numbers beyond all floats are refused.
        options: ``object_pairs_hook`` and ``parse_float`` of :func:`json.loads`.

    Raises:
        ValueError: no JSON, nested too deeply, or a whole number of more than 300 digits.
    """
    if finite:
        options = {**options, "parse_constant": _finite, "parse_float": _finite}
    long = _LONG.search(text) if isinstance(text, str) else _LONG_BYTES.search(text)
    if long:  # only then: a function for each number costs time
        options = {**options, "parse_int": parse_whole}
    try:
        value = json.loads(text, **options)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    level, depth = [value], 0
    while level := [part for whole in level for part in _parts_of(whole)]:
        depth += 1
        if depth > MOST_LEVELS:
            raise ValueError(TOO_DEEP)
    return value


def _parts_of(value: Any) -> list[Any]:
    """The lists and mappings right within a value."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [part for part in parts if isinstance(part, list | dict)]


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not finite")
    return value


def parse_whole(text: str) -> int:
    """A whole number.

    Raises:
        ValueError: of more than 300 digits.
    """
    digits = sum(map(str.isdecimal, text))
    if digits > MOST_DIGITS:
        raise ValueError(f"a number of {digits:,} digits, at most {MOST_DIGITS} are read")
    return int(text)


def read_json(path: Path, *, most: int = MOST_BYTES) -> Any:
    """What a file of JSON says.

    Raises:
        OSError: not there, not readable, no ordinary file, or longer than ``most`` bytes.
        ValueError: as :func:`parse_json`, or no UTF-8.
    """
    return parse_json(read_regular(path, most=most).decode("utf-8"))


def read_mapping(path: Path) -> dict[str, Any] | None:
    """What a file of JSON says; None where it is missing, damaged, or holds no mapping."""
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def text_lines(path: Path) -> Iterator[str]:
    """The lines of a file that grows with a run, each with its end, in UTF-8 or nearly so.

    Raises:
        OSError: as :func:`read_json`, but for larger files.
    """
    for line in io.BytesIO(read_regular(path, most=MOST_LINES_BYTES)):
        yield line.decode("utf-8", "replace")


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines; lines that hold none are left out.

    Raises:
        OSError: as :func:`text_lines`.
    """
    for line in text_lines(path):
        try:
            record = parse_json(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            yield record


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """The same with its digest; plain JSON values under names."""
    plain = {key: value for key, value in record.items() if key != SEAL}
    return {**plain, SEAL: _digest(plain)}


def check_seal(record: Mapping[str, Any], *, required: bool) -> dict[str, Any]:
    """The record without its seal, once that has been compared.

    Args:
        record: as it was read.
        required: whether a record without a seal is refused; those of earlier versions have none.

    Raises:
        ValueError: it is not what was sealed.
    """
    plain = {key: value for key, value in record.items() if key != SEAL}
    if SEAL not in record:
        if required or _has_hidden_seal(plain):
            raise ValueError("its seal is missing")
    elif record[SEAL] != _digest(plain):
        raise ValueError("its seal does not fit: it was changed since it was written")
    return plain


def _has_hidden_seal(plain: Mapping[str, Any]) -> bool:
    """Whether a value is the digest of everything else: the seal's own name is damaged."""
    return any(
        value == _digest({name: other for name, other in plain.items() if name != key})
        for key, value in plain.items()
        if isinstance(value, str) and len(value) == _HEXADECIMAL
    )


_HEXADECIMAL = 64
"""Characters of a SHA-256."""


def read_sealed(path: Path, *, required: bool = True) -> dict[str, Any]:
    """A sealed record of a file, without its seal.

    Raises:
        OSError, ValueError: as :func:`read_json` and :func:`check_seal`, or no mapping.
    """
    record = read_json(path)
    if not isinstance(record, dict):
        raise ValueError("it holds no mapping")
    return check_seal(record, required=required)


def _digest(plain: Mapping[str, Any]) -> str:
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()
