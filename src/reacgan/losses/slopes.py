"""Gradients of scores with respect to what was judged: in full precision, and differentiable."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def widened(tensor: Tensor) -> Tensor:
    """The same in float32 at least; float64 stays."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def without_autocast(tensor: Tensor) -> AbstractContextManager[object]:
    """Open a context in which convolutions and products keep the precision of their inputs."""
    kind = tensor.device.type
    if not torch.amp.is_autocast_available(kind):
        return nullcontext()
    return torch.autocast(kind, enabled=False)


def slope(
    score: Callable[[Tensor], Tensor], points: Tensor, *, create_graph: bool = True
) -> Tensor:
    """Gradient of each sample's score with respect to that sample, ``[N, ...]`` as ``points``.

    It is the gradient of the sum of scores, worked out with autocast off, in float32 at least. Where a
    network couples samples (batch norm), it holds what a sample does to the scores of all, over all
    processes.

    Args:
        score: points ``[N, ...]`` to scores ``[N]``.
        points: where; with their graph, if they have one.
        create_graph: whether the result can be differentiated, as a penalty needs.
    """
    with without_autocast(points), torch.enable_grad():
        points = widened(points)
        if not points.requires_grad:
            points = points.detach().requires_grad_()
        total = score(points).sum()
        (found,) = torch.autograd.grad(total, points, create_graph=create_graph)
    return found
