"""Fréchet distance of two sets of features, as in FID, for features of any network."""

from __future__ import annotations

import torch
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.metrics.base import FeatureSet
from reacgan.metrics.moments import Moments, check_features

_STRIP = 256


def frechet_distance(
    real: Moments | Tensor, fake: Moments | Tensor, *, factor: Tensor | None = None
) -> float:
    """Fréchet distance of two Gaussians fitted to features (Dowson, Landau 1982; Heusel et al. 2017).

    With means m, n and covariances S = F F^T and T::

        |m - n|^2 + tr S + tr T - 2 tr (F^T T F)^(1/2)

    In float64. F^T T F is symmetric and has the eigenvalues of S T, so the trace of the root is the sum
    of the roots of its eigenvalues and nothing becomes complex. F is the Cholesky factor of S. With N <= D
    the centred features are a factor, and the matrix is N x N; two such sets need the singular values of
    one matrix of inner products. It is FID only in the features of FID's own network.

    Args:
        real: features ``[N, D]``, N >= 2, or their moments.
        fake: features ``[M, D]``, M >= 2, or their moments. Fewer samples than dimensions
            overestimate the distance.
        factor: :func:`covariance_factor` of ``real``, if known.

    Raises:
        ConfigError: other shapes, or values that are not finite.
    """
    first, second = _Side(real, "real features"), _Side(fake, "fake features")
    if len(first.mean) != len(second.mean):
        raise ConfigError(
            f"real has width {len(first.mean)}, fake {len(second.mean)}; needed: the same"
        )
    trace = _trace_of_root(first, second, factor)
    apart = (first.mean - second.mean).square().sum()
    return max(float(apart + first.spread + second.spread) - 2 * trace, 0.0)


def distance_of_sets(real: FeatureSet, fake: FeatureSet) -> float:
    """Fréchet distance of two sets; the factor of the reference is made once and kept."""
    device, theirs = fake.works_on, fake_side(fake).to(fake.works_on)
    if _are_few(real.features):
        assert real.features is not None
        return frechet_distance(real.features.to(device), theirs)
    few = _are_few(fake.features)
    factor = None if few else reference_factor(real).to(device)
    return frechet_distance(real.moments.to(device), theirs, factor=factor)


def fake_side(fake: FeatureSet) -> Moments | Tensor:
    """Features where these are few, else moments: the cheaper input of the distance."""
    return fake.features if fake.features is not None and _are_few(fake.features) else fake.moments


def reference_factor(real: FeatureSet) -> Tensor:
    """The factor of a set's covariance, kept with the set."""

    def make() -> dict[str, Tensor]:
        return {"factor": covariance_factor(real.moments.to(real.works_on)).cpu()}

    return real.keep("cholesky", make)["factor"]


def covariance_factor(moments: Moments) -> Tensor:
    """F ``[D, r]`` with S = F F^T: lower triangular where S has full rank.

    Otherwise (fewer samples than dimensions, constant features) F has a column for each
    positive eigenvalue of S.

    Raises:
        ConfigError: a covariance that is not finite.
    """
    covariance = moments.covariance.double()
    if not bool(torch.isfinite(covariance).all()):
        raise ConfigError("the covariance holds NaN or infinity: check its source")
    width = len(covariance)
    most = _most_rank(moments.count, moments.mean.double(), covariance.diagonal())
    if most == width:
        factor, failed = torch.linalg.cholesky_ex(covariance)
        if not int(failed):
            return factor
    values, vectors = torch.linalg.eigh(covariance)
    least = float(values[-1]) * width * torch.finfo(torch.float64).eps
    chosen = (values > least) & (torch.arange(width, device=values.device) >= width - most)
    return vectors[:, chosen] * values[chosen].sqrt()


class _Side:
    """One of the two Gaussians: moments, or few centred features whose products give the covariance."""

    rows: Tensor | None = None
    """``[n, D]`` with S = rows^T rows, where n <= D."""
    moments: Moments | None = None

    def __init__(self, data: Moments | Tensor, name: str) -> None:
        if isinstance(data, Tensor):
            check_features(data, name)
        if isinstance(data, Tensor) and _are_few(data):
            features = data.double()
            self.mean = features.mean(0)
            self.rows = (features - self.mean) / (len(features) - 1) ** 0.5
            variances = self.rows.square().sum(0)
            self.spread = variances.sum()
            self.rank = _most_rank(len(features), self.mean, variances)
            return
        self.moments = Moments.of(data) if isinstance(data, Tensor) else data
        self.mean = self.moments.mean.double()
        variances = self.moments.covariance.double().diagonal()
        self.spread = variances.sum()
        self.rank = _most_rank(self.moments.count, self.mean, variances)
        if not bool(torch.isfinite(self.mean).all() & torch.isfinite(self.spread)):
            raise ConfigError(f"{name} have moments that are not finite: check their source")


def _trace_of_root(real: _Side, fake: _Side, factor: Tensor | None) -> float:
    if real.rows is not None and fake.rows is not None:
        return float(torch.linalg.svdvals(real.rows @ fake.rows.T).sum())
    for few, many in ((real, fake), (fake, real)):
        if few.rows is not None and many.moments is not None:
            product = few.rows @ many.moments.covariance.double() @ few.rows.T
            return _sum_of_roots(product, min(real.rank, fake.rank))
    assert real.moments is not None and fake.moments is not None
    factor = covariance_factor(real.moments) if factor is None else factor
    product = _congruence(factor, fake.moments.covariance.double())
    return _sum_of_roots(product, min(real.rank, fake.rank))


def _congruence(factor: Tensor, covariance: Tensor) -> Tensor:
    """F^T T F, at least its lower triangle; a triangular F saves two thirds of the work."""
    width = len(covariance)
    if factor.shape[1] < width or bool(factor.triu(1).any()):
        return factor.T @ (covariance @ factor)
    half = torch.empty_like(factor)
    product = torch.zeros_like(factor)
    for start in range(0, width, _STRIP):
        own = slice(start, start + _STRIP)
        half[:, own] = covariance[:, start:] @ factor[start:, own]
    for start in range(0, width, _STRIP):
        stop = start + _STRIP
        product[start:stop, :stop] = factor[start:, start:stop].T @ half[start:, :stop]
    return product


def _sum_of_roots(product: Tensor, rank: int) -> float:
    """Sum of the roots of the ``rank`` largest eigenvalues; others are rounding. Lower triangle only."""
    if not rank or not product.numel():
        return 0.0
    values = torch.linalg.eigvalsh(product)[-rank:]
    return float(values.clamp_min(0).sqrt().sum())


def _most_rank(count: int, mean: Tensor, variances: Tensor) -> int:
    """The rank of a covariance is at most count - 1, and at most the number of features that vary."""
    rounding = 64 * torch.finfo(torch.float64).eps * mean
    changing = int((variances > rounding.square()).sum())
    return min(count - 1, changing) if count else changing


def _are_few(features: Tensor | None) -> bool:
    return features is not None and len(features) <= features.shape[1]
