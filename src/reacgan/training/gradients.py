"""The gradients of a step, of the whole batch at once or worked off in parts.

Losses that compare samples of a batch with one another (2C, D2D-CE, top-k) do not add up over parts. So
each part goes through the network twice: once without a graph, to collect what D says; then the losses
are worked out on all outputs together, down to their gradients with respect to the outputs; then each
part again, with a graph that starts from its share of those gradients (Gao et al. 2021, gradient
caching). The gradient is that of the whole batch; only one part's graph is ever held. Further terms are
averaged over parts: exact for means over samples, while those that compare samples say what becomes of
them (largest gradient, DRAGAN, feature matching, path length).

What a layer couples by itself, it couples within a part: batch norm normalises each part with the
statistics of that part, and moves its running statistics once a part. Each step holds one power
iteration of each spectral norm, as it does for the whole batch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from reacgan.heads import HeadOutput
from reacgan.models import power_iteration_frozen, statistics_frozen
from reacgan.training.players import Images, Latents, Outputs, Parts, Players
from reacgan.training.steps import (
    discriminator_loss,
    discriminator_loss_of,
    discriminator_terms,
    generator_loss,
    generator_loss_of,
    generator_terms,
    images_for_discriminator,
    images_for_generator,
    judged_by_discriminator,
    judged_for_generator,
    observe,
)

Autocast = Callable[[], AbstractContextManager[None]]
Labelled = tuple[Tensor, Tensor]
OutputGradients = list[dict[str, Tensor | None]]
Given_contra = TypeVar("Given_contra", contravariant=True)


class GradientStep(Protocol[Given_contra]):
    """What works out the gradients of one network's step."""

    def __call__(
        self,
        players: Sequence[Players],
        real: Given_contra,
        latents: Sequence[Latents],
        *,
        parameters: Sequence[nn.Parameter],
        autocast: Autocast,
    ) -> tuple[Parts, Outputs]:
        """Add gradients to ``parameters``; parts of the loss, and what D said."""
        ...


def forget_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """No gradients are held."""
    for parameter in parameters:
        parameter.grad = None


def _for_these_alone(step: GradientStep[Given_contra]) -> GradientStep[Given_contra]:
    """While the step is worked out, no other parameter than its own builds a graph."""

    @functools.wraps(step)
    def alone(
        players: Sequence[Players],
        real: Given_contra,
        latents: Sequence[Latents],
        *,
        parameters: Sequence[nn.Parameter],
        autocast: Autocast,
    ) -> tuple[Parts, Outputs]:
        own = {id(parameter) for parameter in parameters}
        others = [
            parameter
            for network in (players[0].generator, players[0].discriminator)
            for parameter in network.parameters()
            if parameter.requires_grad and id(parameter) not in own
        ]
        for parameter in others:
            parameter.requires_grad_(False)
        try:
            return step(players, real, latents, parameters=parameters, autocast=autocast)
        finally:
            for parameter in others:
                parameter.requires_grad_(True)

    return alone


@_for_these_alone
def discriminator_gradients(
    players: Sequence[Players],
    real: Labelled,
    latents: Sequence[Latents],
    *,
    parameters: Sequence[nn.Parameter],
    autocast: Autocast,
) -> tuple[Parts, Outputs]:
    """Add the gradient of :func:`discriminator_loss` to D's ``parameters``.

    Args:
        players: one for each part of the batch, alike but for their draws.
        real: images [N, C, H, W] and labels [N] of all parts.
        latents: of each part.
        parameters: who gets the gradient; that of others is left alone.
        autocast: context that the networks run in. Backward passes run outside of it.

    Returns:
        Parts of the loss, and what D said of all samples.
    """
    first = players[0]
    if len(players) == 1:
        with autocast():
            loss, parts, outputs = discriminator_loss(first, *real, latents[0])
        loss.backward(inputs=list(parameters))
        return parts, outputs
    images, labels = (half.chunk(len(players)) for half in real)
    held: list[Images] = []
    for part, player in enumerate(players):
        with autocast(), _frozen([player.generator], iteration=part > 0):
            held.append(images_for_discriminator(player, images[part], labels[part], latents[part]))

    def losses(whole: Outputs) -> tuple[Tensor, Parts]:
        observe(first, whole)
        return discriminator_loss_of(first, whole)

    return _gradients_of_parts(
        lambda part: (held[part], judged_by_discriminator(players[part], held[part])),
        losses,
        lambda part, images, outputs: discriminator_terms(players[part], images, outputs),
        count=len(players),
        networks=[first.discriminator],
        parameters=parameters,
        autocast=autocast,
    )


