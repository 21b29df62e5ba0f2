"""Fréchet distance of two sets of features, as FID measures it, in the features of any network."""

from __future__ import annotations

import torch
from torch import Tensor

from reacgan.config import ConfigError


def frechet_distance(real: Tensor, fake: Tensor) -> float:
    """Fréchet distance of two Gaussians fitted to features (Dowson, Landau 1982; Heusel et al. 2017).

    With means m, n and covariances S, T::

        |m - n|^2 + tr S + tr T - 2 tr (S^(1/2) T S^(1/2))^(1/2)

    In float64; the trace of the root is the sum of the roots of the eigenvalues of a symmetric matrix,
    so nothing becomes complex. It is FID only in the features of FID's own network.

    Args:
        real: ``[N, D]``, N >= 2.
        fake: ``[M, D]``, M >= 2. Fewer samples than dimensions overestimate the distance.

    Raises:
        ConfigError: other shapes, or values that are not finite.
    """
    for name, features in (("real", real), ("fake", fake)):
        if features.dim() != 2 or len(features) < 2:
            raise ConfigError(f"{name}: {list(features.shape)}; needed: [N, D] with N >= 2")
        if not bool(torch.isfinite(features).all()):
            raise ConfigError(f"{name}: holds NaN or infinity")
    if real.shape[1] != fake.shape[1]:
        raise ConfigError(f"real has width {real.shape[1]}, fake {fake.shape[1]}; needed: the same")
    real, fake = real.double(), fake.double()
    root = _root(torch.cov(real.T).reshape(real.shape[1], -1))
    product = root @ torch.cov(fake.T).reshape(real.shape[1], -1) @ root
    trace = torch.linalg.eigvalsh(product).clamp_min(0).sqrt().sum()
    apart = (real.mean(0) - fake.mean(0)).square().sum()
    spread = real.var(0).sum() + fake.var(0).sum()
    return max(float(apart + spread - 2 * trace), 0.0)


def _root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T
