"""Scores as ``model-index``, which the Hugging Face hub reads from a card's metadata."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from reacgan.config import DataConfig
from reacgan.evaluation.scores import Score, protocol_id
from reacgan.hub.licences import terms_of
from reacgan.sharing.scores import is_real, shared_protocol

TASK = "unconditional-image-generation"
_STANDARD = "inception"


def model_index(scores: Sequence[Score], name: str, data: DataConfig) -> list[dict[str, Any]]:
    """Scores by protocol; empty where there is none.

    A metric is called by its plain name only where Inception measured it, as published scores are;
    by another extractor it is ``fid-domain``, since the numbers are not to be put side by side.

    Args:
        scores: of the model; those of real images are left out.
        name: of the model.
        data: what it learned from.
    """
    groups: dict[str, list[Score]] = {}
    for score in scores:
        if not is_real(score) and math.isfinite(score.value):
            groups.setdefault(protocol_id(shared_protocol(score)), []).append(score)
    results = [_result(identifier, group, data) for identifier, group in groups.items()]
    return [{"name": name, "results": results}] if results else []


def _result(identifier: str, group: Sequence[Score], data: DataConfig) -> dict[str, Any]:
    extractor, fake, reference = (
        _part(group[0], name) for name in ("extractor", "fake", "reference")
    )
    judge = str(extractor.get("name", "unknown"))
    told = {
        "extractor": judge,
        "generated_images": fake.get("images"),
        "reference_images": reference.get("images"),
        "protocol": identifier,
    }
    metrics = [
        {
            "type": score.metric if judge == _STANDARD else f"{score.metric}-{judge}",
            "name": f"{score.metric} ({judge}, protocol {identifier})",
            "value": float(f"{score.value:.6g}"),
            "verified": False,
        }
        for score in group
    ]
    return {
        "task": {"type": TASK, "name": "class-conditional image generation"},
        "dataset": {
            **_data_set(reference, data),
            "args": {key: value for key, value in told.items() if value is not None},
        },
        "metrics": metrics,
    }


def _data_set(reference: Mapping[str, Any], data: DataConfig) -> dict[str, str]:
    called = str(reference.get("name") or data.name)
    terms = terms_of(data)
    own = called == data.name
    kind = terms.identifiers[0] if own and terms.identifiers else called
    split = reference.get("split")
    return {
        "type": kind,
        "name": terms.title if own else called,
        **({"split": split} if isinstance(split, str) else {}),
    }


def _part(score: Score, name: str) -> Mapping[str, Any]:
    held = score.protocol.get(name)
    return held if isinstance(held, Mapping) else {}
