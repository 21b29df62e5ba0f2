"""Images from a trained generator: one (class, seed) is one image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
from reacgan.sampling.langevin import Langevin
from reacgan.sampling.latents import COUPLED_CHUNK, chunk_size, latents_for
from reacgan.sampling.pixels import image_name, to_uint8


@dataclass(frozen=True)
class Sample:
    """One generated image."""

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
    *,
    seed: int = 0,
    truncation: float | None = None,
    psi: float | None = None,
    layers: int | None = None,
    langevin: Langevin | None = None,
) -> Iterator[Sample]:
    """Generate ``num`` images of each class, lazily, class by class.

    The k-th image of each class is made from seed ``seed + k``. Sample (class, seed) is the same
    image whatever else is asked for; equal seeds share their latent, so classes can be compared.
    With batch statistics alone (:func:`reacgan.sampling.batch_statistics`) neither holds, and images
    come seed by seed, so that a batch mixes the classes.

    Args:
        model: from :func:`reacgan.load`.
        classes: ``"all"``, a name or an index, or several of them.
        num: images of each class.
        seed: the first seed, 0 or more.
        truncation: see :func:`reacgan.sampling.latents.latents_for`.
        psi: 0 to 1, draws styles w towards their mean (generators with styles only).
        layers: with psi: only in the first so many layers; None for all.
        langevin: moves z towards what a discriminator holds for real.

    Raises:
        ConfigError: an unknown class, or a value out of range.
    """
    if num < 1:
        raise ConfigError(f"num is {num}; allowed: 1 or more")
    labels = model.class_indices(classes)
    seeds = range(seed, seed + num)
    if normalises_by_batch(model.generator):
        wanted = ((label, one) for one in seeds for label in labels)
    else:
        wanted = ((label, one) for label in labels for one in seeds)
    latents_for([seed], 1, truncation)  # bad values are reported here, not at the first image
    _check_psi(psi, layers)
    if psi is not None:
        _probe_styles(model.generator, psi, layers)
    draw = partial(generate, model.generator, psi=psi, layers=layers, class_names=model.class_names)
    return _generate(model, wanted, truncation, langevin, draw)


def _generate(
    model: TrainedGenerator,
    wanted: Iterator[tuple[int, int]],
    truncation: float | None,
    langevin: Langevin | None,
    draw: Callable[..., Tensor],
) -> Iterator[Sample]:
    coupled = normalises_by_batch(model.generator)
    step = COUPLED_CHUNK if coupled else chunk_size(next(model.generator.parameters()).device)
    while part := list(islice(wanted, step)):
        seeds = [seed for _, seed in part]
        z = latents_for(seeds, model.latent_dim, truncation)
        labels = torch.tensor([label for label, _ in part])
        if langevin is not None:
            z = langevin.move(model.generator, z, labels, seeds)
        images = draw(z, labels, seeds=seeds)
        for (label, seed), image in zip(part, images, strict=True):
            yield Sample(label, model.class_names[label], seed, image)


@torch.inference_mode()
def generate(
    generator: Generator,
    z: Tensor,
    labels: Tensor,
    *,
    psi: float | None = None,
    layers: int | None = None,
    seeds: Sequence[int | str] | None = None,
    class_names: Sequence[str] | None = None,
) -> Tensor:
    """uint8 images [N, C, H, W] on the CPU, from z [N, latent_dim] and labels.

    The generator must be in evaluation mode. Always run in full chunks (the last one is filled up by
    repetition), so that an image does not depend on how many are asked for. Where images do depend
    on one another (batch statistics), the last chunk is filled with other latents of all classes.

    Args:
        generator: what makes the images.
        z: ``[N, latent_dim]``, N at least 1.
        labels: int64 ``[N]``, or weights of classes ``[N, num_classes]``, which mix them.
        psi: truncation of styles, see :meth:`Generator.truncated`; None for none.
        layers: with psi: only in the first so many layers.
        seeds: of each image, for messages alone.
        class_names: for messages alone.

    Raises:
        ConfigError: psi for a generator without styles, or out of range.
        NonFiniteImageError: NaN or infinity in an image; names its class and seed.
    """
    _check_psi(psi, layers)
    weight = next(generator.parameters())
    step = COUPLED_CHUNK if normalises_by_batch(generator) else chunk_size(weight.device)
    truncated = partial(generator.truncated, psi=psi, layers=layers) if psi is not None else None
    draw = truncated or generator
    fill = _with_company if normalises_by_batch(generator) else _repeated
    made = []
    for start in range(0, len(z), step):
        part, names = z[start : start + step], labels[start : start + step]
        filled, filled_names = fill(generator, part, names, step)
        given = filled.to(weight.device, weight.dtype), filled_names.to(weight.device)
        images = draw(*given)
        which = partial(_name, labels, start, seeds=seeds, class_names=class_names)
        made.append(to_uint8(images[: len(part)], which))
    return torch.cat(made)


def _name(labels: Tensor, start: int, index: int, **names: Any) -> str:
    return image_name(labels, start + index, **names)


def _repeated(generator: Generator, z: Tensor, labels: Tensor, step: int) -> tuple[Tensor, Tensor]:
    places = torch.arange(step) % len(z)
    return z[places], labels[places]


def _with_company(
    generator: Generator, z: Tensor, labels: Tensor, step: int
) -> tuple[Tensor, Tensor]:
    more = step - len(z)
    company = Draws(0, "company", 0).normal(more, z.shape[1]).to(z)
    names = (torch.arange(more) % generator.num_classes).to(labels.device)
    if labels.dim() == 2:
        names = F.one_hot(names, labels.shape[1]).to(labels)
    return torch.cat([z, company]), torch.cat([labels, names])


def _check_psi(psi: float | None, layers: int | None) -> None:
    if psi is None:
        if layers is not None:
            raise ConfigError(f"layers is {layers}, but psi is not given; it goes with psi")
        return
    if not 0 <= psi <= 1:
        raise ConfigError(f"psi is {psi}; allowed: 0 (the mean style) to 1 (no truncation)")


@torch.inference_mode()
def _probe_styles(generator: Generator, psi: float, layers: int | None) -> None:
    """One truncated image, so that a generator says at once what it cannot do."""
    weight = next(generator.parameters())
    z = weight.new_zeros(1, generator.latent_dim)
    labels = torch.zeros(1, dtype=torch.int64, device=weight.device)
    generator.truncated(z, labels, psi=psi, layers=layers)
