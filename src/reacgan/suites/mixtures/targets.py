"""Mixtures of Gaussians whose densities and Bayes accuracy are known exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from reacgan.randomness import Draws


@dataclass(frozen=True)
class Mixture:
    """K isotropic Gaussians of equal weight in one or two dimensions, one for each class."""

    name: str
    """Its name in :data:`TARGETS` and in files."""
    means: tuple[tuple[float, ...], ...]
    """``[K][D]``: the mean of each class."""
    deviations: tuple[float, ...]
    """``[K]``: the standard deviation of each class, isotropic."""

    @property
    def dimensions(self) -> int:
        """D."""
        return len(self.means[0])

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.means)

    def densities(self, points: Tensor) -> Tensor:
        """Density of each class at ``points [N, D]``: ``[N, K]``, float64."""
        return self._log_densities(points).exp()

    def bayes(self, points: Tensor) -> Tensor:
        """The class that the Bayes classifier predicts for ``points [N, D]``: int64 ``[N]``."""
        return self._log_densities(points).argmax(dim=1)

    @cached_property
    def bayes_accuracy(self) -> float:
        """Accuracy of the Bayes classifier on real points, by the midpoint rule.

        It is the integral of max_k p_k(x) / K. With 400 cells a side its error is below 1e-4 for the
        mixtures of :data:`TARGETS`.
        """
        low, high = self.box()
        widths = (high - low) / _CELLS
        sides = [a + w * (torch.arange(_CELLS) + 0.5) for a, w in zip(low, widths, strict=True)]
        points = torch.cartesian_prod(*sides).reshape(-1, self.dimensions)
        best = self.densities(points).amax(dim=1) / self.num_classes
        return float(best.sum() * widths.prod())

    def sample(self, labels: Tensor, draws: Draws) -> Tensor:
        """Points of the classes ``labels [N]`` (int64): ``[N, D]``, float32."""
        means = torch.tensor(self.means)[labels]
        noise = draws.normal(len(labels), self.dimensions)
        return means + torch.tensor(self.deviations)[labels, None] * noise

    def sample_classes(self, count: int, seed: int) -> Tensor:
        """``count`` points of every class: ``[K, count, D]``, float32; the same for the same seed."""
        labels = torch.arange(self.num_classes).repeat_interleave(count)
        points = self.sample(labels, Draws(seed, f"mixtures/{self.name}", 0))
        return points.reshape(self.num_classes, count, self.dimensions)

    def moments(self) -> tuple[Tensor, float]:
        """Mean ``[D]`` of the mixture, and its standard deviation over all directions together."""
        means = torch.tensor(self.means, dtype=torch.float64)
        within = torch.tensor(self.deviations, dtype=torch.float64).square().mean()
        centre = means.mean(dim=0)
        between = (means - centre).square().mean()
        return centre.float(), float((within + between).sqrt())

    def box(self, deviations: float = 5.0) -> tuple[Tensor, Tensor]:
        """Lowest and highest corner ``[D]`` of the box of ``deviations`` around each class."""
        means = torch.tensor(self.means, dtype=torch.float64)
        reach = deviations * torch.tensor(self.deviations, dtype=torch.float64)[:, None]
        return (means - reach).amin(dim=0), (means + reach).amax(dim=0)

    def _log_densities(self, points: Tensor) -> Tensor:
        means = torch.tensor(self.means, dtype=torch.float64)
        deviations = torch.tensor(self.deviations, dtype=torch.float64)
        squares = (points.double()[:, None] - means).square().sum(dim=2)
        constant = self.dimensions * (deviations.log() + 0.5 * math.log(2 * math.pi))
        return -squares / (2 * deviations.square()) - constant


_CELLS = 400


def ring(classes: int, *, radius: float = 2.0, deviation: float = 0.5) -> Mixture:
    """Classes at equal angles on a circle, each overlapping its two neighbours."""
    turns = [2 * math.pi * index / classes for index in range(classes)]
    means = tuple((radius * math.cos(turn), radius * math.sin(turn)) for turn in turns)
    return Mixture(f"ring{classes}", means, (deviation,) * classes)


LINE = Mixture("line", ((0.0,), (3.0,), (6.0,)), (1.0, 2.0, 3.0))
"""Three classes on a line, each twice or three times as wide as the first (TAC-GAN's figure 1)."""
BLOBS = Mixture("blobs", ((-1.0, -0.577), (1.0, -0.577), (0.0, 1.155)), (1.0, 1.0, 1.0))
"""Three wide classes at the corners of a triangle of side 2: deviation 1."""

TARGETS: dict[str, Mixture] = {target.name: target for target in (LINE, BLOBS, ring(8))}
