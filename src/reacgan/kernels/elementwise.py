"""What stands beside convolutions: biases, activations, residual sums, averages and sums over space.

Images are [N, C, H, W], in memory with their channels last; others are copied. Sums are float32 at least,
whatever the images are. Every function here can be differentiated twice.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan.kernels.base import launch, operation
from reacgan.kernels.rows import (
    add_partials,
    as_type,
    blocks,
    by_kernel,
    count_of,
    empty,
    kernel,
    like,
    partial_sums,
    rows_of,
    spread,
)
from reacgan.tensors import widened

ACTIVATIONS = {"none": 0, "relu": 1, "leaky": 2, "tanh": 3}
"""Their numbers in kernels."""


# -- bias and activation


def _biased_empty(images: Tensor, bias: Tensor, activation: str, slope: float) -> Tensor:
    return empty(images)


@operation("biased", launches=1, fake=_biased_empty)
def _biased(images: Tensor, bias: Tensor, activation: str, slope: float) -> Tensor:
    if not by_kernel(images):
        value = widened(images) + spread(bias)
        return like(_activated(value, activation, slope).to(images.dtype), images)

    rows = rows_of(images)
    result = torch.empty_like(rows)
    count = count_of(rows)
    grid, block = blocks(count, rows.shape[1])
    launch(
        kernel("elementwise", "biased"),
        grid,
        *(rows, bias, result, count, rows.shape[1], slope),
        ACTIVATION=ACTIVATIONS[activation],
        **block,
    )
    return like(result, images)


def _activated(value: Tensor, activation: str, slope: float) -> Tensor:
    if activation == "relu":
        return F.relu(value)
    if activation == "leaky":
        return F.leaky_relu(value, slope)
    return torch.tanh(value) if activation == "tanh" else value


def _passed(gradient: Tensor, result: Tensor, activation: str, slope: float) -> Tensor:
    """The gradient of what went into the activation, from its result."""
    if activation == "relu":
        return gradient.masked_fill(result <= 0, 0)
    if activation == "leaky":
        return torch.where(result <= 0, gradient * slope, gradient)
    return gradient * (1 - result.square()) if activation == "tanh" else gradient


def _passed_empty(gradient: Tensor, result: Tensor, activation: str, slope: float) -> Tensor:
    return empty(gradient)


@operation("biased_backward_images", launches=1, fake=_passed_empty)
def _passed_alone(gradient: Tensor, result: Tensor, activation: str, slope: float) -> Tensor:
    if not by_kernel(gradient):
        value = _passed(widened(gradient), widened(result), activation, slope)
        return like(value.to(gradient.dtype), gradient)
    return _pass(gradient, result, activation, slope, sums=False)[0]


def _passed_sums_empty(
    gradient: Tensor, result: Tensor, activation: str, slope: float
) -> tuple[Tensor, Tensor]:
    return empty(gradient), _column_sums_empty(gradient, 1)


@operation("biased_backward", launches=2, fake=_passed_sums_empty)
def _passed_sums(
    gradient: Tensor, result: Tensor, activation: str, slope: float
) -> tuple[Tensor, Tensor]:
    if not by_kernel(gradient):
        value = _passed(widened(gradient), widened(result), activation, slope)
        return like(value.to(gradient.dtype), gradient), _repeated(value.sum((0, 2, 3)), 1)

    value, partial = _pass(gradient, result, activation, slope, sums=True)
    return value, add_partials(partial, 1)


def _pass(
    gradient: Tensor, result: Tensor, activation: str, slope: float, *, sums: bool
) -> tuple[Tensor, Tensor]:

    rows = rows_of(gradient)
    of_images = torch.empty_like(rows)
    count = count_of(rows)
    if sums:
        grid, block, partial = partial_sums(count, rows)
    else:
        grid, block = blocks(count, rows.shape[1])
        partial = rows
    launch(
        kernel("elementwise", "passed"),
        grid,
        *(rows, rows_of(result), of_images, partial, count, rows.shape[1], slope),
        ACTIVATION=ACTIVATIONS[activation],
        SUMS=sums,
        **block,
    )
    return like(of_images, gradient), partial


def _column_sums_empty(images: Tensor, copies: int) -> Tensor:
    kind = torch.promote_types(images.dtype, torch.float32)
    return torch.empty(copies, images.shape[1], dtype=kind, device=images.device)


def _repeated(sums: Tensor, copies: int) -> Tensor:
    return sums.repeat(copies, 1)


@operation("column_sums", launches=2, fake=_column_sums_empty)
def column_sums(images: Tensor, copies: int) -> Tensor:
    """[N, C, H, W] -> the sum of each channel [copies, C], float32 at least; no gradient.

    Each of several biases needs a gradient in memory of its own.
    """
    if not by_kernel(images):
        return _repeated(widened(images).sum((0, 2, 3)), copies)

    rows = rows_of(images)
    count = count_of(rows)
    grid, block, partial = partial_sums(count, rows)
    launch(
        kernel("elementwise", "passed"),
        grid,
        *(rows, rows, rows, partial, count, rows.shape[1], 0.0),
        ACTIVATION=0,
        SUMS=True,
        **block,
    )
    return add_partials(partial, copies)


def biased(images: Tensor, bias: Tensor, *, activation: str = "none", slope: float = 0.0) -> Tensor:
    """``activation(images + bias)`` in the type of the images.

    Args:
        images: [N, C, H, W], such as a convolution gives without its bias.
        bias: [C].
        activation: ``"none"``, ``"relu"``, ``"leaky"`` or ``"tanh"``.
        slope: of the leaky ReLU below 0; above 0.

    Returns:
        [N, C, H, W].
    """
    result: Tensor = _Biased.apply(images, bias, activation, slope)
    return result


class _Biased(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, bias: Tensor, activation: str, slope: float) -> Tensor:
        result: Tensor = _biased(images, bias, activation, slope)
        ctx.how = (activation, slope)
        ctx.kind = bias.dtype
        if activation != "none":
            ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        of_images, of_bias = ctx.needs_input_grad[:2]
        activation, slope = ctx.how
        value, sums = gradient, None
        if torch.is_grad_enabled():
            if activation != "none":
                value = _passed(gradient, ctx.saved_tensors[0], activation, slope)
            sums = widened(value).sum((0, 2, 3)) if of_bias else None
        elif activation == "none":
            sums = column_sums(gradient, 1)[0] if of_bias else None
        elif of_bias:
            value, sums = _passed_sums(gradient, ctx.saved_tensors[0], activation, slope)
            sums = sums[0]
        elif of_images:
            value = _passed_alone(gradient, ctx.saved_tensors[0], activation, slope)
        return value if of_images else None, as_type(sums, ctx.kind), None, None


# -- residual sums


def _residual_empty(
    images: Tensor, shortcut: Tensor, first: Tensor | None, second: Tensor | None
) -> Tensor:
    return empty(images, dtype=torch.promote_types(images.dtype, shortcut.dtype))


@operation("residual_sum", launches=1, fake=_residual_empty)
def _residual(
    images: Tensor, shortcut: Tensor, first: Tensor | None, second: Tensor | None
) -> Tensor:
    kind = torch.promote_types(images.dtype, shortcut.dtype)
    doubled = shortcut.shape != images.shape
    biases = [bias for bias in (first, second) if bias is not None]
    if not by_kernel(images):
        wide = widened(shortcut)
        value = widened(images) + (F.interpolate(wide, scale_factor=2) if doubled else wide)
        for bias in biases:
            value = value + spread(bias)
        return like(value.to(kind), images)

    rows = rows_of(images)
    result = torch.empty_like(rows, dtype=kind)
    _, channels, _, width = rows.shape
    count = count_of(rows)
    grid, block = blocks(count, channels)
    launch(
        kernel("elementwise", "residual"),
        grid,
        *(rows, rows_of(shortcut), *(*biases, rows, rows)[:2], result, count, channels, width),
        DOUBLED=doubled,
        BIASES=len(biases),
        **block,
    )
    return like(result, images)


def _cell_sums_empty(images: Tensor) -> Tensor:
    return empty(images, size=(images.shape[2] // 2, images.shape[3] // 2))


@operation("cell_sums", launches=1, fake=_cell_sums_empty)
def _cell_sums(images: Tensor) -> Tensor:
    if not by_kernel(images):
        return like((F.avg_pool2d(widened(images), 2) * 4).to(images.dtype), images)
    return _add_cells(images, sums=False)[0]


def _cell_and_column_sums_empty(images: Tensor, copies: int) -> tuple[Tensor, Tensor]:
    return _cell_sums_empty(images), _column_sums_empty(images, copies)


@operation("cell_and_column_sums", launches=2, fake=_cell_and_column_sums_empty)
def _cell_and_column_sums(images: Tensor, copies: int) -> tuple[Tensor, Tensor]:
    if not by_kernel(images):
        value = F.avg_pool2d(widened(images), 2) * 4
        return like(value.to(images.dtype), images), _repeated(value.sum((0, 2, 3)), copies)

    small, partial = _add_cells(images, sums=True)
    return small, add_partials(partial, copies)


def _add_cells(images: Tensor, *, sums: bool) -> tuple[Tensor, Tensor]:

    rows = rows_of(images)
    _, channels, height, width = rows.shape
    small = empty(rows, size=(height // 2, width // 2))
    cells = count_of(small)
    grid, block, partial = partial_sums(cells, rows)
    if not sums:
        grid, block = blocks(cells, channels, elements=2048)
    launch(
        kernel("elementwise", "cells"),
        grid,
        *(rows, small, partial, cells, channels, width // 2),
        SUMS=sums,
        **block,
    )
    return like(small, images), partial


def residual_sum(
    images: Tensor, shortcut: Tensor, first: Tensor | None = None, second: Tensor | None = None
) -> Tensor:
    """``images + shortcut + first + second``, a smaller shortcut doubled (nearest).

    Args:
        images: [N, C, H, W], such as a block's last convolution gives without its bias.
        shortcut: [N, C, H, W] or [N, C, H/2, W/2].
        first: bias [C].
        second: bias [C].

    Returns:
        [N, C, H, W], in the wider type of images and shortcut.
    """
    result: Tensor = _ResidualSum.apply(images, shortcut, first, second)
    return result


class _ResidualSum(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, images: Tensor, shortcut: Tensor, first: Tensor | None, second: Tensor | None
    ) -> Tensor:
        ctx.doubled = shortcut.shape != images.shape
        ctx.kinds = [None if given is None else given.dtype for given in (first, second)]
        result: Tensor = _residual(images, shortcut, first, second)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        of_images, of_shortcut, *of_biases = ctx.needs_input_grad
        wide, copies = torch.is_grad_enabled(), sum(of_biases)
        small = gradient if of_shortcut else None
        sums: Tensor | None = None
        if wide and copies:
            sums = _repeated(widened(gradient).sum((0, 2, 3)), copies)
        if ctx.doubled and of_shortcut:
            if wide:
                small = F.avg_pool2d(gradient, 2) * 4
            elif copies:
                small, sums = _cell_and_column_sums(gradient, copies)
            else:
                small = _cell_sums(gradient)
        if copies and sums is None:
            sums = column_sums(gradient, copies)
        each = iter(() if sums is None else sums.unbind())
        biases = [
            as_type(next(each), kind) if wanted else None
            for wanted, kind in zip(of_biases, ctx.kinds, strict=True)
        ]
        return gradient if of_images else None, small, *biases
