"""Triton kernels of batch normalisation: images in any type and order of memory, sums in float32.

A program has a tile of positions (rows) and channels (columns), channels side by side where the images lie
channels last. All sums are made in two stages, so that a result is the same each time. Imported by
:mod:`reacgan.kernels.norm` alone, when the first kernel is launched.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from reacgan.kernels.base import launch

PROGRAMS = 1024
"""About as many programs as keep a large GPU busy."""
_ELEMENTS = 2048  # of a tile; of sums, there are two such tiles in registers
_FEW_CHANNELS = 16  # of a program that ends a sum: many programs, each with few columns


@triton.jit
def norm_partial_kernel(  # type: ignore[no-untyped-def]
    images,
    partial,
    rows,
    rows_of_split,
    pixels,
    channels,
    sample_stride,
    channel_stride,
    pixel_stride,
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
        of_row = (row // pixels).to(tl.int64) * sample_stride + (row % pixels) * pixel_stride
        address = images + of_row[:, None] + columns[None, :] * channel_stride
        values = tl.load(address, mask=valid[:, None] & inside[None, :], other=0.0).to(tl.float32)
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
def norm_finalise_kernel(  # type: ignore[no-untyped-def]
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
    reference = tl.load(partial + columns, mask=inside, other=0.0)
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
            mean += tl.load(offset + columns, mask=inside, other=0.0).to(tl.float32)
        before = tl.load(running_mean + columns, mask=inside, other=0.0).to(tl.float32)
        tl.store(running_mean + columns, before + momentum * (mean - before), mask=inside)
        before = tl.load(running_var + columns, mask=inside, other=0.0).to(tl.float32)
        after = before + momentum * (variance * unbiased - before)
        tl.store(running_var + columns, after, mask=inside)


@triton.jit
def norm_apply_kernel(  # type: ignore[no-untyped-def]
    images,
    result,
    statistics,
    gain,
    bias,
    pixels,
    channels,
    sample_stride,
    channel_stride,
    pixel_stride,
    gain_stride,
    bias_stride,
    eps,
    added,
    RELU: tl.constexpr,
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
    mean = tl.load(statistics + columns, mask=inside, other=0.0)
    variance = tl.load(statistics + channels + columns, mask=inside, other=0.0)
    gains = tl.load(gain + sample * gain_stride + columns, mask=inside, other=0.0).to(tl.float32)
    biases = tl.load(bias + sample * bias_stride + columns, mask=inside, other=0.0).to(tl.float32)
    scale = (gains + added) * tl.rsqrt(variance + eps)
    tile = row[:, None] * pixel_stride + columns[None, :] * channel_stride
    tile = sample.to(tl.int64) * sample_stride + tile
    mask = (row < pixels)[:, None] & inside[None, :]
    values = tl.load(images + tile, mask=mask, other=0.0).to(tl.float32)
    values = (values - mean[None, :]) * scale[None, :] + biases[None, :]
    if RELU:
        values = tl.where(values < 0.0, 0.0, values)
    tl.store(result + tile, values, mask=mask)


@triton.jit
def norm_sums_kernel(  # type: ignore[no-untyped-def]
    gradient,
    images,
    partial,
    statistics,
    gain,
    bias,
    samples,
    splits,
    rows_of_split,
    pixels,
    channels,
    sample_stride,
    channel_stride,
    pixel_stride,
    gain_stride,
    bias_stride,
    eps,
    added,
    RELU: tl.constexpr,
    BLOCK_R: tl.constexpr,
    BLOCK_C: tl.constexpr,
):
    """Sums over some pixels of a sample: of the gradient that passes, and of that x normalised."""
    blocks_c = tl.cdiv(channels, BLOCK_C)
    program = tl.program_id(0)
    columns = (program % blocks_c) * BLOCK_C + tl.arange(0, BLOCK_C)
    inside = columns < channels
    split = (program // blocks_c) % splits
    sample = program // (blocks_c * splits)
    mean = tl.load(statistics + columns, mask=inside, other=0.0)
    variance = tl.load(statistics + channels + columns, mask=inside, other=0.0)
    inverse = tl.rsqrt(variance + eps)
    gains = tl.load(gain + sample * gain_stride + columns, mask=inside, other=0.0).to(tl.float32)
    biases = tl.load(bias + sample * bias_stride + columns, mask=inside, other=0.0).to(tl.float32)
    scale = (gains + added) * inverse
    base = sample.to(tl.int64) * sample_stride
    first = split * rows_of_split
    last = tl.minimum(first + rows_of_split, pixels)
    sums = tl.zeros((BLOCK_R, BLOCK_C), tl.float32)
    products = tl.zeros((BLOCK_R, BLOCK_C), tl.float32)
    for start in range(first, last, BLOCK_R):
        row = start + tl.arange(0, BLOCK_R)
        tile = base + row[:, None] * pixel_stride + columns[None, :] * channel_stride
        mask = (row < last)[:, None] & inside[None, :]
        passed = tl.load(gradient + tile, mask=mask, other=0.0).to(tl.float32)
        centred = tl.load(images + tile, mask=mask, other=0.0).to(tl.float32) - mean[None, :]
        if RELU:
            passed = tl.where(centred * scale[None, :] + biases[None, :] <= 0.0, 0.0, passed)
        sums += passed
        products += passed * centred
    address = partial + (split * 2 * samples + sample) * channels + columns
    tl.store(address, tl.sum(sums, axis=0), mask=inside)
    address += samples * channels
    tl.store(address, tl.sum(products, axis=0) * inverse, mask=inside)


@triton.jit
def norm_sums_finalise_kernel(  # type: ignore[no-untyped-def]
    partial,
    gain,
    of_gain,
    of_bias,
    means,
    samples,
    splits,
    channels,
    gain_stride,
    total,
    added,
    SHARED: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_C: tl.constexpr,
):
    """Gradients of gain and bias, and the means over the batch of both sums times the gain."""
    columns = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    inside = columns < channels
    all_sums = tl.zeros((BLOCK_N, BLOCK_C), tl.float32)
    all_products = tl.zeros((BLOCK_N, BLOCK_C), tl.float32)
    for start in range(0, samples, BLOCK_N):
        sample = start + tl.arange(0, BLOCK_N)
        mask = (sample < samples)[:, None] & inside[None, :]
        tile = sample[:, None] * channels + columns[None, :]
        sums = tl.zeros((BLOCK_N, BLOCK_C), tl.float32)
        products = tl.zeros((BLOCK_N, BLOCK_C), tl.float32)
        for split in range(splits):
            address = partial + split * 2 * samples * channels + tile
            sums += tl.load(address, mask=mask, other=0.0)
            products += tl.load(address + samples * channels, mask=mask, other=0.0)
        if not SHARED:
            tl.store(of_bias + tile, sums, mask=mask)
            tl.store(of_gain + tile, products, mask=mask)
            address = gain + sample[:, None] * gain_stride + columns[None, :]
            gains = tl.load(address, mask=mask, other=0.0).to(tl.float32) + added
            sums *= gains
            products *= gains
        all_sums += sums
        all_products += products
    of_mean = tl.sum(all_sums, axis=0)
    of_deviation = tl.sum(all_products, axis=0)
    if SHARED:
        tl.store(of_bias + columns, of_mean, mask=inside)
        tl.store(of_gain + columns, of_deviation, mask=inside)
        gains = tl.load(gain + columns, mask=inside, other=0.0).to(tl.float32) + added
        of_mean *= gains
        of_deviation *= gains
    tl.store(means + columns, of_mean / total, mask=inside)
    tl.store(means + channels + columns, of_deviation / total, mask=inside)


@triton.jit
def norm_gradient_kernel(  # type: ignore[no-untyped-def]
    gradient,
    images,
    result,
    statistics,
    gain,
    bias,
    means,
    pixels,
    channels,
    sample_stride,
    channel_stride,
    pixel_stride,
    gain_stride,
    bias_stride,
    eps,
    added,
    RELU: tl.constexpr,
    BLOCK_R: tl.constexpr,
    BLOCK_C: tl.constexpr,
):
    """The gradient of the images: inverse (gain g - mean of that - normalised x mean of its product)."""
    blocks_c = tl.cdiv(channels, BLOCK_C)
    blocks_r = tl.cdiv(pixels, BLOCK_R)
    program = tl.program_id(0)
    columns = (program % blocks_c) * BLOCK_C + tl.arange(0, BLOCK_C)
    inside = columns < channels
    row = (program // blocks_c) % blocks_r * BLOCK_R + tl.arange(0, BLOCK_R)
    sample = program // (blocks_c * blocks_r)
    mean = tl.load(statistics + columns, mask=inside, other=0.0)
    variance = tl.load(statistics + channels + columns, mask=inside, other=0.0)
    inverse = tl.rsqrt(variance + eps)
    gains = tl.load(gain + sample * gain_stride + columns, mask=inside, other=0.0).to(tl.float32)
    biases = tl.load(bias + sample * bias_stride + columns, mask=inside, other=0.0).to(tl.float32)
    scale = (gains + added) * inverse
    level = inverse * tl.load(means + columns, mask=inside, other=0.0)
    slope = inverse * inverse * tl.load(means + channels + columns, mask=inside, other=0.0)
    tile = row[:, None] * pixel_stride + columns[None, :] * channel_stride
    tile = sample.to(tl.int64) * sample_stride + tile
    mask = (row < pixels)[:, None] & inside[None, :]
    passed = tl.load(gradient + tile, mask=mask, other=0.0).to(tl.float32)
    centred = tl.load(images + tile, mask=mask, other=0.0).to(tl.float32) - mean[None, :]
    if RELU:
        passed = tl.where(centred * scale[None, :] + biases[None, :] <= 0.0, 0.0, passed)
    values = passed * scale[None, :] - level[None, :] - centred * slope[None, :]
    tl.store(result + tile, values, mask=mask)


def statistics(
    images: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    offset: Tensor | None,
    momentum: float,
) -> Tensor:
    """Mean and biased variance [2, C]; see :func:`reacgan.kernels.norm.norm_statistics`."""
    pixels, channels, *strides = _layout(images)
    rows = len(images) * pixels
    block_c = _columns(channels)
    block_r = _ELEMENTS // block_c
    blocks = triton.cdiv(channels, block_c)
    rows_of_split = _length(rows, triton.cdiv(PROGRAMS, blocks), block_r)
    splits = triton.cdiv(rows, rows_of_split)
    result = images.new_empty((2, channels), dtype=torch.float32)
    partial = images.new_empty((splits, 2, channels), dtype=torch.float32)
    launch(
        norm_partial_kernel,
        (blocks, splits),
        *(images, partial, rows, rows_of_split, pixels, channels, *strides),
        BLOCK_R=block_r,
        BLOCK_C=block_c,
    )
    few = min(_FEW_CHANNELS, block_c)
    running = [result if tensor is None else tensor for tensor in (running_mean, running_var)]
    launch(
        norm_finalise_kernel,
        (triton.cdiv(channels, few),),
        *(partial, result, *running, result if offset is None else offset),
        *(splits, rows_of_split, rows, channels),
        *(float(rows), rows / max(rows - 1, 1), momentum),
        TRACKED=running_mean is not None,
        SHIFTED=offset is not None,
        BLOCK_S=min(64, triton.next_power_of_2(splits)),
        BLOCK_C=few,
    )
    return result


def apply(
    images: Tensor, both: Tensor, gain: Tensor, bias: Tensor, *, eps: float, added: float, relu: bool
) -> Tensor:
    """Normalised images; see :func:`reacgan.kernels.norm.norm_apply`."""
    layout = _layout(images)
    block_r, block_c, programs = _tiles(images)
    result = torch.empty_like(images)
    launch(
        norm_apply_kernel,
        (programs,),
        *(images, result, both, gain, bias, *layout, _row(gain), _row(bias), eps, added),
        RELU=relu,
        BLOCK_R=block_r,
        BLOCK_C=block_c,
    )
    return result


def sums(
    gradient: Tensor,
    images: Tensor,
    both: Tensor,
    gain: Tensor,
    bias: Tensor,
    *,
    eps: float,
    added: float,
    relu: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of gain and bias, and two means; see :func:`reacgan.kernels.norm.norm_sums`."""
    layout = pixels, channels, *_ = _layout(images)
    samples = len(images)
    block_r, block_c, _ = _tiles(images)
    blocks = triton.cdiv(channels, block_c)
    rows_of_split = _length(pixels, triton.cdiv(PROGRAMS, samples * blocks), block_r)
    splits = triton.cdiv(pixels, rows_of_split)
    partial = images.new_empty((splits, 2, samples, channels), dtype=torch.float32)
    launch(
        norm_sums_kernel,
        (samples * splits * blocks,),
        *(gradient, images, partial, both, gain, bias, samples, splits, rows_of_split),
        *(*layout, _row(gain), _row(bias), eps, added),
        RELU=relu,
        BLOCK_R=block_r,
        BLOCK_C=block_c,
    )
    of_gain, of_bias = gain.new_empty(gain.shape), bias.new_empty(bias.shape)
    means = torch.empty_like(both)
    few = min(_FEW_CHANNELS, block_c)
    launch(
        norm_sums_finalise_kernel,
        (triton.cdiv(channels, few),),
        *(partial, gain, of_gain, of_bias, means, samples, splits, channels),
        *(_row(gain), float(samples * pixels), added),
        SHARED=len(gain) == 1,
        BLOCK_N=min(32, triton.next_power_of_2(samples)),
        BLOCK_C=few,
    )
    return of_gain, of_bias, means


