"""Statistics of batch norms: collected over batches, and those that fit an averaged generator.

An averaged generator stores averaged running statistics and the singular vectors of the newest weights.
The statistics of its own weights can be far from both, most of all while the average lags. They are
computed here, and replace stored ones that are too far off.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from reacgan.models.base import Generator
from reacgan.models.norms import BATCH_NORM_EPS
from reacgan.models.spectral import SpectralNorm
from reacgan.models.trained import NormStatistics, TrainedGenerator
from reacgan.progress import counted
from reacgan.randomness import Draws

IMAGES = 1_024
"""Images generated for a generator's own statistics."""
FEW = 128
"""The same where images are not scored, such as a sheet during training."""
BOUND = 0.35
"""Stored statistics that are farther than this from a generator's own are not used."""
_BATCHES = {64: 64, 1 << 30: 16}
"""Images in a batch, by the largest side of an image."""
_ITERATIONS = 50
_STORED = ("running_mean", "running_var", "u", "v")


def batch_norms(network: nn.Module) -> dict[str, Any]:
    """Batch norms of any kind (layers with running statistics) by name."""
    return {
        name: layer
        for name, layer in network.named_modules()
        if isinstance(getattr(layer, "running_mean", None), Tensor)
        and isinstance(getattr(layer, "running_var", None), Tensor)
    }


class Collector:
    """A pre-forward hook: sets a layer's statistics to those of the batch, and averages over batches.

    With ``share`` 1, 1/2, 1/3, ... all batches have equal weight. The layer stays in evaluation mode,
    so it does not communicate with other processes.
    """

    def __init__(self, layer: Any) -> None:
        self.mean = torch.zeros_like(layer.running_mean)
        self.variance = torch.ones_like(layer.running_var)
        """The average of each batch's unbiased variance."""
        self.within = torch.zeros_like(layer.running_var)
        """The average of each batch's biased variance."""
        self.between = torch.zeros_like(layer.running_var)
        """The variance of the batches' means."""
        self.share = 0.0

    @property
    def total(self) -> Tensor:
        """The variance of all batches together."""
        return self.within + self.between

    def __call__(self, layer: Any, inputs: tuple[Tensor, ...]) -> None:
        """The hook; the layer's input is [N, C, ...]."""
        images = inputs[0].detach().to(layer.running_mean.dtype)
        dimensions = [dimension for dimension in range(images.dim()) if dimension != 1]
        variance, mean = torch.var_mean(images, dimensions, correction=0)
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)
        count = images.numel() // images.shape[1]
        step = (mean - self.mean).square() * self.share
        self.between.add_(step).mul_(1 - self.share)
        self.mean.lerp_(mean, self.share)
        self.within.lerp_(variance, self.share)
        self.variance.lerp_(variance * (count / max(count - 1, 1)), self.share)


@contextmanager
def collecting(network: nn.Module) -> Iterator[list[tuple[Any, Collector]]]:
    """Within the block batch norms normalise by the batch, and collectors average its statistics."""
    normalise_as_stored(network)
    pairs = [(layer, Collector(layer)) for layer in batch_norms(network).values()]
    hooks = [layer.register_forward_pre_hook(collector) for layer, collector in pairs]
    try:
        yield pairs
    finally:
        for hook in hooks:
            hook.remove()


def normalise_by_batch(network: nn.Module) -> None:
    """Make batch norms use the statistics of each batch, as in training."""
    for layer in batch_norms(network).values():
        layer.register_forward_pre_hook(Collector(layer))


def normalise_as_stored(network: nn.Module) -> None:
    """Undo :func:`normalise_by_batch`."""
    for layer in batch_norms(network).values():
        for key, hook in list(layer._forward_pre_hooks.items()):
            if isinstance(hook, Collector):
                del layer._forward_pre_hooks[key]


def normalises_by_batch(network: nn.Module) -> bool:
    """Whether an output depends on the other samples of its batch."""
    return any(
        layer.training
        or any(isinstance(hook, Collector) for hook in layer._forward_pre_hooks.values())
        for layer in batch_norms(network).values()
    )


def fit_statistics(model: TrainedGenerator, *, images: int = IMAGES) -> TrainedGenerator:
    """A copy of the model with statistics that fit its generator (``statistics=auto``).

    These are the generator's own where the stored ones are farther than :data:`BOUND` from them, else
    the stored ones. A model that was checked before is returned as it is. Own statistics that are not
    finite are never used.

    Args:
        model: its generator is not changed.
        images: see :func:`own_statistics`.
    """
    norms = model.norms
    if norms is not None and norms.kind in ("moving", "own"):
        if norms.kind == "own" or norms.distance is None or norms.distance <= BOUND:
            return model
    return _compute_own(model, images, always=False)


def with_own(model: TrainedGenerator) -> TrainedGenerator:
    """The model with its generator's own statistics, however near the stored ones are."""
    if model.norms is not None and model.norms.kind == "own":
        return model
    return _compute_own(model, IMAGES, always=True)


