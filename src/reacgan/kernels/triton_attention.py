"""Triton kernels of self-attention: its rows, its softmax, its gate."""

# What a kernel is given has no types that a checker knows, and comes by position.
# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: PLR0917

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def larger(value, best):
    """Where a value takes the place of the largest so far: as in ``F.max_pool2d``, NaN does too."""
    return (value > best) | (value != value)  # noqa: PLR0124 - NaN


@triton.jit
def split_kernel(
    joined,
    query,
    key,
    value,
    cells,
    height,
    width,
    channels,
    KEYS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """The first ``KEYS`` channels as rows, the largest of 2x2 pixels of the next ``KEYS`` and the rest."""
    cell = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    down, across = (height + 1) // 2, (width + 1) // 2
    sample, line, spot = cell // (down * across), cell // across % down, cell % across
    within = column[None, :] < channels
    asks = column[None, :] < KEYS
    best = tl.zeros((ROWS, COLUMNS), tl.float32)
    for step in tl.static_range(4):
        y, x = 2 * line + step // 2, 2 * spot + step % 2
        row = ((sample * height + y) * width + x).to(tl.int64)
        inside = ((cell < cells) & (y < height) & (x < width))[:, None] & within
        given = tl.load(joined + row[:, None] * channels + column[None, :], mask=inside, other=0.0)
        given = given.to(tl.float32)
        target = query + row[:, None] * KEYS + column[None, :]
        tl.store(target, given.to(query.dtype.element_ty), mask=inside & asks)
        best = given if step == 0 else tl.where(larger(given, best), given, best)
    whole = (cell < cells) & (2 * line + 1 < height) & (2 * spot + 1 < width)
    row = ((sample * (height // 2) + line) * (width // 2) + spot).to(tl.int64)
    kept = whole[:, None] & within & (column[None, :] >= KEYS)
    of_key = column[None, :] < 2 * KEYS
    target = key + row[:, None] * KEYS + (column[None, :] - KEYS)
    tl.store(target, best.to(key.dtype.element_ty), mask=kept & of_key)
    target = value + row[:, None] * (channels - 2 * KEYS) + (column[None, :] - 2 * KEYS)
    tl.store(target, best.to(value.dtype.element_ty), mask=kept & (column[None, :] >= 2 * KEYS))


@triton.jit
def split_backward_kernel(
    joined,
    of_query,
    of_key,
    of_value,
    of_joined,
    cells,
    height,
    width,
    channels,
    row_stride,
    column_stride,
    KEYS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """The gradient of ``joined``: of a 2x2 cell the first of the largest gets that of the cell.

    The strides are of ``of_key``, whose samples follow one another.
    """
    cell = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    down, across = (height + 1) // 2, (width + 1) // 2
    sample, line, spot = cell // (down * across), cell // across % down, cell % across
    within = column[None, :] < channels
    asks = column[None, :] < KEYS
    best = tl.full((ROWS, COLUMNS), float("-inf"), tl.float32)
    winner = tl.zeros((ROWS, COLUMNS), tl.int32)
    for step in tl.static_range(4):
        y, x = 2 * line + step // 2, 2 * spot + step % 2
        row = ((sample * height + y) * width + x).to(tl.int64)
        inside = ((cell < cells) & (y < height) & (x < width))[:, None] & within
        given = tl.load(joined + row[:, None] * channels + column[None, :], mask=inside, other=0.0)
        wins = larger(given, best)
        best = tl.where(wins, given, best)
        winner = tl.where(wins, step, winner)
    whole = (cell < cells) & (2 * line + 1 < height) & (2 * spot + 1 < width)
    row = ((sample * (height // 2) + line) * (width // 2) + spot).to(tl.int64)
    kept = whole[:, None] & within & (column[None, :] >= KEYS)
    few = (height // 2) * (width // 2)
    start = (row // few) * few * KEYS + (row % few) * row_stride
    source = of_key + start[:, None] + (column[None, :] - KEYS) * column_stride
    slope = tl.load(source, mask=kept & (column[None, :] < 2 * KEYS), other=0.0).to(tl.float32)
    source = of_value + row[:, None] * (channels - 2 * KEYS) + (column[None, :] - 2 * KEYS)
    slope += tl.load(source, mask=kept & (column[None, :] >= 2 * KEYS), other=0.0).to(tl.float32)
    for step in tl.static_range(4):
        y, x = 2 * line + step // 2, 2 * spot + step % 2
        row = ((sample * height + y) * width + x).to(tl.int64)
        inside = ((cell < cells) & (y < height) & (x < width))[:, None] & within
        source = of_query + row[:, None] * KEYS + column[None, :]
        asked = tl.load(source, mask=inside & asks, other=0.0).to(tl.float32)
        result = tl.where(asks, asked, tl.where(winner == step, slope, 0.0))
        target = of_joined + row[:, None] * channels + column[None, :]
        tl.store(target, result.to(of_joined.dtype.element_ty), mask=inside)


@triton.jit
def softmax_kernel(
    scores,
    gradient,
    result,
    rows,
    columns,
    BACKWARD: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Softmax of each row of float32 scores; ``BACKWARD``: the scores' gradient from the softmax's."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, COLUMNS)
    inside = (row < rows)[:, None] & (column < columns)[None, :]
    offsets = row.to(tl.int64)[:, None] * columns + column[None, :]
    # Rows beyond the last are zeros, so that nothing is divided by zero.
    padding = tl.where((column < columns)[None, :], 0.0, float("-inf"))
    given = tl.load(scores + offsets, mask=inside, other=0.0).to(tl.float32) + padding
    exponential = tl.exp(given - tl.max(given, 1)[:, None])
    value = exponential / tl.sum(exponential, 1)[:, None]
    if BACKWARD:
        slope = tl.load(gradient + offsets, mask=inside, other=0.0).to(tl.float32)
        value = value * (slope - tl.sum(value * slope, 1)[:, None])
    tl.store(result + offsets, value.to(result.dtype.element_ty), mask=inside)


@triton.jit
def gated_kernel(
    images, gate, added, result, rows, channels, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    """``result = images + gate x added``."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = (row < rows)[:, None] & (column < channels)[None, :]
    offsets = row.to(tl.int64)[:, None] * channels + column[None, :]
    value = tl.load(added + offsets, mask=inside, other=0.0).to(tl.float32)
    value = value * tl.load(gate).to(tl.float32)
    value += tl.load(images + offsets, mask=inside, other=0.0).to(tl.float32)
    tl.store(result + offsets, value.to(result.dtype.element_ty), mask=inside)


@triton.jit
def gated_backward_kernel(
    gradient,
    gate,
    added,
    of_added,
    partial,
    rows,
    channels,
    SUMS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """``of_added = gate x gradient``, and, where ``SUMS``, partial sums of gradient x added."""
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    scale = tl.load(gate).to(tl.float32)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(tl.program_id(0) * ROWS, rows, tl.num_programs(0) * ROWS):
        row = start + tl.arange(0, ROWS)
        inside = (row < rows)[:, None] & (column < channels)[None, :]
        offsets = row.to(tl.int64)[:, None] * channels + column[None, :]
        slope = tl.load(gradient + offsets, mask=inside, other=0.0).to(tl.float32)
        result = (slope * scale).to(of_added.dtype.element_ty)
        tl.store(of_added + offsets, result, mask=inside)
        if SUMS:
            total += slope * tl.load(added + offsets, mask=inside, other=0.0).to(tl.float32)
    if SUMS:
        number = tl.program_id(0) * tl.num_programs(1) + tl.program_id(1)
        tl.store(partial + number, tl.sum(tl.sum(total, 1), 0))
