"""Gradients of scores with respect to inputs: in full precision, and differentiable."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reacgan.tensors import gradients_of_inputs_alone, widened, without_autocast


def slope(
    score: Callable[[Tensor], Tensor], points: Tensor, *, create_graph: bool = True
) -> Tensor:
    """Gradient of each sample's score with respect to that sample, ``[N, ...]`` as ``points``.

    It is the gradient of the sum of scores, computed with autocast off, in float32 at least. Where a
    network couples samples (batch norm), it includes a sample's effect on all scores, over all
    processes.

    Args:
        score: points ``[N, ...]`` to scores ``[N]``.
        points: where to differentiate; with their graph, if they have one.
        create_graph: whether the result can be differentiated, as a penalty needs.
    """
    with without_autocast(points), torch.enable_grad():
        points = widened(points)
        if not points.requires_grad:
            points = points.detach().requires_grad_()
        total = score(points).sum()
        with gradients_of_inputs_alone():
            (gradient,) = torch.autograd.grad(total, points, create_graph=create_graph)
    return gradient
