"""The two formulas of training: tensors in, one tensor and its named parts out.

    L_D = adversarial_D(D(real), D(fake)) + lambda * head_D(real, fake) + terms_D
    L_G = adversarial_G(D(fake))          + lambda * head_G(fake)       + terms_G

No loop, no logging, no transfer to the host. Each formula is made of the same four parts, so that a
batch can also be worked off in pieces (``gradients.py``): images, what D says of them, the losses of
what D says, and the further terms.
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
from reacgan.training.players import Images, Latents, Outputs, Parts, Players


def discriminator_loss(
    players: Players, real: Tensor, labels: Tensor, latents: Latents
) -> tuple[Tensor, Parts, Outputs]:
    """Loss of one discriminator step.

    Real and fake images go through the discriminator in one call where its backbone allows it. The
    generator normalises with the statistics of its batch, as always in training, but does not track
    them here.

    Args:
        players: G and D in training mode, their objective, and the moment.
        real: [N, C, H, W] in [-1, 1].
        labels: [N] int64, of the real images.
        latents: what the N fakes are made from.

    Returns:
        The scalar to minimise, its parts, and what D said; all on the device.
    """
    images = images_for_discriminator(players, real, labels, latents)
    outputs = judged_by_discriminator(players, images)
    loss, parts = discriminator_loss_of(players, outputs)
    observe(players, outputs)
    for name, term in discriminator_terms(players, images, outputs).items():
        loss = loss + term
        parts[name] = term
    return loss, parts, outputs


def generator_loss(
    players: Players,
    latents: Latents,
    real: Tensor | None = None,
    labels: Tensor | None = None,
) -> tuple[Tensor, Parts, Outputs]:
    """Loss of one generator step on N fakes; see :func:`discriminator_loss`.

    Real images and their labels are needed where the objective says ``g_needs_real``.
    """
    images = images_for_generator(players, latents, real, labels)
    outputs = judged_for_generator(players, images)
    loss, parts = generator_loss_of(players, outputs)
    for name, term in generator_terms(players, images, outputs).items():
        loss = loss + term
        parts[name] = term
    return loss, parts, outputs


# -- what D looks at


def images_for_discriminator(
    players: Players, real: Tensor, labels: Tensor, latents: Latents
) -> Images:
    """Fakes without a graph (but of moved latents), and real images, some of them posing fakes."""
    moved = players.objective.latent_optimisation is not None
    with nullcontext() if moved else torch.no_grad(), statistics_frozen(players.generator):
        z, cost = _moved_latents(players, latents, "noise/d")
        fake = players.generator(z, latents.labels, players.draws("noise/d")).to(real.dtype)
    if players.objective.apa is not None:
        real, labels = players.objective.apa(
            (real, labels), (fake.detach(), latents.labels), players.draws("apa")
        )
    return Images(fake, latents.labels, z, real, labels, cost)


def images_for_generator(
    players: Players, latents: Latents, real: Tensor | None, labels: Tensor | None
) -> Images:
    """Fakes with their graph."""
    z, cost = _moved_latents(players, latents, "noise/g")
    fake = players.generator(z, latents.labels, players.draws("noise/g"))
    return Images(fake, latents.labels, z, real, labels, cost)


def _moved_latents(players: Players, latents: Latents, noise: str) -> tuple[Tensor, Tensor | None]:
    config = players.objective.latent_optimisation
    if config is None:
        return latents.z, None

    def score(z: Tensor) -> Tensor:
        fake = players.generator(z, latents.labels, players.draws(noise))
        output: HeadOutput = players.discriminator(fake, latents.labels)
        return output.score

    with _without_traces(players.generator, players.discriminator):
        return optimised_latents(config, score, latents.z, players.draws("latents/moved"))


# -- what D says


def judged_by_discriminator(players: Players, images: Images) -> Outputs:
    """D on augmented fake and real images."""
    augment, draws = players.objective.augment, players.draws
    if images.real is None or images.labels is None:
        raise RuntimeError("D's step needs real images")
    on_real, on_fake = players.discriminator.compare(
        (augment(images.real, draws("augment/real")), images.labels),
        (augment(images.fake, draws("augment/fake")), images.fake_labels),
    )
    return replace(on_fake, latents=images.z), on_real


def judged_for_generator(players: Players, images: Images) -> Outputs:
    """D on augmented fakes, and without a graph on augmented real images where they are needed."""
    augment, draws = players.objective.augment, players.draws
    on_fake = players.discriminator(augment(images.fake, draws("augment/g")), images.fake_labels)
    on_fake = replace(on_fake, latents=images.z)
    if images.real is None or images.labels is None:
        return (on_fake,)
    # A step holds one power iteration, that of the first pass.
    with torch.no_grad(), power_iteration_frozen(players.discriminator):
        on_real = players.discriminator(
            augment(images.real, draws("augment/g/real")), images.labels
        )
    return on_fake, on_real


# -- losses of what D says


def discriminator_loss_of(players: Players, outputs: Outputs) -> tuple[Tensor, Parts]:
    """Adversarial and conditioning loss of D, from outputs alone."""
    on_fake, on_real = outputs
    adversarial = players.objective.adversarial.d(on_real.score, on_fake.score)
    conditioning = players.discriminator.head.d_loss(on_real, on_fake)
    parts = {
        "d/adversarial": adversarial,
        "d/conditioning": conditioning,
        "d/score_real": on_real.score.float().mean(),
        "d/score_fake": on_fake.score.float().mean(),
    }
    weight = players.objective.conditioning_weight * players.strength
    return adversarial + weight * conditioning, parts


def generator_loss_of(players: Players, outputs: Outputs) -> tuple[Tensor, Parts]:
    """Adversarial and conditioning loss of G, from outputs alone."""
    objective, on_fake = players.objective, outputs[0]
    real_score = outputs[1].score if objective.adversarial.paired else None
    adversarial = objective.adversarial.g(_best(on_fake.score, players.top_share), real_score)
    conditioning = players.discriminator.head.g_loss(on_fake)
    parts = {"g/adversarial": adversarial, "g/conditioning": conditioning}
    weight = objective.g_conditioning_weight
    weight = objective.conditioning_weight if weight is None else weight
    return adversarial + weight * players.strength * conditioning, parts


def _best(score: Tensor, share: float) -> Tensor:
    """The highest share of the scores of all processes (top-k; Sinha et al. 2020), at least one."""
    if share >= 1:
        return score
    score = distributed.gather(score)
    return score.topk(max(int(share * len(score)), 1)).values


# -- further terms


def observe(players: Players, outputs: Outputs) -> None:
    """Show terms what D says of the whole batch, before they are worked out."""
    on_fake, on_real = outputs
    with torch.no_grad():
        for term in players.objective.terms.values():
            term.observe(on_real, on_fake)


def discriminator_terms(players: Players, images: Images, outputs: Outputs) -> Parts:
    """Weighted terms of D's loss that are due, by name."""
    streams = {"real": "augment/real", "fake": "augment/fake", "noise": "noise/d"}
    step, due = _step(players, images, outputs, streams), _due(players)
    with _without_traces(players.generator, players.discriminator):
        found = {f"d/{name}": _weighed(term, term.d_term(step)) for name, term in due.items()}
    return _with_cost(players, images, found, "d/latent_cost")


