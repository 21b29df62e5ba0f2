"""Latent optimisation: z moves towards what D likes (LOGAN)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from reacgan.config import LatentOptimisationConfig
from reacgan.randomness import Draws


def optimised_latents(
    config: LatentOptimisationConfig,
    score: Callable[[Tensor], Tensor],
    z: Tensor,
    draws: Draws,
) -> tuple[Tensor, Tensor]:
    """Move z along the gradient of D's score (Wu, Donahue, Balduzzi, Simonyan, Lillicrap 2019).

    Args:
        config: rate, damping, share, steps.
        score: z ``[N, Z]`` to D(G(z)) ``[N]``.
        z: ``[N, Z]``.
        draws: randomness of which entries move.

    Returns:
        The moved z, with the graph of the move, and the mean squared length of the move.
    """
    raise NotImplementedError
