"""Precision and recall of distributions (Sajjadi et al. 2018), as F_1/8 and F_8.

The paper is "Assessing Generative Models via Precision and Recall", NeurIPS 2018.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.metrics.base import Comparison, Metric, Value
from reacgan.metrics.kmeans import kmeans
from reacgan.metrics.order import scattered_order
from reacgan.progress import counted
from reacgan.randomness import derive_seed

WEIGHT = 8.0
_CURVE_POINTS = 101


def prd_curve(real: Tensor, fake: Tensor, *, angles: int = 1001) -> tuple[Tensor, Tensor]:
    """Precision and recall of histogram ``fake`` against ``real`` (section 3.2, equations 7 and 8).

    With p of the real and q of the fake images, for lambda = tan(i / (angles + 1) * pi / 2)::

        precision alpha(lambda) = sum min(lambda p, q)
        recall    beta(lambda)  = sum min(p, q / lambda) = alpha(lambda) / lambda

    Args:
        real: ``[B]``, sums to 1.
        fake: ``[B]``, sums to 1.
        angles: points of the curve; odd, so that lambda = 1 is one of them.

    Returns:
        Precision and recall, float64 ``[angles]``, lambda rising.
    """
    slope = _slopes(angles).to(real.device)
    precision = torch.minimum(slope[:, None] * real.double(), fake.double()).sum(1)
    return precision.clamp_max(1), (precision / slope).clamp_max(1)


def max_f_beta(precision: Tensor, recall: Tensor, beta: float) -> float:
    """Highest F_beta on a curve: (1 + b^2) alpha beta / (b^2 alpha + beta), 0 where both are 0.

    b over 1 weights recall, b under 1 precision.
    """
    below = beta**2 * precision + recall
    above = (1 + beta**2) * precision * recall
    return float(torch.where(below > 0, above / below.clamp_min(1e-300), 0.0).max())


@dataclass(kw_only=True, eq=False)
class Prd(Metric):
    """``f_1_8`` (weights precision) and ``f_8`` (weights recall) of histograms over k-means clusters.

    Real and fake features are clustered together; the two histograms over the clusters give a curve of
    precision and recall; curves of several clusterings are averaged, and the highest F_beta on the mean
    is the value. Equally many real and fake features enter: of the larger set, those that come first in
    the order of hashes of their bytes, so that the order of images does not matter.

    Differs from the authors' program in the clustering (here Lloyd from one k-means++ start a run, there
    mini-batches and the best of ten starts) and in the grid of lambda (here the paper's).

    Args:
        clusters: of real and fake features together.
        runs: clusterings that are averaged.
        angles: points of the curve.
        images: maximum number of features of each side; None: all.
        seed: of the clusterings.
    """

    needs = frozenset({"real features"})

    clusters: Annotated[int, Field(ge=2)] = 20
    runs: Annotated[int, Field(ge=1)] = 10
    angles: Annotated[int, Field(ge=3)] = 1001
    images: Annotated[int, Field(ge=1)] | None = None
    seed: int = 0

    def measure(self, comparison: Comparison) -> list[Value]:
        """Values ``f_1_8`` and ``f_8``; the second's details hold the curve.

        Raises:
            ConfigError: fewer features than clusters, features of different length or not finite.
        """
        real, fake = comparison.real.all_features(), comparison.fake.all_features()
        self._check(real, fake)
        count = min(len(real), len(fake), self.images or len(real))
        curves = [
            prd_curve(p, q, angles=self.angles)
            for p, q in self._histograms(_first(real, count), _first(fake, count))
        ]
        precision, recall = (torch.stack(part).mean(0) for part in zip(*curves, strict=True))
        settings = {
            "clusters": self.clusters,
            "runs": self.runs,
            "angles": self.angles,
            "seed": self.seed,
            "images": count,
        }
        notes = _thinned(len(real), len(fake), count)
        return [
            Value(
                name,
                max_f_beta(precision, recall, beta),
                "higher",
                settings=settings,
                details={"runs": [max_f_beta(*curve, beta) for curve in curves], **more},
                notes=notes,
            )
            for name, beta, more in (
                ("f_1_8", 1 / WEIGHT, {}),
                ("f_8", WEIGHT, {"curve": self._points(precision, recall)}),
            )
        ]

    def _check(self, real: Tensor, fake: Tensor) -> None:
        if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
            raise ConfigError(
                f"features are {list(real.shape)} and {list(fake.shape)}; needed: [N, D] and [M, D]"
            )
        count = min(len(real), len(fake), self.images or len(real))
        if count < self.clusters:
            raise ConfigError(
                f"{count} real and fake features each in {self.clusters} clusters; needed: at least "
                "one a cluster. Score more images, or take fewer clusters"
            )
        if not bool(real.isfinite().all() and fake.isfinite().all()):
            raise ConfigError("features hold values that are not finite; check their source")

    def _histograms(self, real: Tensor, fake: Tensor) -> list[tuple[Tensor, ...]]:
        """(real, fake), float64 ``[clusters]`` each, of every run."""
        both = torch.cat([real, fake]).float()
        order = torch.from_numpy(scattered_order(both.cpu().numpy())).to(both.device)
        is_fake = order >= len(real)
        both = both[order]
        points = both - both.mean(0, dtype=torch.float64).float()
        points = points / points.abs().max().clamp_min(torch.finfo(torch.float32).tiny)
        made = []
        for run in counted(range(self.runs), "clustering features", self.runs, "runs"):
            assigned = kmeans(points, self.clusters, seed=derive_seed(self.seed, "prd", run))
            made.append(
                tuple(
                    torch.bincount(assigned[side], minlength=self.clusters).double() / len(real)
                    for side in (~is_fake, is_fake)
                )
            )
        return made

    def _points(self, precision: Tensor, recall: Tensor) -> list[dict[str, Any]]:
        kept = torch.linspace(0, self.angles - 1, min(self.angles, _CURVE_POINTS)).round().long()
        return [
            {"lambda": slope, "precision": alpha, "recall": beta}
            for slope, alpha, beta in zip(
                _slopes(self.angles)[kept].tolist(),
                precision[kept].tolist(),
                recall[kept].tolist(),
                strict=True,
            )
        ]


def _slopes(angles: int) -> Tensor:
    steps = torch.arange(1, angles + 1, dtype=torch.float64)
    return torch.tan(steps / (angles + 1) * (math.pi / 2))


def _first(features: Tensor, count: int) -> Tensor:
    """The first ``count`` in the order of hashes."""
    order = scattered_order(features.cpu().numpy())[:count]
    return features[torch.from_numpy(order).to(features.device)]


def _thinned(real: int, fake: int, count: int) -> tuple[str, ...]:
    if real == fake == count:
        return ()
    return (f"{count} of {real} real and {count} of {fake} fake features: as many of either side",)
