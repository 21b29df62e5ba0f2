"""Squared distances of all pairs of two sets: bounds for blocks of pairs, exact values for single pairs.

One matrix product gives a block of |a|^2 + |b|^2 - 2 a.b, fast but rounded. The rounding error of a dot
product, for any order of its additions, is bounded by eq. 3.5 of Higham, Accuracy and Stability of
Numerical Algorithms, 2002. float32 decides nearly every comparison; the others are decided in float64,
and then by the exact distance of the pair.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan.config import ConfigError
from reacgan.metrics.moments import check_features
from reacgan.metrics.order import digests

_UNIT = {torch.float32: 2.0**-24, torch.float64: 2.0**-53}
# Upper bound on the sum of products of scaled coordinates that underflow.
_FLOOR = 2.0**-100
_LARGEST = 1e30
_PAIRS = 256
_MANY_PAIRS = 1 << 16


class Pairs:
    """All pairs of a left and a right set of features, ``[N, D]`` and ``[M, D]``.

    Bounds are computed in a frame: shifted by the median of some rows on the right (robust to outliers)
    and scaled by a power of two, so that few digits are lost and nothing overflows.
    """

    def __init__(self, left: Tensor, right: Tensor) -> None:
        self.left, self.right = left, right
        self.centre = right[:: max(1, len(right) // 512)].median(0).values
        sides = (left,) if left is right else (left, right)
        spread = max(float((bound - self.centre).abs().amax()) for side in sides
                     for bound in side.aminmax(dim=0))  # fmt: skip
        exponent = -int(torch.tensor(spread).frexp().exponent) if spread > 0 else 0
        self.scale = 2.0 ** max(-100, min(100, exponent))
        self._left_norms = self._norms(left)
        self._right_norms = self._left_norms if left is right else self._norms(right)

    def bounds(
        self, rows: slice | Tensor, columns: slice | Tensor, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        """Lower and upper bounds ``[R, C]`` of squared distances in the frame."""
        left, right = self.scaled(self.left[rows], dtype), self.scaled(self.right[columns], dtype)
        if dtype == torch.float32:
            left_norms, right_norms = self._left_norms[rows], self._right_norms[columns]
        else:
            left_norms, right_norms = left.square().sum(1), right.square().sum(1)
        error = share_of_error(left.shape[1], dtype)
        # Each row's term in the lower bounds, and the gap to its upper bounds.
        below = [(norms * (1 - error) - _FLOOR).to(dtype) for norms in (left_norms, right_norms)]
        gap = [(norms * (2 * error) + 2 * _FLOOR).to(dtype) for norms in (left_norms, right_norms)]
        lower = _product(left.mul_(-2), right).add_(below[0][:, None]).add_(below[1])
        return lower, (lower + gap[0][:, None]).add_(gap[1])

    def scaled(self, features: Tensor, dtype: torch.dtype) -> Tensor:
        """Features in the frame; the error of a coordinate is little more than one rounding."""
        work = torch.promote_types(features.dtype, dtype)
        return features.to(work).sub(self.centre.to(work)).mul_(self.scale).to(dtype)

    def exact(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Squared distances of pairs, float64 ``[P]``, unscaled.

        The sum is pairwise in a fixed order, so that a pair has the same distance in any block, equal
        pairs have equal distances, and copies have distance zero. Repeated pairs are computed once.
        """
        if len(rows) <= _MANY_PAIRS:
            return self._exact(rows, columns)
        left, right = self._originals
        keys, inverse = (left[rows] * len(right) + right[columns]).unique(return_inverse=True)
        rows = keys.div(len(right), rounding_mode="floor")
        return self._exact(rows, keys % len(right))[inverse]

    def _exact(self, rows: Tensor, columns: Tensor) -> Tensor:
        size = _PAIRS if rows.device.type == "cpu" else 64 * _PAIRS
        parts = [rows.new_empty(0, dtype=torch.float64)]
        for ours, theirs in zip(rows.split(size), columns.split(size), strict=True):
            squares = self.left[ours].double()
            squares.sub_(self.right[theirs]).square_()
            width = squares.shape[1]
            while width > 1:
                half = (width + 1) // 2
                squares[:, : width - half] += squares[:, half:width]
                width = half
            parts.append(squares[:, 0])
        return torch.cat(parts)

    def _norms(self, features: Tensor) -> Tensor:
        """Squared lengths in the frame, float64 ``[N]``, of the rows as float32 has them."""
        scaled = (self.scaled(part, torch.float32) for part in features.split(256))
        norms = [torch.linalg.vector_norm(part, dim=1, dtype=torch.float64) for part in scaled]
        return torch.cat(norms).square()

    @cached_property
    def _originals(self) -> tuple[Tensor, Tensor]:
        """For each row of either side, the first row that equals it."""
        (left, left_inverse), (right, right_inverse) = distinct(self.left), distinct(self.right)
        return left[left_inverse], right[right_inverse]


