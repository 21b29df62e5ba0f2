"""Triton kernels of :mod:`reacgan.kernels.d2d`, which has the formulas; imported where they are launched.

Comparisons are such that NaN comes through, as it does through PyTorch's ``relu`` and ``clamp``.
"""

# What a kernel is given has no types that a checker knows, and comes by position.
# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: PLR0917

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

from reacgan.kernels.base import launch

if TYPE_CHECKING:
    from reacgan.kernels.d2d import D2DSettings

_TILE = 4096  # elements of a tile of several rows


@triton.jit
def d2d_unit_kernel(features, vectors, rows, scales, count, width, BLOCK: tl.constexpr):
    """One row of features or class vectors."""
    row = tl.program_id(0)
    columns = tl.arange(0, BLOCK)
    of_sample = columns < tl.where(row < count, width, 0)
    of_class = columns < tl.where(row < count, 0, width)
    at = row.to(tl.int64) * width
    of_vector = (row - count).to(tl.int64) * width
    values = tl.load(features + at + columns, mask=of_sample, other=0.0).to(tl.float32)
    values += tl.load(vectors + of_vector + columns, mask=of_class, other=0.0).to(tl.float32)
    largest = tl.max(tl.abs(values), axis=0)
    largest = tl.where(largest < 1e-12, float("inf"), largest)
    values = values / largest
    length = tl.sqrt(tl.sum(values * values, axis=0))
    length = tl.where(length < 0.5, 0.5, length)
    values = values / length
    tl.store(rows + at + columns, values, mask=columns < width)
    tl.store(scales + row, 1.0 / largest / length)


