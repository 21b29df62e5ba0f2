"""JSON of files that others may have touched: bounded, plain errors, and sealed where a letter counts.

A sealed record holds the digest of everything else in it, so that one changed letter is seen. It guards
against damage, not against forgery: who rewrites the record can seal it again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reacgan.files import read_regular

SEAL = "seal"
"""The key of a record's digest."""

MOST_BYTES = 64 * 2**20
"""Of a file of JSON that is read as a whole; longer ones are refused before they are read."""


def parse_json(text: str | bytes) -> Any:
    """What JSON says; unlike :func:`json.loads` all that is wrong with it is a ValueError.

    Raises:
        ValueError: no JSON, nested too deeply, or a number of thousands of digits.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply to be read") from None


def read_json(path: Path, *, most: int = MOST_BYTES) -> Any:
    """What a file of JSON says.

    Raises:
        OSError: not there, not readable, no ordinary file, or longer than ``most`` bytes.
        ValueError: as :func:`parse_json`, or no UTF-8.
    """
    return parse_json(read_regular(path, most=most).decode("utf-8"))


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
