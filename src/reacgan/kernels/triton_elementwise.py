"""Triton kernels beside convolutions: images as rows [N H W, C], channels next to one another.

Sums are taken in two stages, each program's in the same order every time, so they are the same every time.
A comparison with NaN is false: it is passed on, not made zero.
"""

# What a kernel is given has no types that a checker knows, and comes by position.
# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: PLR0917

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def activated(value, slope, ACTIVATION: tl.constexpr):
    """The activation of a float32 value."""
    if ACTIVATION == 1:
        value = tl.where(value < 0, 0.0, value)
    if ACTIVATION == 2:
        value = tl.where(value < 0, value * slope, value)
    if ACTIVATION == 3:
        value = 2 * tl.sigmoid(2 * value) - 1
    return value


@triton.jit
def passed(gradient, result, slope, ACTIVATION: tl.constexpr):
    """The gradient of what went into the activation, from its result."""
    if ACTIVATION == 1:
        gradient = tl.where(result <= 0, 0.0, gradient)
    if ACTIVATION == 2:
        gradient = tl.where(result <= 0, gradient * slope, gradient)
    if ACTIVATION == 3:
        gradient = gradient * (1 - result * result)
    return gradient


@triton.jit
def biased_kernel(
    images,
    bias,
    result,
    rows,
    channels,
    slope,
    ACTIVATION: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """``result = activation(images + bias)``."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = (row < rows)[:, None] & (column < channels)[None, :]
    offsets = row.to(tl.int64)[:, None] * channels + column[None, :]
    value = tl.load(images + offsets, mask=inside, other=0.0).to(tl.float32)
    added = tl.load(bias + column, mask=column < channels, other=0.0).to(tl.float32)
    value = activated(value + added[None, :], slope, ACTIVATION)
    tl.store(result + offsets, value.to(result.dtype.element_ty), mask=inside)


@triton.jit
def passed_kernel(
    gradient,
    result,
    of_images,
    partial,
    rows,
    channels,
    slope,
    ACTIVATION: tl.constexpr,
    SUMS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Gradient through an activation, and, where ``SUMS``, its partial sums of columns.

    Without an activation nothing is written but the sums.
    """
    program = tl.program_id(0)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(program * ROWS, rows, tl.num_programs(0) * ROWS):
        row = start + tl.arange(0, ROWS)
        inside = (row < rows)[:, None] & (column < channels)[None, :]
        offsets = row.to(tl.int64)[:, None] * channels + column[None, :]
        value = tl.load(gradient + offsets, mask=inside, other=0.0).to(tl.float32)
        if ACTIVATION != 0:
            output = tl.load(result + offsets, mask=inside, other=0.0).to(tl.float32)
            value = passed(value, output, slope, ACTIVATION)
            tl.store(of_images + offsets, value.to(of_images.dtype.element_ty), mask=inside)
        total += value
    if SUMS:
        sums = tl.sum(total, 0)
        tl.store(partial + program * channels + column, sums, mask=column < channels)


@triton.jit
def partials_kernel(
    partial, sums, parts, channels, COPIES: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    """``sums = partial.sum(0)`` several times over, partial [parts, channels]."""
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, parts, ROWS):
        row = start + tl.arange(0, ROWS)
        inside = (row < parts)[:, None] & (column < channels)[None, :]
        offsets = row.to(tl.int64)[:, None] * channels + column[None, :]
        total += tl.load(partial + offsets, mask=inside, other=0.0)
    result = tl.sum(total, 0)
    for copy in tl.static_range(COPIES):
        tl.store(sums + copy * channels + column, result, mask=column < channels)


@triton.jit
def residual_kernel(
    images,
    shortcut,
    first,
    second,
    result,
    rows,
    channels,
    width,
    DOUBLED: tl.constexpr,
    BIASES: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """``result = images + shortcut + first + second``; ``DOUBLED``: the shortcut's nearest doubling."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    within = column < channels
    inside = (row < rows)[:, None] & within[None, :]
    offsets = row.to(tl.int64)[:, None] * channels + column[None, :]
    value = tl.load(images + offsets, mask=inside, other=0.0).to(tl.float32)
    if DOUBLED:
        line = row // width  # over samples and rows of pixels; the height is even
        small = (line // 2) * (width // 2) + (row % width) // 2
        sources = small.to(tl.int64)[:, None] * channels + column[None, :]
    else:
        sources = offsets
    value += tl.load(shortcut + sources, mask=inside, other=0.0).to(tl.float32)
    if BIASES >= 1:
        value += tl.load(first + column, mask=within, other=0.0).to(tl.float32)[None, :]
    if BIASES == 2:
        value += tl.load(second + column, mask=within, other=0.0).to(tl.float32)[None, :]
    tl.store(result + offsets, value.to(result.dtype.element_ty), mask=inside)


@triton.jit
def cells_kernel(
    gradient,
    small,
    partial,
    cells,
    channels,
    width,
    SUMS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Sums of 2x2 cells, and, where ``SUMS``, partial sums of columns. ``width`` is of the cells."""
    program = tl.program_id(0)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(program * ROWS, cells, tl.num_programs(0) * ROWS):
        cell = start + tl.arange(0, ROWS)
        inside = (cell < cells)[:, None] & (column < channels)[None, :]
        corner = (cell // width) * (4 * width) + (cell % width) * 2
        sources = gradient + corner.to(tl.int64)[:, None] * channels + column[None, :]
        below = sources + 2 * width * channels
        value = tl.load(sources, mask=inside, other=0.0).to(tl.float32)
        value += tl.load(sources + channels, mask=inside, other=0.0).to(tl.float32)
        value += tl.load(below, mask=inside, other=0.0).to(tl.float32)
        value += tl.load(below + channels, mask=inside, other=0.0).to(tl.float32)
        offsets = cell.to(tl.int64)[:, None] * channels + column[None, :]
        tl.store(small + offsets, value.to(small.dtype.element_ty), mask=inside)
        total += value
    if SUMS:
        sums = tl.sum(total, 0)
        tl.store(partial + program * channels + column, sums, mask=column < channels)


@triton.jit
def relu_average_kernel(
    images,
    active,
    halved,
    cells,
    channels,
    width,
    AVERAGE_ACTIVE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """ReLU of the images, and 2x2 averages of that or of the images. ``width`` is of the cells."""
    cell = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = (cell < cells)[:, None] & (column < channels)[None, :]
    corner = (cell // width) * (4 * width) + (cell % width) * 2
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for down in tl.static_range(2):
        for right in tl.static_range(2):
            row = corner + down * 2 * width + right
            offsets = row.to(tl.int64)[:, None] * channels + column[None, :]
            value = tl.load(images + offsets, mask=inside, other=0.0).to(tl.float32)
            positive = tl.where(value < 0, 0.0, value)
            tl.store(active + offsets, positive.to(active.dtype.element_ty), mask=inside)
            total += positive if AVERAGE_ACTIVE else value
    offsets = cell.to(tl.int64)[:, None] * channels + column[None, :]
    tl.store(halved + offsets, (total * 0.25).to(halved.dtype.element_ty), mask=inside)


@triton.jit
def relu_joined_kernel(
    active,
    of_active,
    of_kept,
    of_images,
    rows,
    channels,
    width,
    KEPT_ACTIVE: tl.constexpr,
    HALVED: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Gradient of the images from those of their ReLU and of what was kept (or its 2x2 averages)."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = (row < rows)[:, None] & (column < channels)[None, :]
    offsets = row.to(tl.int64)[:, None] * channels + column[None, :]
    output = tl.load(active + offsets, mask=inside, other=0.0).to(tl.float32)
    value = tl.load(of_active + offsets, mask=inside, other=0.0).to(tl.float32)
    if HALVED:
        cell = (row // width // 2) * (width // 2) + (row % width) // 2
        sources = cell.to(tl.int64)[:, None] * channels + column[None, :]
    else:
        sources = offsets
    kept = tl.load(of_kept + sources, mask=inside, other=0.0).to(tl.float32)
    if HALVED:
        kept = kept * 0.25
    if KEPT_ACTIVE:
        value = tl.where(output <= 0, 0.0, value + kept)
    else:
        value = tl.where(output <= 0, 0.0, value) + kept
    tl.store(of_images + offsets, value.to(of_images.dtype.element_ty), mask=inside)


@triton.jit
def relu_sum_kernel(images, sums, pixels, channels, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Sum of the ReLU over the pixels of a sample."""
    sample = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, pixels, ROWS):
        pixel = start + tl.arange(0, ROWS)
        inside = (pixel < pixels)[:, None] & (column < channels)[None, :]
        offsets = (sample * pixels + pixel)[:, None] * channels + column[None, :]
        value = tl.load(images + offsets, mask=inside, other=0.0).to(tl.float32)
        total += tl.where(value < 0, 0.0, value)
    tl.store(sums + sample * channels + column, tl.sum(total, 0), mask=column < channels)


@triton.jit
def relu_spread_kernel(
    images, gradient, of_images, rows, channels, pixels, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    """The gradient [N, C] of a sample at each of its pixels that is above 0."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = (row < rows)[:, None] & (column < channels)[None, :]
    offsets = row.to(tl.int64)[:, None] * channels + column[None, :]
    value = tl.load(images + offsets, mask=inside, other=0.0).to(tl.float32)
    sources = (row // pixels).to(tl.int64)[:, None] * channels + column[None, :]
    slope = tl.load(gradient + sources, mask=inside, other=0.0).to(tl.float32)
    slope = tl.where(value <= 0, 0.0, slope)
    tl.store(of_images + offsets, slope.to(of_images.dtype.element_ty), mask=inside)