@_for_these_alone
def generator_gradients(
    players: Sequence[Players],
    real: Labelled | None,
    latents: Sequence[Latents],
    *,
    parameters: Sequence[nn.Parameter],
    autocast: Autocast,
) -> tuple[Parts, Outputs]:
    """Add the gradient of :func:`generator_loss` to G's ``parameters``; as above."""
    first = players[0]
    if len(players) == 1:
        with autocast():
            loss, parts, outputs = generator_loss(first, latents[0], *(real or (None, None)))
        loss.backward(inputs=list(parameters))
        return parts, outputs
    reals: list[tuple[Tensor | None, Tensor | None]] = [(None, None)] * len(players)
    if real is not None:
        reals = list(zip(*(half.chunk(len(players)) for half in real), strict=True))

    def judge(part: int) -> tuple[Images, Outputs]:
        images = images_for_generator(players[part], latents[part], *reals[part])
        return images, judged_for_generator(players[part], images)

    return _gradients_of_parts(
        judge,
        lambda whole: generator_loss_of(first, whole),
        lambda part, images, outputs: generator_terms(players[part], images, outputs),
        count=len(players),
        networks=[first.generator, first.discriminator],
        parameters=parameters,
        autocast=autocast,
    )


def _gradients_of_parts(
    judge: Callable[[int], tuple[Images, Outputs]],
    losses: Callable[[Outputs], tuple[Tensor, Parts]],
    terms: Callable[[int, Images, Outputs], Parts],
    *,
    count: int,
    networks: Sequence[nn.Module],
    parameters: Sequence[nn.Parameter],
    autocast: Autocast,
) -> tuple[Parts, Outputs]:
    """Gradient of ``losses`` of all parts' outputs, plus the mean of the parts' ``terms``."""
    collected = []
    for part in range(count):
        # Statistics are tracked in the second pass; the power iteration of the step is one.
        with torch.no_grad(), autocast(), _frozen(networks, statistics=True, iteration=part > 0):
            collected.append(judge(part)[1])
    whole = tuple(HeadOutput.join(outputs) for outputs in zip(*collected, strict=True))
    parts, gradients = _gradients_of_outputs(whole, losses, parameters)
    for part in range(count):
        with autocast(), _frozen(networks, iteration=True):
            images, outputs = judge(part)
            share = _share(outputs, gradients, part)
            for name, term in terms(part, images, outputs).items():
                share = share + term / count
                parts[name] = parts.get(name, 0) + term.detach() / count
        share.backward(inputs=list(parameters))
    return parts, whole


def _gradients_of_outputs(
    whole: Outputs,
    losses: Callable[[Outputs], tuple[Tensor, Parts]],
    parameters: Sequence[nn.Parameter],
) -> tuple[Parts, OutputGradients]:
    """Gradients of the losses with respect to outputs, and to parameters that they use themselves."""
    leaves = [
        {name: held.detach().requires_grad_() for name, held in output.tensors().items()}
        for output in whole
    ]
    loss, parts = losses(
        tuple(output.with_tensors(held) for output, held in zip(whole, leaves, strict=True))
    )
    flat = [held for output in leaves for held in output.values()]
    loss.backward(inputs=[*flat, *parameters])
    gradients: OutputGradients = [
        {name: held.grad for name, held in output.items()} for output in leaves
    ]
    return {name: value.detach() for name, value in parts.items()}, gradients


def _share(outputs: Outputs, gradients: OutputGradients, part: int) -> Tensor:
    """A scalar whose gradient is this part's share of the whole batch's."""
    total = outputs[0].score.new_zeros((), dtype=torch.float32)
    for output, held in zip(outputs, gradients, strict=True):
        size = len(output.score)
        for name, tensor in output.tensors().items():
            gradient = held[name]
            if gradient is None or not tensor.requires_grad:
                continue
            if name.rpartition(".")[2] not in HeadOutput.SHARED:
                total = total + (tensor * gradient[part * size : (part + 1) * size]).sum()
            elif part == 0:  # the same in every part
                total = total + (tensor * gradient).sum()
    return total


@contextmanager
def _frozen(
    networks: Sequence[nn.Module], *, statistics: bool = False, iteration: bool
) -> Iterator[None]:
    with ExitStack() as stack:
        for network in networks:
            if statistics:
                stack.enter_context(statistics_frozen(network))
            if iteration:
                stack.enter_context(power_iteration_frozen(network))
        yield
