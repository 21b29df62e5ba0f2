"""The two formulas of training: tensors in, one tensor and its named parts out.

    L_D = adversarial_D(D(real), D(fake)) + lambda * head_D(real, fake)
    L_G = adversarial_G(D(fake))          + lambda * head_G(fake)

No loop, no logging, no transfer to the host.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from reacgan.augment import Augment
from reacgan.losses import Adversarial
from reacgan.models import Discriminator, statistics_frozen
from reacgan.randomness import Draws


@dataclass(frozen=True)
class Objective:
    """What D and G minimise, apart from what the head itself brings."""

    adversarial: Adversarial
    conditioning_weight: float
    augment: Augment


@dataclass(frozen=True)
class Latents:
    """What a generator makes images from: z [N, latent_dim] and labels [N]."""

    z: Tensor
    labels: Tensor


Parts = Mapping[str, Tensor]


def discriminator_loss(
    generator: nn.Module,
    discriminator: Discriminator,
    objective: Objective,
    *,
    real: Tensor,
    labels: Tensor,
    latents: Latents,
    draws: tuple[Draws, Draws],
) -> tuple[Tensor, Parts]:
    """Loss of one discriminator step.

    Real and fake images go through the discriminator in one call. The generator normalises with the
    statistics of its batch, as always in training, but does not track them here.

    Args:
        generator: G, in training mode.
        discriminator: D, in training mode.
        objective: the terms.
        real: [N, C, H, W] in [-1, 1].
        labels: [N] int64, of the real images.
        latents: what the N fakes are made from.
        draws: randomness of the augmentation, for real and for fake images.

    Returns:
        The scalar to minimise and its parts, all on the device.
    """
    with torch.no_grad(), statistics_frozen(generator):
        fake = generator(latents.z, latents.labels).to(real.dtype)
    images = torch.cat([objective.augment(real, draws[0]), objective.augment(fake, draws[1])])
    output = discriminator(images, torch.cat([labels, latents.labels]))
    on_real, on_fake = output.split([len(real), len(fake)])
    adversarial = objective.adversarial.d(on_real.score, on_fake.score)
    conditioning = discriminator.head.d_loss(on_real, on_fake)
    parts = {
        "d/adversarial": adversarial,
        "d/conditioning": conditioning,
        "d/score_real": on_real.score.float().mean(),
        "d/score_fake": on_fake.score.float().mean(),
    }
    return adversarial + objective.conditioning_weight * conditioning, parts


def generator_loss(
    generator: nn.Module,
    discriminator: Discriminator,
    objective: Objective,
    *,
    latents: Latents,
    draws: Draws,
) -> tuple[Tensor, Parts]:
    """Loss of one generator step on N fakes; see :func:`discriminator_loss`."""
    fake = generator(latents.z, latents.labels)
    output = discriminator(objective.augment(fake, draws), latents.labels)
    adversarial = objective.adversarial.g(output.score)
    conditioning = discriminator.head.g_loss(output)
    parts = {"g/adversarial": adversarial, "g/conditioning": conditioning}
    return adversarial + objective.conditioning_weight * conditioning, parts
