"""What a command answers: text for a person, or with ``--json`` one JSON object for a program.

The object goes alone to standard output, in UTF-8, with a newline; notes and progress go to standard
error. An error is ``{"error": ...}`` there besides its message, with the same exit code.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from reacgan.cli import streams
from reacgan.text import json_text

Json = Annotated[bool, Parameter(name="--json", help="Print JSON instead of text.")]


def answer(facts: Mapping[str, Any], text: str | Callable[[], str], *, as_json: bool) -> None:
    """Print the facts as JSON, or the text that a person reads.

    Args:
        facts: names and values; paths, tuples and dataclasses are allowed, NaN and infinity become null.
        text: without the last newline; a function where making it costs something.
        as_json: which of both.
    """
    if as_json:
        print_json(facts)
    else:
        streams.say(text if isinstance(text, str) else text())


def print_json(facts: Mapping[str, Any]) -> None:
    """Print an object in UTF-8 whatever the encoding of standard output."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(encoding="utf-8")
    print(json_text(_plain(facts), indent=2))


def asks_for_json(words: Sequence[str]) -> bool:
    """Whether a command line holds ``--json``; also one that cannot be parsed."""
    before: Iterable[str] = words[: list(words).index("--")] if "--" in words else words
    return any(word == "--json" or word.startswith("--json=") for word in before)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    return value
