"""Count, mean and covariance of features: all that FID knows of a set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of N features of length D, in float64."""

    count: int
    mean: Tensor
    """``[D]``."""
    covariance: Tensor
    """``[D, D]``, unbiased (divided by N - 1)."""

    @classmethod
    def of(cls, features: Tensor) -> Moments:
        """Moments of features ``[N, D]``, N at least 2."""
        held = features.double()
        return cls(len(held), held.mean(0), torch.cov(held.T).reshape(held.shape[1], -1))

    def tensors(self) -> dict[str, Tensor]:
        """As named tensors, for a file."""
        return {"count": torch.tensor(self.count), "mean": self.mean, "covariance": self.covariance}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Moments:
        """What :meth:`tensors` gave."""
        return cls(int(tensors["count"]), tensors["mean"], tensors["covariance"])
