"""The statistics of the generator's batch norms in sampling."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Literal, get_args

import torch

from reacgan.config import ConfigError
from reacgan.models import Generator
from reacgan.models.norm_statistics import (
    collecting,
    fit_statistics,
    normalise_by_batch,
    statistics_of,
    with_moving,
    with_own,
)
from reacgan.models.trained import NormStatistics, TrainedGenerator
from reacgan.progress import counted
from reacgan.randomness import Draws

Statistics = Literal["auto", "own", "moving", "batch", "standing"]


def with_statistics(
    model: TrainedGenerator, kind: Statistics, *, seed: int = 0
) -> TrainedGenerator:
    """The model with a generator whose batch norms use these statistics.

    - ``auto``: those that fit its weights, see :func:`reacgan.models.norm_statistics.fit_statistics`.
    - ``own``: those of its weights, see :func:`reacgan.models.norm_statistics.own_statistics`.
    - ``moving``: the averages of training.
    - ``batch``: those of the batch itself, see :func:`batch_statistics`.
    - ``standing``: see :func:`standing_statistics`; ``seed`` is for these.

    A generator without batch norm gives the same images with each of them.

    Raises:
        ConfigError: another kind.
    """
    if kind not in get_args(Statistics):
        raise ConfigError(f"statistics is {kind!r}; allowed: {', '.join(get_args(Statistics))}")
    if kind == "auto":
        return fit_statistics(model)
    if kind == "own":
        return with_own(model)
    moving = with_moving(model)
    if kind == "moving":
        return moving
    norms = NormStatistics(kind, None, statistics_of(moving.generator))
    if kind == "batch":
        return replace(moving, generator=batch_statistics(moving.generator), norms=norms)
    collected = standing_statistics(moving.generator, len(model.class_names), seed=seed)
    return replace(moving, generator=collected, norms=norms)


@torch.no_grad()
def standing_statistics(
    generator: Generator,
    num_classes: int,
    *,
    batches: int = 100,
    batch: int = 64,
    seed: int = 0,
    momentum: float | None = None,
) -> Generator:
    """A copy of the generator with standing statistics (Brock et al., ICLR 2019).

    ``batches`` forward passes with z standard normal and labels uniform are normalised by their own
    statistics; the copy keeps the mean over the passes of each batch's mean and unbiased variance.
    With a ``momentum`` m it follows a widespread implementation instead: from mean 0 and variance 1
    a moving average, s <- (1 - m) s + m s_batch, over batches of random sizes of 1 to ``batch``, so
    that the last few dominate (m is 0.1 there).

    Args:
        generator: unchanged.
        num_classes: labels are 0 .. num_classes - 1.
        batches: forward passes.
        batch: images in each of them (at most, with momentum).
        seed: of latents, labels and sizes; the same seed gives the same statistics.
        momentum: None for equal weights.

    Raises:
        ConfigError: a value out of range.
    """
    for name, value in (("batches", batches), ("batch", batch)):
        if value < 1:
            raise ConfigError(f"{name} is {value}; allowed: 1 or more")
    if momentum is not None and not 0 < momentum <= 1:
        raise ConfigError(f"momentum is {momentum}; allowed: above 0 to 1, or None")
    copied = copy.deepcopy(generator).eval()
    weight = next(copied.parameters())
    with collecting(copied) as pairs:
        for index in counted(range(batches), "standing statistics", batches, "batches"):
            draws = Draws(seed, "standing statistics", index)
            size = batch if momentum is None else int(draws.integers(1, low=1, high=batch + 1))
            z = draws.normal(size, copied.latent_dim)
            labels = draws.integers(size, high=num_classes)
            for _, collector in pairs:
                collector.share = 1 / (index + 1) if momentum is None else momentum
            copied(z.to(weight.device, weight.dtype), labels.to(weight.device))
    for layer, collector in pairs:
        layer.running_mean.copy_(collector.mean)
        layer.running_var.copy_(collector.variance)
    return copied


def batch_statistics(generator: Generator) -> Generator:
    """A copy whose batch norms use the statistics of the current batch, as in training.

    An image then depends on the rest of its batch: a class and a seed no longer determine an image,
    and a batch of one class differs from the mixed batches of training. Published scores on small
    images were often measured so; ``auto`` is the better choice for anything else.
    """
    copied = copy.deepcopy(generator).eval()
    normalise_by_batch(copied)
    return copied
