"""A score and all that it depends on; files and tables of scores that never mix protocols."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Score:
    """One number with its protocol, as a line of ``scores.jsonl`` holds it.

    Protocol keys, each plain JSON (a key that does not apply is left out):

    ``extractor``  what ``Extractor.describe()`` says: name, weights, resizer, scale, type, channels
    ``fake``       images (count), labels (how classes were chosen), seed
    ``reference``  images (count), source, split, part (whole, or which part of the split), digest
    ``generator``  weights (average or not), batch_norm, truncation, psi, layers, precision
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
    subject: str = ""
    """What was scored, for people: a run, a model, a folder."""
    images_seen: int | None = None
    """Of the generator, where it is one of ours."""
    time: str = ""
    """ISO 8601, UTC."""
