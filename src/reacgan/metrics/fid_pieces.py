"""FID of subsets of the fakes: moments of pieces, merged for any choice of pieces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.metrics.base import FeatureSet
from reacgan.metrics.frechet import frechet_distance, reference_factor
from reacgan.metrics.moments import Moments, check_features
from reacgan.metrics.order import content_order
from reacgan.progress import counted
from reacgan.randomness import derive_seed


def extrapolate(counts: Sequence[float], distances: Sequence[float]) -> float:
    """Where the least-squares line of distances over 1 / count meets 1 / count = 0."""
    inverse = 1 / np.asarray(counts, dtype=np.float64)
    _, intercept = np.polyfit(inverse, np.asarray(distances, dtype=np.float64), 1)
    return float(intercept)


def bend(counts: Sequence[float], distances: Sequence[float]) -> float:
    """Where the parabola over 1 / count through three points meets 1 / count = 0."""
    inverse = 1 / np.asarray(counts, dtype=np.float64)
    return float(np.polyfit(inverse, np.asarray(distances, dtype=np.float64), 2)[-1])


class Pieces:
    """Fakes in random pieces of one size, whose moments can be merged."""

    def __init__(self, real: FeatureSet, pieces: list[Tensor]) -> None:
        pieces = [piece.to(real.works_on) for piece in pieces]
        self.real = real.moments.to(real.works_on)
        self.moments = [Moments.of(piece) for piece in pieces]
        self.width = pieces[0].shape[1]
        self._pieces = pieces
        self._means: dict[int, float] = {}
        few = len(pieces[0]) * len(pieces) <= self.width
        self._factor = None if few else reference_factor(real).to(real.works_on)

    @classmethod
    def of(cls, real: FeatureSet, features: Tensor, *, count: int, seed: int) -> Pieces:
        """Split features into ``count`` pieces by a seeded hash of each; up to count - 1 are left over.

        Raises:
            ConfigError: fewer than two for a piece, or values that are not finite.
        """
        check_features(features, "fake features")
        size = len(features) // count
        if size < 2:
            raise ConfigError(
                f"{len(features)} fakes in {count} pieces; needed: two in a piece. Score more fakes"
            )
        order = content_order(features, seed=seed)[: size * count]
        return cls(real, [features[part] for part in order.split(size)])

    def distance(self, chosen: Sequence[int]) -> float:
        """FID of the fakes of these pieces."""
        if sum(len(self._pieces[piece]) for piece in chosen) <= self.width:
            fake: Tensor | Moments = torch.cat([self._pieces[piece] for piece in chosen])
        else:
            fake = Moments.merge(self.moments[piece] for piece in chosen)
        return frechet_distance(self.real, fake, factor=self._factor)

    def sizes(self) -> list[int]:
        """Divisors of the number of pieces."""
        total = len(self._pieces)
        return [size for size in range(1, total + 1) if total % size == 0]

    def images(self, size: int) -> int:
        """Number of fakes in ``size`` pieces."""
        return size * len(self._pieces[0])

    def mean_distance(self, size: int) -> float:
        """Mean FID of disjoint sets of ``size`` pieces, every piece in one of them.

        All fakes enter the mean, for any size: sampling error moves all points of the curve alike, and the
        slope depends on the number of fakes alone.
        """
        if size not in self._means:
            starts = range(0, len(self._pieces), size)
            parts = counted(
                starts, f"distances of {self.images(size):,} fakes", len(starts), "sets"
            )
            distances = [self.distance(range(start, start + size)) for start in parts]
            self._means[size] = float(np.mean(distances))
        return self._means[size]

    def halves(self, resamples: int, *, seed: int) -> list[float]:
        """FID of random halves of the pieces."""
        random = np.random.default_rng(derive_seed(seed, "fid halves", 0))
        total = len(self._pieces)
        return [
            self.distance(sorted(random.choice(total, total // 2, replace=False).tolist()))
            for _ in counted(range(resamples), "distances of halves", resamples, "halves")
        ]
