"""What a discriminator sees: features of images, and how well they keep classes together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan.config import ConfigError
from reacgan.metrics.neighbours import nearest
from reacgan.models import Discriminator
from reacgan.randomness import Draws

Places = npt.NDArray[np.int64]

_CHUNK = 64
_MOST_NEIGHBOURS = 10


@dataclass(frozen=True, eq=False)
class Seen:
    """Features of N images."""

    features: Tensor
    """float32 ``[N, F]``: what the backbone gives."""
    embedding: Tensor | None
    """float32 ``[N, E]`` of length 1: where the head compares images with classes; else None."""


@torch.inference_mode()
def discriminator_features(discriminator: Discriminator, images: Tensor, labels: Tensor) -> Seen:
    """Features of uint8 images [N, C, H, W] under labels int64 [N], on the CPU.

    Passes have a fixed size, the last is filled up by repetition. Neither features nor embedding
    depend on labels in any head here.

    Raises:
        ConfigError: no image.
    """
    if not len(images):
        raise ConfigError("there is no image to look at")
    weight = next(discriminator.parameters())
    features, embeddings = [], []
    for start in range(0, len(images), _CHUNK):
        count = min(_CHUNK, len(images) - start)
        places = start + torch.arange(_CHUNK) % count
        pixels = images[places].to(weight.device, weight.dtype) / 127.5 - 1
        output = discriminator(pixels, labels[places].to(weight.device))
        features.append(output.features[:count].float().cpu())
        if output.embedding is not None:
            embeddings.append(F.normalize(output.embedding[:count].float(), dim=1).cpu())
    return Seen(torch.cat(features), torch.cat(embeddings) if embeddings else None)


def class_purity(features: Tensor, labels: Tensor, k: int | None = None) -> dict[str, float | int]:
    """How often the nearest others of an image are of its class.

    Measured on the features themselves, not on a picture of them, which may show groups where there
    are none.

    Args:
        features: ``[N, F]``.
        labels: int64 ``[N]``.
        k: neighbours to look at; None takes 10, or fewer where the smallest class has no 10 others.

    Returns:
        ``purity``: mean share of the k nearest others (Euclidean) that are of the same class;
        ``chance``: the share that others drawn at random would have; ``k`` and ``images``.

    Raises:
        ConfigError: not more than k images.
    """
    counts = labels.bincount()
    smallest = int(counts[counts > 0].min())
    k = min(_MOST_NEIGHBOURS, max(1, smallest - 1)) if k is None else k
    found = nearest(features, k=k).index
    same = (labels[found] == labels[:, None]).double().mean()
    total = len(labels)
    held = counts.double()
    chance = float((held * (held - 1)).sum() / (total * (total - 1)))
    return {"purity": float(same), "chance": chance, "k": k, "images": total}


def balanced_choice(labels: Places, num: int, seed: int) -> Places:
    """Places of ``num`` images, as many of each class as there are; drawn by the seed, in mixed order."""
    order = Draws(seed, "pictures/choice", 0).uniform(len(labels)).argsort(stable=True).numpy()
    shuffled = labels[order]
    by_class = np.argsort(shuffled, kind="stable")
    counts = np.bincount(shuffled)
    turn = np.empty(len(labels), dtype=np.int64)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    turn[by_class] = np.arange(len(labels)) - starts
    return order[np.argsort(turn, kind="stable")][:num]
