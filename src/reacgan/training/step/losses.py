"""The two formulas of training: tensors in, one tensor and its named parts out.

    L_D = adversarial_D(D(real), D(fake)) + lambda * head_D(real, fake) + terms_D
    L_G = adversarial_G(D(fake))          + lambda * head_G(fake)       + terms_G

No loop, no logging, no transfer to the host. Each formula is made of the same four parts, so that a
batch can also be processed in parts (``gradients.py``): images, D's outputs on them, the losses of these
outputs, and the further terms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn

from reacgan import distributed
from reacgan.augment import second_view
from reacgan.heads import HeadOutput
from reacgan.losses import Step, Term
from reacgan.losses.latent_optimisation import optimised_latents
from reacgan.models import power_iteration_frozen, statistics_frozen
from reacgan.training.step.work import Images, Latents, Outputs, Parts, StepContext


def discriminator_loss(
    context: StepContext, real: Tensor, labels: Tensor, latents: Latents
) -> tuple[Tensor, Parts, Outputs]:
    """Loss of one discriminator step.

    Real and fake images go through the discriminator in one call where its backbone allows it. The
    generator normalises with the statistics of its batch, as always in training, but does not track
    them here.

    Args:
        context: G and D in training mode, their objective, and the moment.
        real: [N, C, H, W] in [-1, 1].
        labels: [N] int64, of the real images.
        latents: what the N fakes are made from.

    Returns:
        The scalar to minimise, its parts, and D's outputs; all on the device.
    """
    images = images_for_discriminator(context, real, labels, latents)
    outputs = discriminator_outputs(context, images)
    loss, parts = discriminator_loss_of(context, outputs)
    observe(context, outputs)
    for name, term in discriminator_terms(context, images, outputs).items():
        loss = loss + term
        parts[name] = term
    return loss, parts, outputs


def generator_loss(
    context: StepContext,
    latents: Latents,
    real: Tensor | None = None,
    labels: Tensor | None = None,
) -> tuple[Tensor, Parts, Outputs]:
    """Loss of one generator step on N fakes; see :func:`discriminator_loss`.

    Real images and their labels are needed where the objective says ``g_needs_real``.
    """
    images = images_for_generator(context, latents, real, labels)
    outputs = generator_outputs(context, images)
    loss, parts = generator_loss_of(context, outputs)
    for name, term in generator_terms(context, images, outputs).items():
        loss = loss + term
        parts[name] = term
    return loss, parts, outputs


# -- images


def images_for_discriminator(
    context: StepContext, real: Tensor, labels: Tensor, latents: Latents
) -> Images:
    """Fakes without a graph (but of moved latents), and real images, some of them posing fakes."""
    moved = context.objective.latent_optimisation is not None
    with nullcontext() if moved else torch.no_grad(), statistics_frozen(context.generator):
        z, cost = _moved_latents(context, latents, "noise/d")
        fake = context.generator(z, latents.labels, context.draws("noise/d")).to(real.dtype)
    if context.objective.apa is not None:
        real, labels = context.objective.apa(
            (real, labels), (fake.detach(), latents.labels), context.draws("apa")
        )
    return Images(fake, latents.labels, z, real, labels, cost)


def images_for_generator(
    context: StepContext, latents: Latents, real: Tensor | None, labels: Tensor | None
) -> Images:
    """Fakes with their graph."""
    z, cost = _moved_latents(context, latents, "noise/g")
    fake = context.generator(z, latents.labels, context.draws("noise/g"))
    return Images(fake, latents.labels, z, real, labels, cost)


def _moved_latents(
    context: StepContext, latents: Latents, noise: str
) -> tuple[Tensor, Tensor | None]:
    config = context.objective.latent_optimisation
    if config is None:
        return latents.z, None

    def score(z: Tensor) -> Tensor:
        fake = context.generator(z, latents.labels, context.draws(noise))
        output: HeadOutput = context.discriminator(fake, latents.labels)
        return output.score

    with _without_traces(context.generator, context.discriminator):
        return optimised_latents(config, score, latents.z, context.draws("latents/moved"))


# -- outputs of D


def discriminator_outputs(context: StepContext, images: Images) -> Outputs:
    """D on augmented fake and real images."""
    augment, draws = context.objective.augment, context.draws
    if images.real is None or images.labels is None:
        raise RuntimeError("D's step needs real images")
    on_real, on_fake = context.discriminator.compare(
        (augment(images.real, draws("augment/real")), images.labels),
        (augment(images.fake, draws("augment/fake")), images.fake_labels),
    )
    return replace(on_fake, latents=images.z), on_real


def generator_outputs(context: StepContext, images: Images) -> Outputs:
    """D on augmented fakes, and without a graph on augmented real images where they are needed."""
    augment, draws = context.objective.augment, context.draws
    on_fake = context.discriminator(augment(images.fake, draws("augment/g")), images.fake_labels)
    on_fake = replace(on_fake, latents=images.z)
    if images.real is None or images.labels is None:
        return (on_fake,)
    # A step holds one power iteration, that of the first pass.
    with torch.no_grad(), power_iteration_frozen(context.discriminator):
        on_real = context.discriminator(
            augment(images.real, draws("augment/g/real")), images.labels
        )
    return on_fake, on_real


# -- losses of outputs


def discriminator_loss_of(context: StepContext, outputs: Outputs) -> tuple[Tensor, Parts]:
    """Adversarial and conditioning loss of D, from outputs alone."""
    on_fake, on_real = outputs
    adversarial, real, fake = _judged(context, on_real.score, on_fake.score)
    conditioning = context.discriminator.head.d_loss(on_real, on_fake)
    parts = {
        "d/adversarial": adversarial,
        "d/conditioning": conditioning,
        "d/score_real": real,
        "d/score_fake": fake,
    }
    weight = context.objective.conditioning_weight * context.strength
    return _sum(context, adversarial, weight, conditioning), parts


def _judged(context: StepContext, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """D's adversarial loss, and the means of real and fake scores."""
    adversarial = context.objective.adversarial
    if context.discriminator.head.kernels and adversarial.d_with_means is not None:
        return adversarial.d_with_means(real, fake)
    return adversarial.d(real, fake), real.float().mean(), fake.float().mean()


