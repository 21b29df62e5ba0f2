"""An experiment as a YAML file whose comments say what each value is and why it is so."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from reacgan.config import Experiment, parse_experiment
from reacgan.config.reading import read_scalar

_WIDTH = 96
_INDENT = "  "
_USUAL = object()
_MEANINGS = {
    "generator": "G, the network that makes images: biggan, resnet, dcgan, stylegan2, r3gan, ...",
    "backbone": "D, the network that judges them, up to its head; the same names.",
    "head": "What D is asked beside real or generated: d2dce (ReACGAN), auxiliary (ACGAN), projection, ...",
    "augment": "What D's images go through, real and generated: diffaug, ada, or identity for nothing.",
    "g_optimizer": "How G learns (Adam).",
    "d_optimizer": "How D learns (Adam).",
    "width": "Channels of the narrowest layer: wider is better and slower",
    "latent_dim": "Numbers that an image is made from",
    "attention_after": "Stages after which a layer sees the whole image",
    "embedding_dim": "Length of the vectors that stand for images and classes",
    "margin": "m_p of the paper: images nearer to their class than this are no longer pulled",
    "temperature": "The smaller, the more the hardest examples count",
    "lr": "Learning rate",
}
"""What values are that the schema does not describe: members of families and their options."""


def to_yaml(experiment: Experiment, reasons: Mapping[str, str], *, head: str) -> str:
    """The values that differ from the defaults or have a reason, each below a comment.

    Args:
        experiment: what the file holds; read back it is equal.
        reasons: why a value is so, by dotted key.
        head: comments at the top.
    """
    tree, usual = experiment.model_dump(), Experiment(name=experiment.name).model_dump()
    lines = [f"# {line}".rstrip() for line in head.splitlines()]
    lines += ["", "# The run's folder is runs/<name>.", f"name: {_scalar(experiment.name)}"]
    for section in Experiment.model_fields:
        if section != "name":
            value = getattr(experiment, section)
            kept = _kept(tree[section], usual[section], section, reasons)
            if kept is not _USUAL:
                lines += ["", *_written(section, section, value, kept, reasons, depth=0)]
    text = "\n".join(lines) + "\n"
    if parse_experiment(read_scalar(text)) != experiment:
        raise AssertionError("the file would hold another experiment")
    return text


def _kept(value: Any, usual: Any, key: str, reasons: Mapping[str, str]) -> Any:
    """What of a value goes into the file; :data:`_USUAL` where all of it is as usual."""
    named = any(reason == key or reason.startswith(f"{key}.") for reason in reasons)
    if value == usual and not named:
        return _USUAL
    is_member = isinstance(value, dict) and "name" in value and key != "data"
    if not isinstance(value, dict) or not isinstance(usual, dict) or is_member or not usual:
        return value
    kept = {
        name: part
        for name in value
        if (part := _kept(value[name], usual.get(name), f"{key}.{name}", reasons)) is not _USUAL
    }
    return kept or value


def _written(
    name: str,
    key: str,
    value: Any,
    kept: Any,
    reasons: Mapping[str, str],
    *,
    depth: int,
    meaning: str = "",
) -> Iterator[str]:
    """A key, its comment and what is below it; ``value`` is the section or value of the schema."""
    indent = _INDENT * depth
    if isinstance(kept, dict) and kept:
        is_section = hasattr(type(value), "model_fields")
        says = _MEANINGS.get(name) or (_first(type(value).__doc__) if is_section else meaning)
        yield from _comment(_joined(says, reasons.get(key, "")), indent)
        yield f"{indent}{name}:"
        fields = getattr(type(value), "model_fields", {})
        for part, inner in kept.items():
            described = fields[part].description if part in fields and part != "name" else ""
            below = getattr(value, part, inner) if fields else inner
            yield from _written(
                part,
                f"{key}.{part}",
                below,
                inner,
                reasons,
                depth=depth + 1,
                meaning=_first(described) or _MEANINGS.get(part, ""),
            )
        return
    yield from _comment(_joined(meaning, reasons.get(key, "")), indent)
    yield f"{indent}{name}: {_scalar(kept)}"


def _first(text: str | None) -> str:
    """The first sentence of a description, as plain words; ``None`` as YAML has it."""
    words = re.sub(r"\bNone\b", "null", " ".join((text or "").replace("``", "").split()))
    end = words.find(". ")
    return words if end < 0 else words[: end + 1]


def _joined(meaning: str, reason: str) -> str:
    if not meaning or not reason:
        return meaning or reason
    return f"{meaning.rstrip('.:;')}. Here: {reason}."


def _comment(text: str, indent: str) -> Iterator[str]:
    for line in textwrap.wrap(text, _WIDTH - len(indent), break_long_words=False):
        yield f"{indent}# {line}"


def _scalar(value: Any) -> str:
    """A value on one line."""
    import yaml  # noqa: PLC0415

    plain = list(value) if isinstance(value, tuple) else value
    if isinstance(plain, float) and plain >= 1_000 and plain == int(plain):
        plain = int(plain)
    if isinstance(plain, int) and not isinstance(plain, bool) and plain >= 10_000:
        return f"{plain:_}"
    text = yaml.safe_dump(
        plain, default_flow_style=True, allow_unicode=True, width=10**6, sort_keys=False
    )
    text = str(text).removesuffix("...\n").strip()
    # Words such as None or 1e3 need quotes, since our reader takes more for numbers and null.
    return text if read_scalar(text) == plain else json.dumps(plain, ensure_ascii=False)
