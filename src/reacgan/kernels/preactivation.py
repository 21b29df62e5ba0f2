"""ReLUs that a residual network's backbone has outside its convolutions, with what stands beside them.

A block begins with the ReLU of its input, which its shortcut may take too (halved or not); the network ends
with a ReLU and a sum over space. Each is one operation, and one in the backward pass. Images are
[N, C, H, W].
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan.kernels.base import launch, operation
from reacgan.kernels.rows import (
    blocks,
    by_kernel,
    count_of,
    empty,
    kernel,
    like,
    rows_of,
)
from reacgan.tensors import widened


def _relu_average_empty(images: Tensor, kept_active: bool) -> tuple[Tensor, Tensor]:
    return empty(images), empty(images, size=(images.shape[2] // 2, images.shape[3] // 2))


@operation("relu_average", launches=1, fake=_relu_average_empty)
def _relu_average(images: Tensor, kept_active: bool) -> tuple[Tensor, Tensor]:
    if not by_kernel(images):
        active = F.relu(images)
        halved = F.avg_pool2d(active if kept_active else images, 2)
        return like(active, images), like(halved, images)

    rows = rows_of(images)
    _, channels, height, width = rows.shape
    active, halved = torch.empty_like(rows), empty(rows, size=(height // 2, width // 2))
    cells = count_of(halved)
    grid, block = blocks(cells, channels, elements=2048)
    launch(
        kernel("elementwise", "relu_average"),
        grid,
        *(rows, active, halved, cells, channels, width // 2),
        AVERAGE_ACTIVE=kept_active,
        **block,
    )
    return like(active, images), like(halved, images)


def _joined_empty(
    active: Tensor, of_active: Tensor, of_kept: Tensor, kept_active: bool, halved: bool
) -> Tensor:
    return empty(active)


@operation("relu_joined_backward", launches=1, fake=_joined_empty)
def _joined(
    active: Tensor, of_active: Tensor, of_kept: Tensor, kept_active: bool, halved: bool
) -> Tensor:
    if not by_kernel(active):
        parts = widened(active), widened(of_active), widened(of_kept)
        return like(_joined_plainly(*parts, kept_active, halved).to(active.dtype), active)

    rows = rows_of(active)
    of_images = torch.empty_like(rows)
    _, channels, _, width = rows.shape
    grid, block = blocks(count_of(rows), channels)
    launch(
        kernel("elementwise", "relu_joined"),
        grid,
        *(rows, rows_of(of_active), rows_of(of_kept), of_images, count_of(rows), channels, width),
        KEPT_ACTIVE=kept_active,
        HALVED=halved,
        **block,
    )
    return like(of_images, active)


def _joined_plainly(
    active: Tensor, of_active: Tensor, of_kept: Tensor, kept_active: bool, halved: bool
) -> Tensor:
    kept = F.interpolate(of_kept, scale_factor=2) / 4 if halved else of_kept
    zero = active <= 0
    if kept_active:
        return (of_active + kept).masked_fill(zero, 0)
    return of_active.masked_fill(zero, 0) + kept


def relu_and_kept(images: Tensor, *, kept_active: bool, halved: bool) -> tuple[Tensor, Tensor]:
    """ReLU of the images, and what a shortcut takes beside it.

    Args:
        images: [N, C, H, W]; H and W even where halved.
        kept_active: the shortcut takes the ReLU of the images, not the images.
        halved: it takes 2x2 averages.

    Returns:
        The ReLU [N, C, H, W], and [N, C, H, W] or [N, C, H/2, W/2]. Not halved, the second shares its
        memory with the first or with the images: nothing may be written over it.
    """
    active, kept = _ReluAndKept.apply(images, kept_active, halved)
    return active, kept


class _ReluAndKept(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, kept_active: bool, halved: bool) -> tuple[Tensor, Tensor]:
        ctx.how = (kept_active, halved)
        if halved:
            active, kept = _relu_average(images, kept_active)
        else:
            active = F.relu(images)
            kept = (active if kept_active else images).detach()
        ctx.save_for_backward(active)
        return active, kept

    @staticmethod
    def backward(ctx: Any, of_active: Tensor, of_kept: Tensor) -> tuple[Tensor | None, ...]:
        (active,) = ctx.saved_tensors
        joined = _joined_plainly if torch.is_grad_enabled() else _joined
        return joined(active, of_active, of_kept, *ctx.how), None, None


# -- the end of a network


def _relu_sum_empty(images: Tensor) -> Tensor:
    kind = torch.promote_types(images.dtype, torch.float32)
    return torch.empty(images.shape[:2], dtype=kind, device=images.device)


@operation("relu_sum", launches=1, fake=_relu_sum_empty)
def _relu_sum(images: Tensor) -> Tensor:
    if not by_kernel(images):
        return F.relu(widened(images)).sum((2, 3))

    rows = rows_of(images)
    samples, channels, height, width = rows.shape
    sums = torch.empty(samples, channels, device=rows.device)
    (_, across), block = blocks(height * width, channels, elements=2048)
    launch(
        kernel("elementwise", "relu_sum"),
        (samples, across),
        *(rows, sums, height * width, channels),
        **block,
    )
    return sums


def _relu_spread_empty(images: Tensor, gradient: Tensor) -> Tensor:
    return empty(images)


@operation("relu_sum_backward", launches=1, fake=_relu_spread_empty)
def _relu_spread(images: Tensor, gradient: Tensor) -> Tensor:
    if not by_kernel(images):
        return like(_spread_plainly(images, gradient), images)

    rows = rows_of(images)
    of_images = torch.empty_like(rows)
    _, channels, height, width = rows.shape
    grid, block = blocks(count_of(rows), channels)
    launch(
        kernel("elementwise", "relu_spread"),
        grid,
        *(rows, gradient.contiguous(), of_images, count_of(rows), channels, height * width),
        **block,
    )
    return like(of_images, images)


def _spread_plainly(images: Tensor, gradient: Tensor) -> Tensor:
    return gradient.to(images.dtype)[:, :, None, None].masked_fill(images <= 0, 0)


def relu_sum(images: Tensor) -> Tensor:
    """The ReLU of the images, summed over space: [N, C, H, W] -> [N, C], float32 at least."""
    result: Tensor = _ReluSum.apply(images)
    return result


class _ReluSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        ctx.save_for_backward(images)
        result: Tensor = _relu_sum(images)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (images,) = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _spread_plainly(images, gradient)
        result: Tensor = _relu_spread(images, gradient)
        return result
