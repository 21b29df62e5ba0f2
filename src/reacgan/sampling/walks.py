"""Walks through the latent space: between two seeds or classes, or along a direction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan.config import ConfigError
from reacgan.models import Generator
from reacgan.models.trained import TrainedGenerator
from reacgan.sampling.images import DEFAULTS, generate
from reacgan.sampling.latents import latents_for
from reacgan.sampling.settings import SamplingSettings


def interpolate(
    model: TrainedGenerator,
    *,
    classes: tuple[int | str, int | str],
    seeds: tuple[int, int] = (0, 0),
    steps: int = 8,
    settings: SamplingSettings = DEFAULTS,
    **options: Any,
) -> Tensor:
    """Images between (class, seed) and another (class, seed).

    z follows the great circle between the two latents (:func:`spherical`); the weights of the two
    classes, and so the mixture of their vectors, change linearly. The first and the last image are
    those of :func:`reacgan.sample` for the two ends.

    Args:
        model: from :func:`reacgan.load`.
        classes: the class at each end, by name or index; the same twice for one class.
        seeds: the seed at each end; the same twice for one latent.
        steps: number of images, both ends included; 2 or more.
        settings: how images are generated.
        options: individual settings: truncation, psi, layers, statistics.

    Returns:
        uint8 ``[steps, C, H, W]``.

    Raises:
        ConfigError: an unknown class, or a value out of range.
    """
    settings = settings.changed(**options)
    settings.refuse("labels", "seed", "langevin", by="interpolate")
    model = settings.prepared(model)
    shares = _steps(steps, 0.0, 1.0)
    first, last = model.class_indices(list(classes))
    start, end = latents_for(seeds, model.latent_dim, settings.truncation)
    z = torch.stack([spherical(start, end, share) for share in shares])
    draw = partial(
        generate,
        model.generator,
        z,
        settings=settings,
        seeds=[f"{seeds[0]} to {seeds[1]} ({share:.0%} of the way)" for share in shares],
        class_names=model.class_names,
    )
    if first == last:
        return draw(torch.full((steps,), first))
    ends = F.one_hot(torch.tensor([first, last]), len(model.class_names)).float()
    weights = torch.tensor(shares)[:, None]
    labels = (1 - weights) * ends[0] + weights * ends[1]
    return draw(labels)


def walk(
    model: TrainedGenerator,
    direction: Tensor,
    *,
    classes: Sequence[int | str] | str | int = "all",
    span: float = 3.0,
    steps: int = 7,
    settings: SamplingSettings = DEFAULTS,
    **options: Any,
) -> Tensor:
    """Images of z + a direction, a from -span to span: uint8 ``[classes, steps, C, H, W]``.

    Args:
        model: from :func:`reacgan.load`.
        direction: ``[latent_dim]``, such as one of :func:`reacgan.sampling.semantic_directions`.
        classes: a row each, as in :func:`reacgan.sample`.
        span: distance to each side, in standard deviations of z for a unit vector.
        steps: images in a row, both ends included; an odd number shows the seed itself.
        settings: how images are generated; ``seed`` is in the middle, and z is truncated before
            the direction is added.
        options: individual settings: seed, truncation, psi, layers, statistics.

    Raises:
        ConfigError: an unknown class, or a value out of range.
    """
    if direction.shape != (model.latent_dim,):
        raise ConfigError(
            f"direction has the shape {list(direction.shape)}; needed: [{model.latent_dim}]"
        )
    if not 0 <= span < math.inf:
        raise ConfigError(f"span is {span}; allowed: 0 or more")
    settings = settings.changed(**options)
    settings.refuse("labels", "langevin", by="walk")
    model = settings.prepared(model)
    seed = settings.seed or 0
    offsets = torch.tensor(_steps(steps, -span, span))
    labels = torch.tensor(model.class_indices(classes))
    start = latents_for([seed], model.latent_dim, settings.truncation)
    z = start + offsets[:, None] * direction.cpu()
    images = generate(
        model.generator,
        z.repeat(len(labels), 1),
        labels.repeat_interleave(steps),
        settings,
        seeds=[f"{seed} ({offset:+.2g} along)" for offset in offsets.tolist()] * len(labels),
        class_names=model.class_names,
    )
    return images.unflatten(0, (len(labels), steps))


def semantic_directions(generator: Generator, count: int) -> Tensor:
    """SeFa: the directions of z with the largest effect on the first layers (Shen & Zhou, CVPR 2021).

    With A the stacked weights that are applied to z, these are the eigenvectors of A^T A with the
    largest eigenvalues: n maximises |A n|^2 among the unit vectors orthogonal to the earlier ones.
    For a generator with styles these are directions of z, not of w.

    Args:
        generator: gives the weights by :meth:`Generator.latent_weights`.
        count: number of directions, 1 to latent_dim.

    Returns:
        float32 ``[count, latent_dim]`` on the CPU: unit vectors, largest eigenvalue first, the sign
        such that the entry of the largest absolute value is positive.

    Raises:
        ConfigError: the generator gives no such weights, or ``count`` is out of range.
    """
    weights = generator.latent_weights()
    latent_dim = generator.latent_dim
    if not 1 <= count <= latent_dim:
        raise ConfigError(f"directions is {count}; allowed: 1 to {latent_dim}, the length of z")
    square = torch.zeros(latent_dim, latent_dim, dtype=torch.float64)
    for weight in weights:
        matrix = weight.detach().cpu().double()
        square += matrix.T @ matrix
    directions = torch.linalg.eigh(square).eigenvectors.flip(1).T[:count]  # eigh: smallest first
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    return (directions * largest.sign()).float()


def spherical(start: Tensor, end: Tensor, share: float) -> Tensor:
    """Spherical linear interpolation (White 2016): from ``start`` at share 0 to ``end`` at 1.

    sin((1 - t) a) / sin(a) start + sin(t a) / sin(a) end, a the angle between them. Latents in between
    keep the norm of z; on a straight line they would be shorter. Parallel and opposite vectors have
    no unique great circle and are interpolated linearly.
    """
    wide_start, wide_end = start.double(), end.double()
    cosine = F.cosine_similarity(wide_start, wide_end, dim=0).clamp(-1, 1)
    angle = float(torch.acos(cosine))
    if math.sin(angle) < 1e-6:
        mixed = (1 - share) * wide_start + share * wide_end
    else:
        near, far = math.sin((1 - share) * angle), math.sin(share * angle)
        mixed = (near * wide_start + far * wide_end) / math.sin(angle)
    return mixed.to(start.dtype)


def _steps(steps: int, start: float, end: float) -> list[float]:
    if steps < 2:
        raise ConfigError(f"steps is {steps}; allowed: 2 or more")
    return [start + (end - start) * step / (steps - 1) for step in range(steps)]
