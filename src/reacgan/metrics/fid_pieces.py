"""FID of parts of the fakes: their moments are taken once and joined for any choice of parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.metrics.base import FeatureSet
from reacgan.metrics.frechet import frechet_distance, reference_factor
from reacgan.metrics.moments import Moments, check_features
from reacgan.metrics.order import content_order
from reacgan.randomness import derive_seed


def extrapolate(counts: Sequence[float], distances: Sequence[float]) -> float:
    """Where the least-squares line of distances over 1 / count meets 1 / count = 0."""
    inverse = 1 / np.asarray(counts, dtype=np.float64)
    _, intercept = np.polyfit(inverse, np.asarray(distances, dtype=np.float64), 1)
    return float(intercept)


@dataclass(frozen=True)
class Half:
    """What half of the pieces gives."""

    distance: float
    """FID of half of the fakes."""
    limit: float
    """Extrapolated from the half and its pieces."""


class Pieces:
    """Fakes in random pieces of one size: their moments join to those of any number of pieces."""

    def __init__(self, real: FeatureSet, pieces: list[Tensor]) -> None:
        self.real = real
        self.moments = [Moments.of(piece) for piece in pieces]
        self.width = pieces[0].shape[1]
        self._pieces = pieces
        self._single: dict[int, float] = {}
        few = len(pieces[0]) * len(pieces) <= self.width
        self._factor = None if few else reference_factor(real)

    @classmethod
    def of(cls, real: FeatureSet, features: Tensor, *, points: int, seed: int) -> Pieces:
        """Cut features into ``points`` pieces by a seeded hash of each; up to points - 1 are left over.

        Raises:
            ConfigError: fewer than two for a piece, or values that are not finite.
        """
        check_features(features, "fake features")
        size = len(features) // points
        if size < 2:
            raise ConfigError(
                f"{len(features)} fakes in {points} pieces; needed: two in a piece. Judge more fakes"
            )
        order = content_order(features, seed=seed)[: size * points]
        return cls(real, [features[part] for part in order.split(size)])

    def distance(self, chosen: Sequence[int]) -> float:
        """FID of the fakes of these pieces."""
        if len(chosen) == 1 and chosen[0] in self._single:
            return self._single[chosen[0]]
        if sum(len(self._pieces[place]) for place in chosen) <= self.width:
            fake: Tensor | Moments = torch.cat([self._pieces[place] for place in chosen])
        else:
            fake = Moments.merge(self.moments[place] for place in chosen)
        value = frechet_distance(self.real.moments, fake, factor=self._factor)
        if len(chosen) == 1:
            self._single[chosen[0]] = value
        return value

    def curve(self) -> tuple[list[int], list[float]]:
        """Numbers of fakes, and FID at each: the mean over disjoint choices of pieces."""
        total, start = len(self._pieces), 0
        counts, distances = [], []
        for size in range(1, total + 1):
            held = []
            for _ in range(total // size):
                held.append(self.distance([(start + step) % total for step in range(size)]))
                start += size  # the next choice begins where this one ends: none is used more
            counts.append(size * len(self._pieces[0]))
            distances.append(float(np.mean(held)))
        return counts, distances

    def halves(self, resamples: int, *, seed: int) -> list[Half]:
        """Random halves of the pieces."""
        random = np.random.default_rng(derive_seed(seed, "fid halves", 0))
        total, size = len(self._pieces), len(self._pieces) // 2
        held = []
        for _ in range(resamples):
            chosen = sorted(random.choice(total, size, replace=False).tolist())
            distance = self.distance(chosen)
            single = float(np.mean([self.distance([place]) for place in chosen]))
            held.append(Half(distance, extrapolate([size, 1], [distance, single])))
        return held
