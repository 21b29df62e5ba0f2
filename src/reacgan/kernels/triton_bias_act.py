"""Triton kernels of ``kernels/bias_act.py``; images lie with their channels last."""

# What a kernel is given has no types that a checker knows, and comes by position.
# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: PLR0917

from __future__ import annotations

from collections.abc import Sequence

import triton
import triton.language as tl
from torch import Tensor

from reacgan.kernels.base import launch

_CHANNELS = 64  # of a program of the backward pass

Tensors = tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]
"""bias, factors, noise, strength."""


def run_activate(
    gradient: Tensor | None,
    images: Tensor,
    result: Tensor,
    tensors: Tensors,
    numbers: Sequence[float],
) -> None:
    """The formula, or where a ``gradient`` is given that times slope and gain."""
    bias, factors, noise, strength = _contiguous(tensors)
    count, channels = images.shape[:2]
    pixels = images.numel() // max(count * channels, 1)
    total, block = images.numel(), 1024
    if total == 0:
        return
    launch(
        activate_kernel,
        (triton.cdiv(total, block),),
        *_or_images(images, gradient, images, result, bias, factors, noise, strength),
        total,
        channels,
        pixels,
        _noise_stride(noise, pixels),
        *numbers,
        HAS_GRADIENT=gradient is not None,
        HAS_BIAS=bias is not None,
        HAS_FACTORS=factors is not None,
        HAS_NOISE=noise is not None,
        LONG=total > 2**31 - block,
        BLOCK=block,
    )


def run_backward(
    gradient: Tensor,
    images: Tensor,
    result: Tensor,
    sums: Tensor,
    tensors: Tensors,
    numbers: Sequence[float],
) -> None:
    """Gradient of the images, and sums over pieces of the pixels."""
    bias, factors, noise, strength = _contiguous(tensors)
    count, channels = images.shape[:2]
    pixels = images.numel() // max(count * channels, 1)
    _, samples, pieces, _ = sums.shape
    rows = count * pixels // samples  # of a sample of the sums
    if images.numel() == 0:
        sums.zero_()
        return
    launch(
        activate_backward_kernel,
        (triton.cdiv(channels, _CHANNELS), pieces, samples),
        *_or_images(images, gradient, images, result, bias, factors, noise, strength),
        sums,
        channels,
        pixels,
        rows,
        triton.cdiv(rows, pieces),
        _noise_stride(noise, pixels),
        *numbers,
        HAS_BIAS=bias is not None,
        HAS_FACTORS=factors is not None,
        HAS_NOISE=noise is not None,
        ROWS=16,
        BLOCK=_CHANNELS,
    )


def _contiguous(tensors: Tensors) -> tuple[Tensor | None, ...]:
    return tuple(None if tensor is None else tensor.contiguous() for tensor in tensors)


def _or_images(images: Tensor, *tensors: Tensor | None) -> list[Tensor]:
    """A tensor that is not there is not read; its pointer must be some tensor's."""
    return [images if tensor is None else tensor for tensor in tensors]


def _noise_stride(noise: Tensor | None, pixels: int) -> int:
    """From the noise of a sample to that of the next."""
    return 0 if noise is None or noise.numel() == pixels else pixels


