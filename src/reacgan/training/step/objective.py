"""What a step is given: networks, objective, moment, latents and images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from torch import Tensor

from reacgan.augment import Augment, PseudoAugment
from reacgan.config import LatentOptimisationConfig
from reacgan.heads import HeadOutput
from reacgan.losses import Adversarial, Term
from reacgan.models import Discriminator, Generator
from reacgan.randomness import Draws


@dataclass(frozen=True)
class Objective:
    """What D and G minimise, apart from what the head itself brings."""

    adversarial: Adversarial
    conditioning_weight: float
    augment: Augment
    g_conditioning_weight: float | None = None
    """None: the same as D's."""
    terms: Mapping[str, Term] = field(default_factory=dict)
    """Penalties and consistency by name."""
    apa: PseudoAugment | None = None
    latent_optimisation: LatentOptimisationConfig | None = None

    @property
    def g_needs_real(self) -> bool:
        """Whether G's step looks at real images."""
        return self.adversarial.paired or any(term.needs_real for term in self.terms.values())


@dataclass(frozen=True)
class StepContext:
    """The two networks, what they minimise, and the moment of the run."""

    generator: Generator
    discriminator: Discriminator
    objective: Objective
    draws: Callable[[str], Draws]
    """Randomness of a stream of this name, at this moment."""
    index: int = 0
    """Counts this network's steps: a term with ``every`` = 16 is due in each 16th."""
    strength: float = 1.0
    """Influence of labels: factor of the conditioning losses."""
    top_share: float = 1.0
    """Share of the fakes, the best ones, that G's adversarial loss is the mean of."""


@dataclass(frozen=True)
class Latents:
    """Inputs of a generator: z [N, latent_dim] and labels [N]."""

    z: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Images:
    """Inputs of the discriminator in one step, before augmentation."""

    fake: Tensor
    fake_labels: Tensor
    z: Tensor
    real: Tensor | None = None
    labels: Tensor | None = None
    cost: Tensor | None = None
    """What moving z has cost (LOGAN)."""


Autocast = Callable[[], AbstractContextManager[None]]
Labelled = tuple[Tensor, Tensor]
"""Images [N, C, H, W] and labels [N]."""
Parts = dict[str, Tensor]
Outputs = tuple[HeadOutput, ...]
"""(on fake,) or (on fake, on real)."""
