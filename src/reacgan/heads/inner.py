"""What heads over another head share: which ones they can be put over, and its options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor

from reacgan.config import ConfigError, check_options
from reacgan.heads.auxiliary import AuxiliaryHead
from reacgan.heads.base import Head, HeadOutput, Layers
from reacgan.heads.contrastive import ContrastiveHead
from reacgan.heads.d2dce import D2DCrossEntropyHead
from reacgan.heads.projection import ProjectionHead
from reacgan.heads.unconditional import UnconditionalHead

Conditioned = Literal["auxiliary", "contrastive", "d2dce"]
"""Heads with a conditioning loss of one batch: ``g_loss(output)`` is the loss of its samples."""
Inner = Literal["unconditional", "projection", "auxiliary", "contrastive", "d2dce"]

INNER: dict[str, type[Head]] = {
    "unconditional": UnconditionalHead,
    "projection": ProjectionHead,
    "auxiliary": AuxiliaryHead,
    "contrastive": ContrastiveHead,
    "d2dce": D2DCrossEntropyHead,
}
OPTIONS = (
    "embedding_dim",
    "temperature",
    "margin",
    "form",
    "normalize_features",
    "normalize_weights",
)
"""Options that are handed on; None stands for what the inner head has by itself. Those that take a loss
apart for ablations are not."""
GIVEN = ("in_features", "num_classes", "layers")


def inner_options(over: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the inner head in full, from those that are not None.

    Raises:
        ConfigError: an option that this inner head has not, or a value outside its range.
    """
    member = INNER[over]
    chosen = {name: options[name] for name in OPTIONS if options.get(name) is not None}
    own = check_options(member, {}, where="model.head", given=GIVEN)
    known = [name for name in own if name in OPTIONS]
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise ConfigError(
            f"model.head.{unknown[0]} is {chosen[unknown[0]]!r}, but model.head.over is {over}, which "
            f"has no such option (it has: {', '.join(sorted(known)) or 'none'}); leave it out, or null"
        )
    full = check_options(member, chosen, where="model.head", given=GIVEN)
    return {name: value for name, value in full.items() if name in OPTIONS}


def build_inner(
    over: str, options: Mapping[str, Any], *, in_features: int, num_classes: int, layers: Layers
) -> Head:
    """Build the head of the table that ``over`` names; see :func:`inner_options`."""
    member: Any = INNER[over]
    built: Head = member(
        in_features=in_features,
        num_classes=num_classes,
        layers=layers,
        **inner_options(over, options),
    )
    return built


class OverHead(Head):
    """A head over an inner one, which has the score and the influence of labels on it."""

    inner: Head

    def __init__(self, inner: Head) -> None:
        super().__init__()
        del self.condition_strength  # the inner head's is the one that acts
        self.inner = inner
        self.couples_samples = inner.couples_samples

    def __getattr__(self, name: str) -> Any:
        if name == "condition_strength" and "inner" in self._modules:
            return self.inner.condition_strength
        return super().__getattr__(name)

    @classmethod
    def resolve(cls, options: dict[str, Any]) -> dict[str, Any]:
        """The options with those of the inner head written out."""
        return {**options, **inner_options(options["over"], options)}

    def class_logits(self, output: HeadOutput) -> Tensor | None:
        """What the inner head believes."""
        return self.inner.class_logits(output)
