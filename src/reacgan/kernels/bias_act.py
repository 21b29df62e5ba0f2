"""Scaling, noise, bias, leaky ReLU and gain as one operation, forward and backward.

    pre = scale * factors[n, c] * x + strength * noise[n, h, w] + bias_scale * bias[c]
    y   = gain * (pre where pre > 0, else slope * pre)

What is None is left out. The leaky ReLU is piecewise linear, so its second derivative is zero, and the
gradient with respect to x is an operation whose own gradient is the same operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from reacgan.kernels.base import operation, takes_kernel
from reacgan.tensors import weights_get_gradients, widened

_TYPES = (torch.float32, torch.bfloat16, torch.float16)
BIAS, FACTORS, STRENGTH = range(3)
"""Rows of the sums that the backward pass gives."""
_CHANNELS = 64  # of a program of the backward pass
_PROGRAMS = 1024  # of the backward pass, about: eight for each multiprocessor


@dataclass(frozen=True)
class Act:
    """The numbers of the formula."""

    scale: float = 1.0
    bias_scale: float = 1.0
    slope: float = 1.0
    gain: float = 1.0


def activated(
    images: Tensor,
    act: Act,
    *,
    bias: Tensor | None = None,
    factors: Tensor | None = None,
    noise: Tensor | None = None,
    strength: Tensor | None = None,
) -> Tensor:
    """The formula above, in float32 at least, given in the type of the images.

    Args:
        images: [N, C, H, W] or [N, C].
        act: its numbers.
        bias: [C].
        factors: [N, C].
        noise: [N, 1, H, W] or [H, W], a constant.
        strength: of the noise, a scalar.
    """
    result: Tensor = _Activated.apply(act, images, bias, factors, noise, strength)
    return result


class _Activated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, act: Act, *tensors: Tensor | None) -> Tensor:
        ctx.save_for_backward(*tensors)
        ctx.act = act
        result: Tensor = torch.ops.reacgan.activate(*tensors, numbers=_numbers(act))
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            return None, *_differentiable_backward(ctx, gradient)
        tensors, act = ctx.saved_tensors, ctx.act
        _, bias, factors, _, strength = tensors
        of_bias, of_factors, _, of_strength = ctx.needs_input_grad[2:]
        wanted = weights_get_gradients()
        of_bias, of_strength = of_bias and wanted, of_strength and wanted
        if not (of_bias or of_factors or of_strength):
            return None, _passed(ctx, gradient, factors), None, None, None, None
        of_images, sums = torch.ops.reacgan.activate_backward(
            gradient, *tensors, numbers=_numbers(act)
        )
        samples = sums[:, :, 0] if sums.shape[2] == 1 else sums.sum(2)  # [3, N or 1, C]
        third = None
        if of_bias:
            third = samples[BIAS, 0] if samples.shape[1] == 1 else samples[BIAS].sum(0)
            third = third if act.bias_scale == 1 else third * act.bias_scale
        return (
            None,
            of_images,
            None if third is None else third.to(bias.dtype),
            samples[FACTORS].to(factors.dtype) if of_factors else None,
            None,
            samples[STRENGTH].sum().to(strength.dtype) if of_strength else None,
        )


def _passed(ctx: Any, gradient: Tensor, factors: Tensor | None) -> Tensor:
    """Gradient of the images without a graph; factors are the only ones that multiply it."""
    passed: Tensor = torch.ops.reacgan.activate_pass(
        gradient, *ctx.saved_tensors, numbers=_slopes(ctx.act)
    )
    return passed if factors is None else passed * _spread(factors, passed)


def _differentiable_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients of images, bias, factors, noise and strength as functions of all that they depend on."""
    images, _, factors, noise, _ = ctx.saved_tensors
    act: Act = ctx.act
    of_bias, of_factors, _, of_strength = ctx.needs_input_grad[2:]
    wanted = weights_get_gradients()
    constants = [None if tensor is None else tensor.detach() for tensor in ctx.saved_tensors]
    if act.slope == 1:
        passed = gradient if act.scale * act.gain == 1 else gradient * (act.scale * act.gain)
    else:
        passed = _Passed.apply(gradient, act, *constants)
    wide = widened(passed)
    summed = (0, *range(2, images.dim()))
    return (
        passed if factors is None else passed * _spread(factors, passed),
        wide.sum(summed) * (act.bias_scale / act.scale) if of_bias and wanted else None,
        _sum_over(wide * images, summed[1:]).to(factors.dtype) if of_factors else None,
        None,
        (wide * noise).sum() / act.scale if of_strength and wanted else None,
    )


