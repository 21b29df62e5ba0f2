"""What a browser sends, checked: every value has limits, which its error states."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from reacgan.config import ConfigError

MAX_SEED = 2**32 - 1
MAX_COLUMNS = 25
"""Images of a class on a sheet."""
MAX_SHEET = 200
"""Images on a sheet."""
SHEET_PIXELS = 1 << 26
"""Of all images of a sheet or walk together."""
MAX_STEPS = 60
MAX_SHARE = 0.9
MAX_AMOUNT = 10.0
"""Along a direction, in standard deviations of z."""
MAX_TOWARD = 8
"""Steps of "more like this" from one picture."""
MAX_TRUNCATION = 5.0
MAX_SET = 50_000
"""Images of a data set."""
SET_BYTES = 1 << 31
"""Of the pixels of a data set."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def whole(name: str, value: object, low: int, high: int) -> int:
    """A whole number from ``low`` to ``high``.

    Raises:
        ConfigError: anything else, also NaN, true, texts and lists.
    """
    fits = type(value) is int or (isinstance(value, float) and value.is_integer())
    if not fits or not low <= (as_number := int(value)) <= high:  # type: ignore[call-overload]
        raise ConfigError(
            f"{name} is {quoted(value)}; allowed: a whole number from {low:,} to {high:,}"
        )
    return int(as_number)


def number(name: str, value: object, low: float, high: float) -> float:
    """A number from ``low`` to ``high``.

    Raises:
        ConfigError: anything else, also NaN, true, texts and lists.
    """
    fits = type(value) in (int, float) and low <= value <= high  # type: ignore[operator]
    if not fits or not math.isfinite(value):  # type: ignore[arg-type]
        raise ConfigError(f"{name} is {quoted(value)}; allowed: a number from {low:g} to {high:g}")
    return float(value)  # type: ignore[arg-type]


def member(name: str, value: object, known: Sequence[str]) -> str:
    """One of the known texts.

    Raises:
        ConfigError: another value; names some of them.
    """
    if not isinstance(value, str) or value not in known:
        more = " …" if len(known) > 12 else ""
        raise ConfigError(
            f"{name} is {quoted(value)}; allowed: {', '.join(map(quoted, known[:12]))}{more}"
        )
    return value


def switch(name: str, value: object) -> bool:
    """True or false.

    Raises:
        ConfigError: anything else.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{name} is {quoted(value)}; allowed: true, false")
    return value


def file_name(name: str, value: object) -> str:
    """A plain name for a file or folder, without separators, dots or spaces.

    Raises:
        ConfigError: anything else.
    """
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ConfigError(
            f"{name} is {quoted(value)}; allowed: 1 to 64 of the letters A to Z, digits, - and _, "
            "the first a letter or digit"
        )
    return value


def quoted(value: object) -> str:
    """A value for a message: shortened, control characters visible."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
