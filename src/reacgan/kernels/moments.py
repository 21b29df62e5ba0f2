"""Second moments of StyleGAN2: rows of unit mean square, and the deviation over groups of samples."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from reacgan.kernels.base import operation, takes_kernel

MOST_MEMBERS = 64
"""The kernel has a whole group of one position at hand; larger groups take the formula."""
POSITIONS = 64


def unit_rows(rows: Tensor, eps: float) -> Tensor:
    """Rows [N, D] / sqrt(their mean square + eps)."""
    result: Tensor = _UnitRows.apply(rows, eps)
    return result


class _UnitRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, eps: float) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.eps = eps
        result: Tensor = torch.ops.reacgan.unit_rows(None, rows, eps)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (rows,) = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _unit_rows(gradient, rows, ctx.eps), None
        return torch.ops.reacgan.unit_rows(gradient, rows, ctx.eps), None


def _unit_rows(gradient: Tensor | None, rows: Tensor, eps: float) -> Tensor:
    inverse = (rows.square().mean(1, keepdim=True) + eps).rsqrt()
    if gradient is None:
        return rows * inverse
    return inverse * (gradient - rows * inverse**2 * (gradient * rows).mean(1, keepdim=True))


def _fake_unit_rows(gradient: Tensor | None, rows: Tensor, eps: float) -> Tensor:
    return torch.empty_like(rows, memory_format=torch.contiguous_format)


@operation("unit_rows", launches=1, fake=_fake_unit_rows)
def unit_rows_operation(gradient: Tensor | None, rows: Tensor, eps: float) -> Tensor:
    """See :func:`unit_rows`; where a gradient of the result is given, that of the rows."""
    if takes_kernel(rows) and rows.dtype == torch.float32:
        from reacgan.kernels.triton_moments import run_unit_rows  # noqa: PLC0415 - Triton

        result = _fake_unit_rows(gradient, rows, eps)
        given = None if gradient is None else gradient.contiguous()
        run_unit_rows(given, rows.contiguous(), result, eps)
        return result
    return _unit_rows(gradient, rows, eps)


def group_deviation(images: Tensor, members: int, eps: float) -> Tensor:
    """Deviation over consecutive ``members`` samples, averaged over channels and pixels.

    Args:
        images: [N, ...], N a multiple of ``members``.
        members: of a group.
        eps: added to each variance.

    Returns:
        [N / members]: the mean over positions of sqrt(variance over the group + eps).
    """
    result: Tensor = _GroupDeviation.apply(images, members, eps)
    return result


class _GroupDeviation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, members: int, eps: float) -> Tensor:
        ctx.save_for_backward(images)
        ctx.how = members, eps
        sums: Tensor = torch.ops.reacgan.deviation_sums(images, members, eps)
        return sums.sum(1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (images,) = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _deviation_gradient(gradient, images, *ctx.how), None, None
        result = torch.ops.reacgan.deviation_gradient(gradient, images, *ctx.how)
        return result, None, None


def _centred(images: Tensor, members: int) -> Tensor:
    """[groups, members, ...]."""
    grouped = images.unflatten(0, (-1, members))
    return grouped - grouped.mean(1, keepdim=True)


def _deviation_gradient(gradient: Tensor, images: Tensor, members: int, eps: float) -> Tensor:
    centred = _centred(images, members)
    inverse = (centred.square().mean(1, keepdim=True) + eps).rsqrt()
    share = gradient.view(-1, *[1] * images.dim()) / (images[0].numel() * members)
    return (centred * inverse * share).flatten(0, 1)


def _pieces(images: Tensor) -> int:
    return -(-images[0].numel() // POSITIONS)


def _fake_sums(images: Tensor, members: int, eps: float) -> Tensor:
    return images.new_empty((len(images) // members, _pieces(images)))


def _takes_kernel(images: Tensor, members: int) -> bool:
    return takes_kernel(images) and images.dtype == torch.float32 and members <= MOST_MEMBERS


@operation("deviation_sums", launches=1, fake=_fake_sums)
def deviation_sums(images: Tensor, members: int, eps: float) -> Tensor:
    """[groups, pieces], whose sums over pieces are :func:`group_deviation`."""
    sums = torch.zeros_like(_fake_sums(images, members, eps))
    if _takes_kernel(images, members):
        from reacgan.kernels.triton_moments import run_deviation  # noqa: PLC0415 - Triton

        sums = _fake_sums(images, members, eps)
        run_deviation(None, _dense(images), sums, members, eps, POSITIONS)
        return sums
    roots = (_centred(images, members).square().mean(1) + eps).sqrt()
    sums[:, 0] = roots.flatten(1).mean(1)
    return sums


def _fake_gradient(gradient: Tensor, images: Tensor, members: int, eps: float) -> Tensor:
    return torch.empty_like(images)


@operation("deviation_gradient", launches=1, fake=_fake_gradient)
def deviation_gradient(gradient: Tensor, images: Tensor, members: int, eps: float) -> Tensor:
    """Gradient of the images, of that of :func:`group_deviation`."""
    if _takes_kernel(images, members):
        from reacgan.kernels.triton_moments import run_deviation  # noqa: PLC0415 - Triton

        images = _dense(images)
        result = torch.empty_like(images)
        run_deviation(gradient.contiguous(), images, result, members, eps, POSITIONS)
        return result
    result = torch.empty_like(images)
    return result.copy_(_deviation_gradient(gradient, images, members, eps))


def _dense(images: Tensor) -> Tensor:
    """Samples one behind the other, each without gaps, in any order within."""
    last = images.dim() == 4 and images.is_contiguous(memory_format=torch.channels_last)
    return images if last else images.contiguous()
