"""k-means (Lloyd 1982) with k-means++ seeding (Arthur, Vassilvitskii 2007)."""

from __future__ import annotations

import torch
from torch import Tensor

_ROWS = 8192
_ROUNDING = 1e-5
_SETTLED = 1000


def kmeans(points: Tensor, clusters: int, *, seed: int, steps: int = 100) -> Tensor:
    """Cluster of each point, int64 ``[N]``.

    Distances in float32, in blocks of a fixed number of rows; sums and centres in float64. The result
    depends on the order of the points: the caller sorts them by content. A cluster that loses all its
    points keeps its centre.

    Args:
        points: float32 ``[N, D]``; centred by the caller, since a common offset costs digits.
        clusters: number; with fewer distinct points some stay empty.
        seed: of the first centres.
        steps: maximum number of updates; it stops when at most a thousandth of the points
            changes cluster.
    """
    centres = _first_centres(points, clusters, seed)
    assigned = _nearest(points, centres)
    sums = _add(torch.zeros_like(centres), points, assigned)
    for _ in range(steps):
        counts = torch.bincount(assigned, minlength=clusters)[:, None]
        centres = torch.where(counts > 0, sums / counts.clamp_min(1), centres)
        before, assigned = assigned, _nearest(points, centres)
        moved = (assigned != before).nonzero()[:, 0]
        if len(moved) * _SETTLED <= len(points):
            break
        _add(_add(sums, points[moved], assigned[moved]), -points[moved], before[moved])
    return assigned


def _first_centres(points: Tensor, clusters: int, seed: int) -> Tensor:
    """k-means++: each next centre is a point drawn by its squared distance to the nearest one."""
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand(clusters, generator=generator, dtype=torch.float64).to(points.device)
    lengths = points.square().sum(1)
    chosen = (draws[0] * len(points)).long()
    picked = [chosen]
    nearest = _squared(points, lengths, chosen)
    for draw in draws[1:]:
        running = nearest.cumsum(0)
        if running[-1] > 0:
            index = torch.searchsorted(running, draw * running[-1], right=True)
            chosen = index.clamp_max(len(points) - 1)
        else:  # every distinct point is a centre
            chosen = (draw * len(points)).long()
        picked.append(chosen)
        nearest = torch.minimum(nearest, _squared(points, lengths, chosen))
    return points[torch.stack(picked)].double()


def _squared(points: Tensor, lengths: Tensor, chosen: Tensor) -> Tensor:
    """Squared distance of each point to the chosen one, float64 ``[N]``; exactly 0 for copies."""
    scale = lengths + lengths[chosen]
    squared = scale - 2 * (points @ points[chosen])
    return squared.masked_fill(squared < _ROUNDING * scale, 0).double()


def _nearest(points: Tensor, centres: Tensor) -> Tensor:
    half = (0.5 * centres.square().sum(1)).float()
    turned = centres.float().T.contiguous()
    return torch.cat([(part @ turned - half).argmax(1) for part in points.split(_ROWS)])


def _add(sums: Tensor, points: Tensor, assigned: Tensor) -> Tensor:
    """Add each point to the sum of its cluster, float64 ``[clusters, D]``."""
    for part, of in zip(points.split(_ROWS), assigned.split(_ROWS), strict=True):
        sums.index_add_(0, of, part.double())
    return sums