@triton.jit
def activate_kernel(
    gradient, images, result, bias, factors, noise, strength, total, channels, pixels,
    noise_stride, scale, bias_scale, slope, gain, HAS_GRADIENT: tl.constexpr,
    HAS_BIAS: tl.constexpr, HAS_FACTORS: tl.constexpr, HAS_NOISE: tl.constexpr,
    LONG: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Each program gives BLOCK neighbouring values of [N, pixels, C]; ``LONG``: an index has 64 bits."""
    start = tl.program_id(0)
    if LONG:
        start = start.to(tl.int64)
    index = start * BLOCK + tl.arange(0, BLOCK)
    inside = index < total
    channel = index % channels
    row = index // channels
    sample = row // pixels
    pre = tl.load(images + index, mask=inside, other=0.0).to(tl.float32) * scale
    if HAS_FACTORS:
        factor = tl.load(factors + sample * channels + channel, mask=inside, other=0.0)
        pre = pre * factor.to(tl.float32)
    if HAS_NOISE:
        at = sample * noise_stride + row % pixels
        drawn = tl.load(noise + at, mask=inside, other=0.0).to(tl.float32)
        pre += drawn * tl.load(strength).to(tl.float32)
    if HAS_BIAS:
        offset = tl.load(bias + channel, mask=inside, other=0.0).to(tl.float32)
        pre += offset * bias_scale
    steep = tl.where(pre > 0, gain, gain * slope)
    if HAS_GRADIENT:
        value = tl.load(gradient + index, mask=inside, other=0.0).to(tl.float32) * steep
    else:
        value = pre * steep
    tl.store(result + index, value, mask=inside)


@triton.jit
def activate_backward_kernel(
    gradient, images, result, bias, factors, noise, strength, sums, channels, pixels, rows,
    piece_rows, noise_stride, scale, bias_scale, slope, gain, HAS_BIAS: tl.constexpr,
    HAS_FACTORS: tl.constexpr, HAS_NOISE: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Each program: a piece of the rows of one sample, BLOCK channels."""
    channel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    piece = tl.program_id(1)
    sample = tl.program_id(2).to(tl.int64)
    exists = channel < channels
    of_bias = tl.zeros((ROWS, BLOCK), dtype=tl.float32)
    of_factors = tl.zeros((ROWS, BLOCK), dtype=tl.float32)
    of_strength = tl.zeros((ROWS, BLOCK), dtype=tl.float32)
    factor = tl.full((BLOCK,), 1.0, dtype=tl.float32)
    if HAS_FACTORS:
        factor = tl.load(factors + sample * channels + channel, mask=exists, other=0.0)
        factor = factor.to(tl.float32)
    offset = tl.zeros((BLOCK,), dtype=tl.float32)
    if HAS_BIAS:
        offset = tl.load(bias + channel, mask=exists, other=0.0).to(tl.float32) * bias_scale
    if HAS_NOISE:
        loudness = tl.load(strength).to(tl.float32)
    last = tl.minimum(rows, (piece + 1) * piece_rows)
    for start in range(piece * piece_rows, last, ROWS):
        row = start + tl.arange(0, ROWS)
        inside = (row < last)[:, None] & exists[None, :]
        index = (sample * rows + row)[:, None] * channels + channel[None, :]
        value = tl.load(images + index, mask=inside, other=0.0).to(tl.float32) * scale
        pre = value * factor[None, :] + offset[None, :]
        if HAS_NOISE:
            whole = sample * rows + row  # of all rows of all samples
            drawn_at = (whole // pixels) * noise_stride + whole % pixels
            drawn = tl.load(noise + drawn_at, mask=row < last, other=0.0).to(tl.float32)
            pre += (drawn * loudness)[:, None]
        steep = tl.where(pre > 0, gain, gain * slope)
        passed = tl.load(gradient + index, mask=inside, other=0.0).to(tl.float32) * steep
        tl.store(result + index, passed * factor[None, :] * scale, mask=inside)
        of_bias += passed
        if HAS_FACTORS:
            of_factors += passed * value
        if HAS_NOISE:
            of_strength += passed * drawn[:, None]
    pieces = tl.num_programs(1)
    samples = tl.num_programs(2)
    at = sums + (sample * pieces + piece) * channels + channel
    step = samples * pieces * channels
    tl.store(at, tl.sum(of_bias, 0), mask=exists)
    if HAS_FACTORS:
        tl.store(at + step, tl.sum(of_factors, 0), mask=exists)
    if HAS_NOISE:
        tl.store(at + 2 * step, tl.sum(of_strength, 0), mask=exists)
