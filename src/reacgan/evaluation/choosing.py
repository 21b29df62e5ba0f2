"""Which metrics are measured: names and options to metrics, and what each lacks, said beforehand."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from reacgan.config import ConfigError, check_options, lookup
from reacgan.config.sections import named_options
from reacgan.metrics import METRICS, Metric
from reacgan.metrics.base import Need

STANDARD = ("fid", "kid", "is", "prdc", "ifid", "per_class", "accuracy", "memorisation")
"""What is measured where nothing is said: all that costs one pass over the images."""


def build_metrics(wanted: Any) -> dict[str, Metric]:
    """Metrics by name.

    Args:
        wanted: names, ``all``, or a mapping of names to options: ``{"prdc": {"k": 3}}``; None for
            :data:`STANDARD`.

    Raises:
        ConfigError: an unknown metric or option.
    """
    if wanted in ("all", ["all"], ("all",)):
        wanted = list(METRICS)
    try:
        chosen = named_options(list(STANDARD) if wanted is None else wanted)
    except ValueError as error:
        raise ConfigError(f"metrics {error}") from None
    if not chosen:
        raise ConfigError(f"no metric is named; known: {', '.join(METRICS)}, or all")
    built = {}
    for name, options in chosen.items():
        member: Any = lookup("metric", METRICS, name)
        built[name] = member(**check_options(member, options, where=f"metrics.{name}"))
    return built


def needs_of(metrics: Mapping[str, Metric]) -> frozenset[Need]:
    """All that they need together."""
    return frozenset().union(*(metric.needs for metric in metrics.values()))


def uses_of(metrics: Mapping[str, Metric]) -> frozenset[Need]:
    """All that they look at, needed or not."""
    return needs_of(metrics).union(*(metric.wants for metric in metrics.values()))


def sort_out(
    metrics: Mapping[str, Metric], lacking: Mapping[Need, str], *, all_wanted: bool
) -> tuple[dict[str, Metric], dict[str, str]]:
    """The metrics that can be measured, and why the others cannot.

    Args:
        metrics: by name.
        lacking: needs that are not met, and why.
        all_wanted: whether a person named each of them, so that leaving one out is an error.

    Raises:
        ConfigError: one that a person named cannot be measured, or none can.
    """
    skipped = {}
    for name, metric in metrics.items():
        reasons = [lacking[need] for need in sorted(metric.needs) if need in lacking]
        if reasons:
            skipped[name] = "; ".join(dict.fromkeys(reasons))
    left = {name: metric for name, metric in metrics.items() if name not in skipped}
    if skipped and (all_wanted or not left):
        told = "\n".join(f"  {name}: {reason}" for name, reason in skipped.items())
        raise ConfigError(f"cannot be measured here:\n{told}")
    return left, skipped


def match_classes(
    names: Sequence[str], reference: Sequence[str], *, alike: Mapping[str, int] | None = None
) -> tuple[list[int] | None, str]:
    """Where each class of the generated images is among the reference's.

    Args:
        names: of the generated images.
        reference: of the reference.
        alike: further spellings of the reference's classes, and which class each is.

    Returns:
        The reference's label for each of ``names`` (None where a class is not one of the
        reference's), and what is to be said of it.
    """
    places = {**(alike or {}), **{name: label for label, name in enumerate(reference)}}
    composed = {unicodedata.normalize("NFC", name): label for name, label in places.items()}
    found = [places.get(name, composed.get(unicodedata.normalize("NFC", name))) for name in names]
    foreign = [name for name, label in zip(names, found, strict=True) if label is None]
    if foreign:
        missing = [name for label, name in enumerate(reference) if label not in found]
        return None, (
            f"classes differ: the reference has none called {_listed(foreign)}"
            + (f", the generated images none called {_listed(missing)}" if missing else "")
        )
    return [label for label in found if label is not None], ""


def place_labels(
    labels: Tensor | None, places: list[int] | None, names: Sequence[str]
) -> tuple[Tensor | None, tuple[str, ...]]:
    """Labels ``[N]`` as the reference numbers its classes, and what is to be said of them.

    Args:
        labels: of the images, or None.
        places: the reference's label for each of theirs, or None where classes do not match.
        names: the reference's classes.

    Raises:
        ConfigError: a label beyond the classes.
    """
    if labels is None or places is None:
        return None, ()
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= len(places):
        raise ConfigError(f"labels reach from {low} to {high}; needed: 0 to {len(places) - 1}")
    placed = torch.tensor(places)[labels]
    absent = sorted(set(range(len(names))) - set(placed.unique().tolist()))
    if not absent:
        return placed, ()
    shown = ", ".join(names[label] for label in absent[:5])
    more = " ..." if len(absent) > 5 else ""
    return placed, (f"no image of {len(absent)} classes of the reference: {shown}{more}",)


def _listed(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
