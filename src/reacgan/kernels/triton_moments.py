"""Triton kernels of ``kernels/moments.py``."""

# What a kernel is given has no types that a checker knows, and comes by position.
# mypy: disable-error-code="no-untyped-def, untyped-decorator"

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from reacgan.kernels.base import launch


def run_unit_rows(gradient: Tensor | None, rows: Tensor, result: Tensor, eps: float) -> None:
    """Fill ``result``; all are contiguous."""
    count, width = rows.shape
    launch(
        unit_rows_kernel,
        (count,),
        rows if gradient is None else gradient,
        rows,
        result,
        width,
        eps,
        HAS_GRADIENT=gradient is not None,
        BLOCK=triton.next_power_of_2(width),
    )


def run_deviation(
    gradient: Tensor | None, images: Tensor, result: Tensor, members: int, eps: float, block: int
) -> None:
    """Sums of deviations over blocks of positions, or with a gradient that of the images."""
    positions = images[0].numel()
    launch(
        deviation_kernel,
        (len(images) // members, triton.cdiv(positions, block)),
        images if gradient is None else gradient,
        images,
        result,
        positions,
        members,
        eps,
        HAS_GRADIENT=gradient is not None,
        MEMBERS=triton.next_power_of_2(members),
        BLOCK=block,
    )


@triton.jit
def unit_rows_kernel(
    gradient, rows, result, width, eps, HAS_GRADIENT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Each program: a row."""
    column = tl.arange(0, BLOCK)
    inside = column < width
    at = tl.program_id(0).to(tl.int64) * width + column
    row = tl.load(rows + at, mask=inside, other=0.0)
    inverse = 1.0 / tl.sqrt(tl.sum(row * row, 0) / width + eps)
    if HAS_GRADIENT:
        slope = tl.load(gradient + at, mask=inside, other=0.0)
        along = tl.sum(slope * row, 0) / width
        value = inverse * (slope - row * (inverse * inverse * along))
    else:
        value = row * inverse
    tl.store(result + at, value, mask=inside)


@triton.jit
def deviation_kernel(
    gradient, images, result, positions, members, eps, HAS_GRADIENT: tl.constexpr,
    MEMBERS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Each program: a group, BLOCK positions."""
    group = tl.program_id(0).to(tl.int64)
    position = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    member = tl.arange(0, MEMBERS)
    exists = (member < members)[:, None] & (position < positions)[None, :]
    at = (group * members + member)[:, None] * positions + position[None, :]
    value = tl.load(images + at, mask=exists, other=0.0)
    centred = tl.where(exists, value - (tl.sum(value, 0) / members)[None, :], 0.0)
    variance = tl.sum(centred * centred, 0) / members
    root = tl.sqrt(variance + eps)
    if HAS_GRADIENT:
        share = tl.load(gradient + group) / positions / members
        tl.store(result + at, centred / root[None, :] * share, mask=exists)
    else:
        total = tl.sum(tl.where(position < positions, root, 0.0), 0) / positions
        tl.store(result + group * tl.num_programs(1) + tl.program_id(1), total)
