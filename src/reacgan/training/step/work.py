"""A step as a value: everything that its gradients depend on, apart from the weights."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from reacgan.randomness import Draws
from reacgan.training.step.objective import Autocast, Labelled, Latents, Parts, StepContext

Result = tuple[Parts, Tensor]
"""Parts of the loss, and D's scores."""


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
            )
        return {name: part.detach() for name, part in parts.items()}, outputs[-1].score.detach()

    def inputs(self) -> list[Tensor]:
        """All tensors that the step reads, apart from draws and the networks."""
        latents = [tensor for part in self.latents for tensor in (part.z, part.labels)]
        return [*(self.real or ()), *latents]

    def on(self, inputs: Sequence[Tensor], draws: Callable[[str], Draws]) -> Work:
        """The same step on other tensors, as :meth:`inputs` lists them, and with other draws."""
        taken = 0 if self.real is None else 2
        real = None if self.real is None else (inputs[0], inputs[1])
        pairs = zip(inputs[taken::2], inputs[taken + 1 :: 2], strict=True)
        contexts = [replace(context, draws=draws) for context in self.contexts]
        return replace(
            self, real=real, latents=[Latents(*pair) for pair in pairs], contexts=contexts
        )

    def course(self) -> Hashable:
        """What decides which operations run."""
        first = self.contexts[0]
        terms = first.objective.terms.items()
        due = tuple(name for name, term in terms if first.index % term.every == 0)
        shapes = tuple((tensor.shape, tensor.dtype, tensor.stride()) for tensor in self.inputs())
        return self.formula.__name__, due, first.strength, first.top_share, shapes


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
