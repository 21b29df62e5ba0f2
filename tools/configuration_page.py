"""Write docs/configuration.md: every key of an experiment, from the schema and the members' signatures.

python tools/configuration_page.py
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from reacgan.config import Component, Experiment, PathText, Resolution
from reacgan.config.resolution import LARGEST, SMALLEST
from reacgan.data import LISTERS
from reacgan.plugins import FAMILIES

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "configuration.md"

_HEAD = """# Configuration

Every key of an experiment, what it means, and what it may be. `--set KEY=VALUE` changes one on the
command line, `experiment.replace(**{KEY: VALUE})` in Python, and a file holds as many as it likes:

```yaml
# mine.yaml: reacgan train mine.yaml
data: {name: digits, resolution: 8, channels: 1, flip: false}
model:
  head: {name: d2dce, temperature: 0.5, margin: 0.98}
training: {images: 150_000, batch: 64}
```

`reacgan experiments show NAME` prints the keys of a ready experiment. An unknown key, name or option, and a
value that is not allowed, is an error that lists what is. `null` is none.
This page is made from the code (`make docs`).

"""
_FAMILIES = {
    "generator": ("model.generator", "Generators"),
    "backbone": ("model.backbone", "Backbones of the discriminator"),
    "head": ("model.head", "Heads"),
    "penalty": ("penalties.NAME", "Penalties"),
    "consistency": ("consistency.NAME", "Consistency"),
    "augment": ("augment", "Augmentations"),
    "dataset": ("data.options", "Data sets"),
    "extractor": ("scores.extractor", "Extractors"),
    "metric": ("scores.metrics.NAME", "Metrics"),
}
"""Families whose members a configuration names: where their options stand, and a title."""
_NAMED = {
    "generator": "generator",
    "backbone": "backbone",
    "head": "head",
    "over": "head",
    "augment": "augment",
    "extractor": "extractor",
    "penalties": "penalty",
    "consistency": "consistency",
    "metrics": "metric",
}
"""The family of a key that names members."""
_WORDS = {"data.name": "dataset", "loss.adversarial": "adversarial"}
"""Keys that hold a member's name alone."""
_SUPPLIED = {"build", "codes", "train", "held_out", "cache", "device", "expect"}
"""What the package passes to constructors and a configuration does not set."""
_BOUNDS = {"gt": "above", "ge": "from", "lt": "below", "le": "to"}
_PLAIN = {int: "whole number", float: "number", str: "text", bool: "`true`, `false`"}


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The page as text."""
    parts = [_HEAD, _section("experiment", Experiment, "", level=2)]
    parts += [_section(path, model, path, level=2) for path, model in sections(Experiment)]
    parts += ["\n".join(["## Members and their options", "", _MEMBERS]), *map(_family, _FAMILIES)]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


_MEMBERS = """An option stands beside the member's name (`model.head.temperature`), that of a penalty,
a consistency term or a metric below its name (`penalties.r1.weight`)."""


def sections(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Every section of the schema with its dotted path, outer ones first."""
    for key, field in model.model_fields.items():
        inner = _model_of(field.annotation)
        if inner is not None:
            yield path + key, inner
            yield from sections(inner, f"{path}{key}.")


def keys(model: type[BaseModel] = Experiment) -> list[str]:
    """Every dotted key that holds a value."""
    paths = [("", model), *((f"{path}.", inner) for path, inner in sections(model))]
    return [
        path + key
        for path, section in paths
        for key, field in section.model_fields.items()
        if _model_of(field.annotation) is None
    ]


def _model_of(hint: Any) -> type[BaseModel] | None:
    """The section that a key holds, alone or as what may be none."""
    for part in (hint, *get_args(hint)):
        if inspect.isclass(part) and issubclass(part, BaseModel) and part is not Component:
            return part
    return None


