"""Triton kernel of ``kernels/resample.py``."""

# What a kernel is given has no types that a checker knows, and comes by position.
# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: PLR0917

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from reacgan.kernels.base import launch

_CHANGES = {"blur": 0, "down": 1, "up": 2}


def run_resample(
    images: Tensor, result: Tensor, change: str, padding: int, repeat: bool, factor: float
) -> None:
    """Fill ``result``; both in one order of memory, rows of pixels of channels or channels of rows."""
    count, channels, height, width = images.shape
    high, wide = result.shape[2:]
    if not images.is_contiguous(memory_format=torch.channels_last):
        count, channels = count * channels, 1  # each channel is an image of its own
    total, block = result.numel(), 1024
    if total == 0:
        return
    launch(
        resample_kernel,
        (triton.cdiv(total, block),),
        images,
        result,
        total,
        height,
        width,
        high,
        wide,
        channels,
        factor,
        CHANGE=_CHANGES[change],
        PADDING=padding,
        REPEAT=repeat,
        LONG=max(total, images.numel()) > 2**31 - block,
        BLOCK=block,
    )


@triton.jit
def resample_kernel(
    images, result, total, height, width, high, wide, channels, factor, CHANGE: tl.constexpr,
    PADDING: tl.constexpr, REPEAT: tl.constexpr, LONG: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Each program gives BLOCK neighbouring values of [N, high, wide, channels].

    ``LONG``: an index needs 64 bits, in which a GPU divides several times slower.
    """
    start = tl.program_id(0)
    if LONG:
        start = start.to(tl.int64)
    index = start * BLOCK + tl.arange(0, BLOCK)
    inside = index < total
    channel = index % channels
    pixel = index // channels
    x = pixel % wide
    row = pixel // wide
    y = row % high
    base = (row // high) * height
    total_sum = tl.zeros((BLOCK,), dtype=tl.float32)
    TAPS: tl.constexpr = 2 if CHANGE == 2 else 4
    for a in tl.static_range(TAPS):
        # Where a tap reads, and its weight in eighths.
        if CHANGE == 0:
            from_y = y - PADDING + a
            weight_y = 3.0 if a > 0 and a < 3 else 1.0
        elif CHANGE == 1:
            from_y = 2 * y - 1 + a
            weight_y = 3.0 if a > 0 and a < 3 else 1.0
        else:
            from_y = (y + 1) // 2 - 1 + a
            weight_y = tl.where((y % 2) == a, 2.0, 6.0)
        line = tl.zeros((BLOCK,), dtype=tl.float32)
        if REPEAT:
            from_y = tl.minimum(tl.maximum(from_y, 0), height - 1)
        reads_y = inside & (from_y >= 0) & (from_y < height)
        for b in tl.static_range(TAPS):
            if CHANGE == 0:
                from_x = x - PADDING + b
                weight_x = 3.0 if b > 0 and b < 3 else 1.0
            elif CHANGE == 1:
                from_x = 2 * x - 1 + b
                weight_x = 3.0 if b > 0 and b < 3 else 1.0
            else:
                from_x = (x + 1) // 2 - 1 + b
                weight_x = tl.where((x % 2) == b, 2.0, 6.0)
            if REPEAT:
                from_x = tl.minimum(tl.maximum(from_x, 0), width - 1)
            reads = reads_y & (from_x >= 0) & (from_x < width)
            place_in = ((base + from_y) * width + from_x) * channels + channel
            line += weight_x * tl.load(images + place_in, mask=reads, other=0.0).to(tl.float32)
        total_sum += weight_y * line
    tl.store(result + index, total_sum * (factor / 64), mask=inside)
