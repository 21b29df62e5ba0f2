"""Heads: features and labels to a score and a conditioning loss. One file and one line a member."""

from __future__ import annotations

import inspect
from typing import Any

from pydantic import ValidationError

from reacgan.config import CodesConfig, Component, ConfigError, check_options, explain, lookup
from reacgan.heads.auxiliary import AuxiliaryHead
from reacgan.heads.base import PLAIN_LAYERS, Head, HeadOutput, Layers
from reacgan.heads.contrastive import ContrastiveHead
from reacgan.heads.d2dce import D2DCrossEntropyHead
from reacgan.heads.discriminative import DiscriminativeHead
from reacgan.heads.infogan import InfoGANHead, coded_entries, read_codes
from reacgan.heads.mapped_projection import MappedProjectionHead
from reacgan.heads.multihinge import MultiHingeHead
from reacgan.heads.multilogit import MultiLogitHead
from reacgan.heads.over import OverHead
from reacgan.heads.projection import ProjectionHead
from reacgan.heads.twin import TwinHead
from reacgan.heads.unconditional import UnconditionalHead

__all__ = [
    "HEADS",
    "PLAIN_LAYERS",
    "Head",
    "HeadOutput",
    "Layers",
    "OverHead",
    "build_head",
    "check_codes",
    "coded_entries",
    "head_names",
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
_GIVEN = ("in_features", "num_classes", "layers", "codes", "build")


def head_names(component: Component) -> list[str]:
    """The name of a head and of the heads that it wraps."""
    over = _over(component, where="model.head")
    return [component.name, *([] if over is None else head_names(over))]


def head_options(component: Component, *, where: str = "model.head") -> dict[str, Any]:
    """Check a head's options and fill in its defaults, also those of a wrapped head.

    Args:
        component: its name in :data:`HEADS` and its options.
        where: the dotted path in the configuration, for messages.

    Raises:
        ConfigError: an unknown name or option, a value outside its range, or a head that this one
            cannot wrap.
    """
    member, options = lookup("head", HEADS, component.name), component.options
    over = _over(component, where=where)
    if over is not None:
        options["over"] = {"name": over.name, **head_options(over, where=f"{where}.over")}
    return check_options(member, options, where=where, given=_GIVEN)


def _over(component: Component, *, where: str) -> Component | None:
    """The head that a head wraps; None for one that wraps none."""
    member = lookup("head", HEADS, component.name)
    if not issubclass(member, OverHead):
        return None
    default = inspect.signature(member.__init__).parameters["over"].default
    values = component.options.get("over", default)
    if isinstance(values, dict):  # perhaps only options
        values = {"name": default.name, **values}
    try:
        over = Component.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error, prefix=f"{where}.over")) from None
    if not member.can_stand_over(lookup("head", HEADS, over.name)):
        possible = [name for name, head in HEADS.items() if member.can_stand_over(head)]
        raise ConfigError(
            f"{where}.over is {over.name}, which has no conditioning loss of given samples; take one "
            f"of: {', '.join(possible)}"
        )
    return over


def check_codes(component: Component, codes: CodesConfig | None) -> None:
    """Check that z has codes if and only if the head predicts them.

    Raises:
        ConfigError: codes that no head predicts, or a head that predicts codes where there are none.
    """
    needed = any(lookup("head", HEADS, name).needs_codes for name in head_names(component))
    if needed and (codes is None or coded_entries(codes) == 0):
        raise ConfigError(
            f"model.codes: the head {component.name} needs codes in z to predict; set "
            "model.codes.discrete=[10] (numbers of values) or model.codes.continuous=2, or both"
        )
    if codes is not None and not needed:
        finders = ", ".join(name for name, member in HEADS.items() if member.needs_codes)
        raise ConfigError(
            f"model.codes: the head {component.name} predicts no codes in z; choose a head that "
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
        codes: the codes in z, for a head that predicts them.

    Raises:
        ConfigError: an unknown name or option, a value outside its range, missing codes, or codes that
            the head does not predict.
    """
    check_codes(component, codes)
    options = head_options(component)

    def build(component: Component, **sizes: Any) -> Head:
        member: Any = lookup("head", HEADS, component.name)
        options = component.options
        if member.needs_codes:
            options["codes"] = codes
        if issubclass(member, OverHead):
            options |= {"over": Component.model_validate(options["over"]), "build": build}
        built: Head = member(**sizes, **options)
        return built

    full = Component.model_validate({"name": component.name, **options})
    return build(full, in_features=in_features, num_classes=num_classes, layers=layers)
