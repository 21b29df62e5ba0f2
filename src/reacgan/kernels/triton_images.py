"""Triton kernels of :mod:`reacgan.kernels.images`, which has the formulas; imported at a launch."""

# What a kernel is given has no types that a checker knows, and comes by position.
# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: PLR0917

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from reacgan.kernels.base import launch

_BLOCK = 1024


@triton.jit
def scaled_batch_kernel(
    images, labels, chosen, tosses, shifts, result, result_labels,
    channels, height, width, step,
    FLIPS: tl.constexpr, SHIFTS: tl.constexpr, LAST: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Some numbers of one image, in the order in which the result lies in memory; ``step``: 2 / 255."""
    sample = tl.program_id(0)
    index = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    size = channels * height * width
    inside = index < size
    if LAST:
        channel = index % channels
        row = index // channels // width
        column = index // channels % width
    else:
        column = index % width
        row = index // width % height
        channel = index // (width * height)
    if SHIFTS:
        row += tl.load(shifts + 2 * sample).to(tl.int32)
        row = tl.minimum(tl.maximum(row, 0), height - 1)
        column += tl.load(shifts + 2 * sample + 1).to(tl.int32)
        column = tl.minimum(tl.maximum(column, 0), width - 1)
    if FLIPS:
        mirrored = tl.load(tosses + sample) < 0.5
        column = tl.where(mirrored, width - 1 - column, column)
    image = tl.load(chosen + sample)
    source = image * size + (channel * height + row) * width + column
    value = tl.load(images + source, mask=inside, other=0).to(tl.float32) * step - 1.0
    tl.store(result + sample.to(tl.int64) * size + index, value, mask=inside)
    tl.store(result_labels + sample, tl.load(labels + image), mask=tl.program_id(1) == 0)


def scaled_batch(
    whole: tuple[Tensor, Tensor],
    chosen: Tensor,
    tosses: Tensor | None,
    shifts: Tensor | None,
    results: tuple[Tensor, Tensor],
    *,
    last: bool,
) -> None:
    """Fill the results: images and labels, of those of the whole set."""
    _, channels, height, width = whole[0].shape
    pieces = triton.cdiv(channels * height * width, _BLOCK)
    launch(
        scaled_batch_kernel, (len(chosen), pieces), *whole, chosen.contiguous(),
        chosen if tosses is None else tosses.contiguous(),
        chosen if shifts is None else shifts.contiguous(),
        *results, channels, height, width, 2 / 255,
        FLIPS=tosses is not None, SHIFTS=shifts is not None, LAST=last, BLOCK=_BLOCK,
    )  # fmt: skip
