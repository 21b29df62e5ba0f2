"""Where two trees of plain values differ: configurations, protocols, manifests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted keys, in their order."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def as_written(value: Any) -> str:
    """A value as a configuration file has it: ``null``, ``true``, ``[1, 2]``; words as they are."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Dotted key, value before and value now of each difference; None for what is not there.

    Tuples and lists are the same, as they are after JSON.
    """
    old, new = flatten(before), flatten(now)
    return [
        (key, old.get(key), new.get(key))
        for key in dict.fromkeys([*old, *new])
        if json.dumps(old.get(key), default=str) != json.dumps(new.get(key), default=str)
    ]