def _section(title: str, model: type[BaseModel], path: str, level: int) -> str:
    rows = []
    for key, field in model.model_fields.items():
        inner = _model_of(field.annotation)
        full = f"{path}.{key}" if path else key
        if inner is not None:
            none = NoneType in get_args(field.annotation)
            allowed = f"a [section](#{_anchor(full)}){', or `null`' if none else ''}"
            default = "`null`" if none else ""
            meaning = field.description or inspect.getdoc(inner) or ""
        else:
            allowed, default = allowed_of_field(full, field), _default(field)
            meaning = field.description or _UNDOCUMENTED.get(key, "")
        rows.append(_row(f"`{full}`", allowed, default, meaning))
    about = inspect.getdoc(model) or ""
    return "\n".join(
        [f"{'#' * level} {title}", "", _text(about), "", *_table("key"), *rows, ""],
    )


_UNDOCUMENTED = {
    "name": "What the run is called.",
    "generator": "The generator.",
    "backbone": "The discriminator up to its features.",
    "head": "What the discriminator makes of features and labels.",
    "lr": "Learning rate.",
    "beta1": "Decay of the gradient's mean.",
    "beta2": "Decay of the gradient's square.",
    "eps": "Added to the root of the latter.",
    "seed": "Two runs of one seed are the same run.",
}
"""Keys that need no word in the code, but one here."""


def allowed_of_field(full: str, field: FieldInfo) -> str:
    """What a key of the schema, by its whole path, may be."""
    key = full.rpartition(".")[2]
    if full in _WORDS:
        return ", ".join(f"`{name}`" for name in FAMILIES[_WORDS[full]].table)
    if key in _NAMED and (field.annotation is Component or "dict" in str(field.annotation)):
        link = f"[{_NAMED[key]}](#{_anchor(_FAMILIES[_NAMED[key]][1])})"
        return f"{link} with options" if field.annotation is Component else f"{link}s with options"
    return _allowed(field.annotation, field.metadata)


def _allowed(hint: Any, limits: Sequence[Any] = ()) -> str:
    """What a value with this annotation may be, in words."""
    origin, inner = get_origin(hint), get_args(hint)
    if _is_resolution(hint, limits):
        return f"side, or [height, width], {SMALLEST} to {LARGEST}"
    if origin is Annotated:
        return _allowed(inner[0], inner[1:])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin in (Union, UnionType):
        some = [_allowed(part, limits) for part in inner if part is not NoneType]
        return ", or ".join(dict.fromkeys([*some, *(["`null`"] if NoneType in inner else [])]))
    if origin in (tuple, list):
        return f"list: {_allowed(inner[0])}"
    if origin is dict or hint is Component:
        return "options by name" if origin is dict else "a name with options"
    kind = "a path" if any(map(_is_path, limits)) else _PLAIN.get(hint, "any value")
    return kind + _bounds(limits)


def _is_resolution(hint: Any, limits: Sequence[Any]) -> bool:
    kind, *own = get_args(Resolution)
    return bool(hint == Resolution or (hint == kind and [*limits] == own))


def _is_path(limit: Any) -> bool:
    return limit in get_args(PathText)[1:]


def _bounds(limits: Sequence[Any]) -> str:
    words = [
        f"{word} {_number(value)}"
        for limit in _flat(limits)
        for name, word in _BOUNDS.items()
        if (value := getattr(limit, name, None)) is not None
    ]
    return "".join(f" {word}" for word in words)


def _flat(limits: Sequence[Any]) -> Iterator[Any]:
    for limit in limits:
        yield from _flat(limit.metadata) if isinstance(limit, FieldInfo) else (limit,)


def _number(value: Any) -> str:
    exponent = int(value).bit_length() - 1
    return f"2^{exponent}" if value == 2**exponent > 2**20 else f"{value:g}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    return _shown(field.get_default(call_default_factory=True))


