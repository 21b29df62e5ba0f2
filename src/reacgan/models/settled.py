"""An averaged generator with statistics that fit it.

What an average stores are averages of the statistics of the generators that it was averaged of, and
the singular vectors of the newest of them. Its own weights may have others: far other ones while it
lags behind. Here its own are worked out, and taken where the stored ones are too far from them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from reacgan.models.base import Generator
from reacgan.models.norm_statistics import batch_norms, collecting
from reacgan.models.norms import BATCH_NORM_EPS
from reacgan.models.spectral import SpectralNorm
from reacgan.models.trained import NormStatistics, TrainedGenerator
from reacgan.randomness import Draws

BATCHES = 16
"""Passes from which a generator's own statistics are worked out."""
BATCH = 64
"""Images in each of them."""
BOUND = 0.35
"""Stored statistics that are farther than this from a generator's own are not used."""
_ITERATIONS = 50
_KEPT = ("running_mean", "running_var", "u", "v")


def settle(model: TrainedGenerator) -> TrainedGenerator:
    """The model, in a copy, with the statistics that fit its generator (``statistics=auto``).

    Its own where the stored ones are farther than :data:`BOUND` from them, else the stored ones. A
    model that was settled before is given back as it is.
    """
    if model.norms is not None:
        return model
    generator = copy.deepcopy(model.generator).eval()
    if not batch_norms(generator):
        return replace(model, generator=generator, norms=NormStatistics("moving", 0.0))
    moving, own = statistics_of(generator), own_statistics(generator)
    apart = distance(moving, own)
    if apart <= BOUND:
        return replace(model, generator=generator, norms=NormStatistics("moving", apart))
    put_statistics(generator, own)
    return replace(model, generator=generator, norms=NormStatistics("own", apart, moving))


def with_own(model: TrainedGenerator) -> TrainedGenerator:
    """The model with its generator's own statistics, however near the stored ones are."""
    if model.norms is not None and model.norms.kind == "own":
        return model
    generator = copy.deepcopy(model.generator).eval()
    moving, own = statistics_of(generator), own_statistics(generator)
    put_statistics(generator, own)
    norms = NormStatistics("own", distance(moving, own), moving)
    return replace(model, generator=generator, norms=norms)


def with_moving(model: TrainedGenerator) -> TrainedGenerator:
    """The model with the averages of training, however far from its generator's own they are."""
    if model.norms is None or model.norms.kind == "moving":
        return model
    generator = copy.deepcopy(model.generator)
    put_statistics(generator, model.norms.moving)
    norms = NormStatistics("moving", model.norms.distance)
    return replace(model, generator=generator, norms=norms)


def statistics_in_words(model: TrainedGenerator) -> str:
    """Which statistics its batch norms hold and why, for a person."""
    if model.norms is None:
        return "the statistics that are stored"
    apart = f"{model.norms.distance:.2f}"
    if model.norms.kind == "own":
        return f"its own statistics (the averages of training are {apart} from them)"
    return f"the averages of training as statistics ({apart} from its own)"


def statistics_of(generator: nn.Module) -> dict[str, Tensor]:
    """Copies of means, variances and singular vectors, by their names in the state."""
    return {
        name: value.clone()
        for name, value in generator.state_dict().items()
        if name.rpartition(".")[2] in _KEPT
    }


@torch.no_grad()
def put_statistics(generator: nn.Module, statistics: Mapping[str, Tensor]) -> None:
    """Give a generator means, variances and singular vectors, by their names in the state."""
    state = generator.state_dict()
    for name, value in statistics.items():
        state[name].copy_(value)


@torch.no_grad()
def own_statistics(
    generator: Generator, *, batches: int = BATCHES, batch: int = BATCH, seed: int = 0
) -> dict[str, Tensor]:
    """A generator's own statistics, by their names in the state; the generator stays as it is.

    Singular vectors are those of its own weights (power iteration until they stand). Then passes are
    made with z standard normal and labels uniform, each normalised by its own statistics; the mean
    and variance of each norm are those of all passes together.

    Args:
        generator: with or without batch norms.
        batches: passes.
        batch: images in each.
        seed: of latents and labels; the same seed gives the same statistics.
    """
    worked_on = copy.deepcopy(generator).eval()
    for layer in worked_on.modules():
        if isinstance(layer, SpectralNorm):
            layer.converge(_ITERATIONS)
    weight = next(worked_on.parameters())
    with collecting(worked_on) as pairs:
        for index in range(batches):
            draws = Draws(seed, "own statistics", index)
            z = draws.normal(batch, worked_on.latent_dim)
            labels = draws.integers(batch, high=worked_on.num_classes)
            for _, collector in pairs:
                collector.share = 1 / (index + 1)
            worked_on(z.to(weight.device, weight.dtype), labels.to(weight.device))
    for layer, collector in pairs:
        layer.running_mean.copy_(collector.mean)
        layer.running_var.copy_(collector.total)
    return statistics_of(worked_on)


def distance(stored: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> float:
    """How far stored statistics are from a generator's own: 0.1 is 10 % of the deviation.

    The largest, over its batch norms, of the root mean square, over channels, of
    log(v_stored / v_own) / 2 and (m_stored - m_own) / sqrt(v_own), m means and v variances.
    """
    distances = [0.0]
    for name in own:
        if name.rpartition(".")[2] != "running_var":
            continue
        mean = name.removesuffix("var") + "mean"
        first, second = (
            (held[mean].cpu().double(), held[name].cpu().double() + BATCH_NORM_EPS)
            for held in (stored, own)
        )
        scale = (first[1] / second[1]).log() / 2
        shift = (first[0] - second[0]).square() / second[1]
        distances.append(float((scale.square() + shift).mean().sqrt()))
    return max(distances)
