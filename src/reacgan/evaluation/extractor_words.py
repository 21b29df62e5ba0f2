"""Which facts of an extractor a person needs to be told, beside its name and weights."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

_IMPLIED = frozenset(
    {
        *("classes", "data", "epochs", "width", "seed", "flip", "held_out_top5"),
        *("features", "filter", "model", "revision"),
    }
)
"""Facts that the name, the digest of the weights and the resizer stand for."""

_USUAL: Mapping[str, tuple[object, ...]] = MappingProxyType(
    {
        "size": (299, 224),
        "shape": ("stretched to a square", "stretched to a square, no crop"),
        "scale": ("2 x / 255 - 1", "(x - 128) / 128"),
        "channels": (1, 3, "grey repeated three times, RGBA on white"),
        "logits": ("without bias",),
    }
)


def unusual(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What is left when implied and usual facts are taken out; for an extractor with known weights."""
    return {key: value for key, value in facts.items() if not _goes_without_saying(key, value)}


def _goes_without_saying(key: str, value: Any) -> bool:
    normalised = key == "scale" and str(value).startswith("(x / 255 - [")  # its own, by its name
    made_for = key == "size" and isinstance(value, list | tuple)  # a classifier's, by its weights
    return key in _IMPLIED or normalised or made_for or value in _USUAL.get(key, ())
