"""Augmentations of the images that D gets. One file and one line a member."""

from __future__ import annotations

from typing import Any

from reacgan.augment.ada import Ada
from reacgan.augment.apa import PseudoAugment
from reacgan.augment.base import Augment, second_view
from reacgan.augment.diffaug import DiffAug
from reacgan.augment.identity import Identity
from reacgan.config import Component, check_options, lookup

__all__ = [
    "AUGMENTS",
    "Augment",
    "PseudoAugment",
    "augment_options",
    "build_augment",
    "second_view",
]

AUGMENTS: dict[str, type[Augment]] = {
    "identity": Identity,
    "diffaug": DiffAug,
    "ada": Ada,
}


def augment_options(component: Component) -> dict[str, Any]:
    """Check an augmentation's options and fill in its defaults.

    Raises:
        ConfigError: an unknown name or option, or a value outside its range.
    """
    member = lookup("augmentation", AUGMENTS, component.name)
    return check_options(member, component.options, where="augment")


def build_augment(component: Component) -> Augment:
    """Build the augmentation that a configuration names.

    Raises:
        ConfigError: an unknown name or option, or a value outside its range.
    """
    member = lookup("augmentation", AUGMENTS, component.name)
    return member(**augment_options(component))
