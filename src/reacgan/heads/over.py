"""Base class of heads that wrap another head."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from torch import Tensor

from reacgan.config import Component
from reacgan.heads.base import Head, HeadOutput, Layers


class HeadBuilder(Protocol):
    """Builds the head that a component names, as :func:`reacgan.heads.build_head` does."""

    def __call__(
        self, component: Component, *, in_features: int, num_classes: int, layers: Layers
    ) -> Head:
        """Build a new head, with its own weights."""
        ...


class OverHead(Head, full_precision=False):
    """A head that wraps an inner one, which gives the score and has ``condition_strength``.

    A member's constructor also takes the option ``over``, annotated ``Component``, and ``build``, the
    :class:`HeadBuilder` that builds it. Outputs besides those of the inner head go into ``twin``.
    """

    over_conditioned: ClassVar[bool] = True
    """Whether the inner head needs a conditioning loss: a ``g_loss`` defined for any samples under any
    labels. Wrapping heads have none."""
    inner: Head

    def __init__(self, inner: Head) -> None:
        super().__init__()
        del self.condition_strength  # the inner head has it
        self.inner = inner
        self.couples_samples = inner.couples_samples

    def __getattr__(self, name: str) -> Any:
        if name == "condition_strength" and "inner" in self._modules:
            return self.inner.condition_strength
        return super().__getattr__(name)

    @classmethod
    def can_stand_over(cls, inner: type[Head]) -> bool:
        """Whether its losses are defined over a head of this class."""
        conditioned = inner.g_loss is not Head.g_loss and not issubclass(inner, OverHead)
        return conditioned or not cls.over_conditioned

    def class_logits(self, output: HeadOutput) -> Tensor | None:
        """The inner head's."""
        return self.inner.class_logits(output)
