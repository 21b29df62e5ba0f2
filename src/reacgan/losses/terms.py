"""Further loss terms: their base class, and the inputs of a step.

D or G minimises a term in addition to the adversarial and the conditioning loss: a penalty on D's
gradients, consistency of two views, path length. A term sees networks and heads only as functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from reacgan.randomness import Draws


class DiscriminatorOutput(Protocol):
    """D's output for N samples."""

    @property
    def score(self) -> Tensor:
        """``[N]``."""
        ...

    @property
    def features(self) -> Tensor | None:
        """``[N, F]``: the backbone's."""
        ...

    @property
    def representation(self) -> Tensor | None:
        """``[N, E]``: embedding of length 1, or logits, or None where the head has neither."""
        ...


@dataclass(frozen=True)
class Step:
    """Inputs of a term in one step. Images are ``[N, C, H, W]`` in [-1, 1]."""

    discriminate: Callable[[Tensor, Tensor], DiscriminatorOutput]
    """D on images as they are, under labels."""
    augment: Callable[[Tensor, str], Tensor]
    """The run's augmentation; ``"real"`` and ``"fake"`` name the draws of the main pass."""
    view: Callable[[Tensor, str], Tensor]
    """A second view of images: mirrored and shifted, with the draws of a stream of this name."""
    generate: Callable[[Tensor, Tensor], Tensor]
    """G on z and labels."""
    generator: Any
    """G itself, for what not every generator has (styles)."""
    draws: Callable[[str], Draws]
    """Randomness of a stream of this name."""
    z: Tensor
    """``[N, Z]``: what the fakes were made from."""
    fake: Tensor
    """Fakes, before augmentation; with a gradient in G's step only."""
    fake_labels: Tensor
    on_fake: DiscriminatorOutput
    """D on the augmented fakes, from the main pass."""
    real: Tensor | None = None
    """Real images before augmentation; None in G's step unless a term ``needs_real``."""
    labels: Tensor | None = None
    on_real: DiscriminatorOutput | None = None
    """D on the augmented real images, from the main pass (in G's step without gradient)."""
    due: frozenset[str] = frozenset()
    """Names of the terms of this step."""
    merges: bool = False
    """Whether D gives the same for real and fake images in one pass as in two."""
    shared: dict[str, Tensor] = field(default_factory=dict)
    """What a term of this step has computed for another."""

    def reals(self) -> tuple[Tensor, Tensor, DiscriminatorOutput]:
        """Real images, their labels and D's output for them.

        Raises:
            RuntimeError: this step has none.
        """
        if self.real is None or self.labels is None or self.on_real is None:
            raise RuntimeError("this step holds no real images; the term must set needs_real")
        return self.real, self.labels, self.on_real


class Term(nn.Module):
    """A term of D's or G's loss, as a mean over samples.

    A member defines :meth:`d_term` or :meth:`g_term` or both, or :meth:`after_d_step`. State between
    steps is kept in buffers, which are part of the run's state. Terms that couple samples gather over
    processes (``reacgan.distributed``).

    Args:
        weight: factor of the term.
        every: it is computed in one of so many steps, with so many times the weight (lazy
            regularisation, Karras et al. 2020).
    """

    needs_real: bool = False
    """Whether :meth:`g_term` needs real images."""

    def __init__(self, *, weight: float, every: int = 1) -> None:
        super().__init__()
        self.weight = weight
        self.every = every

    @classmethod
    def acts_on(cls, network: Literal["d", "g"]) -> bool:
        """Whether it is a term of this network's loss."""
        term, none = (cls.d_term, Term.d_term) if network == "d" else (cls.g_term, Term.g_term)
        return term is not none

    def observe(self, on_real: DiscriminatorOutput, on_fake: DiscriminatorOutput) -> None:
        """Take D's output for the whole batch of this process, without gradient, before d_term."""

    def d_term(self, step: Step) -> Tensor | None:
        """The unweighted scalar that D minimises, or None."""
        return None

    def g_term(self, step: Step) -> Tensor | None:
        """The unweighted scalar that G minimises, or None."""
        return None

    def after_d_step(self, discriminator: nn.Module) -> None:
        """Change D after its optimiser's step (weight clipping)."""