@triton.jit
def d2d_rows_kernel(
    products, rows, labels, losses, levels, weights, pulls,
    count, classes, width, inverse, margin, least,
    EASY_POSITIVES: tl.constexpr, EASY_NEGATIVES: tl.constexpr,
    FALSE_NEGATIVES: tl.constexpr, RELEASED: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """The loss of one sample; ``inverse``: 1 / temperature, ``least``: in place of -inf."""
    row = tl.program_id(0)
    others = tl.arange(0, BLOCK_N)
    inside = others < count
    columns = tl.arange(0, BLOCK_D)
    label = tl.load(labels + row)
    point = tl.load(rows + row.to(tl.int64) * width + columns, mask=columns < width, other=0.0)
    known = columns < tl.where((label >= 0) & (label < classes), width, 0)
    vector = tl.load(rows + (label + count) * width + columns, mask=known, other=0.0)
    own = tl.sum(point * vector, axis=0)
    pairs = tl.load(products + row.to(tl.int64) * count + others, mask=inside, other=0.0)
    pairs = (pairs - (1.0 - margin)) * inverse
    apart = inside & (others != row)
    negative = apart
    if not FALSE_NEGATIVES:
        negative = inside & (tl.load(labels + others, mask=inside, other=-1) != label)
    repulsion = pairs
    if EASY_NEGATIVES:
        repulsion = tl.where(pairs < 0.0, 0.0, pairs)
    top = tl.max(tl.where(negative, repulsion, least), axis=0)
    total = tl.sum(tl.where(negative, tl.exp(repulsion - top), 0.0), axis=0)
    some = total != 0.0
    level = tl.where(some, top + tl.log(tl.where(some, total, 1.0)), least)
    lacking = (margin - own) * inverse
    attraction = lacking
    if EASY_POSITIVES:
        attraction = tl.where(lacking < 0.0, 0.0, lacking)
    pull = level + attraction
    if RELEASED:
        pull -= tl.max(tl.where(apart, pairs, least), axis=0)
    pull = tl.where(some, pull, least)
    decay = tl.exp(-tl.abs(pull))
    weight = tl.where(pull >= 0.0, 1.0, decay) / (1.0 + decay)
    slope = -weight * inverse
    if EASY_POSITIVES:
        slope = tl.where(lacking <= 0.0, 0.0, slope)
    tl.store(losses + row, tl.maximum(pull, 0.0) + tl.log(1.0 + decay))
    tl.store(levels + row, level)
    tl.store(weights + row, weight)
    tl.store(pulls + row, slope)


@triton.jit
def d2d_pairs_kernel(
    products, levels, weights, labels, result, count, inverse, margin,
    EASY_NEGATIVES: tl.constexpr, FALSE_NEGATIVES: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """One row of the weights of pairs."""
    row = tl.program_id(0)
    others = tl.arange(0, BLOCK_N)
    inside = others < count
    at = row.to(tl.int64) * count + others
    pairs = (tl.load(products + at, mask=inside, other=0.0) - (1.0 - margin)) * inverse
    negative = inside & (others != row)
    if not FALSE_NEGATIVES:
        theirs = tl.load(labels + others, mask=inside, other=-1)
        negative = inside & (theirs != tl.load(labels + row))
    if EASY_NEGATIVES:
        negative = negative & ~(pairs <= 0.0)
    first = tl.where(negative, pairs - tl.load(levels + row), 0.0)
    theirs_level = tl.load(levels + others, mask=inside, other=0.0)
    second = tl.where(negative, pairs - theirs_level, 0.0)
    share = tl.load(weights + row) * tl.exp(first)
    share += tl.load(weights + others, mask=inside, other=0.0) * tl.exp(second)
    tl.store(result + at, tl.where(negative, share * inverse, 0.0), mask=inside)


@triton.jit
def d2d_gradients_kernel(
    gradient, pushed, rows, scales, pulls, labels, on_features, on_vectors,
    count, classes, width, inverse_count, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """The gradient of one row of features, or of one class vector: then over all samples of the class."""
    row = tl.program_id(0)
    columns = tl.arange(0, BLOCK_D)
    inside = columns < width
    at = row.to(tl.int64) * width + columns
    point = tl.load(rows + at, mask=inside, other=0.0)
    factor = tl.load(gradient).to(tl.float32) * inverse_count * tl.load(scales + row)
    if row < count:
        label = tl.load(labels + row)
        known = columns < tl.where((label >= 0) & (label < classes), width, 0)
        vector = tl.load(rows + (label + count) * width + columns, mask=known, other=0.0)
        slope = tl.load(pushed + at, mask=inside, other=0.0) + tl.load(pulls + row) * vector
        slope -= point * tl.sum(point * slope, axis=0)
        tl.store(on_features + at, slope * factor, mask=inside)
    else:
        kind = row - count
        of_kind = kind.to(tl.int64) * width + columns
        slope = tl.zeros((BLOCK_D,), tl.float32)
        for start in range(0, count, BLOCK_N):
            samples = start + tl.arange(0, BLOCK_N)
            valid = samples < count
            theirs = valid & (tl.load(labels + samples, mask=valid, other=-1) == kind)
            pull = tl.load(pulls + samples, mask=theirs, other=0.0)
            part = tl.load(
                rows + samples.to(tl.int64)[:, None] * width + columns[None, :],
                mask=theirs[:, None] & inside[None, :],
                other=0.0,
            )
            slope += tl.sum(part * pull[:, None], axis=0)
        slope -= point * tl.sum(point * slope, axis=0)
        tl.store(on_vectors + of_kind, slope * factor, mask=inside)


def unit(features: Tensor, vectors: Tensor, results: Tensor, scales: Tensor) -> None:
    """Fill points and directions, and scales."""
    (count, width), classes = features.shape, len(vectors)
    launch(
        d2d_unit_kernel, (count + classes,), features, vectors, results, scales,
        count, width, BLOCK=triton.next_power_of_2(width),
    )  # fmt: skip


def rows(
    products: Tensor,
    points: Tensor,
    labels: Tensor,
    results: tuple[Tensor, ...],
    settings: D2DSettings,
) -> None:
    """Fill losses, levels, weights and pulls; ``points``: and directions."""
    count, width = len(products), points.shape[1]
    launch(
        d2d_rows_kernel, (count,), products, points, labels.contiguous(), *results,
        count, len(points) - count, width, 1 / settings.temperature, settings.margin,
        torch.finfo(torch.float32).min / 4,
        EASY_POSITIVES=settings.easy_positives, EASY_NEGATIVES=settings.easy_negatives,
        FALSE_NEGATIVES=settings.false_negatives, RELEASED=settings.released,
        BLOCK_N=triton.next_power_of_2(count), BLOCK_D=triton.next_power_of_2(width),
    )  # fmt: skip


def pairs(
    products: Tensor,
    levels: Tensor,
    weights: Tensor,
    labels: Tensor,
    result: Tensor,
    settings: D2DSettings,
) -> None:
    """Fill the weights of pairs."""
    count = len(products)
    launch(
        d2d_pairs_kernel, (count,), products, levels, weights, labels.contiguous(), result,
        count, 1 / settings.temperature, settings.margin, EASY_NEGATIVES=settings.easy_negatives,
        FALSE_NEGATIVES=settings.false_negatives, BLOCK_N=triton.next_power_of_2(count),
    )  # fmt: skip


def gradients(
    gradient: Tensor,
    pushed: Tensor,
    points: Tensor,
    scales: Tensor,
    samples: tuple[Tensor, Tensor],
    results: tuple[Tensor, Tensor],
) -> None:
    """Fill the gradients of features and class vectors; ``samples``: pulls and labels."""
    (count, width), (pulls, labels) = pushed.shape, samples
    block = triton.next_power_of_2(width)
    launch(
        d2d_gradients_kernel, (len(points),), gradient, pushed, points, scales,
        pulls, labels.contiguous(), *results, count, len(points) - count, width, 1 / count,
        BLOCK_N=max(1, min(_TILE // block, triton.next_power_of_2(count))), BLOCK_D=block,
    )  # fmt: skip
