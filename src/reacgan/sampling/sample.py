"""Images from a trained generator: a class and a seed determine an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.models import Generator
from reacgan.models.norm_statistics import normalises_by_batch
from reacgan.models.trained import TrainedGenerator
from reacgan.sampling.latents import latents_for
from reacgan.sampling.passes import Passes
from reacgan.sampling.settings import SamplingSettings

DEFAULTS = SamplingSettings()


@dataclass(frozen=True)
class Sample:
    """A generated image."""

    label: int
    """Index of the class."""
    class_name: str
    seed: int
    image: Tensor
    """uint8 [C, H, W]."""


def sample(
    model: TrainedGenerator,
    classes: Sequence[int | str] | str | int = "all",
    num: int = 1,
    settings: SamplingSettings = DEFAULTS,
    **options: Any,
) -> Iterator[Sample]:
    """Generate ``num`` images of each class, lazily, class by class.

    The k-th image of each class has seed ``seed + k``. Sample (class, seed) does not depend on the
    other samples; equal seeds share their latent, so classes can be compared. With batch statistics
    (:func:`reacgan.sampling.batch_statistics`) neither holds, and images are ordered by seed, so that
    a batch mixes the classes.

    Args:
        model: from :func:`reacgan.load`.
        classes: ``"all"``, a name or an index, or several of them.
        num: images of each class.
        settings: how images are generated.
        options: individual settings: seed, truncation, psi, layers, statistics, precision, langevin,
            moves.

    Raises:
        ConfigError: an unknown class, or a value out of range.
    """
    if num < 1:
        raise ConfigError(f"num is {num}; allowed: 1 or more")
    settings = replace(settings, **options)
    settings.refuse("labels", by="sample")
    model = settings.prepared(model)
    labels = model.class_indices(classes)
    first = settings.seed or 0
    seeds = range(first, first + num)
    coupled = normalises_by_batch(model.generator)
    if coupled:
        pairs = ((label, seed) for seed in seeds for label in labels)
    else:
        pairs = ((label, seed) for label in labels for seed in seeds)
    if settings.psi is not None:
        _probe_styles(model.generator, settings)  # reported here, not at the first image
    return _samples(model, pairs, Passes(model.generator, settings), settings)


def _samples(
    model: TrainedGenerator,
    pairs: Iterator[tuple[int, int]],
    passes: Passes,
    settings: SamplingSettings,
) -> Iterator[Sample]:
    while part := list(islice(pairs, passes.size)):
        labels = torch.tensor([label for label, _ in part])
        images = images_of(model, labels, [seed for _, seed in part], settings, passes)
        for (label, seed), image in zip(part, images, strict=True):
            yield Sample(label, model.class_names[label], seed, image)


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
    passes = Passes(generator, replace(settings, **options))
    return passes.images(z, labels, seeds=seeds, class_names=class_names)


@torch.inference_mode()
def _probe_styles(generator: Generator, settings: SamplingSettings) -> None:
    """Generate one truncated image, so that a generator without styles raises at once."""
    weight = next(generator.parameters())
    z = weight.new_zeros(1, generator.latent_dim)
    settings.network(generator)(z, torch.zeros(1, dtype=torch.int64, device=weight.device))
