"""Exact nearest neighbours and hyperspheres: the result of float64 on all pairs, at the cost of float32.

Matrix products in float32 bound each squared distance; only pairs that the bounds leave open are computed
exactly (:mod:`reacgan.metrics.distances`). No result depends on the size of blocks, the order of rows
or the number of threads; only the last digits of a distance depend on the device. Memory besides the
features is bounded by ``_STRIP``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.metrics.distances import Pairs, as_features, distinct, full_precision
from reacgan.progress import stage

_STRIP = 1 << 25
"""Bounds that are in memory at once."""
_FOLD = 16
_MOST_OPEN = 1 / 64
"""Share of open pairs above which float64 blocks are cheaper than exact distances."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The k nearest, nearest first; ties by the lower index."""

    squared: Tensor
    """Squared distances, float64 ``[N, k]``."""
    index: Tensor
    """int64 ``[N, k]``."""


@dataclass(frozen=True, eq=False)
class HypersphereCounts:
    """Membership of N real and M fake samples in hyperspheres."""

    spheres_holding: Tensor
    """int64 ``[M]``: number of real hyperspheres that contain each fake."""
    covered: Tensor
    """bool ``[N]``: whether each real hypersphere contains a fake."""
    recalled: Tensor
    """bool ``[N]``: whether each real sample lies in the hypersphere of a fake."""


def squared_radii(samples: Tensor, k: int, *, rows: int | None = None) -> Tensor:
    """Squared distance of each sample to its k-th nearest other sample, float64 ``[N]``.

    Args:
        samples: features ``[N, D]``.
        k: the sample itself does not count.
        rows: side of a block; no result depends on it.

    Raises:
        ConfigError: not more than k samples, or features that are not finite ``[N, D]``.
    """
    _check(k, len(samples) - 1)
    return nearest(samples, samples, k=k + 1, rows=rows).squared[:, k]


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
        ConfigError: fewer than k in the reference, or features that are not finite ``[N, D]``.
    """
    if reference is None:
        _check(k, len(samples) - 1)
        return _without_itself(nearest(samples, samples, k=k + 1, rows=rows))
    same = samples is reference
    samples, reference = as_features(samples, reference)
    _check(k, len(reference))
    side = rows or _block_side(samples)
    with full_precision(samples.device):
        pairs = Pairs(samples, samples if same else reference)
        first, group = distinct(samples)
        strip = _STRIP if samples.device.type == "cpu" else 8 * _STRIP
        parts = first.split(max(1, min(side, strip // len(reference))))
        nearest_of = []
        with stage("nearest neighbours", len(first)) as progress:
            for part in parts:
                nearest_of.append(_search(pairs, part, k, side))
                progress.advance(len(part))
        squared, index = zip(*nearest_of, strict=True)
        return Neighbours(torch.cat(squared)[group], torch.cat(index)[group])


def count_in_hyperspheres(
    real: Tensor,
    fake: Tensor,
    real_radii: Tensor,
    fake_radii: Tensor,
    *,
    rows: int | None = None,
) -> HypersphereCounts:
    """Count which samples lie in which hyperspheres, surfaces included.

    Args:
        real: features ``[N, D]``.
        fake: features ``[M, D]``.
        real_radii: squared, float64 ``[N]``.
        fake_radii: squared, float64 ``[M]``.
        rows: side of a block; no result depends on it.

    Raises:
        ConfigError: other shapes, or features that are not finite.
    """
    real, fake = as_features(real, fake)
    if real_radii.shape != real.shape[:1] or fake_radii.shape != fake.shape[:1]:
        raise ConfigError(
            f"radii are {list(real_radii.shape)} and {list(fake_radii.shape)}; "
            f"needed: [{len(real)}] and [{len(fake)}]"
        )
    holding = torch.zeros(len(fake), dtype=torch.int64, device=real.device)
    covered = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    recalled = torch.zeros_like(covered)
    side = rows or _block_side(real)
    with full_precision(real.device), stage("hyperspheres", len(fake)) as progress:
        pairs = Pairs(fake, real)
        for ours in _spans(len(fake), side):
            for theirs in _spans(len(real), side):
                radii = real_radii[None, theirs], fake_radii[ours, None]
                of_real, of_fake = _compare(pairs, ours, theirs, radii)
                inside = _decide(pairs, ours, theirs, radii[0], *of_real)
                holding[ours] += inside.sum(1)
                covered[theirs] |= inside.any(0)
                # One fake hypersphere is enough for a real sample.
                recalled[theirs] |= of_fake[0].any(0)
                of_fake[1].logical_and_(~recalled[theirs])
                recalled[theirs] |= _decide(pairs, ours, theirs, radii[1], *of_fake).any(0)
            progress.at(ours.stop)
    return HypersphereCounts(holding, covered, recalled)


def _search(
    pairs: Pairs, rows: Tensor, k: int, side: int, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    """Squared distances and indices, ``[R, k]``, of the k nearest on the right."""
    row, column = _candidates(pairs, rows, k, side, dtype)
    most = len(pairs.right) if dtype == torch.float64 else k + _MOST_OPEN * len(pairs.right)
    few = row.bincount(minlength=len(rows)) <= most
    squared = rows.new_empty(len(rows), k, dtype=torch.float64)
    index = rows.new_empty(len(rows), k)
    chosen = few[row]
    squared[few], index[few] = _rank(pairs, rows, row[chosen], column[chosen], k)
    if not bool(few.all()):
        size = max(1, _STRIP // 16 // len(pairs.right))
        for part in (~few).nonzero().squeeze(1).split(size):
            squared[part], index[part] = _search(pairs, rows[part], k, side, torch.float64)
    return squared, index


def _candidates(
    pairs: Pairs, rows: Tensor, k: int, side: int, dtype: torch.dtype
) -> tuple[Tensor, ...]:
    """Pairs that may be among the k nearest: indices into ``rows``, and columns."""
    lowers, uppers = [], []
    fold = _FOLD if len(pairs.right) >= _FOLD**2 * k else 1
    for columns in _spans(len(pairs.right), side):
        lower, upper = pairs.bounds(rows, columns, dtype)
        lowers.append(lower)
        whole = upper.shape[1] // fold * fold
        # The k-th smallest of group minima is an upper bound of the k-th smallest, and cheaper.
        uppers.append(upper[:, :whole].reshape(len(rows), fold, whole // fold).amin(1))
        uppers.append(upper[:, whole:])
    limit = torch.cat(uppers, 1).kthvalue(k, dim=1, keepdim=True).values
    return torch.cat([lower <= limit for lower in lowers], 1).nonzero(as_tuple=True)


def _rank(pairs: Pairs, rows: Tensor, row: Tensor, column: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest candidates of each row by exact distances; ties by the lower index."""
    squared = pairs.exact(rows[row], column)
    order = squared.argsort(stable=True)
    order = order[row[order].argsort(stable=True)]
    counts = row.unique_consecutive(return_counts=True)[1]
    chosen = order[(counts.cumsum(0) - counts)[:, None] + torch.arange(k, device=rows.device)]
    return squared[chosen], column[chosen]


