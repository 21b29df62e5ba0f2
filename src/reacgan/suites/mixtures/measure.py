"""Distance of generated points to a mixture, by class, and overlap of classes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from reacgan.suites.mixtures.targets import Mixture

REAL_SEED = 20_211
"""Seed of the real points for comparisons; trials use other streams."""
CELLS = {1: 64, 2: 24}
"""Cells a side of histograms, by dimension."""
_MOST_KERNEL_POINTS = 1000

Values = dict[str, float]


def sliced_wasserstein(first: Tensor, second: Tensor, directions: int = 32) -> float:
    """Mean over directions of the 1-Wasserstein distance of two samples ``[N, D]`` on that line.

    The distance of two equally large samples is the mean gap of their sorted values. In one dimension
    there is one direction. In two they are equally spaced angles over half a turn: deterministic, and
    accurate to high order.
    """
    first, second = first.double(), second.double()
    if first.shape[-1] == 1:
        return _wasserstein(first[:, 0], second[:, 0])
    turns = math.pi * torch.arange(directions, dtype=torch.float64) / directions
    axes = torch.stack([turns.cos(), turns.sin()])
    lines = zip((first @ axes).T, (second @ axes).T, strict=True)
    return math.fsum(_wasserstein(a, b) for a, b in lines) / directions


def _wasserstein(first: Tensor, second: Tensor) -> float:
    return float((first.sort().values - second.sort().values).abs().mean())


def cell_shares(target: Mixture, points: Tensor) -> Tensor:
    """Share of ``points [N, D]`` in each cell of the target's histogram: ``[cells ** D]``.

    Cells divide the box of three deviations around every class; the outermost extend to infinity.
    """
    index = torch.zeros(len(points), dtype=torch.int64)
    for edges, values in zip(_edges(target), points.double().T, strict=True):
        cell = torch.bucketize(values.contiguous(), edges[1:-1])
        index = index * (len(edges) - 1) + cell
    cells = CELLS[target.dimensions] ** target.dimensions
    return torch.bincount(index, minlength=cells).double() / len(points)


def true_shares(target: Mixture) -> Tensor:
    """Probability of each cell of :func:`cell_shares` under each class: ``[K, cells ** D]``, exact."""
    rows = []
    for mean, deviation in zip(target.means, target.deviations, strict=True):
        sides = [
            torch.special.ndtr((edges - centre) / deviation).diff()
            for edges, centre in zip(_edges(target), mean, strict=True)
        ]
        rows.append(sides[0] if len(sides) == 1 else torch.outer(*sides).flatten())
    return torch.stack(rows)


def _edges(target: Mixture) -> list[Tensor]:
    low, high = target.box(3.0)
    sides = []
    for start, stop in zip(low.tolist(), high.tolist(), strict=True):
        edges = torch.linspace(start, stop, CELLS[target.dimensions] + 1, dtype=torch.float64)
        edges[0], edges[-1] = -math.inf, math.inf
        sides.append(edges)
    return sides


def gaussian_mmd(points: Tensor, mean: Tensor, deviation: float, bandwidth: float) -> float:
    """Squared maximum mean discrepancy between ``points [N, D]`` and a round Gaussian, unbiased.

    The kernel is exp(-|a - b|^2 / (2 bandwidth^2)). Of its three terms only the one of points with
    points is estimated; those with the Gaussian have a closed form, so no real points are drawn. It may be
    slightly negative.
    """
    points, mean = points.double(), mean.double()
    count, dimensions = points.shape
    narrow = bandwidth**2
    squares = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").square()
    own = torch.exp(-squares / (2 * narrow))
    among = (own.sum() - count) / (count * (count - 1))
    wide = narrow + deviation**2
    away = (points - mean).square().sum(dim=1)
    across = (narrow / wide) ** (dimensions / 2) * torch.exp(-away / (2 * wide)).mean()
    true = (narrow / (narrow + 2 * deviation**2)) ** (dimensions / 2)
    return float(among - 2 * across + true)


def measure(target: Mixture, points: Tensor) -> dict[str, list[Values] | Values]:
    """Everything about generated ``points [K, N, D]``: by class, their mean, and overall.

    ``classes`` and their mean ``by_class`` hold ``wasserstein`` (sliced in 2-D; target's units),
    ``variation`` (total variation of histograms against exact probabilities), ``mmd``
    (:func:`gaussian_mmd`; bandwidth: the mean class deviation), ``deviation`` (generated over true),
    ``shift`` (distance of means in true deviations), ``agreement`` (label accuracy by the Bayes
    classifier) and ``covered`` (probability of the cells where generated points are at least a quarter
    as frequent as real ones). ``overall`` holds ``wasserstein``, ``variation`` and ``covered`` of all
    classes together, and ``separation``: agreement less the Bayes accuracy, above 0 where classes
    overlap too little.
    """
    real = target.sample_classes(points.shape[1], REAL_SEED)
    exact = true_shares(target)
    shares = torch.stack([cell_shares(target, of_class) for of_class in points])
    classes = [
        _of_class(target, label, points[label], real[label])
        | _of_cells(shares[label], exact[label])
        for label in range(target.num_classes)
    ]
    by_class = {
        name: math.fsum(values[name] for values in classes) / len(classes) for name in classes[0]
    }
    overall = {
        "wasserstein": sliced_wasserstein(points.flatten(0, 1), real.flatten(0, 1)),
        **_of_cells(shares.mean(dim=0), exact.mean(dim=0)),
        "separation": by_class["agreement"] - target.bayes_accuracy,
    }
    return {"classes": classes, "by_class": by_class, "overall": overall}


def _of_class(target: Mixture, label: int, points: Tensor, real: Tensor) -> Values:
    mean = torch.tensor(target.means[label], dtype=torch.float64)
    deviation = target.deviations[label]
    bandwidth = math.fsum(target.deviations) / target.num_classes
    spread = points.double().var(dim=0).mean().sqrt()
    return {
        "wasserstein": sliced_wasserstein(points, real),
        "mmd": gaussian_mmd(points[:_MOST_KERNEL_POINTS], mean, deviation, bandwidth),
        "deviation": float(spread) / deviation,
        "shift": float((points.double().mean(dim=0) - mean).norm()) / deviation,
        "agreement": float((target.bayes(points) == label).double().mean()),
    }


def _of_cells(shares: Tensor, exact: Tensor) -> Values:
    return {
        "variation": 0.5 * float((shares - exact).abs().sum()),
        "covered": float(exact[shares >= 0.25 * exact].sum()),
    }
