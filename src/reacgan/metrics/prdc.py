"""Precision, recall, density and coverage of generated features against real ones.

Kynkaanniemi et al. 2019 (improved precision and recall) and Naeem et al. 2020 (density, coverage).
A real sample's ball reaches to its k-th nearest real neighbour.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from reacgan.config import ConfigError


@dataclass(frozen=True)
class PRDC:
    """Shares of samples, except density, which may exceed 1."""

    precision: float
    """Share of fakes that lie in the ball of some real sample."""
    recall: float
    """Share of real samples that lie in the ball of some fake."""
    density: float
    """Mean number of real balls that hold a fake, over k."""
    coverage: float
    """Share of real balls that hold at least one fake."""


def prdc(real: Tensor, fake: Tensor, *, k: int = 5, rows: int = 1024) -> PRDC:
    """Precision, recall, density, coverage.

    Args:
        real: features [N, D].
        fake: features [M, D].
        k: which neighbour a ball reaches to; the sample itself does not count.
        rows: distances are made in blocks of this many rows, so memory is rows x max(N, M).

    Raises:
        ConfigError: too few samples, or features of different length or not finite.
    """
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise ConfigError(
            f"features are {list(real.shape)} and {list(fake.shape)}; needed: [N, D] and [M, D]"
        )
    if k < 1:
        raise ConfigError(f"k is {k}; allowed: 1 or more")
    if min(len(real), len(fake)) <= k:
        raise ConfigError(f"{len(real)} real and {len(fake)} fake samples; needed: over k = {k}")
    real, fake = real.double(), fake.double()
    if not (real.isfinite().all() and fake.isfinite().all()):
        raise ConfigError("features hold values that are not finite; look at what made them")
    real_radius = _radii(real, k, rows)
    fake_radius = _radii(fake, k, rows)
    balls_holding_fake = torch.zeros(len(fake), dtype=torch.int64, device=real.device)
    covered, recalled = [], []
    for part, radius in zip(real.split(rows), real_radius.split(rows), strict=True):
        distance = _distances(part, fake)
        inside = distance <= radius[:, None]
        balls_holding_fake += inside.sum(0)
        covered.append(inside.any(1))
        recalled.append((distance <= fake_radius).any(1))
    return PRDC(
        precision=float((balls_holding_fake > 0).double().mean()),
        recall=float(torch.cat(recalled).double().mean()),
        density=float(balls_holding_fake.double().mean() / k),
        coverage=float(torch.cat(covered).double().mean()),
    )


def nearest_distances(samples: Tensor, reference: Tensor, *, rows: int = 1024) -> Tensor:
    """Distance [N] of each sample to its nearest reference; how close to the training set it is."""
    parts = [_distances(part, reference.double()).amin(1) for part in samples.double().split(rows)]
    return torch.cat(parts)


def _distances(left: Tensor, right: Tensor) -> Tensor:
    """Euclidean, by one matrix product in float64: [N, D], [M, D] -> [N, M]."""
    centre = right.mean(0)  # a common offset would cost digits
    left, right = left - centre, right - centre
    scale = left.square().sum(1)[:, None] + right.square().sum(1)
    squared = scale - 2 * left @ right.T
    # What cancels to rounding is a copy, and a copy is at distance zero.
    return squared.masked_fill(squared < 1e-13 * scale, 0).sqrt()


def _radii(samples: Tensor, k: int, rows: int) -> Tensor:
    parts = [
        _distances(part, samples).kthvalue(k + 1, dim=1).values for part in samples.split(rows)
    ]
    return torch.cat(parts)
