"""Triton kernels of ``kernels/demodulation.py``."""

# What a kernel is given has no types that a checker knows, and comes by position.
# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: PLR0917

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from reacgan.kernels.base import launch

_BLOCK = 1024


def run_square_sums(weight: Tensor, result: Tensor) -> None:
    """Fill ``result`` [O, C], whatever the memory order of ``weight``."""
    outer, inner, rows, columns = weight.shape
    launch(
        square_sums_kernel,
        (triton.cdiv(result.numel(), _BLOCK),),
        weight,
        result,
        outer * inner,
        inner,
        *weight.stride(),
        ROWS=rows,
        COLUMNS=columns,
        BLOCK=_BLOCK,
    )


def run_square_sums_backward(weight: Tensor, gradient: Tensor, result: Tensor) -> None:
    """Fill ``result``, in the memory order of ``weight``, of the gradient [O, C] of its sums."""
    outer, inner, rows, columns = weight.shape
    launch(
        square_sums_backward_kernel,
        (triton.cdiv(gradient.numel(), _BLOCK), rows * columns),
        weight,
        gradient,
        result,
        outer * inner,
        inner,
        columns,
        *weight.stride(),
        *result.stride(),
        BLOCK=_BLOCK,
    )


def run_inverse_roots(
    gradient: Tensor | None, lengths: Tensor, result: Tensor, numbers: tuple[float, float, float]
) -> None:
    """Fill ``result``; ``numbers``: scale, gain, eps."""
    launch(
        inverse_roots_kernel,
        (triton.cdiv(lengths.numel(), _BLOCK),),
        lengths if gradient is None else gradient,
        lengths,
        result,
        lengths.numel(),
        *numbers,
        HAS_GRADIENT=gradient is not None,
        BLOCK=_BLOCK,
    )


@triton.jit
def square_sums_kernel(
    weight, result, total, inner, outer_stride, inner_stride, row_stride, column_stride,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Each program: BLOCK pairs of an output and an input channel."""
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = index < total
    base = (index // inner).to(tl.int64) * outer_stride + (index % inner) * inner_stride
    squares = tl.zeros((BLOCK,), dtype=tl.float32)
    for row in tl.static_range(ROWS):
        for column in tl.static_range(COLUMNS):
            at = weight + base + row * row_stride + column * column_stride
            value = tl.load(at, mask=inside, other=0.0).to(tl.float32)
            squares += value * value
    tl.store(result + index, squares, mask=inside)


@triton.jit
def square_sums_backward_kernel(
    weight, gradient, result, total, inner, columns, outer_stride, inner_stride, row_stride,
    column_stride, result_outer, result_inner, result_row, result_column, BLOCK: tl.constexpr,
):  # fmt: skip
    """Each program: BLOCK pairs of channels, a tap."""
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = index < total
    row = tl.program_id(1) // columns
    column = tl.program_id(1) % columns
    first = (index // inner).to(tl.int64)
    second = index % inner
    at = first * outer_stride + second * inner_stride + row * row_stride + column * column_stride
    value = tl.load(weight + at, mask=inside, other=0.0).to(tl.float32)
    slope = tl.load(gradient + index, mask=inside, other=0.0).to(tl.float32)
    at = first * result_outer + second * result_inner + row * result_row + column * result_column
    tl.store(result + at, 2.0 * value * slope, mask=inside)


@triton.jit
def inverse_roots_kernel(
    gradient, lengths, result, total, scale, gain, eps, HAS_GRADIENT: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Each program: BLOCK lengths."""
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = index < total
    length = tl.load(lengths + index, mask=inside, other=1.0)
    root = 1.0 / tl.sqrt(length * scale * scale + eps)
    if HAS_GRADIENT:
        slope = tl.load(gradient + index, mask=inside, other=0.0)
        value = slope * root * root * root * (-0.5 * gain * scale * scale)
    else:
        value = root * gain
    tl.store(result + index, value, mask=inside)
