"""Exact nearest neighbours and balls: what float64 on all pairs would give, at the cost of float32.

Matrix products in float32 bound each squared distance from both sides; pairs that the bounds leave
open are measured in float64 (:mod:`reacgan.metrics.blocks`). So no result depends on the size of
blocks, the order of rows, or the number of threads, and on the device only the last digits of a
distance do. Memory is one block beside the features. Distances within one set are symmetric: half of
the blocks are enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.metrics.blocks import (
    Frame,
    Side,
    as_features,
    bounds,
    exact_squared,
    full_precision,
    raise_to_upper,
    share_of_error,
)

_SPARE = 8  # neighbours looked for beyond the k-th: near ties rarely hold more
_GROUP = 16
_DENSE = 1 << 22
_INFINITY = float("inf")


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The k nearest, nearest first; of equals the one with the lower index first."""

    squared: Tensor
    """Squared distances, float64 ``[N, k]``."""
    index: Tensor
    """int64 ``[N, k]``."""


def squared_radii(samples: Tensor, k: int, *, rows: int | None = None) -> Tensor:
    """Squared distance of each sample to its k-th nearest other sample, float64 ``[N]``.

    Args:
        samples: features ``[N, D]``.
        k: the sample itself does not count.
        rows: side of a block; no result depends on it.

    Raises:
        ConfigError: not more than k samples, or features that are no finite ``[N, D]``.
    """
    (samples,) = as_features(samples)
    _check(k, len(samples) - 1)
    with full_precision(samples.device):
        search = _Search(samples, None, k, rows)
        radii, open_rows = search.first_look(only_last=True)
        # Rows that are copies of each other have one radius.
        first = search.left.first_alike[open_rows] if len(open_rows) else open_rows
        alike, back = first.unique(return_inverse=True)
        for part, squared, _ in search.second_look(alike, only_last=True):
            radii.squared[part] = squared
        radii.squared[open_rows] = radii.squared[alike][back]
        return radii.squared[:, 0]


def nearest(
    samples: Tensor, reference: Tensor | None = None, *, k: int = 1, rows: int | None = None
) -> Neighbours:
    """The k nearest rows of the reference for each sample.

    Args:
        samples: features ``[N, D]``.
        reference: features ``[M, D]``; None: the other samples.
        k: how many.
        rows: side of a block; no result depends on it.

    Raises:
        ConfigError: fewer than k in the reference, or features that are no finite ``[N, D]``.
    """
    if reference is None:
        (samples,) = as_features(samples)
        _check(k, len(samples) - 1)
    else:
        samples, reference = as_features(samples, reference)
        _check(k, len(reference))
    with full_precision(samples.device):
        search = _Search(samples, reference, k, rows)
        found, open_rows = search.first_look(only_last=False)
        for part, squared, index in search.second_look(open_rows, only_last=False):
            found.squared[part], found.index[part] = squared, index
        return found


