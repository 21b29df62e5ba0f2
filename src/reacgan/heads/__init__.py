"""Heads: features and labels to a score and a conditioning loss. One file and one line a member."""

from __future__ import annotations

from typing import Any

from reacgan.config import Component, check_options, lookup
from reacgan.heads.auxiliary import AuxiliaryHead
from reacgan.heads.base import PLAIN_LAYERS, Head, HeadOutput, Layers
from reacgan.heads.contrastive import ContrastiveHead
from reacgan.heads.d2dce import D2DCrossEntropyHead
from reacgan.heads.projection import ProjectionHead
from reacgan.heads.unconditional import UnconditionalHead

__all__ = [
    "HEADS",
    "PLAIN_LAYERS",
    "Head",
    "HeadOutput",
    "Layers",
    "build_head",
    "head_options",
]

HEADS: dict[str, type[Head]] = {
    "unconditional": UnconditionalHead,
    "projection": ProjectionHead,
    "auxiliary": AuxiliaryHead,
    "contrastive": ContrastiveHead,
    "d2dce": D2DCrossEntropyHead,
}


def head_options(component: Component) -> dict[str, Any]:
    """Check a head's options and fill in its defaults.

    Raises:
        ConfigError: an unknown name or option, or a value outside its range.
    """
    member = lookup("head", HEADS, component.name)
    given = ("in_features", "num_classes", "layers")
    return check_options(member, component.options, where="model.head", given=given)


def build_head(
    component: Component, *, in_features: int, num_classes: int, layers: Layers = PLAIN_LAYERS
) -> Head:
    """Build the head that a configuration names.

    Args:
        component: its name in :data:`HEADS` and its options.
        in_features: width F of the backbone's features.
        num_classes: number of classes K.
        layers: factories of linear and embedding layers, such as spectrally normalised ones.

    Raises:
        ConfigError: an unknown name or option, or a value outside its range.
    """
    member: Any = lookup("head", HEADS, component.name)
    built: Head = member(
        in_features=in_features,
        num_classes=num_classes,
        layers=layers,
        **head_options(component),
    )
    return built