class _Passed(torch.autograd.Function):
    """The gradient times scale, gain and the slope on its side of zero."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, act: Act, *tensors: Tensor | None) -> Tensor:
        ctx.save_for_backward(*tensors)
        ctx.act = act
        result: Tensor = torch.ops.reacgan.activate_pass(gradient, *tensors, numbers=_slopes(act))
        return result

    @staticmethod
    def backward(ctx: Any, twice: Tensor) -> tuple[Tensor | None, ...]:
        return _Passed.apply(twice, ctx.act, *ctx.saved_tensors), *[None] * 6


def _numbers(act: Act) -> list[float]:
    return [act.scale, act.bias_scale, act.slope, act.gain]


def _slopes(act: Act) -> list[float]:
    """The same, with the gain that a gradient gets."""
    return [act.scale, act.bias_scale, act.slope, act.gain * act.scale]


def _spread(values: Tensor, images: Tensor) -> Tensor:
    """[N, C] to go with images, in their type."""
    return values.view(*values.shape, *[1] * (images.dim() - 2)).to(images.dtype)


def before_activation(
    images: Tensor,
    bias: Tensor | None,
    factors: Tensor | None,
    noise: Tensor | None,
    strength: Tensor | None,
    numbers: Sequence[float],
) -> Tensor:
    """``pre`` of the formula, by ordinary operations; ``numbers``: those of an act."""
    pre = widened(images) * numbers[0]
    if factors is not None:
        pre = pre * _spread(factors, pre)
    if noise is not None and strength is not None:
        pre = pre + noise.to(pre.dtype) * strength
    if bias is not None:
        pre = pre + (bias * numbers[1]).view(-1, *[1] * (images.dim() - 2))
    return pre


def _fake_activate(images: Tensor, *_: Any, numbers: Any) -> Tensor:
    return torch.empty_like(images)


@operation("activate", launches=1, fake=_fake_activate)
def activate(
    images: Tensor,
    bias: Tensor | None,
    factors: Tensor | None,
    noise: Tensor | None,
    strength: Tensor | None,
    *,
    numbers: Sequence[float],
) -> Tensor:
    """See :func:`activated`."""
    if takes_kernel(images) and images.dtype in _TYPES:
        from reacgan.kernels.triton_bias_act import run_activate  # noqa: PLC0415 - Triton

        images = _ordered(images)
        result = torch.empty_like(images)
        run_activate(None, images, result, (bias, factors, noise, strength), numbers)
        return result
    pre = before_activation(images, bias, factors, noise, strength, numbers)
    return (torch.where(pre > 0, pre, pre * numbers[2]) * numbers[3]).to(images.dtype)


def _fake_pass(gradient: Tensor, images: Tensor, *_: Any, numbers: Any) -> Tensor:
    return torch.empty_like(images, dtype=gradient.dtype)


@operation("activate_pass", launches=1, fake=_fake_pass)
def activate_pass(
    gradient: Tensor,
    images: Tensor,
    bias: Tensor | None,
    factors: Tensor | None,
    noise: Tensor | None,
    strength: Tensor | None,
    *,
    numbers: Sequence[float],
) -> Tensor:
    """``gradient`` times the gain, and the slope where the activation has it."""
    if takes_kernel(images) and images.dtype in _TYPES:
        from reacgan.kernels.triton_bias_act import run_activate  # noqa: PLC0415 - Triton

        images = _ordered(images)
        gradient = _ordered_as(gradient, images)
        result = torch.empty_like(images, dtype=gradient.dtype)
        run_activate(gradient, images, result, (bias, factors, noise, strength), numbers)
        return result
    pre = before_activation(images, bias, factors, noise, strength, numbers)
    _, _, slope, gain = numbers
    return torch.where(pre > 0, gradient * gain, gradient * (gain * slope))


def sum_shape(images: Tensor, factors: Tensor | None) -> tuple[int, int, int, int]:
    """Of the backward pass's sums: [3, samples, pieces, C]; one sample where all have one factor."""
    count, channels = images.shape[:2]
    pixels = images.numel() // max(count * channels, 1)
    if factors is None:
        count, pixels = 1, count * pixels
    programs = count * -(-channels // _CHANNELS)
    pieces = max(1, min(pixels // 64, -(-_PROGRAMS // programs)))
    return 3, count, pieces, channels


def _fake_backward(
    gradient: Tensor, images: Tensor, bias: Any, factors: Any, *_: Any, numbers: Any
) -> tuple[Tensor, Tensor]:
    kind = torch.promote_types(images.dtype, torch.float32)
    return torch.empty_like(images), images.new_empty(sum_shape(images, factors), dtype=kind)


@operation("activate_backward", launches=1, fake=_fake_backward)
def activate_backward(
    gradient: Tensor,
    images: Tensor,
    bias: Tensor | None,
    factors: Tensor | None,
    noise: Tensor | None,
    strength: Tensor | None,
    *,
    numbers: Sequence[float],
) -> tuple[Tensor, Tensor]:
    """Gradient of the images, and the sums over pixels for those of bias, factors and strength.

    Sums are [3, samples, pieces, C], to be added over pieces: of the gradient of ``pre``; of this times
    ``scale`` times the images; of this times the noise. Only those that have a use are filled.
    """
    tensors = (bias, factors, noise, strength)
    if takes_kernel(images) and images.dtype in _TYPES:
        from reacgan.kernels.triton_bias_act import run_backward  # noqa: PLC0415 - Triton

        images = _ordered(images)
        gradient = _ordered_as(gradient, images)
        result, sums = _fake_backward(gradient, images, bias, factors, numbers=numbers)
        run_backward(gradient, images, result, sums, tensors, numbers)
        return result, sums
    scale, _, slope, gain = numbers
    pre = before_activation(images, *tensors, numbers)
    wide = gradient.to(pre.dtype) * gain
    passed = torch.where(pre > 0, wide, wide * slope)
    sums = images.new_zeros(sum_shape(images, factors), dtype=pre.dtype)
    over = tuple(range(2, images.dim()))
    if factors is None:
        over = (0, *over)
    sums[BIAS, :, 0] = _sum_over(passed, over)
    if factors is not None:
        sums[FACTORS, :, 0] = _sum_over(passed * images, over) * scale
    if noise is not None:
        sums[STRENGTH, :, 0] = _sum_over(passed * noise, over)
    result = passed * scale
    if factors is not None:
        result = result * _spread(factors, result)
    return result.to(images.dtype), sums


def _sum_over(values: Tensor, dims: tuple[int, ...]) -> Tensor:
    return values.sum(dims) if dims else values


def _ordered(images: Tensor) -> Tensor:
    """Channels last in memory."""
    if images.dim() == 4:
        return images.contiguous(memory_format=torch.channels_last)
    return images.contiguous()


def _ordered_as(gradient: Tensor, images: Tensor) -> Tensor:
    return _ordered(gradient.expand_as(images))
