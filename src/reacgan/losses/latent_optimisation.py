"""Latent optimisation: z moves towards higher scores of D (LOGAN)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reacgan.config import LatentOptimisationConfig
from reacgan.losses.slopes import slope
from reacgan.randomness import Draws
from reacgan.tensors import widened


def optimised_latents(
    config: LatentOptimisationConfig,
    score: Callable[[Tensor], Tensor],
    z: Tensor,
    draws: Draws,
) -> tuple[Tensor, Tensor]:
    """Move z along the gradient of D's score (Wu, Donahue, Balduzzi, Simonyan, Lillicrap 2019).

    With g_i the gradient of sample i's score, a step of natural gradient descent with damping is::

        z_i <- z_i + mask_i * rate * g_i / (damping + ||g_i||^2)

    where the mask, drawn anew in each step, picks ``share`` of the entries. The gradients of D and G
    flow through the move. It is computed with autocast off, in float32 at least.

    The paper draws z uniformly on [-1, 1] and clips the moved z to this range; a normal z is clipped
    only with ``limit``. Clipping a z that starts outside the range does not count as a move. The
    reference package always clips to [-1, 1] (``limit=1``), masks whole samples instead of entries,
    counts the moves of masked samples, and makes one step whatever the configured number.

    Args:
        config: rate, damping, share, steps, limit.
        score: z ``[N, Z]`` to D(G(z)) ``[N]``.
        z: ``[N, Z]``.
        draws: randomness of which entries move.

    Returns:
        The moved z, with the graph of the move, and the mean over samples of the squared length of the
        whole move, from the clipped z where there is a limit. Under ``no_grad`` neither has a graph.
    """
    keeps_graph = torch.is_grad_enabled()
    start = widened(z)
    moved = start
    for _ in range(config.steps):
        gradient = slope(score, moved, create_graph=keeps_graph)
        square = gradient.square().sum(dim=1, keepdim=True)
        rests = draws.uniform(*z.shape) >= config.share
        move = config.rate * gradient / (config.damping + square)
        moved = moved + move.masked_fill(rests, 0.0)
        if config.limit is not None:
            moved = moved.clamp(-config.limit, config.limit)
    if config.limit is not None:
        start = start.clamp(-config.limit, config.limit)
    return moved, (moved - start).square().sum(dim=1).mean()
