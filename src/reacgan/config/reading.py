"""Values as people write them: JSON as JSON, all else as YAML, with the same numbers in both.

A number in scientific notation that is whole is a whole number (``1e3`` is 1000), and ``None`` without
quotes is ``null``. A key that stands twice in one mapping is an error that names both lines.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from reacgan.config.registry import ConfigError
from reacgan.files import read_regular
from reacgan.plain_yaml import parse_yaml, plain_loader
from reacgan.records import parse_json

_EXACT = 2**53
"""Below it every whole number is a float of its own."""
_SCIENTIFIC = re.compile(r"[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)[eE][-+]?[0-9]+")
_BOOL = "tag:yaml.org,2002:bool"
_TRUTH = re.compile("(?:true|True|TRUE|false|False|FALSE)$")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_MOST_BYTES = 2**20
"""Of a configuration; reading YAML takes seconds for as many."""


class _TwiceError(ValueError):
    """A key stands twice in one mapping; ``lines`` of both where they are known."""

    def __init__(self, key: str, lines: tuple[int, int] | None = None) -> None:
        super().__init__(key)
        self.key, self.lines = key, lines


def read_values(path: Path) -> Any:
    """What a configuration file holds, whatever its name ends in.

    Raises:
        ConfigError: no text in UTF-8, neither JSON nor YAML, or a key that stands twice.
    """
    text = _text_of(path)
    try:
        return parse_json(text, object_pairs_hook=_mapping, parse_float=number)
    except _TwiceError as error:
        return _read_yaml(path, text.replace("\t", " "), twice=error)  # which knows the lines
    except ValueError as error:
        written_as_json = path.suffix.lower() == ".json" or re.match(r'\s*\{\s*"', text)
        return _read_yaml(path, text, json_error=error if written_as_json else None)


def read_scalar(text: str) -> Any:
    """One value in YAML, such as ``[1, 2]`` or ``1e3``; raises :class:`ConfigError` with the reason."""
    try:
        return parse_yaml(text, _loader())
    except _TwiceError as error:
        raise ConfigError(f"{error.key!r} stands twice") from None
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"the value is not readable: {reason}") from None


def number(text: str) -> int | float:
    """A number with a point or an exponent; whole ones in scientific notation are whole."""
    value = float(text)
    whole = "e" in text.lower() and abs(value) < _EXACT and value == int(value)
    return int(value) if whole else value


def _text_of(path: Path) -> str:
    try:
        content = read_regular(path, most=_MOST_BYTES)
    except OSError as error:
        raise ConfigError(f"{path}: not readable: {error.strerror}") from None
    if content.startswith(_UTF16) or b"\0" in content[:4]:
        raise ConfigError(
            f"{path}: not readable: it is UTF-16, as some editors and PowerShell write; save it as UTF-8"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}: not readable: line {line} is not UTF-8 (byte 0x{content[error.start]:02x}); "
            "save it as UTF-8"
        ) from None


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key, value in pairs:
        if key in mapping:
            raise _TwiceError(key)
        mapping[key] = value
    return mapping


def _read_yaml(
    path: Path, text: str, *, json_error: Exception | None = None, twice: _TwiceError | None = None
) -> Any:
    try:
        values = parse_yaml(text, _loader())
    except _TwiceError as error:
        twice = error
    except ValueError as error:
        if twice is None:
            what = "JSON" if json_error is not None else "YAML or JSON"
            raise ConfigError(f"{path}: not readable as {what}: {json_error or error}") from None
    if twice is None:
        return values
    lines = f" (lines {twice.lines[0]} and {twice.lines[1]})" if twice.lines else ""
    raise ConfigError(f"{path}: {twice.key!r} stands twice{lines}; keep one of them")


@cache
def _loader() -> Any:
    """YAML's safe loader, with our numbers and without keys that stand twice."""
    import yaml  # noqa: PLC0415

    class Loader(plain_loader()):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            lines: dict[Any, int] = {}
            for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
                if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                    line = key.start_mark.line + 1
                    if (key.tag, key.value) in lines:
                        raise _TwiceError(key.value, (lines[key.tag, key.value], line))
                    lines[key.tag, key.value] = line
            return super().construct_mapping(node, deep)

    def construct_float(loader: Any, node: Any) -> int | float:
        text = str(loader.construct_scalar(node)).replace("_", "")
        if _SCIENTIFIC.fullmatch(text):
            return number(text)
        value: float = loader.construct_yaml_float(node)
        return value

    # YAML 1.1 takes off, on, yes and no for booleans: here they are words, as watch.action=off needs.
    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOL]
        for first, resolvers in plain_loader().yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver(_BOOL, _TRUTH, list("tTfF"))
    # YAML 1.1 takes 1e6 and 2e-4, which have no point, for words.
    whole_word = re.compile(f"(?:{_SCIENTIFIC.pattern})$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", whole_word, list("-+.0123456789"))
    Loader.add_constructor("tag:yaml.org,2002:float", construct_float)
    Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("None$"), ["N"])
    return Loader