def _without_itself(neighbours: Neighbours) -> Neighbours:
    """Remove each row itself from its k + 1 nearest; among many copies it may be absent."""
    own = torch.arange(len(neighbours.index), device=neighbours.index.device)[:, None]
    others = neighbours.index != own
    others[:, -1] &= ~others.all(1)
    shape = len(own), neighbours.index.shape[1] - 1
    return Neighbours(
        *(part[others].view(shape) for part in (neighbours.squared, neighbours.index))
    )


def _compare(
    pairs: Pairs,
    rows: slice,
    columns: slice,
    radii: tuple[Tensor, Tensor],
    dtype: torch.dtype = torch.float32,
) -> list[tuple[Tensor, Tensor]]:
    """For real and for fake radii, bool ``[R, C]``: pairs certainly inside, and undecided pairs."""
    lower, upper = pairs.bounds(rows, columns, dtype)
    compared = []
    for squared in radii:
        low, high = _around(squared * pairs.scale**2, dtype)
        inside = upper <= low
        compared.append((inside, (lower <= high).logical_xor_(inside)))
    most = _MOST_OPEN * lower.numel()
    if dtype == torch.float32 and any(is_open.count_nonzero() > most for _, is_open in compared):
        return _compare(pairs, rows, columns, radii, torch.float64)
    return compared


def _decide(
    pairs: Pairs, rows: slice, columns: slice, radii: Tensor, inside: Tensor, is_open: Tensor
) -> Tensor:
    """``inside``, with the undecided pairs computed exactly."""
    row, column = is_open.nonzero(as_tuple=True)
    squared = pairs.exact(row + rows.start, column + columns.start)
    inside[row, column] = squared <= radii.expand_as(inside)[row, column]
    return inside


def _around(values: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The values rounded down and up."""
    rounded = values.to(dtype)
    infinity = torch.full_like(rounded, float("inf"))
    return rounded.nextafter(-infinity), rounded.nextafter(infinity)


def _block_side(samples: Tensor) -> int:
    """Rows of a square block: 4 MiB in a processor's cache, 256 MiB on a GPU."""
    return 1024 if samples.device.type == "cpu" else 8192


def _check(k: int, others: int) -> None:
    if k < 1:
        raise ConfigError(f"k is {k}; allowed: 1 or more")
    if others < k:
        raise ConfigError(f"{others} samples to search; needed: at least k = {k}")


def _spans(length: int, side: int) -> Iterator[slice]:
    return (slice(start, min(start + side, length)) for start in range(0, length, side))