def generator_terms(players: Players, images: Images, outputs: Outputs) -> Parts:
    """Weighted terms of G's loss that are due, by name."""
    streams = {"real": "augment/g/real", "fake": "augment/g", "noise": "noise/g"}
    step, due = _step(players, images, outputs, streams), _due(players)
    with _without_traces(players.generator, players.discriminator):
        found = {f"g/{name}": _weighed(term, term.g_term(step)) for name, term in due.items()}
    return _with_cost(players, images, found, "g/latent_cost")


@contextmanager
def _without_traces(*networks: nn.Module) -> Iterator[None]:
    """Further passes move no statistics and no power iteration, however many they are."""
    with ExitStack() as stack:
        for network in networks:
            stack.enter_context(statistics_frozen(network))
            stack.enter_context(power_iteration_frozen(network))
        yield


def _due(players: Players) -> dict[str, Term]:
    terms = players.objective.terms
    return {name: term for name, term in terms.items() if players.index % term.every == 0}


def _weighed(term: Term, value: Tensor | None) -> Tensor | None:
    return None if value is None else value * (term.weight * term.every)


def _with_cost(
    players: Players, images: Images, found: Mapping[str, Tensor | None], name: str
) -> Parts:
    parts = {key: value for key, value in found.items() if value is not None}
    config = players.objective.latent_optimisation
    if images.cost is not None and config is not None:
        parts[name] = config.cost * images.cost
    return parts


def _step(players: Players, images: Images, outputs: Outputs, streams: Mapping[str, str]) -> Step:
    """``streams``: the draws that the main pass augmented with, and that it made noise of."""
    return Step(
        judge=players.discriminator,
        augment=lambda x, role: players.objective.augment(
            x, players.draws(streams.get(role, f"augment/{role}"))
        ),
        view=lambda x, stream: second_view(x, players.draws(f"view/{stream}")),
        generate=lambda z, labels: players.generator(z, labels, players.draws(streams["noise"])),
        generator=players.generator,
        draws=players.draws,
        z=images.z,
        fake=images.fake,
        fake_labels=images.fake_labels,
        on_fake=outputs[0],
        real=images.real,
        labels=images.labels,
        on_real=outputs[1] if len(outputs) > 1 else None,
    )
