"""Convolutions whose derivatives of every order are single convolutions.

PyTorch's second derivative of a grouped convolution works group by group: a depthwise filter over 512
channels is 512 convolutions, each time that a penalty on gradients (R1, path length) is computed. The
gradients here are operations with gradients of their own, which are the same three again: the convolution,
that of the images, that of the weight (so did StyleGAN2-ADA's authors; Karras et al., NeurIPS 2020).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from reacgan.tensors import weights_get_gradients

How = tuple[list[int], list[int], list[int], bool, list[int], int]
"""Stride, padding, dilation, whether transposed, padding of the output, groups: as ``aten`` takes them."""


def differentiable_convolution(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
    transposed: bool = False,
) -> Tensor:
    """``F.conv2d`` or ``F.conv_transpose2d``, as often differentiable as one likes.

    Under autocast in its type. Gradients of the weight and the bias are left out within
    :func:`reacgan.tensors.gradients_of_inputs_alone`.

    Args:
        images: [N, C, H, W].
        weight: [O, C / groups, k, k], transposed [C, O / groups, k, k].
        bias: [O] or None.
        stride: along both axes.
        padding: along both axes.
        groups: of channels.
        transposed: whether it is ``F.conv_transpose2d``.
    """
    device = images.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        kind = torch.get_autocast_dtype(device)
        images, weight = images.to(kind), weight.to(kind)
        bias = None if bias is None else bias.to(kind)
    how = ([stride] * 2, [padding] * 2, [1, 1], transposed, [0, 0], groups)
    result: Tensor = _Convolved.apply(images, weight, bias, how)
    return result


class _Convolved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, how: How) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.how = how
        ctx.bias_size = None if bias is None else [len(bias)]
        return torch.ops.aten.convolution(images, weight, bias, *how)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        of_images, of_weight, of_bias, _ = ctx.needs_input_grad
        of_weight, of_bias = (need and weights_get_gradients() for need in (of_weight, of_bias))
        if not torch.is_grad_enabled():
            wanted = [of_images, of_weight, of_bias]
            return *_backward(gradient, images, weight, ctx.bias_size, ctx.how, wanted), None
        first = _OfImages.apply(gradient, images, weight, ctx.how) if of_images else None
        second = _OfWeight.apply(gradient, images, weight, ctx.how) if of_weight else None
        return first, second, gradient.sum((0, 2, 3)) if of_bias else None, None


class _OfImages(torch.autograd.Function):
    """The gradient with respect to the images, of which the shape alone counts."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, images: Tensor, weight: Tensor, how: How) -> Tensor:
        ctx.save_for_backward(gradient, weight)
        ctx.how = how
        result = _backward(gradient, images, weight, None, how, [True, False, False])[0]
        return result  # type: ignore[return-value]

    @staticmethod
    def backward(ctx: Any, twice: Tensor) -> tuple[Tensor | None, ...]:
        gradient, weight = ctx.saved_tensors
        of_gradient, _, of_weight, _ = ctx.needs_input_grad
        first = _Convolved.apply(twice, weight, None, ctx.how) if of_gradient else None
        third = None
        if of_weight and weights_get_gradients():
            third = _OfWeight.apply(gradient, twice, weight, ctx.how)
        return first, None, third, None


class _OfWeight(torch.autograd.Function):
    """The gradient with respect to the weight, of which the shape alone counts."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, images: Tensor, weight: Tensor, how: How) -> Tensor:
        ctx.save_for_backward(gradient, images)
        ctx.how = how
        result = _backward(gradient, images, weight, None, how, [False, True, False])[1]
        return result  # type: ignore[return-value]

    @staticmethod
    def backward(ctx: Any, twice: Tensor) -> tuple[Tensor | None, ...]:
        gradient, images = ctx.saved_tensors
        of_gradient, of_images, _, _ = ctx.needs_input_grad
        first = _Convolved.apply(images, twice, None, ctx.how) if of_gradient else None
        second = _OfImages.apply(gradient, images, twice, ctx.how) if of_images else None
        return first, second, None, None


def _backward(
    gradient: Tensor,
    images: Tensor,
    weight: Tensor,
    bias_size: list[int] | None,
    how: How,
    wanted: list[bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    result: Any = torch.ops.aten.convolution_backward(
        gradient, images, weight, bias_size, *how, wanted
    )
    return tuple(tensor if want else None for tensor, want in zip(result, wanted, strict=True))  # type: ignore[return-value]
