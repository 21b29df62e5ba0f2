"""A step as a value: networks, objective, moment, images, latents; all that its gradients depend on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from torch import Tensor, nn

from reacgan.augment import Augment, PseudoAugment
from reacgan.config import LatentOptimisationConfig
from reacgan.heads import HeadOutput
from reacgan.losses import Adversarial, Term
from reacgan.models import Discriminator, Generator
from reacgan.randomness import Draws

Autocast = Callable[[], AbstractContextManager[None]]
Sending = Callable[[], AbstractContextManager[None]]
Labelled = tuple[Tensor, Tensor]
"""Images [N, C, H, W] and labels [N]."""
Parts = dict[str, Tensor]
Outputs = tuple[HeadOutput, ...]
"""(on fake,) or (on fake, on real)."""
Result = tuple[Parts, Tensor]
"""Parts of the loss, and D's scores."""


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


@dataclass(frozen=True)
class Work:
    """A D step or a G step up to its gradients."""

    formula: Callable[..., Any]
    """``discriminator_gradients`` or ``generator_gradients``."""
    contexts: Sequence[StepContext]
    """One for each part of the batch."""
    real: Labelled | None
    latents: Sequence[Latents]
    parameters: list[nn.Parameter]
    """Who gets gradients."""
    autocast: Autocast
    sending: Sending = nullcontext
    """Context of the last backward pass, in which gradients may be sent to other processes."""

    def run(self) -> Result:
        """Fill ``.grad``; parts of the loss, and the last scores (in D's step: of real images)."""
        clear_gradients(self.parameters)
        first = self.contexts[0]
        with _only(self.parameters, (first.generator, first.discriminator)):
            parts, outputs = self.formula(
                self.contexts,
                self.real,
                self.latents,
                parameters=self.parameters,
                autocast=self.autocast,
                sending=self.sending,
            )
        return {name: part.detach() for name, part in parts.items()}, outputs[-1].score.detach()

    def inputs(self) -> list[Tensor]:
        """All tensors that the step reads, apart from draws and the networks."""
        latents = [tensor for part in self.latents for tensor in (part.z, part.labels)]
        return [*(self.real or ()), *latents]

    def silent(self) -> Work:
        """The same step, which leaves all gradients to be sent at its end: for one that is made twice."""
        return replace(self, sending=nullcontext)

    def on(self, inputs: Sequence[Tensor], draws: Callable[[str], Draws]) -> Work:
        """The same step on other tensors, as :meth:`inputs` lists them, and with other draws; silent."""
        taken = 0 if self.real is None else 2
        real = None if self.real is None else (inputs[0], inputs[1])
        pairs = zip(inputs[taken::2], inputs[taken + 1 :: 2], strict=True)
        contexts = [replace(context, draws=draws) for context in self.contexts]
        latents = [Latents(*pair) for pair in pairs]
        return replace(self, real=real, latents=latents, contexts=contexts).silent()

    def kind(self) -> Hashable:
        """What decides which operations run: the step, terms that are due, shapes."""
        first = self.contexts[0]
        network: Literal["d", "g"] = "d" if self.formula.__name__.startswith("d") else "g"
        due = tuple(
            name
            for name, term in first.objective.terms.items()
            if first.index % term.every == 0 and term.acts_on(network)
        )
        shapes = tuple((tensor.shape, tensor.dtype, tensor.stride()) for tensor in self.inputs())
        return self.formula.__name__, due, shapes

    def course(self) -> Hashable:
        """The kind, and the factors that are Python numbers."""
        first = self.contexts[0]
        return self.kind(), first.strength, first.top_share


def clear_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """No parameter has a gradient."""
    for parameter in parameters:
        parameter.grad = None


@contextmanager
def _only(parameters: Sequence[nn.Parameter], networks: Sequence[nn.Module]) -> Iterator[None]:
    """Within the block no other parameter of the networks builds a graph."""
    own = {id(parameter) for parameter in parameters}
    others = [
        parameter
        for network in networks
        for parameter in network.parameters()
        if parameter.requires_grad and id(parameter) not in own
    ]
    for parameter in others:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in others:
            parameter.requires_grad_(True)
