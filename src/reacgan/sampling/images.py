"""Images from latents and labels, or from seeds, as they are stored: uint8, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from reacgan.models import Generator
from reacgan.models.trained import TrainedGenerator
from reacgan.sampling.latents import latents_for
from reacgan.sampling.passes import Passes
from reacgan.sampling.settings import SamplingSettings

DEFAULTS = SamplingSettings()


def images_of(
    model: TrainedGenerator,
    labels: Tensor,
    seeds: Sequence[int],
    settings: SamplingSettings,
    passes: Passes | None = None,
) -> Tensor:
    """uint8 ``[N, C, H, W]``: image k of class ``labels[k]`` from seed ``seeds[k]``.

    ``passes`` are of this generator and these settings, where many images are made in several calls.
    """
    z = latents_for(seeds, model.latent_dim, settings.truncation)
    if settings.moves is not None:
        z = settings.moves.move(model.generator, z, settings.truncation)
    if settings.langevin is not None:
        z = settings.langevin.move(model.generator, z, labels, seeds)
    passes = passes or Passes(model.generator, settings)
    return passes.images(z, labels, seeds=seeds, class_names=model.class_names)


def generate(
    generator: Generator,
    z: Tensor,
    labels: Tensor,
    settings: SamplingSettings = DEFAULTS,
    *,
    seeds: Sequence[int | str] | None = None,
    class_names: Sequence[str] | None = None,
    **options: Any,
) -> Tensor:
    """uint8 images [N, C, H, W] on the CPU, from z [N, latent_dim] and labels.

    The generator must be in evaluation mode. It runs in full chunks (the last one is padded by
    repetition), so that an image does not depend on their number. With batch statistics the last
    chunk is padded with other latents of all classes instead.

    Args:
        generator: in evaluation mode.
        z: ``[N, latent_dim]``, N at least 1.
        labels: int64 ``[N]``, or weights of classes ``[N, num_classes]``, which mix them.
        settings: ``psi``, ``layers`` and ``precision`` of them; the rest is what gave z.
        seeds: of each image, for messages alone.
        class_names: for messages alone.
        options: ``psi``, ``layers`` and ``precision``, instead of settings.

    Raises:
        ConfigError: psi for a generator without styles, or out of range.
        NonFiniteImageError: NaN or infinity in an image; names its class and seed.
    """
    passes = Passes(generator, settings.changed(**options))
    return passes.images(z, labels, seeds=seeds, class_names=class_names)
