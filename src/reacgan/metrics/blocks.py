"""Bounds on squared distances, one block of pairs at a time, and the exact distance of a pair.

One matrix product gives a block of squared distances |a|^2 + |b|^2 - 2 a.b, fast but rounded. The
classical bound on the rounding of a dot product, for any order of its additions (Higham, Accuracy and
Stability of Numerical Algorithms, 2002, eq. 3.5), says how far each may be off. A block in float32
decides nearly every comparison; what it leaves open goes to float64, and then to the pair itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan.config import ConfigError

_UNIT = {torch.float32: 2.0**-24, torch.float64: 2.0**-53}
# Products of scaled coordinates that underflow stay below this together.
_FLOOR = 2.0**-100
_LARGEST = 1e30
_PAIRS = 256
_MANY_PAIRS = 1 << 16


@dataclass(frozen=True)
class Frame:
    """A shift and a scale (a power of two) under which a block loses few digits."""

    centre: Tensor
    """``[D]``."""
    scale: float

    @classmethod
    def of(cls, features: Tensor) -> Frame:
        """A frame for these features: the median of some rows, which no outlier moves."""
        step = max(1, len(features) // 512)
        centre = features[::step].median(0).values
        above, below = features.amax(0) - centre, centre - features.amin(0)
        spread = float(torch.maximum(above, below).amax())
        exponent = -int(torch.tensor(spread).frexp().exponent) if spread > 0 else 0
        return cls(centre, 2.0 ** max(-100, min(100, exponent)))

    def place(self, part: Tensor, dtype: torch.dtype) -> Tensor:
        """Rows of features in this frame; each coordinate is off by little more than one rounding."""
        work = torch.promote_types(part.dtype, dtype)
        return part.to(work).sub(self.centre.to(work)).mul_(self.scale).to(dtype)


@dataclass(frozen=True, eq=False)
class Side:
    """One side of the pairs."""

    features: Tensor
    """``[N, D]``, float32 or float64."""
    frame: Frame

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def norms(self) -> Tensor:
        """Squared lengths in the frame, float64 ``[N]``, of the rows as float32 has them."""
        return torch.cat(
            [self._norms(slice(at, at + 256), torch.float32) for at in range(0, len(self), 256)]
        )

    def _norms(self, rows: slice | Tensor, dtype: torch.dtype) -> Tensor:
        placed = self.frame.place(self.features[rows], dtype)
        return torch.linalg.vector_norm(placed, dim=1, dtype=torch.float64).square()

    def part(self, rows: slice | Tensor, dtype: torch.dtype, *, left: bool = False) -> Part:
        """Some rows, ready for :func:`bounds`; the left ones carry its factor -2."""
        placed = self.frame.place(self.features[rows], dtype)
        narrow = dtype == torch.float32
        norms = self.norms[rows] if narrow else placed.square().sum(1)
        error = share_of_error(placed.shape[1], dtype)
        below = (norms * (1 - error) - _FLOOR).to(dtype)
        gap = (norms * (2 * error) + 2 * _FLOOR).to(dtype)
        placed = placed.mul_(-2) if left else placed
        held = placed.to_mkldnn() if _through_onednn(placed) else placed
        return Part(held, below, gap)

    @cached_property
    def first_alike(self) -> Tensor:
        """int64 ``[N]``: the first row that equals this one; rows are compared, not only hashed."""
        generator = torch.Generator().manual_seed(0)
        words = self.features.element_size() // 4 * self.features.shape[1]
        factors = torch.randint(-(2**62), 2**62, (words,), generator=generator)
        factors = factors.to(self.features.device)
        # Adding zero makes one of the two zeros.
        hashes = torch.cat(
            [
                ((part + 0.0).view(torch.int32).long() * factors).sum(1)
                for part in self.features.split(1024)
            ]
        )
        _, group = hashes.unique(return_inverse=True)
        places = torch.arange(len(self), device=group.device)
        first = torch.full_like(places, len(self)).scatter_reduce(0, group, places, "amin")[group]
        same = torch.cat(
            [
                (self.features[part] == self.features[first[part]]).all(1)
                for part in places.split(1024)
            ]
        )
        return torch.where(same, first, places)


@dataclass(frozen=True, eq=False)
class Part:
    """Some rows of a :class:`Side`."""

    placed: Tensor
    below: Tensor
    gap: Tensor


def share_of_error(width: int, dtype: torch.dtype) -> float:
    """How far a squared distance may be off, as a share of |a|^2 + |b|^2.

    (D + 32) u / (1 - (D + 32) u): D for the dot product; 32 for what places, scales and adds (under
    20 roundings of at most |a|^2 + |b|^2 each).

    Raises:
        ConfigError: so wide that nothing would be decided.
    """
    share = (width + 32) * _UNIT[dtype]
    if share > 0.1:
        raise ConfigError(f"features are {width} wide; allowed: up to a million")
    return share / (1 - share)


def bounds(left: Part, right: Part) -> Tensor:
    """Lower bounds ``[R, C]`` of squared distances in the frame, of a left and a right part.

    :func:`raise_to_upper` makes upper bounds of them, in place.
    """
    if left.placed.is_mkldnn:
        block = F.linear(left.placed, right.placed).to_dense()
    else:
        block = left.placed @ right.placed.T
    return block.add_(left.below[:, None]).add_(right.below)


def raise_to_upper(block: Tensor, left: Part, right: Part) -> Tensor:
    """Upper bounds in the place of lower ones."""
    return block.add_(left.gap[:, None]).add_(right.gap)


def exact_squared(left: Side, right: Side, rows: Tensor, columns: Tensor) -> Tensor:
    """Squared distances of pairs, float64 ``[P]``, from the features as they were given.

    The sum goes by halves in a fixed order, so that a pair has one distance wherever it is met,
    equal pairs have equal distances, and a copy is at zero.
    """
    if len(rows) > _MANY_PAIRS:  # many pairs are left open where rows are copies of each other
        keys = left.first_alike[rows] * len(right) + right.first_alike[columns]
        keys, back = keys.unique(return_inverse=True)
        rows = keys.div(len(right), rounding_mode="floor")
        return _exact(left, right, rows, keys % len(right))[back]
    return _exact(left, right, rows, columns)


def _exact(left: Side, right: Side, rows: Tensor, columns: Tensor) -> Tensor:
    size = _PAIRS if rows.device.type == "cpu" else 64 * _PAIRS
    found = rows.new_empty(len(rows), dtype=torch.float64)
    for at in range(0, len(rows), size):
        here = slice(at, at + size)
        squares = left.features[rows[here]].double()
        squares.sub_(right.features[columns[here]]).square_()
        width = squares.shape[1]
        while width > 1:
            half = (width + 1) // 2
            squares[:, : width - half] += squares[:, half:width]
            width = half
        found[here] = squares[:, 0]
    return found


def as_features(*sets: Tensor) -> tuple[Tensor, ...]:
    """Features of one type and width.

    Raises:
        ConfigError: other shapes, or values that are not finite or out of range.
    """
    width = {tuple(features.shape[1:]) for features in sets}
    if any(features.ndim != 2 or 0 in features.shape for features in sets) or len(width) > 1:
        shapes = " and ".join(str(list(features.shape)) for features in sets)
        raise ConfigError(f"features are {shapes}; needed: [N, D] and [M, D]")
    dtype = torch.float32
    for features in sets:
        dtype = torch.promote_types(dtype, features.dtype)
    held = tuple(features.detach().to(dtype) for features in sets)
    for features in held:
        low, high = features.aminmax()
        if not (bool(low.isfinite()) and bool(high.isfinite())):
            raise ConfigError("features hold values that are not finite; look at what made them")
        if max(-float(low), float(high)) > _LARGEST:
            raise ConfigError(f"features reach {float(high):g}; allowed: up to {_LARGEST:g}")
    return held


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
        for owner, kept in zip(owners, before, strict=True):
            owner.fp32_precision = kept


def _through_onednn(placed: Tensor) -> bool:
    """Whether oneDNN multiplies: twice as fast as MKL on processors that are not Intel's."""
    return (
        placed.device.type == "cpu"
        and placed.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
    )
