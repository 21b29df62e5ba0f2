"""Images from a trained generator: one (class, seed) is one image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn

from reacgan.config import ConfigError
from reacgan.models.trained import TrainedGenerator
from reacgan.sampling.latents import latents_for


@dataclass(frozen=True)
class Sample:
    """One generated image."""

    label: int
    """Index of the class."""
    class_name: str
    seed: int
    image: Tensor
    """uint8 [C, R, R]."""


def sample(
    model: TrainedGenerator,
    classes: Sequence[int | str] | str | int = "all",
    num: int = 1,
    *,
    seed: int = 0,
    truncation: float | None = None,
) -> Iterator[Sample]:
    """Generate ``num`` images of each class, lazily, class by class.

    The k-th image of each class is made from seed ``seed + k``. Sample (class, seed) is the same
    image whatever else is asked for; equal seeds share their latent, so classes can be compared.

    Args:
        model: from :func:`reacgan.load`.
        classes: ``"all"``, a name or an index, or several of them.
        num: images of each class.
        seed: the first seed, 0 or more.
        truncation: see :func:`reacgan.sampling.latents.latents_for`.

    Raises:
        ConfigError: an unknown class, or a value out of range.
    """
    if num < 1:
        raise ConfigError(f"num is {num}; allowed: 1 or more")
    labels = model.class_indices(classes)
    wanted = ((label, seed + place) for label in labels for place in range(num))
    latents_for([seed], 1, truncation)  # bad values are reported here, not at the first image
    return _generate(model, wanted, truncation)


def _generate(
    model: TrainedGenerator, wanted: Iterator[tuple[int, int]], truncation: float | None
) -> Iterator[Sample]:
    device = next(model.generator.parameters()).device
    step = chunk_size(device)
    while part := list(islice(wanted, step)):
        z = latents_for([seed for _, seed in part], model.latent_dim, truncation)
        labels = torch.tensor([label for label, _ in part])
        images = generate(model.generator, z, labels)
        for (label, seed), image in zip(part, images, strict=True):
            yield Sample(label, model.class_names[label], seed, image)


def chunk_size(device: torch.device) -> int:
    """Images in a forward pass; fixed, since another batch shape may round differently."""
    return 64 if device.type == "cuda" else 16


@torch.inference_mode()
def generate(generator: nn.Module, z: Tensor, labels: Tensor) -> Tensor:
    """uint8 images [N, C, R, R] on the CPU, from z [N, latent_dim] and labels [N].

    The generator must be in evaluation mode. Always run in full chunks (the last one is filled up by
    repetition), so that an image does not depend on how many are asked for.
    """
    weight = next(generator.parameters())
    step = chunk_size(weight.device)
    made = []
    for start in range(0, len(z), step):
        part, names = z[start : start + step], labels[start : start + step]
        filled = torch.arange(step) % len(part)
        images = generator(
            part[filled].to(weight.device, weight.dtype), names[filled].to(weight.device)
        )
        made.append(to_uint8(images[: len(part)]).cpu())
    return torch.cat(made)


def to_uint8(images: Tensor) -> Tensor:
    """[-1, 1] to 0..255, rounded to nearest."""
    return ((images.float() + 1) * 127.5).round_().clamp_(0, 255).to(torch.uint8).contiguous()
