"""Triton kernels of the gradient of batch normalisation; see :mod:`reacgan.kernels.triton_norm`."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: PLR0917

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from reacgan.kernels.base import launch
from reacgan.kernels.triton_norm import (
    ELEMENTS,
    FEW_CHANNELS,
    PROGRAMS,
    How,
    launch_tiles,
    lies_last,
    positions,
    read_row,
    read_statistics,
    row_stride,
    sizes_of,
    split_length,
    tile_of,
)


@triton.jit
def norm_sums_kernel(
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
    gain_stride,
    bias_stride,
    eps,
    added,
    RELU: tl.constexpr,
    LAST: tl.constexpr,
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
    mean, inverse = read_statistics(statistics, columns, channels, eps)
    scale = (read_row(gain, sample * gain_stride, columns, inside) + added) * inverse
    level = read_row(bias, sample * bias_stride, columns, inside)
    first = split * rows_of_split
    last = tl.minimum(first + rows_of_split, pixels)
    sums = tl.zeros((BLOCK_R, BLOCK_C), tl.float32)
    products = tl.zeros((BLOCK_R, BLOCK_C), tl.float32)
    for start in range(first, last, BLOCK_R):
        row = start + tl.arange(0, BLOCK_R)
        tile = positions(sample, row, columns, pixels, channels, LAST)
        mask = (row < last)[:, None] & inside[None, :]
        passed = tl.load(gradient + tile, mask=mask, other=0.0).to(tl.float32)
        centred = tl.load(images + tile, mask=mask, other=0.0).to(tl.float32) - mean[None, :]
        if RELU:
            passed = tl.where(centred * scale[None, :] + level[None, :] <= 0.0, 0.0, passed)
        sums += passed
        products += passed * centred
    address = partial + (split * 2 * samples + sample) * channels + columns
    tl.store(address, tl.sum(sums, axis=0), mask=inside)
    address += samples * channels
    tl.store(address, tl.sum(products, axis=0) * inverse, mask=inside)


@triton.jit
def norm_sums_finalise_kernel(
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
        gains = read_row(gain, 0, columns, inside) + added
        of_mean *= gains
        of_deviation *= gains
    tl.store(means + columns, of_mean / total, mask=inside)
    tl.store(means + channels + columns, of_deviation / total, mask=inside)


@triton.jit
def norm_gradient_kernel(
    images,
    result,
    statistics,
    gain,
    bias,
    means,
    gradient,
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
    """The gradient of the images: inverse (gain g - mean of that - normalised x mean of its product)."""
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
    first = inverse * read_row(means, 0, columns, inside)
    second = inverse * inverse * read_row(means, channels, columns, inside)
    tile = positions(sample, row, columns, pixels, channels, LAST)
    mask = (row < pixels)[:, None] & inside[None, :]
    passed = tl.load(gradient + tile, mask=mask, other=0.0).to(tl.float32)
    centred = tl.load(images + tile, mask=mask, other=0.0).to(tl.float32) - mean[None, :]
    if RELU:
        passed = tl.where(centred * scale[None, :] + level[None, :] <= 0.0, 0.0, passed)
    values = passed * scale[None, :] - first[None, :] - centred * second[None, :]
    tl.store(result + tile, values, mask=mask)


def sums(
    gradient: Tensor, images: Tensor, both: Tensor, gain: Tensor, bias: Tensor, how: How
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of gain and bias, and two means; see :func:`reacgan.kernels.norm.norm_sums`."""
    samples, pixels, channels = sizes_of(images)
    eps, added, relu = how
    block_r, block_c = tile_of(images, ELEMENTS // 2)
    blocks = triton.cdiv(channels, block_c)
    rows_of_split = split_length(pixels, max(PROGRAMS // (samples * blocks), 1), block_r)
    splits = triton.cdiv(pixels, rows_of_split)
    partial = images.new_empty((splits, 2, samples, channels), dtype=torch.float32)
    launch(
        norm_sums_kernel,
        (samples * splits * blocks,),
        *(gradient, images, partial, both, gain, bias, samples, splits, rows_of_split),
        *(pixels, channels, row_stride(gain), row_stride(bias), eps, added),
        RELU=relu,
        LAST=lies_last(images),
        BLOCK_R=block_r,
        BLOCK_C=block_c,
    )
    of_gain, of_bias = gain.new_empty(gain.shape), bias.new_empty(bias.shape)
    means = torch.empty_like(both)
    few = min(FEW_CHANNELS, block_c)
    launch(
        norm_sums_finalise_kernel,
        (triton.cdiv(channels, few),),
        *(partial, gain, of_gain, of_bias, means, samples, splits, channels),
        *(row_stride(gain), float(samples * pixels), added),
        SHARED=len(gain) == 1,
        BLOCK_N=min(128, triton.next_power_of_2(samples)),
        BLOCK_C=few,
    )
    return of_gain, of_bias, means


def gradient_of_images(
    gradient: Tensor,
    images: Tensor,
    both: Tensor,
    modulation: tuple[Tensor, Tensor],
    means: Tensor,
    how: How,
) -> Tensor:
    """The gradient of the images; see :func:`reacgan.kernels.norm.norm_gradient`."""
    result = torch.empty_like(images)
    given = (images, result, both, *modulation, means, gradient)
    launch_tiles(norm_gradient_kernel, given, how)
    return result
