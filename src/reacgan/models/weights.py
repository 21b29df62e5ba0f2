"""Weights as convolutions use them: divided by their largest singular value, kernels widened.

One operation, forward and backward, in the memory order of the weight.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from reacgan.kernels.matrices import Resample, narrowed, norm_gradient, widened

__all__ = ["Resample", "scaled"]


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
            :func:`~reacgan.kernels.matrices.as_matrix`; None for no norm.
        order: of memory, that of :func:`~reacgan.kernels.matrices.arranged`.
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
            gradient = narrowed(gradient, order)
            gradient = gradient / 4 if order == "down" else gradient
        if sigma is not None:
            gradient = norm_gradient(weight, gradient, (sigma, u, v), order)
        return gradient, None, None, None, None, None