def gradient_of_images(
    gradient: Tensor,
    images: Tensor,
    both: Tensor,
    gain: Tensor,
    bias: Tensor,
    means: Tensor,
    *,
    eps: float,
    added: float,
    relu: bool,
) -> Tensor:
    """The gradient of the images; see :func:`reacgan.kernels.norm.norm_gradient`."""
    layout = _layout(images)
    block_r, block_c, programs = _tiles(images)
    result = torch.empty_like(images)
    launch(
        norm_gradient_kernel,
        (programs,),
        *(gradient, images, result, both, gain, bias, means),
        *(*layout, _row(gain), _row(bias), eps, added),
        RELU=relu,
        BLOCK_R=block_r,
        BLOCK_C=block_c,
    )
    return result


def _layout(images: Tensor) -> tuple[int, int, int, int, int]:
    """Pixels and channels, then the strides of samples, channels and pixels; of a dense tensor."""
    samples, channels, height, width = images.shape
    pixels = height * width
    if images.is_contiguous(memory_format=torch.channels_last):
        return pixels, channels, pixels * channels, 1, channels
    return pixels, channels, pixels * channels, pixels, 1


def _row(values: Tensor) -> int:
    """From a sample's row of [N, C] to the next, 0 where [1, C] serves all."""
    return values.stride(0) if len(values) > 1 else 0


def _columns(channels: int) -> int:
    """Channels of a program: as many as lie side by side in 256 bytes of bfloat16, or few to waste."""
    if channels > 128 and channels % 128 and channels % 64 == 0:
        return 64
    return min(128, triton.next_power_of_2(channels))


def _tiles(images: Tensor) -> tuple[int, int, int]:
    """Rows and columns of a tile of one sample, and the number of tiles."""
    pixels, channels, *_ = _layout(images)
    block_c = _columns(channels)
    block_r = min(_ELEMENTS // block_c, triton.next_power_of_2(pixels))
    programs = len(images) * triton.cdiv(pixels, block_r) * triton.cdiv(channels, block_c)
    return block_r, block_c, programs


def _length(rows: int, programs: int, block_r: int) -> int:
    """Rows of a split: whole tiles, four at least, such that there are about so many programs."""
    tiles = triton.cdiv(triton.cdiv(rows, block_r), programs)
    return max(tiles, 4) * block_r