def _shown(value: Any) -> str:
    if isinstance(value, Component):
        options = "".join(f", {key}: {option}" for key, option in value.options.items())
        return f"`{value.name}{options}`"
    if value is None:
        return "`null`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, dict):
        return f"`{', '.join(value)}`" if value else "none"
    if isinstance(value, tuple | list):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value:,}`".replace(",", "_") if type(value) is int else f"`{value}`"


_OF_FILES = [
    f"Every set that consists of files ({', '.join(f'`{name}`' for name in LISTERS)}) also takes `white`,",
    "the value that becomes 255 of images of more than 8 bits (above 0 to 65535; by default the end of the",
    "first of 8, 10, 12, 14 or 16 bits that holds the training images), and `max_refused`, the share of",
    "unusable files with which the rest is used (0 to 1; default `0.05`).",
]


def _family(family: str) -> str:
    where, title = _FAMILIES[family]
    rows, bare = [], []
    for name, member in FAMILIES[family].table.items():
        options = options_of(family, member)
        if not options and not (family == "dataset" and name in LISTERS):
            bare.append(f"`{name}`")
        meanings = _arguments(member)
        for number, (key, hint, default) in enumerate(options):
            shown = "must be given" if default is inspect.Parameter.empty else _shown(default)
            first = f"`{name}`" if number == 0 else ""
            rows.append(
                f"| {first} " + _row(f"`{key}`", _allowed(hint), shown, meanings.get(key, ""))
            )
    lines = [f"### {title}", "", f"Options stand at `{where}`."]
    lines += [f"Without options: {', '.join(bare)}."] if bare else []
    lines += _OF_FILES if family == "dataset" else []
    if rows:
        head, rule = _table("option")
        lines += ["", "| member " + head, "|---" + rule, *rows]
    return "\n".join([*lines, ""])


def options_of(family: str, member: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    """Name, annotation and default of each option, as the checks of the package read them."""
    if isinstance(member, partial):
        member = member.func
    target = member.__init__ if inspect.isclass(member) else member
    hints = get_type_hints(target, include_extras=True)
    return [
        (parameter.name, hints.get(parameter.name, Any), parameter.default)
        for parameter in inspect.signature(target).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
        and parameter.name not in {*FAMILIES[family].given, *_SUPPLIED}
    ]


def _arguments(member: Callable[..., Any]) -> dict[str, str]:
    """What the docstrings of a member say of its parameters; a base class for what it inherits."""
    chain = [cls for cls in member.__mro__ if cls is not object] if inspect.isclass(member) else []
    texts = [text for part in [*chain, *(cls.__init__ for cls in chain)] if (text := part.__doc__)]
    meanings: dict[str, str] = {}
    for text in texts or [member.__doc__ or ""]:
        _, _, arguments = inspect.cleandoc(text).partition("Args:\n")
        block = re.split(r"\n(?=\S)", arguments)[0]
        for name, meaning in re.findall(r"(?m)^    (\w+): ((?:.+\n?)(?:^ {8}.+\n?)*)", block):
            meanings.setdefault(name, _followed(name, meaning, chain))
    return meanings


def _followed(name: str, meaning: str, chain: list[type]) -> str:
    """What ``see :class:`X` `` points to: the words about the same option there."""
    pointed = re.match(r"see :class:`~?(?:[\w.]+\.)?(\w+)`[.;]?(.*)", meaning, flags=re.S)
    for owner in chain if pointed else ():
        target = getattr(sys.modules[owner.__module__], pointed[1], None)
        if target is not None and name in (there := _arguments(target)):
            return f"{there[name]} {pointed[2]}"
    return meaning


def _table(first: str) -> list[str]:
    return [f"| {first} | allowed | default | meaning |", "|---|---|---|---|"]


def _row(*cells: str) -> str:
    return "| " + " | ".join(_text(cell).replace("|", "\\|") for cell in cells) + " |"


def _text(text: str) -> str:
    """One line of Markdown from a docstring."""
    text = re.sub(r"\b(?<![`\w])(None|True|False)\b(?!`)", _as_in_a_file, text)
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", " ".join(text.split()))
    return re.sub(r"(?<!\\)<(?!/?(?:br)\b)", "&lt;", text.replace("``", "`"))


def _as_in_a_file(word: re.Match[str]) -> str:
    return {"None": "`null`"}.get(word[0], f"`{word[0].lower()}`")


def _anchor(title: str) -> str:
    """As MkDocs and code hosts name a heading's place, as far as both agree."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


if __name__ == "__main__":
    main()
