"""Fused operations for the costly parts of a step, with few passes over memory.

Most are an ``autograd.Function`` that saves less than the operations it replaces. All are twice
differentiable: with ``create_graph`` their backward passes consist of ordinary operations.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from reacgan.tensors import widened

MOST_WEIGHTS = 1024 * 256
"""Attention with at most this many weights a sample stores its matrix."""
BACKENDS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
"""Kernels of larger attention on CUDA. cuDNN's is left out: its gradient can be NaN where the logarithm
of a row's sum of exponentials is below -88.7 (pytorch issue 196678, cudnn-frontend issues 160,
1072)."""


def convolve(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: int,
    padding: int,
    transposed: bool = False,
) -> Tensor:
    """``F.conv2d`` or ``F.conv_transpose2d``; on a CPU the gradient of the bias is a plain sum.

    The library's own takes up to 1/15 of the convolution's backward pass there.
    """
    if bias is None or images.device.type != "cpu":
        operation = F.conv_transpose2d if transposed else F.conv2d
        return operation(images, weight, bias, stride=stride, padding=padding)
    if torch.is_autocast_enabled("cpu"):
        kind = torch.get_autocast_dtype("cpu")
        images, weight, bias = images.to(kind), weight.to(kind), bias.to(kind)
    result: Tensor = _Convolution.apply(images, weight, bias, stride, padding, transposed)
    return result


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        weight: Tensor,
        bias: Tensor,
        stride: int,
        padding: int,
        transposed: bool,
    ) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.how = ([stride] * 2, [padding] * 2, [1, 1], transposed, [0, 0], 1)
        operation = F.conv_transpose2d if transposed else F.conv2d
        return operation(images, weight, bias, stride=stride, padding=padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        of_images, of_weight, of_bias = ctx.needs_input_grad[:3]
        first = second = None
        if of_images or of_weight:
            wanted = [of_images, of_weight, False]
            first, second, _ = torch.ops.aten.convolution_backward(
                gradient, images, weight, None, *ctx.how, wanted
            )
        third = gradient.sum((0, 2, 3)) if of_bias else None
        return first, second, third, None, None, None


def is_thin(images: Tensor, weight: Tensor) -> bool:
    """Whether a 3x3 convolution has so few outputs that :func:`convolve_thinly` is faster."""
    taps = weight.shape[2] * weight.shape[3]
    return images.device.type == "cpu" and taps == 9 and taps * len(weight) <= weight.shape[1]


def convolve_thinly(images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``F.conv2d`` of stride 1 for few output channels: all taps as one 1x1 convolution, then shifted sums.

    Args:
        images: [N, C, H, W].
        weight: [O, C, k, k], k odd.
        bias: [O] or None.

    Returns:
        [N, O, H, W], in the memory format of the images.
    """
    outer, inner, side = weight.shape[:3]
    # out(y, x) takes images(y + a - 1, x + b - 1): folding adds what is at (y, x) to (y + 1 - a, ...).
    taps = weight.flip(2, 3).permute(0, 2, 3, 1).reshape(-1, inner, 1, 1)
    spread = F.conv2d(images, taps).flatten(2)
    result = F.fold(spread, images.shape[2:], side, padding=side // 2)
    if bias is not None:
        result = result + bias.view(1, outer, 1, 1).to(result.dtype)
    last = images.is_contiguous(memory_format=torch.channels_last)
    return result.contiguous(memory_format=torch.channels_last) if last else result


def add_doubled(images: Tensor, small: Tensor) -> Tensor:
    """``images + nearest doubling of small``, written over ``images``.

    Args:
        images: [N, C, 2H, 2W]; overwritten.
        small: [N, C, H, W].
    """
    result: Tensor = _AddDoubled.apply(images, small)
    return result


class _AddDoubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, small: Tensor) -> Tensor:
        ctx.mark_dirty(images)
        cells = images.unflatten(3, (-1, 2)).unflatten(2, (-1, 2))
        cells.add_(small[:, :, :, None, :, None])
        return images

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        small = F.avg_pool2d(gradient, 2) * 4 if ctx.needs_input_grad[1] else None
        return gradient, small


def modulated(
    images: Tensor,
    mean: Tensor,
    variance: Tensor,
    gain: Tensor,
    bias: Tensor,
    *,
    eps: float,
) -> Tensor:
    """ReLU(gain x (images - mean) / sqrt(variance + eps) + bias) with statistics of ``images``.

    Args:
        images: [N, C, H, W].
        mean: of ``images`` over N, H and W, [C].
        variance: of the same, biased, [C].
        gain: [N, C] or [1, C].
        bias: [N, C] or [1, C].
        eps: added to the variance.

    Returns:
        [N, C, H, W]. The gradient with respect to ``images`` includes the one through mean and
        variance, which get none themselves.
    """
    result: Tensor = _Modulated.apply(images, mean, variance, gain, bias, eps)
    return result


