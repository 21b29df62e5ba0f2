"""Weights as convolutions use them: divided by their largest singular value, kernels widened.

One operation, forward and backward, in the memory order of the weight.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

Resample = Literal["none", "up", "down"]


def as_matrix(weight: Tensor, order: Resample = "none") -> Tensor:
    """[O, ...] -> [O, rest], a view where the weight lies in memory as :func:`arranged` puts it."""
    if weight.dim() != 4:
        return weight
    if order == "up":
        return weight.permute(1, 2, 3, 0).reshape(-1, len(weight)).t()
    return weight.permute(0, 2, 3, 1).reshape(len(weight), -1)


def as_weight(matrix: Tensor, shape: torch.Size, order: Resample = "none") -> Tensor:
    """The inverse of :func:`as_matrix`; ``shape`` is the weight's."""
    if len(shape) != 4:
        return matrix
    outer, inner, rows, columns = shape
    if order == "up":
        return matrix.t().reshape(inner, rows, columns, outer).permute(3, 0, 1, 2)
    return matrix.reshape(outer, rows, columns, inner).permute(0, 3, 1, 2)


def in_memory_order(vector: Tensor, shape: torch.Size, order: Resample = "none") -> Tensor:
    """A copy of a vector over [I, kh, kw] or [I] in the order of the columns of :func:`as_matrix`."""
    if len(shape) != 4 or order == "up":
        return vector.clone()
    return (
        vector.view(shape[1:])
        .permute(1, 2, 0)
        .clone(memory_format=torch.contiguous_format)
        .flatten()
    )


def in_named_order(vector: Tensor, shape: torch.Size, order: Resample = "none") -> Tensor:
    """The inverse of :func:`in_memory_order`."""
    if len(shape) != 4 or order == "up":
        return vector
    _, inner, rows, columns = shape
    return vector.view(rows, columns, inner).permute(2, 0, 1).flatten()


def arranged(weight: Tensor, order: Resample) -> Tensor:
    """``weight`` [O, I, kh, kw] with input channels last in memory, or output channels for ``"up"``.

    A merged doubling is a transposed convolution, whose weight is [I, O, ...].
    """
    if order == "up":
        return weight.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2)
    return weight.contiguous(memory_format=torch.channels_last)


def scaled(
    weight: Tensor,
    norm: tuple[Tensor, Tensor, Tensor] | None,
    *,
    order: Resample = "none",
    widen: bool = False,
) -> Tensor:
    """``weight`` over its largest singular value, with taps widened for a change of resolution.

    Args:
        weight: [O, I, kh, kw] or [O, I].
        norm: sigma = u^T W v (a scalar) and constants u [O] and v [rest], in the order of
            :func:`as_matrix`; None for no norm.
        order: of memory, that of :func:`arranged`.
        widen: of a 3x3 kernel. For the order ``"down"``: the kernel, then a 2x2 average, as one
            kernel of stride 2; ``"up"``: nearest doubling, then the kernel, as the taps of one
            transposed convolution.

    Returns:
        [O, I, kh, kw]; widened [O, I, 4, 4], for ``"up"`` [I, O, 4, 4]. Its gradient is that of
        W / (u^T W v).
    """
    sigma, u, v = norm if norm is not None else (None, None, None)
    result: Tensor = _Scaled.apply(weight, sigma, u, v, order, widen)
    return result


class _Scaled(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        sigma: Tensor | None,
        u: Tensor | None,
        v: Tensor | None,
        order: Resample,
        widen: bool,
    ) -> Tensor:
        ctx.save_for_backward(weight, sigma, u, v)
        ctx.order, ctx.widen = order, widen
        quarter = widen and order == "down"
        if sigma is not None:
            weight = weight / (sigma * 4 if quarter else sigma)
        elif quarter:
            weight = weight / 4
        return widened(weight, order) if widen else weight

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weight, sigma, u, v = ctx.saved_tensors
        order: Resample = ctx.order
        if ctx.widen:
            gradient = _narrowed(gradient, order)
            gradient = gradient / 4 if order == "down" else gradient
        if sigma is None:
            return gradient, None, None, None, None, None
        matrix = as_matrix(weight, order)
        if torch.is_grad_enabled():  # sigma is a constant only for the first derivative
            sigma = torch.dot(u, matrix.mv(v))
        # d(W / sigma) = dW / sigma - W (u^T dW v) / sigma^2
        divided = as_matrix(gradient, order) / sigma
        if order == "up":  # in memory order
            share = torch.dot(divided.t().flatten(), matrix.t().flatten()) / sigma
            divided = divided.t().addr(v, u * share, alpha=-1).t()
        else:
            share = torch.dot(divided.flatten(), matrix.flatten()) / sigma
            divided = divided.addr(u * share, v, alpha=-1)
        return as_weight(divided, weight.shape, order), None, None, None, None, None


def widened(weight: Tensor, order: Resample) -> Tensor:
    """[O, I, 3, 3] convolved with a 2x2 kernel of ones.

    ``"down"``: [O, I, 4, 4], I last in memory. ``"up"``: of the mirrored kernel, [I, O, 4, 4], O last.
    """
    up = order == "up"
    taps = weight.permute(1, 2, 3, 0) if up else weight.permute(0, 2, 3, 1)
    for dim in (1, 2):
        first, middle, last = taps.unbind(dim)
        if up:
            first, last = last, first
        taps = torch.stack([first, first + middle, middle + last, last], dim)
    return taps.permute(0, 3, 1, 2)


def _narrowed(gradient: Tensor, order: Resample) -> Tensor:
    """The gradient of the kernel from that of :func:`widened`: [O, I, 3, 3]."""
    taps = gradient.permute(0, 2, 3, 1)
    for dim in (2, 1):
        taps = taps.narrow(dim, 0, 3) + taps.narrow(dim, 1, 3)
    if order == "up":
        return taps.flip(1, 2).permute(3, 0, 1, 2)
    return taps.permute(0, 3, 1, 2)
