"""Heads: features and labels to a score and a conditioning loss. One file and one line a member."""

from __future__ import annotations

from typing import Any

from reacgan.config import CodesConfig, Component, ConfigError, check_options, lookup
from reacgan.heads.auxiliary import AuxiliaryHead
from reacgan.heads.base import PLAIN_LAYERS, Head, HeadOutput, Layers
from reacgan.heads.contrastive import ContrastiveHead
from reacgan.heads.d2dce import D2DCrossEntropyHead
from reacgan.heads.discriminative import DiscriminativeHead
from reacgan.heads.infogan import InfoGANHead, coded_entries, read_codes
from reacgan.heads.mapped_projection import MappedProjectionHead
from reacgan.heads.multihinge import MultiHingeHead
from reacgan.heads.multilogit import MultiLogitHead
from reacgan.heads.projection import ProjectionHead
from reacgan.heads.twin import TwinHead
from reacgan.heads.unconditional import UnconditionalHead

__all__ = [
    "HEADS",
    "PLAIN_LAYERS",
    "Head",
    "HeadOutput",
    "Layers",
    "build_head",
    "check_codes",
    "coded_entries",
    "head_options",
    "read_codes",
]

HEADS: dict[str, type[Head]] = {
    "unconditional": UnconditionalHead,
    "projection": ProjectionHead,
    "mapped_projection": MappedProjectionHead,
    "auxiliary": AuxiliaryHead,
    "contrastive": ContrastiveHead,
    "d2dce": D2DCrossEntropyHead,
    "multihinge": MultiHingeHead,
    "multilogit": MultiLogitHead,
    "twin": TwinHead,
    "discriminative": DiscriminativeHead,
    "infogan": InfoGANHead,
}


def head_options(component: Component) -> dict[str, Any]:
    """Check a head's options and fill in its defaults.

    Raises:
        ConfigError: an unknown name or option, a value outside its range, or options that do not go
            together.
    """
    member = lookup("head", HEADS, component.name)
    given = ("in_features", "num_classes", "layers", "codes")
    options = check_options(member, component.options, where="model.head", given=given)
    return member.resolve(options)


def check_codes(component: Component, codes: CodesConfig | None) -> None:
    """Check that the head looks for codes in z where there are some, and only there.

    Raises:
        ConfigError: codes that nothing looks for, or a head that looks for codes without any.
    """
    needed = lookup("head", HEADS, component.name).needs_codes
    if needed and (codes is None or coded_entries(codes) == 0):
        raise ConfigError(
            f"model.codes: the head {component.name} needs codes to find in z; set "
            "model.codes.discrete=[10] (numbers of values) or model.codes.continuous=2, or both"
        )
    if codes is not None and not needed:
        finders = ", ".join(name for name, member in HEADS.items() if member.needs_codes)
        raise ConfigError(
            f"model.codes: the head {component.name} looks for no codes in z; choose a head that "
            f"does ({finders}), or set model.codes=null"
        )


def build_head(
    component: Component,
    *,
    in_features: int,
    num_classes: int,
    layers: Layers = PLAIN_LAYERS,
    codes: CodesConfig | None = None,
) -> Head:
    """Build the head that a configuration names.

    Args:
        component: its name in :data:`HEADS` and its options.
        in_features: width F of the backbone's features.
        num_classes: number of classes K.
        layers: factories of linear and embedding layers, such as spectrally normalised ones.
        codes: what is hidden in z, for a head that looks for it.

    Raises:
        ConfigError: an unknown name or option, a value outside its range, or codes that are missing
            or that nothing looks for.
    """
    check_codes(component, codes)
    member: Any = lookup("head", HEADS, component.name)
    built: Head = member(
        in_features=in_features,
        num_classes=num_classes,
        layers=layers,
        **({} if codes is None else {"codes": codes}),
        **head_options(component),
    )
    return built
