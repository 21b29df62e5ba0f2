"""A score and its protocol; lines of ``scores.jsonl``; when two scores may be compared."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from reacgan.config import ConfigError
from reacgan.files import naming
from reacgan.records import parse_json, text_lines

_BETTER = ("lower", "higher", "neither")


@dataclass(frozen=True)
class Score:
    """A number with its protocol: a line of ``scores.jsonl``.

    Protocol keys, each plain JSON (a key that does not apply is left out):

    ``extractor``  from ``Extractor.describe()``: name, weights, resizer, scale, type, channels
    ``fake``       images (count), labels (how classes were chosen), seed; of files: size, channels
    ``reference``  images (count), name, split, part (whole, or which of the split), digest, size, channels,
                   classes
    ``generator``  weights (average or not), batch_norm and what belongs to it (auto, own, batch),
                   truncation, psi, layers, langevin
    ``selection``  how the checkpoint was chosen: last, or on which reference of how many states
    ``metric``     settings of the metric (k, splits, subsets, ...)
    ``software``   versions and device

    Scores are comparable when everything but ``software`` and ``fake.seed`` is equal.
    """

    metric: str
    value: float
    better: str
    protocol: Mapping[str, Any]
    low: float | None = None
    high: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    """What matters more than a note, such as a size that differs from the reference's."""
    subject: str = ""
    """Name of what was scored: a run, a model, a folder."""
    images_seen: int | None = None
    """Of the generator, where it is one of ours."""
    time: str = ""
    """ISO 8601, UTC."""

    def to_line(self) -> str:
        """One line of JSON, without the line break; empty fields are left out.

        Raises:
            ConfigError: a number is not finite, or a value is not plain JSON.
        """
        try:
            return json.dumps(self.facts(), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"{self.metric} of {self.subject or 'an unnamed target'} is {self.value}: not "
                f"recorded: {error}; needed: finite numbers and plain JSON"
            ) from None

    def facts(self) -> dict[str, Any]:
        """Its fields by name, empty ones left out."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        kept = {name: value for name, value in values.items() if value not in (None, "", (), {})}
        return {**kept, "protocol": self.protocol}

    @classmethod
    def from_line(cls, line: str) -> Score:
        """Read a line of :meth:`to_line`; unknown keys are ignored.

        Raises:
            ConfigError: the line is not a score.
        """
        try:
            read = parse_json(line, finite=True)
        except ValueError as error:
            raise ConfigError(f"not a line of JSON: {error}") from None
        if not isinstance(read, dict):
            raise ConfigError("not a score: needed: a JSON object")
        known = {field.name: read[field.name] for field in fields(cls) if field.name in read}
        wrong = [name for name, right in _RIGHT.items() if not right(known.get(name))]
        if wrong:
            raise ConfigError(f"not a score: missing or of the wrong type: {', '.join(wrong)}")
        lists = {name: tuple(known.get(name) or ()) for name in ("notes", "warnings")}
        return cls(**{**known, **lists})


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


_RIGHT = {
    "metric": lambda value: _is_text(value) and bool(value),
    "value": _is_number,
    "better": lambda value: value in _BETTER,
    "protocol": lambda value: isinstance(value, dict),
    "low": lambda value: value is None or _is_number(value),
    "high": lambda value: value is None or _is_number(value),
    "details": lambda value: value is None or isinstance(value, dict),
    "notes": lambda value: value is None or _are_texts(value),
    "warnings": lambda value: value is None or _are_texts(value),
    "subject": lambda value: value is None or _is_text(value),
    "images_seen": lambda value: value is None or (_is_number(value) and int(value) == value),
    "time": lambda value: value is None or _is_text(value),
}


def is_digest(text: object) -> bool:
    """Whether something is a digest: 16 hexadecimal digits or more."""
    return isinstance(text, str) and re.fullmatch(r"[0-9a-f]{16,}", text) is not None


def append_scores(path: Path, scores: Iterable[Score]) -> None:
    """Append scores to a file: whole lines in one write, flushed to disk.

    A last line that a killed process left unfinished stays a line of its own.

    Raises:
        ConfigError: a score cannot be recorded; none of them is then written.
        OSError: the file cannot be written.
    """
    text = "".join(score.to_line() + "\n" for score in scores).encode()
    if not text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming(path), path.open("a+b", buffering=0) as file:
        if file.seek(0, os.SEEK_END) > 0:
            file.seek(-1, os.SEEK_END)
            text = text if file.read(1) == b"\n" else b"\n" + text
        while text:
            text = text[file.write(text) :]
        os.fsync(file.fileno())


def read_scores(path: Path) -> list[Score]:
    """The scores of a file in its order; none where there is no file.

    Other lines (of older versions or other programs, an unfinished last one) are skipped.
    """
    if not path.exists():
        return []
    scores = []
    for line in text_lines(path):
        try:
            scores.append(Score.from_line(line))
        except ConfigError:
            continue
    return scores


def comparable(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """What must be equal for two scores to be compared: all but ``software`` and ``fake.seed``.

    A key that is None or empty counts as left out, and 1.0 as 1.
    """
    kept = {key: value for key, value in protocol.items() if key != "software"}
    if isinstance(kept.get("fake"), Mapping):
        kept["fake"] = {key: value for key, value in kept["fake"].items() if key != "seed"}
    plain: dict[str, Any] = _plain(kept)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        plain = {str(key): _plain(item) for key, item in value.items()}
        return {key: item for key, item in plain.items() if item is not None and item != {}}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal text for equal content.

    Raises:
        ConfigError: a number is not finite, or a value is not plain JSON.
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"not plain JSON with finite numbers: {error}") from None


def protocol_id(protocol: Mapping[str, Any]) -> str:
    """First 8 hexadecimal digits of the SHA-256 of what :func:`comparable` gives."""
    return hashlib.sha256(canonical(comparable(protocol)).encode()).hexdigest()[:8]
