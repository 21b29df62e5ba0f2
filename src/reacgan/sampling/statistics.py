"""Which statistics the generator's batch norms use when images are made."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from reacgan.config import ConfigError
from reacgan.models import Generator
from reacgan.models.trained import TrainedGenerator
from reacgan.randomness import Draws

Statistics = Literal["moving", "batch", "standing"]


def with_statistics(
    model: TrainedGenerator, kind: Statistics, *, seed: int = 0
) -> TrainedGenerator:
    """The model with a generator whose batch norms use statistics of this kind.

    - ``moving``: the averages of training; the model as it is.
    - ``batch``: those of the batch itself, see :func:`batch_statistics`.
    - ``standing``: collected anew, see :func:`standing_statistics`; ``seed`` is for these.

    A generator without batch norm makes the same images with each of them.

    Raises:
        ConfigError: another kind.
    """
    if kind not in get_args(Statistics):
        raise ConfigError(f"statistics is {kind!r}; allowed: {', '.join(get_args(Statistics))}")
    if kind == "moving":
        return model
    if kind == "batch":
        return replace(model, generator=batch_statistics(model.generator))
    collected = standing_statistics(model.generator, len(model.class_names), seed=seed)
    return replace(model, generator=collected)


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

    ``batches`` forward passes are made with z standard normal and labels uniform, each normalised by
    its own statistics; the copy then keeps the mean over the passes of each batch's mean and unbiased
    variance. With a ``momentum`` m it does what a widespread implementation does instead: from mean 0
    and variance 1 a moving average, s <- (1 - m) s + m s_batch, over batches of random sizes of 1 to
    ``batch``; the last few of them then decide (m is 0.1 there).

    Args:
        generator: stays as it is.
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
    with _collecting(copied) as collectors:
        for index in range(batches):
            draws = Draws(seed, "standing statistics", index)
            size = batch if momentum is None else int(draws.integers(1, low=1, high=batch + 1))
            z = draws.normal(size, copied.latent_dim)
            labels = draws.integers(size, high=num_classes)
            share = 1 / (index + 1) if momentum is None else momentum
            for collector in collectors:
                collector.share = share
            copied(z.to(weight.device, weight.dtype), labels.to(weight.device))
    return copied


def batch_statistics(generator: Generator) -> Generator:
    """A copy whose batch norms use the statistics of the batch at hand, as in training.

    An image then depends on what is made along with it: a class and a seed are no longer one image,
    and a batch of one class differs from the mixed batches of training. Published scores on small
    images were often measured so; ``standing`` is the better choice for anything else.
    """
    copied = copy.deepcopy(generator).eval()
    for layer in _norms(copied):
        layer.register_forward_pre_hook(_Collector(layer))
    return copied


def couples_samples(generator: nn.Module) -> bool:
    """Whether an image depends on what is made along with it."""
    return any(
        layer.training or any(isinstance(hook, _Collector) for hook in _hooks(layer))
        for layer in _norms(generator)
    )


class _Collector:
    """Before a layer runs, its statistics become those of the batch; averages are kept here.

    The layer stays in evaluation mode, so it sends no message to other processes.
    """

    def __init__(self, layer: Any) -> None:
        self.mean = torch.zeros_like(layer.running_mean)
        self.variance = torch.ones_like(layer.running_var)
        self.share = 0.0

    def __call__(self, layer: Any, given: tuple[Tensor, ...]) -> None:
        images = given[0].detach().to(layer.running_mean.dtype)
        places = [dimension for dimension in range(images.dim()) if dimension != 1]
        variance, mean = torch.var_mean(images, places, correction=0)
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)
        count = images.numel() // images.shape[1]
        self.mean.lerp_(mean, self.share)
        self.variance.lerp_(variance * (count / max(count - 1, 1)), self.share)


@contextmanager
def _collecting(generator: nn.Module) -> Iterator[list[_Collector]]:
    """Within the block the layers normalise by the batch; afterwards they keep what was averaged."""
    layers = _norms(generator)
    collectors = [_Collector(layer) for layer in layers]
    for layer in layers:
        for key, hook in list(layer._forward_pre_hooks.items()):
            if isinstance(hook, _Collector):  # a copy with batch statistics: not any more
                del layer._forward_pre_hooks[key]
    pairs = list(zip(layers, collectors, strict=True))
    hooks = [layer.register_forward_pre_hook(collector) for layer, collector in pairs]
    yield collectors
    for (layer, collector), hook in zip(pairs, hooks, strict=True):
        hook.remove()
        layer.running_mean.copy_(collector.mean)
        layer.running_var.copy_(collector.variance)


def _norms(generator: nn.Module) -> list[Any]:
    """Batch norms of any kind: layers with running statistics."""
    return [
        layer
        for layer in generator.modules()
        if isinstance(getattr(layer, "running_mean", None), Tensor)
        and isinstance(getattr(layer, "running_var", None), Tensor)
    ]


def _hooks(layer: Any) -> list[Any]:
    return list(layer._forward_pre_hooks.values())
