"""The latent of a seed: the same on every device, in any batch, for every class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from reacgan.config import ConfigError, check_real
from reacgan.randomness import derive_seed

COUPLED_CHUNK = 64
"""Images in a pass with batch statistics, on every device."""
_USUAL_CHUNK = 64
_PIXELS = 1 << 20
"""In a pass on CUDA with enough memory: 1,024 images of 32 x 32, 64 of 128 x 128."""
_ENOUGH = 20 * 2**30
"""Bytes of a device; with less, a quarter of the pixels."""


def chunk_size(device: torch.device, pixels: int | None = None) -> int:
    """Images in a forward pass; fixed, since another batch shape may round differently.

    So a class and a seed are one image on a kind of device and in a precision; two GPUs, or a GPU and a
    processor, differ in a few pixels.

    Args:
        device: of the generator.
        pixels: height times width of an image; None where it is not known.
    """
    if device.type != "cuda":
        return 16
    if pixels is None:
        return _USUAL_CHUNK
    room = _PIXELS
    if (
        torch.cuda.is_available()
        and torch.cuda.get_device_properties(device).total_memory < _ENOUGH
    ):
        room //= 4
    return min(1024, max(16, room // pixels // 8 * 8))


def check_truncation(truncation: Any) -> None:
    """Raise ConfigError unless it is positive, or None."""
    allowed = "a positive number, such as 0.7"
    if truncation != math.inf:
        check_real("truncation", truncation, allowed, above=0, optional=True)


def check_seed(seed: Any) -> None:
    """Raise ConfigError where it is negative."""
    if isinstance(seed, bool) or not isinstance(seed, Integral) or int(seed) < 0:
        raise ConfigError(f"seed is {seed!r}; allowed: 0 or more, a whole number")


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
    uniform = torch.empty(len(seeds), dimension)
    generator = torch.Generator()
    for row, seed in zip(uniform.unbind(), seeds, strict=True):
        # As Draws(seed, "sample", 0).uniform, at a tenth of the time: it counts with 50,000 seeds.
        generator.manual_seed(derive_seed(seed, "sample", 0))
        torch.rand(dimension, generator=generator, out=row)
    inside = math.erf(truncation / math.sqrt(2)) if truncation is not None else 1.0
    # Float32 uniforms reach 0; half a step inwards keeps erfinv finite.
    centred = (2 * (uniform.double() + 2.0**-25) - 1) * inside
    return (math.sqrt(2) * torch.erfinv(centred)).float()
