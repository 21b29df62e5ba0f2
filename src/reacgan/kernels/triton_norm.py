"""Triton kernels of batch normalisation: images in any type and order of memory, sums in float32.

A program has a tile of positions (rows) and channels (columns), channels side by side where the images lie
channels last. All sums are made in two stages, so that a result is the same each time. Imported by
:mod:`reacgan.kernels.norm` alone, when the first kernel is launched.
"""

# What a kernel is given has no types that a checker knows, and comes by position.
# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: PLR0917

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from reacgan.kernels.base import launch

PROGRAMS = 1024
"""About as many programs as keep a large GPU busy."""
ELEMENTS = 2048
"""Of a tile. Statistics have two such tiles in registers; what is worked out by the element takes two at
once; the gradient's sums, which have four in registers, half of one."""
How = tuple[float, float, bool]
"""eps, added, relu"""
FEW_CHANNELS = 8  # of a program that ends a sum: many programs, each with few columns


@triton.jit
def read_row(values, start, columns, inside):
    """Some columns of a row that starts there, as float32."""
    return tl.load(values + start + columns, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def read_statistics(statistics, columns, channels, eps):
    """Mean and inverse deviation of some channels."""
    inside = columns < channels
    variance = read_row(statistics, channels, columns, inside)
    return read_row(statistics, 0, columns, inside), tl.rsqrt(variance + eps)


@triton.jit
def positions(sample, row, columns, pixels, channels, LAST: tl.constexpr):
    """Of pixels and channels of a sample, from the start of the images on."""
    tile = row[:, None] * channels + columns[None, :]
    if not LAST:
        tile = row[:, None] + columns[None, :] * pixels
    return sample.to(tl.int64) * pixels * channels + tile


@triton.jit
def norm_partial_kernel(
    images,
    partial,
    rows,
    rows_of_split,
    pixels,
    channels,
    LAST: tl.constexpr,
    BLOCK_R: tl.constexpr,
    BLOCK_C: tl.constexpr,
):
    """Mean and sum of squared deviations of some rows, by Welford's algorithm and then Chan's."""
    columns = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    inside = columns < channels
    split = tl.program_id(1)
    first = split * rows_of_split
    last = tl.minimum(first + rows_of_split, rows)
    counts = tl.zeros((BLOCK_R,), tl.float32)
    means = tl.zeros((BLOCK_R, BLOCK_C), tl.float32)
    squares = tl.zeros((BLOCK_R, BLOCK_C), tl.float32)
    for start in range(first, last, BLOCK_R):
        row = start + tl.arange(0, BLOCK_R)
        valid = row < last
        of_row = row.to(tl.int64) * channels
        if not LAST:
            of_row = row % pixels + (row // pixels).to(tl.int64) * pixels * channels
        tile = of_row[:, None] + columns[None, :] * (1 if LAST else pixels)
        mask = valid[:, None] & inside[None, :]
        values = tl.load(images + tile, mask=mask, other=0.0).to(tl.float32)
        weights = valid.to(tl.float32)
        counts += weights
        deviations = values - means
        means += deviations * (weights / tl.maximum(counts, 1.0))[:, None]
        squares += deviations * (values - means) * weights[:, None]
    total = tl.sum(counts, axis=0)
    shares = (counts / total)[:, None]
    mean = tl.sum(means * shares, axis=0)
    mean += tl.sum((means - mean[None, :]) * shares, axis=0)
    deviations = means - mean[None, :]
    squares += deviations * deviations * counts[:, None]
    address = partial + split * 2 * channels + columns
    tl.store(address, mean, mask=inside)
    tl.store(address + channels, tl.sum(squares, axis=0), mask=inside)


@triton.jit
def norm_finalise_kernel(
    partial,
    statistics,
    running_mean,
    running_var,
    offset,
    splits,
    rows_of_split,
    rows,
    channels,
    total,
    unbiased,
    momentum,
    TRACKED: tl.constexpr,
    SHIFTED: tl.constexpr,
    BLOCK_S: tl.constexpr,
    BLOCK_C: tl.constexpr,
):
    """Mean and biased variance from those of the splits; moves the running ones."""
    columns = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    inside = columns < channels
    reference = read_row(partial, 0, columns, inside)
    moved = tl.zeros((BLOCK_S, BLOCK_C), tl.float32)
    for start in range(0, splits, BLOCK_S):
        split = start + tl.arange(0, BLOCK_S)
        mask = (split < splits)[:, None] & inside[None, :]
        counts = tl.minimum(rows - split * rows_of_split, rows_of_split).to(tl.float32)
        address = partial + split[:, None] * 2 * channels + columns[None, :]
        means = tl.load(address, mask=mask, other=0.0)
        moved += tl.where(mask, (means - reference[None, :]) * counts[:, None], 0.0)
    mean = reference + tl.sum(moved, axis=0) / total
    squares = tl.zeros((BLOCK_S, BLOCK_C), tl.float32)
    for start in range(0, splits, BLOCK_S):
        split = start + tl.arange(0, BLOCK_S)
        mask = (split < splits)[:, None] & inside[None, :]
        counts = tl.minimum(rows - split * rows_of_split, rows_of_split).to(tl.float32)
        address = partial + split[:, None] * 2 * channels + columns[None, :]
        deviations = tl.load(address, mask=mask, other=0.0) - mean[None, :]
        within = tl.load(address + channels, mask=mask, other=0.0)
        squares += tl.where(mask, within + deviations * deviations * counts[:, None], 0.0)
    variance = tl.sum(squares, axis=0) / total
    tl.store(statistics + columns, mean, mask=inside)
    tl.store(statistics + channels + columns, variance, mask=inside)
    if TRACKED:
        if SHIFTED:
            mean += read_row(offset, 0, columns, inside)
        before = read_row(running_mean, 0, columns, inside)
        tl.store(running_mean + columns, before + momentum * (mean - before), mask=inside)
        before = read_row(running_var, 0, columns, inside)
        after = before + momentum * (variance * unbiased - before)
        tl.store(running_var + columns, after, mask=inside)


@triton.jit
def norm_apply_kernel(
    images,
    result,
    statistics,
    gain,
    bias,
    pixels,
    channels,
    gain_stride,
    bias_stride,
    eps,
    added,
    RELU: tl.constexpr,
    LAST: tl.constexpr,
    BLOCK_R: tl.constexpr,
    BLOCK_C: tl.constexpr,
):
    """(gain + added) x normalised + bias, perhaps its ReLU; NaN comes through."""
    blocks_c = tl.cdiv(channels, BLOCK_C)
    blocks_r = tl.cdiv(pixels, BLOCK_R)
    program = tl.program_id(0)
    columns = (program % blocks_c) * BLOCK_C + tl.arange(0, BLOCK_C)
    inside = columns < channels
    row = (program // blocks_c) % blocks_r * BLOCK_R + tl.arange(0, BLOCK_R)
    sample = program // (blocks_c * blocks_r)
    mean, inverse = read_statistics(statistics, columns, channels, eps)
    scale = (read_row(gain, sample * gain_stride, columns, inside) + added) * inverse
    level = read_row(bias, sample * bias_stride, columns, inside)
    tile = positions(sample, row, columns, pixels, channels, LAST)
    mask = (row < pixels)[:, None] & inside[None, :]
    values = tl.load(images + tile, mask=mask, other=0.0).to(tl.float32)
    values = (values - mean[None, :]) * scale[None, :] + level[None, :]
    if RELU:
        values = tl.where(values < 0.0, 0.0, values)
    tl.store(result + tile, values, mask=mask)


def statistics(
    images: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    offset: Tensor | None,
    momentum: float,
) -> Tensor:
    """Mean and biased variance [2, C]; see :func:`reacgan.kernels.norm.norm_statistics`."""
    samples, pixels, channels = sizes_of(images)
    rows = samples * pixels
    block_c = _columns(channels)
    block_r = ELEMENTS // block_c
    blocks = triton.cdiv(channels, block_c)
    rows_of_split = split_length(rows, triton.cdiv(PROGRAMS, blocks), block_r)
    splits = triton.cdiv(rows, rows_of_split)
    result = images.new_empty((2, channels), dtype=torch.float32)
    partial = images.new_empty((splits, 2, channels), dtype=torch.float32)
    launch(
        norm_partial_kernel,
        (blocks, splits),
        *(images, partial, rows, rows_of_split, pixels, channels),
        LAST=lies_last(images),
        BLOCK_R=block_r,
        BLOCK_C=block_c,
    )
    few = min(FEW_CHANNELS, block_c)
    running = [result if tensor is None else tensor for tensor in (running_mean, running_var)]
    launch(
        norm_finalise_kernel,
        (triton.cdiv(channels, few),),
        *(partial, result, *running, result if offset is None else offset),
        *(splits, rows_of_split, rows, channels),
        *(float(rows), rows / max(rows - 1, 1), momentum),
        TRACKED=running_mean is not None,
        SHIFTED=offset is not None,
        BLOCK_S=min(512, triton.next_power_of_2(splits)),
        BLOCK_C=few,
        num_warps=8,
    )
    return result


def apply(images: Tensor, both: Tensor, gain: Tensor, bias: Tensor, how: How) -> Tensor:
    """Normalised images; see :func:`reacgan.kernels.norm.norm_apply`."""
    result = torch.empty_like(images)
    launch_tiles(norm_apply_kernel, (images, result, both, gain, bias), how)
    return result


def launch_tiles(kernel: Any, tensors: Sequence[Tensor], how: How) -> None:
    """A kernel with a program for each tile; images, result, statistics, gain and bias come first."""
    images, _, _, gain, bias, *_ = tensors
    samples, pixels, channels = sizes_of(images)
    eps, added, relu = how
    block_r, block_c = tile_of(images, 2 * ELEMENTS)
    launch(
        kernel,
        (samples * triton.cdiv(pixels, block_r) * triton.cdiv(channels, block_c),),
        *(*tensors, pixels, channels, row_stride(gain), row_stride(bias), eps, added),
        RELU=relu,
        LAST=lies_last(images),
        BLOCK_R=block_r,
        BLOCK_C=block_c,
    )


def sizes_of(images: Tensor) -> tuple[int, int, int]:
    """Samples, pixels, channels."""
    return len(images), images.shape[2] * images.shape[3], images.shape[1]


def lies_last(images: Tensor) -> bool:
    """Whether the channels of a pixel are next to one another."""
    return images.is_contiguous(memory_format=torch.channels_last)


def row_stride(values: Tensor) -> int:
    """From a sample's row of [N, C] to the next, 0 where [1, C] serves all."""
    return values.stride(0) if len(values) > 1 else 0


def _columns(channels: int) -> int:
    """Channels of a program: as many as lie side by side in 256 bytes of bfloat16, or few to waste."""
    if channels > 128 and channels % 128 and channels % 64 == 0:
        return 64
    return min(128, triton.next_power_of_2(channels))


def tile_of(images: Tensor, elements: int) -> tuple[int, int]:
    """Rows and columns of a tile of one sample."""
    _, pixels, channels = sizes_of(images)
    block_c = _columns(channels)
    return min(elements // block_c, triton.next_power_of_2(pixels)), block_c


def split_length(rows: int, programs: int, block_r: int) -> int:
    """Rows of a split: whole tiles, four at least, such that there are about so many programs."""
    tiles = triton.cdiv(triton.cdiv(rows, block_r), programs)
    return max(tiles, 4) * block_r
