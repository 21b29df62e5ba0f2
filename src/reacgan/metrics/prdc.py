"""Precision, recall, density and coverage of generated features against real ones.

Kynkaanniemi et al. 2019 (improved precision and recall) and Naeem et al. 2020 (density, coverage).
A real sample's hypersphere reaches to its k-th nearest real neighbour, surface included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.metrics.base import Comparison, FeatureSet, Metric, Value, share_of
from reacgan.metrics.neighbours import count_in_hyperspheres, nearest, squared_radii
from reacgan.metrics.order import content_order


@dataclass(frozen=True)
class PRDC:
    """Shares of samples, except density, which may exceed 1."""

    precision: float
    """Share of fakes that lie in the hypersphere of some real sample."""
    recall: float
    """Share of real samples that lie in the hypersphere of some fake."""
    density: float
    """Mean number of real hyperspheres that contain a fake, divided by k."""
    coverage: float
    """Share of real hyperspheres that contain at least one fake."""


def prdc(
    real: Tensor,
    fake: Tensor,
    *,
    k: int = 5,
    rows: int | None = None,
    real_radii: Tensor | None = None,
) -> PRDC:
    """Precision, recall, density, coverage; exactly as with float64 distances of all pairs.

    Args:
        real: features [N, D].
        fake: features [M, D].
        k: hyperspheres reach to the k-th neighbour; the sample itself does not count.
        rows: side of a block; no result depends on it.
        real_radii: :func:`reacgan.metrics.neighbours.squared_radii` of ``real`` and k, if known.

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
    if real_radii is None:
        real_radii = squared_radii(real, k, rows=rows)
    counts = count_in_hyperspheres(
        real, fake, real_radii, squared_radii(fake, k, rows=rows), rows=rows
    )
    return PRDC(
        precision=share_of(counts.spheres_holding > 0),
        recall=share_of(counts.recalled),
        density=int(counts.spheres_holding.sum()) / len(fake) / k,
        coverage=share_of(counts.covered),
    )


def nearest_distances(samples: Tensor, reference: Tensor, *, rows: int | None = None) -> Tensor:
    """Distance [N] of each sample to its nearest reference."""
    return nearest(samples, reference, rows=rows).squared[:, 0].sqrt()


@dataclass(kw_only=True, eq=False)
class Prdc(Metric):
    """Precision, recall, density and coverage (see :func:`prdc`).

    All four depend on the number of images: hyperspheres shrink as a set grows. Published figures
    mostly compare equal counts.

    Args:
        k: hyperspheres reach to the k-th neighbour; 5 is that of Naeem et al., 3 that of Kynkaanniemi
            et al.
        num: maximum number of images of either side, the first by a hash of their features; None: all.
    """

    needs = frozenset({"real features"})

    k: Annotated[int, Field(ge=1)] = 5
    num: Annotated[int, Field(ge=2)] | None = None

    def measure(self, comparison: Comparison) -> list[Value]:
        """``precision``, ``recall``, ``density``, ``coverage``.

        Raises:
            ConfigError: not more than k images on either side.
        """
        real = self._draw(comparison.real.all_features())
        fake = self._draw(comparison.fake.all_features())
        if min(len(real), len(fake)) <= self.k:
            raise ConfigError(
                f"{len(real)} real and {len(fake)} fake images; needed: over k = {self.k}"
            )
        real, fake = real.to(comparison.real.works_on), fake.to(comparison.real.works_on)
        shares = prdc(real, fake, k=self.k, real_radii=self._radii(comparison.real, real))
        settings = {"k": self.k, "real": len(real), "fake": len(fake), "ball": "closed"}
        notes: tuple[str, ...] = ()
        if len(real) != len(fake):
            notes = (
                f"{len(real)} real and {len(fake)} fake images: recall, density and coverage shift "
                f"with the counts. For equal ones set num={min(len(real), len(fake))}",
            )
        return [
            Value(name, getattr(shares, name), "higher", settings=settings, notes=notes)
            for name in ("precision", "recall", "density", "coverage")
        ]

    def _draw(self, features: Tensor) -> Tensor:
        if self.num is None or len(features) <= self.num:
            return features
        return features[content_order(features)[: self.num].to(features.device)]

    def _radii(self, kept_in: FeatureSet, real: Tensor) -> Tensor:
        """Radii of the reference, kept with it."""
        name = f"radii k={self.k}" if self.num is None else f"radii k={self.k} num={self.num}"
        squared = kept_in.keep(name, lambda: {"squared": squared_radii(real, self.k).cpu()})[
            "squared"
        ]
        return torch.as_tensor(squared, dtype=torch.float64, device=real.device)
