"""Augmentations of what D sees. One file and one line a member."""

from __future__ import annotations

from reacgan.augment.base import Augment
from reacgan.augment.diffaug import DiffAug
from reacgan.augment.identity import Identity
from reacgan.config import Component, check_options, lookup

__all__ = ["AUGMENTS", "Augment", "build_augment"]

AUGMENTS: dict[str, type[Augment]] = {
    "identity": Identity,
    "diffaug": DiffAug,
}


def build_augment(component: Component) -> Augment:
    """Build the augmentation that a configuration names.

    Raises:
        ConfigError: an unknown name or option, or a value outside its range.
    """
    member = lookup("augmentation", AUGMENTS, component.name)
    return member(**check_options(member, component.options, where="augment"))