def _sum(context: StepContext, first: Tensor, weight: float, second: Tensor) -> Tensor:
    """``first + weight * second``; with kernels as one operation."""
    if context.discriminator.head.kernels:
        return torch.add(first, second, alpha=weight)
    return first + weight * second


def generator_loss_of(context: StepContext, outputs: Outputs) -> tuple[Tensor, Parts]:
    """Adversarial and conditioning loss of G, from outputs alone."""
    objective, on_fake = context.objective, outputs[0]
    real_score = outputs[1].score if objective.adversarial.paired else None
    adversarial = objective.adversarial.g(_best(on_fake.score, context.top_share), real_score)
    conditioning = context.discriminator.head.g_loss(on_fake)
    parts = {"g/adversarial": adversarial, "g/conditioning": conditioning}
    weight = objective.g_conditioning_weight
    weight = objective.conditioning_weight if weight is None else weight
    return _sum(context, adversarial, weight * context.strength, conditioning), parts


def _best(score: Tensor, share: float) -> Tensor:
    """The highest share of the scores of all processes (top-k; Sinha et al. 2020), at least one."""
    if share >= 1:
        return score
    score = distributed.gather(score, "top-k")
    return score.topk(max(int(share * len(score)), 1)).values


# -- further terms


def observe(context: StepContext, outputs: Outputs) -> None:
    """Show terms D's outputs on the whole batch, before the terms are computed."""
    on_fake, on_real = outputs
    with torch.no_grad():
        for term in context.objective.terms.values():
            term.observe(on_real, on_fake)


def discriminator_terms(context: StepContext, images: Images, outputs: Outputs) -> Parts:
    """Weighted terms of D's loss that are due, by name."""
    streams = {"real": "augment/real", "fake": "augment/fake", "noise": "noise/d"}
    step, due = _step(context, images, outputs, streams), _due(context)
    with _without_traces(context.generator, context.discriminator):
        terms = {f"d/{name}": _weighed(term, term.d_term(step)) for name, term in due.items()}
    return _with_cost(context, images, terms, "d/latent_cost")


def generator_terms(context: StepContext, images: Images, outputs: Outputs) -> Parts:
    """Weighted terms of G's loss that are due, by name."""
    streams = {"real": "augment/g/real", "fake": "augment/g", "noise": "noise/g"}
    step, due = _step(context, images, outputs, streams), _due(context)
    with _without_traces(context.generator, context.discriminator):
        terms = {f"g/{name}": _weighed(term, term.g_term(step)) for name, term in due.items()}
    return _with_cost(context, images, terms, "g/latent_cost")


@contextmanager
def _without_traces(*networks: nn.Module) -> Iterator[None]:
    """Further passes move no statistics and no power iteration, however many they are."""
    with ExitStack() as stack:
        for network in networks:
            stack.enter_context(statistics_frozen(network))
            stack.enter_context(power_iteration_frozen(network))
        yield


def _due(context: StepContext) -> dict[str, Term]:
    terms = context.objective.terms
    return {name: term for name, term in terms.items() if context.index % term.every == 0}


def _weighed(term: Term, value: Tensor | None) -> Tensor | None:
    return None if value is None else value * (term.weight * term.every)


def _with_cost(
    context: StepContext, images: Images, terms: Mapping[str, Tensor | None], name: str
) -> Parts:
    parts = {key: value for key, value in terms.items() if value is not None}
    config = context.objective.latent_optimisation
    if images.cost is not None and config is not None:
        parts[name] = config.cost * images.cost
    return parts


def _step(
    context: StepContext, images: Images, outputs: Outputs, streams: Mapping[str, str]
) -> Step:
    """``streams``: the draws that the main pass augmented with, and that it made noise of."""
    merges = images.real is not None and context.discriminator.merges(
        len(images.real), len(images.fake)
    )
    return Step(
        discriminate=context.discriminator,
        augment=lambda x, role: context.objective.augment(
            x, context.draws(streams.get(role, f"augment/{role}"))
        ),
        view=lambda x, stream: second_view(x, context.draws(f"view/{stream}")),
        generate=lambda z, labels: context.generator(z, labels, context.draws(streams["noise"])),
        generator=context.generator,
        draws=context.draws,
        z=images.z,
        fake=images.fake,
        fake_labels=images.fake_labels,
        on_fake=outputs[0],
        real=images.real,
        labels=images.labels,
        on_real=outputs[1] if len(outputs) > 1 else None,
        due=frozenset(_due(context)),
        merges=merges,
    )
