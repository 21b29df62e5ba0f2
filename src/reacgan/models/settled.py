"""An averaged generator with statistics that fit it.

What an average stores are averages of the statistics of the generators that it was averaged of, and
the singular vectors of the newest of them. Its own weights may have others: far other ones while it
lags behind. Here its own are worked out, and taken where the stored ones are too far from them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from reacgan.models.base import Generator
from reacgan.models.norm_statistics import batch_norms, collecting, normalise_as_stored
from reacgan.models.norms import BATCH_NORM_EPS
from reacgan.models.spectral import SpectralNorm
from reacgan.models.trained import NormStatistics, TrainedGenerator
from reacgan.randomness import Draws

IMAGES = 1_024
"""From which a generator's own statistics are worked out."""
FEW = 128
"""The same for a look in passing."""
BOUND = 0.35
"""Stored statistics that are farther than this from a generator's own are not used."""
_BATCHES = {64: 64, 1 << 30: 16}
"""Images in a pass, by the largest side of an image."""
_ITERATIONS = 50
_KEPT = ("running_mean", "running_var", "u", "v")


def settle(model: TrainedGenerator, *, images: int = IMAGES) -> TrainedGenerator:
    """The model, in a copy, with the statistics that fit its generator (``statistics=auto``).

    Its own where the stored ones are farther than :data:`BOUND` from them, else the stored ones. A
    model that was settled before is given back as it is. Statistics of its own that are not finite are
    never taken.

    Args:
        model: whose generator stays as it is.
        images: see :func:`own_statistics`.
    """
    if _fits(model.norms):
        return model
    model = with_moving(model)
    generator = copy.deepcopy(model.generator).eval()
    if not batch_norms(generator):
        return replace(model, generator=generator, norms=NormStatistics("moving", 0.0))
    moving, own = statistics_of(generator), own_statistics(generator, images=images)
    apart = distance(generator, moving, own)
    if apart is None or apart <= BOUND:
        return replace(model, generator=generator, norms=NormStatistics("moving", apart))
    put_statistics(generator, own)
    return replace(model, generator=generator, norms=NormStatistics("own", apart, moving))


def _fits(norms: NormStatistics | None) -> bool:
    if norms is None or norms.kind in ("batch", "standing"):
        return False
    return norms.kind == "own" or norms.distance is None or norms.distance <= BOUND


def with_own(model: TrainedGenerator) -> TrainedGenerator:
    """The model with its generator's own statistics, however near the stored ones are."""
    if model.norms is not None and model.norms.kind == "own":
        return model
    model = with_moving(model)
    generator = copy.deepcopy(model.generator).eval()
    if not batch_norms(generator):
        return replace(model, generator=generator, norms=NormStatistics("moving", 0.0))
    moving, own = statistics_of(generator), own_statistics(generator)
    apart = distance(generator, moving, own)
    put_statistics(generator, own)
    return replace(model, generator=generator, norms=NormStatistics("own", apart, moving))


def with_moving(model: TrainedGenerator) -> TrainedGenerator:
    """The model with the averages of training, however far from its generator's own they are."""
    if model.norms is None or model.norms.kind == "moving":
        return model
    generator = copy.deepcopy(model.generator)
    normalise_as_stored(generator)
    put_statistics(generator, model.norms.moving)
    norms = NormStatistics("moving", model.norms.distance) if model.norms.distance else None
    return replace(model, generator=generator, norms=norms)


def statistics_in_words(model: TrainedGenerator) -> str:
    """Which statistics its batch norms hold and why, for a person."""
    norms = model.norms
    if norms is None:
        return "the statistics that are stored"
    if norms.kind in ("batch", "standing"):
        return f"{norms.kind} statistics"
    apart = "an unknown distance" if norms.distance is None else f"{norms.distance:.2f}"
    if norms.kind == "own":
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
    generator: Generator, *, images: int = IMAGES, batch: int | None = None, seed: int = 0
) -> dict[str, Tensor]:
    """A generator's own statistics, by their names in the state; the generator stays as it is.

    Singular vectors are those of its own weights (power iteration until they stand). Then passes are
    made with z standard normal and labels uniform, each normalised by its own statistics; the mean
    and variance of each norm are those of all passes together. All in the type of the weights.

    Args:
        generator: with or without batch norms.
        images: in all passes together, at least one pass.
        batch: images in a pass; by default 64, and 16 of more than 64 pixels a side.
        seed: of latents and labels; the same seed gives the same statistics.
    """
    worked_on = copy.deepcopy(generator).eval()
    for layer in worked_on.modules():
        if isinstance(layer, SpectralNorm):
            layer.converge(_ITERATIONS)
    weight = next(worked_on.parameters())
    size = batch or _batch_of(worked_on, weight)
    with torch.autocast(weight.device.type, enabled=False), collecting(worked_on) as pairs:
        for index in range(max(images // size, 1)):
            draws = Draws(seed, "own statistics", index)
            z = draws.normal(size, worked_on.latent_dim)
            labels = draws.integers(size, high=worked_on.num_classes)
            for _, collector in pairs:
                collector.share = 1 / (index + 1)
            worked_on(z.to(weight.device, weight.dtype), labels.to(weight.device))
    for layer, collector in pairs:
        layer.running_mean.copy_(collector.mean)
        layer.running_var.copy_(collector.total)
    return statistics_of(worked_on)


def _batch_of(generator: Generator, weight: Tensor) -> int:
    z = torch.zeros(1, generator.latent_dim, device=weight.device, dtype=weight.dtype)
    label = torch.zeros(1, dtype=torch.int64, device=weight.device)
    side = max(generator(z, label).shape[2:])
    return next(size for most, size in _BATCHES.items() if side <= most)


def distance(
    generator: nn.Module, stored: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> float | None:
    """How far stored statistics are from a generator's own: 0.1 is 10 % of the deviation.

    The largest, over its batch norms, of the root mean square, over channels, of
    log(v_stored / v_own) / 2 and (m_stored - m_own) / sqrt(v_own), m means and v variances; and over
    its spectral norms of |log(sigma_own / sigma_stored)|, sigma = u^T W v. None where one is not finite.
    """
    distances = [0.0]
    for name, layer in generator.named_modules():
        dot = f"{name}." if name else ""
        if f"{dot}running_var" in own:
            first, second = (
                (
                    held[f"{dot}running_mean"].cpu().double(),
                    held[f"{dot}running_var"].cpu().double(),
                )
                for held in (stored, own)
            )
            theirs, ours = first[1] + BATCH_NORM_EPS, second[1] + BATCH_NORM_EPS
            shift = (first[0] - second[0]).square() / ours
            distances.append(float(((theirs / ours).log().div(2).square() + shift).mean().sqrt()))
        elif isinstance(layer, SpectralNorm):
            matrix = layer.weight.detach().flatten(1)  # large: stays where it is
            before, after = (
                float(torch.dot(held[f"{dot}u"].to(matrix), matrix.mv(held[f"{dot}v"].to(matrix))))
                for held in (stored, own)
            )
            # A sign or a zero: what is stored is no estimate at all.
            ratio = after / before if before > 0 else math.inf
            distances.append(abs(math.log(ratio)) if ratio > 0 else math.inf)
    usable = all(bool(torch.isfinite(value).all()) for value in own.values())
    return max(distances) if usable and not any(map(math.isnan, distances)) else None