class _Modulated(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        mean: Tensor,
        variance: Tensor,
        gain: Tensor,
        bias: Tensor,
        eps: float,
    ) -> Tensor:
        inverse = (variance + eps).rsqrt()
        scale = inverse * gain
        shift = torch.addcmul(bias, mean, scale, value=-1)
        result = torch.addcmul(_spread(shift, images), _spread(scale, images), images).relu_()
        ctx.save_for_backward(images, result, mean, inverse, gain)
        ctx.eps = eps
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, result, mean, inverse, gain = ctx.saved_tensors
        # Mean and deviation are constants only for the first derivative.
        if torch.is_grad_enabled():
            wide = images.to(mean.dtype)
            mean = wide.mean((0, 2, 3))
            centred = wide - mean.view(1, -1, 1, 1)
            inverse = (centred.square().mean((0, 2, 3)) + ctx.eps).rsqrt()
        passed = torch.ops.aten.threshold_backward(gradient, result, 0)
        sums = passed.sum((2, 3), dtype=mean.dtype)  # [N, C]
        products = (passed * images).sum((2, 3), dtype=mean.dtype)
        # of the normalised images: sum over H and W of gradient x normalised
        of_gain = (products - sums * mean) * inverse
        of_images = None
        if ctx.needs_input_grad[0]:
            count = images.numel() // images.shape[1]
            first = (gain * sums).sum(0) / count
            second = (gain * of_gain).sum(0) / count
            # inverse (gain g - first - normalised x second)
            slope = -inverse.square() * second
            level = -inverse * first - slope * mean
            of_images = torch.addcmul(_spread(level, images), _spread(slope, images), images)
            of_images = of_images.addcmul_(_spread(inverse * gain, images), passed)
        # For gain and bias [1, C] autograd sums these over N.
        return of_images, None, None, of_gain.to(gain.dtype), sums.to(gain.dtype), None


def _spread(values: Tensor, images: Tensor) -> Tensor:
    """[C], [1, C] or [N, C] in the type of the images, to go with [N, C, H, W]."""
    values = values if values.dim() == 2 else values[None]
    return values[:, :, None, None].to(images.dtype)


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(query key^T) value, without 1/sqrt(d).

    The matrix of weights of a sample has ``L S`` elements. Up to :data:`MOST_WEIGHTS` of them (1024
    queries and 256 keys, the attention of 64 pixels: 1 MiB a sample in float32) the formula is computed
    directly. Larger ones take too much memory (16 MiB a sample at 128 pixels), so CUDA uses one of
    :data:`BACKENDS`, which do not store the matrix. These have no second derivative: a backward pass
    with ``create_graph`` uses the formula.

    Under autocast the products are in its type, also in the backward pass.

    Args:
        query: [N, L, E].
        key: [N, S, E].
        value: [N, S, V].

    Returns:
        [N, L, V].
    """
    device = query.device.type
    if torch.is_autocast_enabled(device):
        kind = torch.get_autocast_dtype(device)
        query, key, value = query.to(kind), key.to(kind), value.to(kind)
    if keeps_weights(query.device, query.shape[1], key.shape[1]):
        return attend_plainly(query, key, value)
    result: Tensor = _Attention.apply(query, key, value)
    return result


def keeps_weights(device: torch.device, queries: int, keys: int) -> bool:
    """Whether :func:`attend` goes by the formula for so many queries and keys a sample."""
    return device.type != "cuda" or queries * keys <= MOST_WEIGHTS


def attend_plainly(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The formula of :func:`attend`, in the types given."""
    with torch.autocast(query.device.type, enabled=False):
        return attention_weights(query, key).to(value.dtype) @ value


def attention_weights(query: Tensor, key: Tensor) -> Tensor:
    """softmax(query key^T) [N, L, S] of [N, L, E] and [N, S, E], in float32 at least.

    In bfloat16 a score of 200 is rounded to a whole number. The softmax subtracts the largest score of
    each row first, so large scores do not overflow.
    """
    with torch.autocast(query.device.type, enabled=False):
        return torch.softmax(widened(query) @ widened(key).transpose(1, 2), dim=-1)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        ctx.save_for_backward(query, key, value)
        return _by_kernel(query, key, value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        twice = torch.is_grad_enabled()
        # The kernel runs again in the types of the forward pass, whether or not autocast is on now.
        with torch.enable_grad(), torch.autocast(gradient.device.type, enabled=False):
            if twice:
                inputs = [tensor.view_as(tensor) for tensor in ctx.saved_tensors]
                result = attend_plainly(*inputs)
            else:
                inputs = [tensor.detach().requires_grad_() for tensor in ctx.saved_tensors]
                result = _by_kernel(*inputs)
            return torch.autograd.grad(result, inputs, gradient, create_graph=twice)


def _by_kernel(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention by the first of :data:`BACKENDS` that supports these sizes, in the types given."""
    heads = (query[:, None], key[:, None], value[:, None])
    with torch.autocast(query.device.type, enabled=False), sdpa_kernel(BACKENDS):
        return F.scaled_dot_product_attention(*heads, scale=1.0)[:, 0]
