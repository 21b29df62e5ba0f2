"""How words of the command line become values, for every command alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import cyclopts


def written_out(words: Sequence[str]) -> list[str]:
    """The words with ``~`` as the home folder wherever a path may stand, also in ``--out=~/x``."""
    if not any("~" in word for word in words):
        return list(words)
    from reacgan.config import with_home  # noqa: PLC0415

    return [with_home(word) for word in words]


def convert(hint: Any, tokens: Sequence[cyclopts.Token]) -> Any:
    """As cyclopts does, but a whole number is one: 1000, 1_000 or 1e3, and never a rounded 2.7."""
    if int in (hint, *get_args(hint)) and len(tokens) == 1:
        return whole_number(tokens[0].value)
    return cyclopts.convert(hint, tokens)


def whole_number(text: str) -> int:
    """The number that a text is; raises ValueError with what is needed."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
        whole = int(value)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r}; needed: a whole number, such as 1000 or 1e3") from None
    if whole != value:
        raise ValueError(
            f"{text}; needed: a whole number, such as {whole} or {whole + (1 if value > 0 else -1)}"
        )
    return whole
