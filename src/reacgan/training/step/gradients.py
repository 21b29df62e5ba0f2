"""The gradients of a step, of the whole batch at once or worked off in parts.

Losses that compare samples of a batch with one another (2C, D2D-CE, top-k) do not add up over parts. So
each part goes through the network twice: once without a graph, to collect what D says; then the losses
are worked out on all outputs together, down to their gradients with respect to the outputs; then each
part again, with a graph that starts from its share of those gradients (Gao et al. 2021, gradient
caching). The gradient is that of the whole batch; only one part's graph exists at a time. Further terms are
averaged over parts: exact for means over samples, while those that compare samples say what becomes of
them (largest gradient, DRAGAN, feature matching, path length).

What a layer couples by itself, it couples within a part: batch norm normalises each part with the
statistics of that part, and moves its running statistics once a part. Each step holds one power
iteration of each spectral norm, as it does for the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext

import torch
from torch import Tensor, nn

from reacgan.heads import HeadOutput
from reacgan.models import power_iteration_frozen, statistics_frozen
from reacgan.training.step.losses import (
    discriminator_loss,
    discriminator_loss_of,
    discriminator_outputs,
    discriminator_terms,
    generator_loss,
    generator_loss_of,
    generator_outputs,
    generator_terms,
    images_for_discriminator,
    images_for_generator,
    observe,
)
from reacgan.training.step.work import (
    Autocast,
    Images,
    Labelled,
    Latents,
    Outputs,
    Parts,
    Sending,
    StepContext,
)

OutputGradients = list[dict[str, Tensor | None]]


def discriminator_gradients(
    contexts: Sequence[StepContext],
    real: Labelled,
    latents: Sequence[Latents],
    *,
    parameters: Sequence[nn.Parameter],
    autocast: Autocast,
    sending: Sending = nullcontext,
) -> tuple[Parts, Outputs]:
    """Add the gradient of :func:`discriminator_loss` to D's ``parameters``.

    Args:
        contexts: one for each part of the batch, alike but for their draws.
        real: images [N, C, H, W] and labels [N] of all parts.
        latents: of each part.
        parameters: who gets the gradient; that of others is left alone.
        autocast: context that the networks run in. Backward passes run outside of it.
        sending: context of the last backward pass, in which gradients may be sent to other processes.

    Returns:
        Parts of the loss, and what D said of all samples.
    """
    first = contexts[0]
    if len(contexts) == 1:
        with autocast():
            loss, parts, outputs = discriminator_loss(first, *real, latents[0])
        with sending():
            loss.backward(inputs=list(parameters))
        return parts, outputs
    images, labels = (half.chunk(len(contexts)) for half in real)
    inputs: list[Images] = []
    for part, context in enumerate(contexts):
        with autocast(), _frozen([context.generator], iteration=part > 0):
            inputs.append(
                images_for_discriminator(context, images[part], labels[part], latents[part])
            )

    def losses(whole: Outputs) -> tuple[Tensor, Parts]:
        observe(first, whole)
        return discriminator_loss_of(first, whole)

    return _gradients_of_parts(
        lambda part: (inputs[part], discriminator_outputs(contexts[part], inputs[part])),
        losses,
        lambda part, images, outputs: discriminator_terms(contexts[part], images, outputs),
        count=len(contexts),
        networks=[first.discriminator],
        parameters=parameters,
        autocast=autocast,
        sending=sending,
    )


def generator_gradients(
    contexts: Sequence[StepContext],
    real: Labelled | None,
    latents: Sequence[Latents],
    *,
    parameters: Sequence[nn.Parameter],
    autocast: Autocast,
    sending: Sending = nullcontext,
) -> tuple[Parts, Outputs]:
    """Add the gradient of :func:`generator_loss` to G's ``parameters``; as above."""
    first = contexts[0]
    if len(contexts) == 1:
        with autocast():
            loss, parts, outputs = generator_loss(first, latents[0], *(real or (None, None)))
        with sending():
            loss.backward(inputs=list(parameters))
        return parts, outputs
    reals: list[tuple[Tensor | None, Tensor | None]] = [(None, None)] * len(contexts)
    if real is not None:
        reals = list(zip(*(half.chunk(len(contexts)) for half in real), strict=True))

    def outputs_of(part: int) -> tuple[Images, Outputs]:
        images = images_for_generator(contexts[part], latents[part], *reals[part])
        return images, generator_outputs(contexts[part], images)

    return _gradients_of_parts(
        outputs_of,
        lambda whole: generator_loss_of(first, whole),
        lambda part, images, outputs: generator_terms(contexts[part], images, outputs),
        count=len(contexts),
        networks=[first.generator, first.discriminator],
        parameters=parameters,
        autocast=autocast,
        sending=sending,
    )


