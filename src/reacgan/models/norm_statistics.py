"""Batch norms that normalise by the batch at hand, and what is collected over batches meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def batch_norms(network: nn.Module) -> dict[str, Any]:
    """Batch norms of any kind, layers with running statistics, by their names."""
    return {
        name: layer
        for name, layer in network.named_modules()
        if isinstance(getattr(layer, "running_mean", None), Tensor)
        and isinstance(getattr(layer, "running_var", None), Tensor)
    }


class Collector:
    """Before a layer runs, its statistics become those of the batch; averages are kept here.

    With ``share`` 1, 1/2, 1/3, ... over the batches all of them count alike. The layer stays in
    evaluation mode, so it sends no message to other processes.
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

    def __call__(self, layer: Any, given: tuple[Tensor, ...]) -> None:
        """The hook: takes what the layer is given, [N, C, ...]."""
        images = given[0].detach().to(layer.running_mean.dtype)
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
    """Within the block batch norms normalise by the batch, and the collectors average."""
    normalise_as_stored(network)
    pairs = [(layer, Collector(layer)) for layer in batch_norms(network).values()]
    hooks = [layer.register_forward_pre_hook(collector) for layer, collector in pairs]
    try:
        yield pairs
    finally:
        for hook in hooks:
            hook.remove()


def normalise_by_batch(network: nn.Module) -> None:
    """From now on batch norms use the statistics of the batch at hand, as in training."""
    for layer in batch_norms(network).values():
        layer.register_forward_pre_hook(Collector(layer))


def normalise_as_stored(network: nn.Module) -> None:
    """Take :func:`normalise_by_batch` back."""
    for layer in batch_norms(network).values():
        for key, hook in list(layer._forward_pre_hooks.items()):
            if isinstance(hook, Collector):
                del layer._forward_pre_hooks[key]


def normalises_by_batch(network: nn.Module) -> bool:
    """Whether what comes out depends on what goes in along with it."""
    return any(
        layer.training
        or any(isinstance(hook, Collector) for hook in layer._forward_pre_hooks.values())
        for layer in batch_norms(network).values()
    )
