"""Directions of the latent space that mean something, without labels or training."""

from __future__ import annotations

import torch
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.models import Generator


def semantic_directions(generator: Generator, count: int) -> Tensor:
    """SeFa: the directions in which z changes most what the first layers give (Shen & Zhou 2021).

    With A the weights that z meets, one above the other, these are the eigenvectors of A^T A with
    the largest eigenvalues: n maximises |A n|^2 among the unit vectors orthogonal to those before
    (CVPR 2021). For a generator with styles these are directions of z, not of w.

    Args:
        generator: names the weights by :meth:`Generator.latent_weights`.
        count: how many directions, 1 to latent_dim.

    Returns:
        float32 ``[count, latent_dim]`` on the CPU: unit vectors, largest eigenvalue first, the sign
        such that the entry of the largest absolute value is positive.

    Raises:
        ConfigError: the generator names no such weights, or ``count`` is out of range.
    """
    weights = generator.latent_weights()
    latent_dim = generator.latent_dim
    if not 1 <= count <= latent_dim:
        raise ConfigError(f"directions is {count}; allowed: 1 to {latent_dim}, the length of z")
    square = torch.zeros(latent_dim, latent_dim, dtype=torch.float64)
    for weight in weights:
        held = weight.detach().cpu().double()
        square += held.T @ held
    found = torch.linalg.eigh(square).eigenvectors.flip(1).T[:count]  # eigh: smallest first
    largest = found.gather(1, found.abs().argmax(1, keepdim=True))
    return (found * largest.sign()).float()
