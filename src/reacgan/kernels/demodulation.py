"""Demodulation of StyleGAN2's convolutions: one over the length of each sample's scaled weights.

    f[n, o] = gain / sqrt(scale^2 sum_c s[n, c]^2 q[o, c] + eps),    q[o, c] = sum_k w[o, c, k]^2

The sums of squares are a kernel, the product is the library's, the root is a kernel again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from reacgan.kernels.base import operation, takes_kernel
from reacgan.tensors import weights_get_gradients, widened


def demodulation(
    styles: Tensor, weight: Tensor, *, scale: float, gain: float, eps: float
) -> Tensor:
    """The factors f above: [N, O], of styles [N, C] and weight [O, C, k, k]; in the type of the styles."""
    lengths = styles.square() @ square_sums_of(weight).T
    return inverse_roots_of(lengths, scale, gain, eps)


def square_sums_of(weight: Tensor) -> Tensor:
    """The sums q of the formula, [O, C], with their derivatives."""
    result: Tensor = _SquareSums.apply(weight)
    return result


def inverse_roots_of(lengths: Tensor, scale: float, gain: float, eps: float) -> Tensor:
    """The roots: gain / sqrt(scale^2 lengths + eps), of any shape, with their derivatives."""
    result: Tensor = _InverseRoots.apply(lengths, scale, gain, eps)
    return result


class _SquareSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        result: Tensor = torch.ops.reacgan.square_sums(weight)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor | None:
        (weight,) = ctx.saved_tensors
        if not weights_get_gradients():
            return None
        if torch.is_grad_enabled():
            return 2 * weight * gradient[:, :, None, None]
        result: Tensor = torch.ops.reacgan.square_sums_backward(weight, gradient)
        return result


class _InverseRoots(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, lengths: Tensor, scale: float, gain: float, eps: float) -> Tensor:
        result: Tensor = torch.ops.reacgan.inverse_roots(None, lengths, scale, gain, eps)
        ctx.save_for_backward(lengths)
        ctx.numbers = scale, gain, eps
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (lengths,) = ctx.saved_tensors
        scale, gain, eps = ctx.numbers
        if torch.is_grad_enabled():
            roots = torch.rsqrt(lengths * scale**2 + eps)
            return gradient * roots**3 * (-0.5 * gain * scale**2), None, None, None
        result = torch.ops.reacgan.inverse_roots(gradient, lengths, scale, gain, eps)
        return result, None, None, None


def _fake_sums(weight: Tensor) -> Tensor:
    kind = torch.promote_types(weight.dtype, torch.float32)
    return torch.empty(weight.shape[:2], dtype=kind, device=weight.device)


@operation("square_sums", launches=1, fake=_fake_sums)
def square_sums(weight: Tensor) -> Tensor:
    """Sums of squares over the taps: [O, C] of [O, C, k, k]."""
    if takes_kernel(weight) and weight.dtype == torch.float32:
        from reacgan.kernels.triton_demodulation import run_square_sums  # noqa: PLC0415 - Triton

        result = _fake_sums(weight)
        run_square_sums(weight, result)
        return result
    return widened(weight).square().sum((2, 3))


def _fake_like(weight: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(weight)


@operation("square_sums_backward", launches=1, fake=_fake_like)
def square_sums_backward(weight: Tensor, gradient: Tensor) -> Tensor:
    """Gradient of the weight: twice the weight times that of its sums."""
    if takes_kernel(weight) and weight.dtype == torch.float32:
        from reacgan.kernels.triton_demodulation import run_square_sums_backward  # noqa: PLC0415

        result = torch.empty_like(weight)
        run_square_sums_backward(weight, gradient.contiguous(), result)
        return result
    return (2 * weight * gradient[:, :, None, None]).to(weight.dtype)


def _fake_roots(
    gradient: Tensor | None, lengths: Tensor, scale: float, gain: float, eps: float
) -> Tensor:
    return torch.empty_like(lengths, memory_format=torch.contiguous_format)


@operation("inverse_roots", launches=1, fake=_fake_roots)
def inverse_roots(
    gradient: Tensor | None, lengths: Tensor, scale: float, gain: float, eps: float
) -> Tensor:
    """The same; where a gradient of that is given, that of the lengths."""
    if takes_kernel(lengths) and lengths.dtype == torch.float32:
        from reacgan.kernels.triton_demodulation import run_inverse_roots  # noqa: PLC0415

        result = torch.empty_like(lengths, memory_format=torch.contiguous_format)
        given = None if gradient is None else gradient.contiguous()
        run_inverse_roots(given, lengths.contiguous(), result, (scale, gain, eps))
        return result
    roots = (lengths * scale**2 + eps).rsqrt()
    if gradient is None:
        return roots * gain
    return gradient * roots**3 * (-0.5 * gain * scale**2)