class _Search:
    def __init__(self, samples: Tensor, reference: Tensor | None, k: int, rows: int | None) -> None:
        frame = Frame.of(samples if reference is None else reference)
        self.left = Side(samples, frame)
        self.same = reference is None
        self.right = self.left if reference is None else Side(reference, frame)
        self.k = k
        self.side = rows or block_side(samples)
        self.others = len(self.right) - self.same
        self.count = min(k + _SPARE, self.others)

    def first_look(self, *, only_last: bool) -> tuple[Neighbours, Tensor]:
        """What float32 blocks and few pairs decide; and the rows that they do not."""
        lower, index = self._candidates()
        share = share_of_error(self.left.features.shape[1], torch.float32)
        scale = self.left.norms[:, None] + self.right.norms[index]
        lower = lower.double()
        # A little more than the bound: the lower one was rounded to float32.
        upper = lower + 2.1 * share * scale + 1e-29
        last = upper.kthvalue(self.k, dim=1).values
        is_open = (lower.amax(1) <= last) & (self.count < self.others)
        closed = (~is_open).nonzero().squeeze(1)
        found = Neighbours(
            lower.new_empty(len(lower), 1 if only_last else self.k),
            index.new_empty(len(lower), 1 if only_last else self.k),
        )
        squared, order = self._settle(
            closed, lower[closed], upper[closed], index[closed], only_last=only_last
        )
        found.squared[closed], found.index[closed] = squared, order
        return found, is_open.nonzero().squeeze(1)

    def second_look(
        self, open_rows: Tensor, *, only_last: bool
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """All neighbours of some rows, in float64 blocks: (rows, squared distances, indices)."""
        for part in open_rows.split(max(1, _DENSE // len(self.right))):
            ours = self.left.part(part, torch.float64, left=True)
            lower, upper = [], []
            for columns in _spans(len(self.right), self.side):
                theirs = self.right.part(columns, torch.float64)
                block = bounds(ours, theirs)
                lower.append(block.clone())
                upper.append(raise_to_upper(block, ours, theirs))
            low, high = torch.cat(lower, 1), torch.cat(upper, 1)
            del lower, upper
            if self.same:
                for held in (low, high):
                    held.scatter_(1, part[:, None], _INFINITY)
            yield part, *self._settle(part, low, high, None, only_last=only_last)

    def _candidates(self) -> tuple[Tensor, Tensor]:
        """The ``count`` smallest lower bounds of each row, and where they are."""
        lower = self.left.norms.new_full(
            (len(self.left), self.count), _INFINITY, dtype=torch.float32
        )
        index = torch.zeros_like(lower, dtype=torch.int64)
        for place, ours in enumerate(spans := list(_spans(len(self.left), self.side))):
            left = self.left.part(ours, torch.float32, left=True)
            for theirs in spans[place:] if self.same else _spans(len(self.right), self.side):
                mirrored = self.same and theirs != ours
                block = bounds(left, self.right.part(theirs, torch.float32))
                if self.same and not mirrored:
                    block.fill_diagonal_(_INFINITY)
                _merge(lower[ours], index[ours], *_smallest(block, self.count), theirs.start)
                if mirrored:
                    found = _smallest_of_columns(block, self.count)
                    _merge(lower[theirs], index[theirs], *found, ours.start)
        return lower, index

    def _settle(
        self,
        rows: Tensor,
        lower: Tensor,
        upper: Tensor,
        index: Tensor | None,
        *,
        only_last: bool,
    ) -> tuple[Tensor, Tensor]:
        """Squared distances (the k-th alone, or k) from bounds ``[R, C]`` that hold all candidates.

        ``index`` names the columns; None: they are all of the reference.
        """
        needed = lower <= upper.kthvalue(self.k, dim=1).values[:, None]
        surely_nearer = torch.zeros_like(needed)
        if only_last:
            surely_nearer = upper < lower.kthvalue(self.k, dim=1).values[:, None]
            needed &= ~surely_nearer
        at, column = needed.nonzero(as_tuple=True)
        theirs = column if index is None else index[at, column]
        table = torch.full_like(lower, _INFINITY).masked_fill_(surely_nearer, -1.0)
        table[at, column] = exact_squared(self.left, self.right, rows[at], theirs)
        if only_last:
            squared, order = table.kthvalue(self.k, dim=1, keepdim=True)
            return squared, order
        if index is not None:
            index, order = index.sort(dim=1)
            table = table.gather(1, order)
        squared, order = table.sort(dim=1, stable=True)
        order = order[:, : self.k]
        return squared[:, : self.k], order if index is None else index.gather(1, order)


def block_side(samples: Tensor) -> int:
    """Rows of a square block: 4 MiB in a processor's cache, 256 MiB on a GPU."""
    return 1024 if samples.device.type == "cpu" else 8192


def _check(k: int, others: int) -> None:
    if k < 1:
        raise ConfigError(f"k is {k}; allowed: 1 or more")
    if others < k:
        raise ConfigError(f"{others} samples to look among; needed: at least k = {k}")


def _spans(length: int, side: int) -> Iterator[slice]:
    return (slice(at, min(at + side, length)) for at in range(0, length, side))


def _merge(lower: Tensor, index: Tensor, values: Tensor, places: Tensor, start: int) -> None:
    """Keep the smallest of what is kept and what is new, in place."""
    both = torch.cat([lower, values], 1)
    kept, order = both.topk(lower.shape[1], dim=1, largest=False, sorted=False)
    lower.copy_(kept)
    index.copy_(torch.cat([index, places + start], 1).gather(1, order))


def _smallest(block: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The smallest of each row and their columns, by the minima of groups where that is faster."""
    rows, columns = block.shape
    if columns % _GROUP or columns < 4 * _GROUP * count:
        values, places = block.topk(min(count, columns), dim=1, largest=False, sorted=False)
        return values, places
    minima = block.view(rows, -1, _GROUP).amin(2)
    inside = _members(minima, count)
    values, order = block.gather(1, inside).topk(count, dim=1, largest=False, sorted=False)
    return values, inside.gather(1, order)


def _smallest_of_columns(block: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The smallest of each column and their rows, ``[C, count]``."""
    rows, columns = block.shape
    if rows % _GROUP or rows < 4 * _GROUP * count:
        return _smallest(block.T.contiguous(), count)
    minima = block.view(-1, _GROUP, columns).amin(1).T.contiguous()
    inside = _members(minima, count)
    own = torch.arange(columns, device=block.device)[:, None]
    held = block.view(-1)[inside * columns + own]
    values, order = held.topk(count, dim=1, largest=False, sorted=False)
    return values, inside.gather(1, order)


def _members(minima: Tensor, count: int) -> Tensor:
    """Indices in the groups with the smallest minima: they hold the smallest values."""
    groups = minima.topk(count, dim=1, largest=False, sorted=False).indices
    inside = torch.arange(_GROUP, device=minima.device)
    return (groups[:, :, None] * _GROUP + inside).flatten(1)
