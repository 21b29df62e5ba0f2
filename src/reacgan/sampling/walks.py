"""Walks through the latent space: between two seeds or classes, or along a direction."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan.config import ConfigError, check_kind, check_real, check_whole
from reacgan.models.trained import TrainedGenerator, check_model
from reacgan.sampling.images import DEFAULTS, generate
from reacgan.sampling.latents import check_seed, latents_for
from reacgan.sampling.moves import spherical
from reacgan.sampling.settings import SamplingSettings, check_settings


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

    z follows the great circle between the two latents (:func:`reacgan.sampling.spherical`); the
    weights of the two classes, and so the mixture of their vectors, change linearly. The first and
    the last image are those of :func:`reacgan.sample` for the two ends.

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
    check_model(model)
    check_settings(settings)
    _check_pair("classes", classes, "(3, 7)")
    _check_pair("seeds", seeds, "(0, 1)")
    settings = settings.changed(**options)
    settings.refuse("labels", "seed", "langevin", "moves", by="interpolate")
    model = settings.prepared(model)
    shares = _steps(steps, 0.0, 1.0)
    first, last = model.class_indices(list(classes))
    for seed in seeds:
        check_seed(seed)
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
    check_model(model)
    check_settings(settings)
    check_kind("direction", direction, Tensor, "a tensor, such as one of semantic_directions(...)")
    if direction.shape != (model.latent_dim,):
        raise ConfigError(
            f"direction has the shape {list(direction.shape)}; needed: [{model.latent_dim}]"
        )
    check_real("span", span, "0 or more", least=0)
    settings = settings.changed(**options)
    settings.refuse("labels", "langevin", "moves", by="walk")
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


def _check_pair(name: str, value: Any, example: str) -> None:
    """See that both ends are given; raises ConfigError."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ConfigError(f"{name} is {value!r}; needed: both ends, such as {example}")


def _steps(steps: int, start: float, end: float) -> list[float]:
    check_whole("steps", steps, least=2, most=10_000)
    return [start + (end - start) * step / (steps - 1) for step in range(steps)]
