"""The latent of a seed: the same on every device, in any batch, for every class."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.randomness import Draws

COUPLED_CHUNK = 64
"""Images in a pass with batch statistics, on every device."""


def chunk_size(device: torch.device) -> int:
    """Images in a forward pass; fixed, since rounding may depend on the batch shape."""
    return 64 if device.type == "cuda" else 16


def check_truncation(truncation: float | None) -> None:
    """Raise ConfigError unless it is positive, or None."""
    if truncation is not None and not truncation > 0:
        raise ConfigError(f"truncation is {truncation}; allowed: a positive number, such as 0.7")


def check_seed(seed: int) -> None:
    """Raise ConfigError where it is negative."""
    if seed < 0:
        raise ConfigError(f"seed is {seed}; allowed: 0 or more")


def latents_for(seeds: Sequence[int], dimension: int, truncation: float | None = None) -> Tensor:
    """Latents ``[len(seeds), dimension]``, float32, on the CPU.

    z = sqrt(2) erfinv(2p - 1) with p uniform: the standard normal, or, with truncation t, the normal
    conditioned on |z| < t. The latent of a seed changes continuously with t.

    Args:
        seeds: of each row, 0 or more.
        dimension: length of z.
        truncation: largest absolute value allowed; None for no limit. Small values trade variety
            for typicality (the truncation trick, Brock et al. 2019).

    Raises:
        ConfigError: truncation is not positive, or a seed is negative.
    """
    check_truncation(truncation)
    check_seed(min(seeds, default=0))
    rows = [Draws(seed, "sample", 0).uniform(1, dimension).double() for seed in seeds]
    uniform = torch.cat(rows) if rows else torch.empty(0, dimension, dtype=torch.float64)
    inside = math.erf(truncation / math.sqrt(2)) if truncation is not None else 1.0
    # Float32 uniforms reach 0; half a step inwards keeps erfinv finite.
    centred = (2 * (uniform + 2.0**-25) - 1) * inside
    return (math.sqrt(2) * torch.erfinv(centred)).float()