def _compute_own(model: TrainedGenerator, images: int, *, always: bool) -> TrainedGenerator:
    """Own statistics in a copy, used ``always`` or only beyond :data:`BOUND`."""
    model = with_moving(model)
    generator = copy.deepcopy(model.generator).eval()
    if not batch_norms(generator):
        return replace(model, generator=generator, norms=NormStatistics("moving", 0.0))
    moving, own = statistics_of(generator), own_statistics(generator, images=images)
    off = distance(generator, moving, own)
    if not always and (off is None or off <= BOUND):
        return replace(model, generator=generator, norms=NormStatistics("moving", off))
    put_statistics(generator, own)
    return replace(model, generator=generator, norms=NormStatistics("own", off, moving))


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
    """Which statistics its batch norms use and why, as text."""
    norms = model.norms
    if norms is None:
        return "the statistics that are stored"
    if norms.kind in ("batch", "standing"):
        return f"{norms.kind} statistics"
    off = "an unknown distance" if norms.distance is None else f"{norms.distance:.2f}"
    if norms.kind == "own":
        return (
            "its own statistics of batch norm (the averages of training do not fit yet: "
            f"{off} apart, {BOUND:g} allowed)"
        )
    return f"the averages of training as statistics ({off} from its own)"


def statistics_of(generator: nn.Module) -> dict[str, Tensor]:
    """Copies of means, variances and singular vectors, by their names in the state."""
    return {
        name: value.clone()
        for name, value in generator.state_dict().items()
        if name.rpartition(".")[2] in _STORED
    }


@torch.no_grad()
def put_statistics(generator: nn.Module, statistics: Mapping[str, Tensor]) -> None:
    """Set a generator's means, variances and singular vectors, by their names in the state."""
    state = generator.state_dict()
    for name, value in statistics.items():
        state[name].copy_(value)


@torch.no_grad()
def own_statistics(
    generator: Generator, *, images: int = IMAGES, batch: int | None = None, seed: int = 0
) -> dict[str, Tensor]:
    """A generator's own statistics, by their names in the state; the generator is not changed.

    Singular vectors are those of its own weights (power iteration until it converges). Then batches
    with z standard normal and labels uniform are generated, each normalised by its own statistics;
    mean and variance of each norm are those of all batches together. All in the type of the weights.

    Args:
        generator: with or without batch norms.
        images: in all batches together, at least one batch.
        batch: images in a batch; by default 64, or 16 above 64 pixels a side.
        seed: of latents and labels; the same seed gives the same statistics.
    """
    copied = copy.deepcopy(generator).eval()
    for layer in copied.modules():
        if isinstance(layer, SpectralNorm):
            layer.converge(_ITERATIONS)
    weight = next(copied.parameters())
    size = batch or _batch_of(copied, weight)
    with torch.autocast(weight.device.type, enabled=False), collecting(copied) as pairs:
        count = max(images // size, 1)
        for index in counted(range(count), "statistics of batch norms", count, "batches"):
            draws = Draws(seed, "own statistics", index)
            z = draws.normal(size, copied.latent_dim)
            labels = draws.integers(size, high=copied.num_classes)
            for _, collector in pairs:
                collector.share = 1 / (index + 1)
            copied(z.to(weight.device, weight.dtype), labels.to(weight.device))
    for layer, collector in pairs:
        layer.running_mean.copy_(collector.mean)
        layer.running_var.copy_(collector.total)
    return statistics_of(copied)


def _batch_of(generator: Generator, weight: Tensor) -> int:
    z = torch.zeros(1, generator.latent_dim, device=weight.device, dtype=weight.dtype)
    label = torch.zeros(1, dtype=torch.int64, device=weight.device)
    side = max(generator(z, label).shape[2:])
    return next(size for most, size in _BATCHES.items() if side <= most)


def distance(
    generator: nn.Module, stored: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> float | None:
    """How far stored statistics are from a generator's own: 0.1 is 10 % of the standard deviation.

    The largest, over its batch norms, of the root mean square, over channels, of
    log(v_stored / v_own) / 2 and (m_stored - m_own) / sqrt(v_own), m means and v variances; and over
    its spectral norms of |log(sigma_own / sigma_stored)|, sigma = u^T W v. None where one is not finite.
    """
    distances = [0.0]
    for name, layer in generator.named_modules():
        dot = f"{name}." if name else ""
        if f"{dot}running_var" in own:
            mean, own_mean = (of[f"{dot}running_mean"].cpu().double() for of in (stored, own))
            variance, own_variance = (
                of[f"{dot}running_var"].cpu().double() + BATCH_NORM_EPS for of in (stored, own)
            )
            shift = (mean - own_mean).square() / own_variance
            ratio = (variance / own_variance).log().div(2).square()
            distances.append(float((ratio + shift).mean().sqrt()))
        elif isinstance(layer, SpectralNorm):
            matrix = layer.weight.detach().flatten(1)  # large: not moved to the CPU
            sigma, own_sigma = (
                float(torch.dot(of[f"{dot}u"].to(matrix), matrix.mv(of[f"{dot}v"].to(matrix))))
                for of in (stored, own)
            )
            # A negative or zero sigma: the stored vectors are no estimate at all.
            quotient = own_sigma / sigma if sigma > 0 else math.inf
            distances.append(abs(math.log(quotient)) if quotient > 0 else math.inf)
    usable = all(bool(torch.isfinite(value).all()) for value in own.values())
    return max(distances) if usable and not any(map(math.isnan, distances)) else None
