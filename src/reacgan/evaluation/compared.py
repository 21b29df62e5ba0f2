"""A comparison that is ready to be measured, and what its scores' protocols say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.data import ImageData
from reacgan.evaluation.features import Look
from reacgan.extractors import Extractor
from reacgan.extractors.fitting import RULE, Shape
from reacgan.metrics import Comparison, FeatureSet, Judgement, Metric
from reacgan.metrics.base import Keep, Need


def differing(
    shape: Shape, reference: Shape | None, seen: Shape | None, extractor: Extractor
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Where images to score have other channels or another size than the reference.

    Args:
        shape: of the images.
        reference: of the reference; None for statistics.
        seen: what both are brought to; None where the extractor does so itself.
        extractor: which looks at them.

    Returns:
        Facts for the protocol, and warnings; both empty where the shapes are one.
    """
    if reference is None or shape == reference:
        return {}, ()
    facts: dict[str, Any] = {"size": list(shape[1:]), "channels": shape[0]}
    if seen is not None:
        facts["brought_to"] = f"{list(seen)}: {RULE}"
    warnings = []
    if shape[0] != reference[0]:
        told = (
            "each is made RGB" if seen is None else f"both are made {_KINDS.get(seen[0], 'alike')}"
        )
        lost = (
            "; colours of the images are not looked at" if seen and shape[0] > seen[0] == 1 else ""
        )
        warnings.append(
            f"the images to score have {_channels(shape[0])}, the reference {_channels(reference[0])}; "
            f"for {extractor.name} {told}{lost}"
        )
    if shape[1:] != reference[1:]:
        warnings.append(
            f"the images to score are {shape[2]} x {shape[1]}, the reference {reference[2]} x "
            f"{reference[1]}: scores hold that difference. --resolution {_side(shape)} crops and resizes "
            "the reference, where that is what should be compared"
        )
    return facts, tuple(warnings)


_KINDS = {1: "grey", 3: "RGB", 4: "RGBA"}


def _channels(count: int) -> str:
    kind = f" ({_KINDS[count]})" if count in _KINDS else ""
    return f"{count} channel{'' if count == 1 else 's'}{kind}"


def _side(shape: Shape) -> str:
    return str(shape[1]) if shape[1] == shape[2] else f"{shape[1]}x{shape[2]}"


@dataclass(frozen=True, eq=False)
class Compared:
    """A comparison and what its scores' protocols say of it."""

    comparison: Comparison
    metrics: Mapping[str, Metric]
    extractor: Mapping[str, Any]
    reference: Mapping[str, Any]
    beside: Mapping[Need, Mapping[str, Any]]
    """What else a metric depends on that has such a need: training and held-out images, the judge."""
    fake: Mapping[str, Any]
    """Size and channels of the scored images where the reference has others, and what was done."""
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    device: torch.device

    def settings_for(self, metric: Metric) -> dict[str, Any]:
        """What a metric depends on beside its own options."""
        return {
            need.replace(" ", "_"): dict(self.beside[need])
            for need in sorted(metric.needs | metric.wants)
            if need in self.beside
        }


def beside_of(
    others: Mapping[Need, FeatureSet],
    judge: Any,
    *,
    training: ImageData | None,
    held_out: ImageData | None,
) -> dict[Need, Mapping[str, Any]]:
    """For protocols: which further sets a metric looked at."""
    told: dict[Need, Mapping[str, Any]] = {}
    sets: tuple[tuple[Need, ImageData | None], ...] = (
        ("training", training if "training" in others else None),
        ("held out", held_out if "held out" in others else None),
    )
    for need, data in sets:
        if data is not None:
            told[need] = {"images": len(data), "digest": data.digest[:16]}
    if judge is not None:
        told["judge"] = judge.describe()
    return told


def set_of(
    seen: Look, labels: Tensor | None, class_names: tuple[str, ...], keep: Keep | None
) -> FeatureSet:
    """What was seen of a set, for metrics."""
    return FeatureSet(
        seen.features, logits=seen.logits, labels=labels, class_names=class_names, keep_in=keep
    )


def judgement_of(judge: Any, seen: Look) -> Judgement:
    """What a classifier says of the images to score."""
    if seen.logits is None:
        raise ConfigError("the judge gives no class scores")
    return Judgement(seen.logits, judge.held_out_top1, judge.held_out_top5, judge.describe())