def share_of_error(width: int, dtype: torch.dtype) -> float:
    """Bound on the error of a squared distance, as a share of |a|^2 + |b|^2.

    (D + 32) u / (1 - (D + 32) u): D for the dot product; 32 for scaling and adding (under 20 roundings of
    at most |a|^2 + |b|^2 each). In float64 the norms are rounded too, which adds D again.

    Raises:
        ConfigError: so wide that the bound decides nothing.
    """
    share = (width * (1 if dtype == torch.float32 else 2) + 32) * _UNIT[dtype]
    if share > 0.1:
        raise ConfigError(f"features are {width} wide; allowed: up to a million")
    return share / (1 - share)


def distinct(features: Tensor) -> tuple[Tensor, Tensor]:
    """The first of each group of equal rows, int64 ``[U]``, and the group of each row, int64 ``[N]``."""
    groups: dict[bytes, int] = {}
    # Adding zero turns -0 into 0.
    parts = ((part + 0.0).cpu().numpy() for part in features.split(1024))
    inverse = [groups.setdefault(key, len(groups)) for part in parts for key in digests(part)]
    group = torch.tensor(inverse, device=features.device)
    first = torch.full_like(group[: len(groups)], len(group))
    return first.scatter_reduce(0, group, torch.arange(len(group)).to(group), "amin"), group


def as_features(*sets: Tensor) -> tuple[Tensor, ...]:
    """Features of one type and width.

    Raises:
        ConfigError: other shapes, or values that are out of range or not finite.
    """
    dtype = torch.float32
    for features in sets:
        check_features(features, "features", least=1)
        dtype = torch.promote_types(dtype, features.dtype)
        largest = float(features.abs().amax())
        if largest > _LARGEST:
            raise ConfigError(f"features reach {largest:g}; allowed: up to {_LARGEST:g}")
    if len({features.shape[1] for features in sets}) > 1:
        shapes = " and ".join(str(list(features.shape)) for features in sets)
        raise ConfigError(f"features are {shapes}; needed: [N, D] and [M, D]")
    return tuple(features.detach().to(dtype) for features in sets)


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """No gradient, and float32 products that are float32: no TF32, no bfloat16, no autocast."""
    owners = (torch.backends.cuda.matmul, cast(Any, torch.backends.mkldnn).matmul)
    before = [owner.fp32_precision for owner in owners]
    try:
        for owner in owners:
            owner.fp32_precision = "ieee"
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        for owner, precision in zip(owners, before, strict=True):
            owner.fp32_precision = precision


def _product(left: Tensor, right: Tensor) -> Tensor:
    """The product left right^T; through oneDNN, twice as fast as MKL on processors that are not Intel's."""
    on_cpu = left.device.type == "cpu" and left.dtype == torch.float32
    if on_cpu and torch.backends.mkldnn.is_available():
        return F.linear(left.to_mkldnn(), right.to_mkldnn()).to_dense()
    return left @ right.T