def _gradients_of_parts(
    outputs_of: Callable[[int], tuple[Images, Outputs]],
    losses: Callable[[Outputs], tuple[Tensor, Parts]],
    terms: Callable[[int, Images, Outputs], Parts],
    *,
    count: int,
    networks: Sequence[nn.Module],
    parameters: Sequence[nn.Parameter],
    autocast: Autocast,
    sending: Sending,
) -> tuple[Parts, Outputs]:
    """Gradient of ``losses`` of all parts' outputs, plus the mean of the parts' ``terms``."""
    collected = []
    for part in range(count):
        # Statistics are tracked in the second pass; the power iteration of the step is one.
        with torch.no_grad(), autocast(), _frozen(networks, statistics=True, iteration=part > 0):
            collected.append(outputs_of(part)[1])
    whole = tuple(HeadOutput.join(outputs) for outputs in zip(*collected, strict=True))
    parts, gradients = _gradients_of_outputs(whole, losses, parameters)
    for part in range(count):
        with autocast(), _frozen(networks, iteration=True):
            images, outputs = outputs_of(part)
            share = _share(outputs, gradients, part, last=count - 1)
            for name, term in terms(part, images, outputs).items():
                share = share + term / count
                parts[name] = parts.get(name, 0) + term.detach() / count
        with sending() if part == count - 1 else nullcontext():
            share.backward(inputs=list(parameters))
    return parts, whole


def _gradients_of_outputs(
    whole: Outputs,
    losses: Callable[[Outputs], tuple[Tensor, Parts]],
    parameters: Sequence[nn.Parameter],
) -> tuple[Parts, OutputGradients]:
    """Gradients of the losses with respect to outputs, and to parameters that they use themselves."""
    leaves = [
        {name: tensor.detach().requires_grad_() for name, tensor in output.tensors().items()}
        for output in whole
    ]
    loss, parts = losses(
        tuple(output.with_tensors(leaf) for output, leaf in zip(whole, leaves, strict=True))
    )
    flat = [tensor for leaf in leaves for tensor in leaf.values()]
    loss.backward(inputs=[*flat, *parameters])
    gradients: OutputGradients = [
        {name: tensor.grad for name, tensor in leaf.items()} for leaf in leaves
    ]
    return {name: value.detach() for name, value in parts.items()}, gradients


def _share(outputs: Outputs, gradients: OutputGradients, part: int, *, last: int) -> Tensor:
    """A scalar whose gradient is this part's share of the whole batch's."""
    total = outputs[0].score.new_zeros((), dtype=torch.float32)
    for output, of_output in zip(outputs, gradients, strict=True):
        size = len(output.score)
        for name, tensor in output.tensors().items():
            gradient = of_output[name]
            if gradient is None or not tensor.requires_grad:
                continue
            if name.rpartition(".")[2] not in HeadOutput.SHARED:
                total = total + (tensor * gradient[part * size : (part + 1) * size]).sum()
            elif part == last:  # the same in every part; in the last pass gradients are sent
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
