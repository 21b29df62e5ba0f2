"""Images from a trained generator: a class and a seed determine an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan.config import ConfigError
from reacgan.models import Generator
from reacgan.models.norm_statistics import normalises_by_batch
from reacgan.models.trained import TrainedGenerator
from reacgan.randomness import Draws
from reacgan.sampling.latents import COUPLED_CHUNK, chunk_size, latents_for
from reacgan.sampling.pixels import image_name, to_uint8
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
        options: individual settings: seed, truncation, psi, layers, statistics, langevin.

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
        _probe_styles(model.generator, settings)  # raises here, not at the first image
    step = COUPLED_CHUNK if coupled else chunk_size(next(model.generator.parameters()).device)
    return _samples(model, pairs, step, settings)


def _samples(
    model: TrainedGenerator, pairs: Iterator[tuple[int, int]], step: int, settings: SamplingSettings
) -> Iterator[Sample]:
    while part := list(islice(pairs, step)):
        labels = torch.tensor([label for label, _ in part])
        images = images_of(model, labels, [seed for _, seed in part], settings)
        for (label, seed), image in zip(part, images, strict=True):
            yield Sample(label, model.class_names[label], seed, image)


def images_of(
    model: TrainedGenerator, labels: Tensor, seeds: Sequence[int], settings: SamplingSettings
) -> Tensor:
    """uint8 ``[N, C, H, W]``: image k of class ``labels[k]`` from seed ``seeds[k]``."""
    z = latents_for(seeds, model.latent_dim, settings.truncation)
    if settings.langevin is not None:
        z = settings.langevin.move(model.generator, z, labels, seeds)
    return generate(
        model.generator, z, labels, settings, seeds=seeds, class_names=model.class_names
    )


@torch.inference_mode()
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
        labels: int64 ``[N]``, or weights of classes ``[N, num_classes]`` to mix them.
        settings: ``psi`` and ``layers`` are used; the others concern z.
        seeds: of each image, for messages only.
        class_names: for messages only.
        options: ``psi`` and ``layers``, instead of settings.

    Raises:
        ConfigError: psi for a generator without styles, or out of range.
        NonFiniteImageError: NaN or infinity in an image; names its class and seed.
    """
    draw = replace(settings, **options).network(generator)
    weight = next(generator.parameters())
    coupled = normalises_by_batch(generator)
    step = COUPLED_CHUNK if coupled else chunk_size(weight.device)
    fill = _with_others if coupled else _repeated
    made = []
    for start in range(0, len(z), step):
        part = z[start : start + step]
        latents, classes = fill(generator, part, labels[start : start + step], step)
        images = draw(latents.to(weight.device, weight.dtype), classes.to(weight.device))
        name = partial(_name, labels, start, seeds=seeds, class_names=class_names)
        made.append(to_uint8(images[: len(part)], name))
    return torch.cat(made)


def _name(labels: Tensor, start: int, index: int, **names: Any) -> str:
    return image_name(labels, start + index, **names)


def _repeated(generator: Generator, z: Tensor, labels: Tensor, step: int) -> tuple[Tensor, Tensor]:
    indices = torch.arange(step) % len(z)
    return z[indices], labels[indices]


def _with_others(
    generator: Generator, z: Tensor, labels: Tensor, step: int
) -> tuple[Tensor, Tensor]:
    missing = step - len(z)
    others = Draws(0, "company", 0).normal(missing, z.shape[1]).to(z)
    classes = (torch.arange(missing) % generator.num_classes).to(labels.device)
    if labels.dim() == 2:
        classes = F.one_hot(classes, labels.shape[1]).to(labels)
    return torch.cat([z, others]), torch.cat([labels, classes])


@torch.inference_mode()
def _probe_styles(generator: Generator, settings: SamplingSettings) -> None:
    """Generate one truncated image, so that a generator without styles raises at once."""
    weight = next(generator.parameters())
    z = weight.new_zeros(1, generator.latent_dim)
    settings.network(generator)(z, torch.zeros(1, dtype=torch.int64, device=weight.device))
