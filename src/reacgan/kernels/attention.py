"""Parts of self-attention that are neither convolutions nor products of matrices.

Scores and softmax are float32 at least, whatever the images are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan.kernels.base import launch, operation
from reacgan.kernels.rows import (
    add_partials,
    blocks,
    by_kernel,
    count_of,
    empty,
    kernel,
    like,
    parts_of,
    power_of_two,
    rows_of,
)
from reacgan.tensors import widened

Three = tuple[Tensor, Tensor, Tensor]


def _differentiated(
    formula: Callable[..., Any], inputs: Sequence[Tensor], gradients: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Gradients of a formula that can be differentiated again."""
    with torch.enable_grad():
        fresh = [tensor.view_as(tensor) for tensor in inputs]
        results = formula(*fresh)
        return torch.autograd.grad(results, fresh, gradients, create_graph=True)


# -- rows


def _split_plainly(joined: Tensor, keys: int, wide: bool) -> Three:
    query, rest = joined[:, :keys], joined[:, keys:]
    rest = F.max_pool2d(rest, 2)
    query, key, value = (
        part.permute(0, 2, 3, 1).flatten(1, 2) for part in (query, rest[:, :keys], rest[:, keys:])
    )
    return (widened(query), widened(key), value) if wide else (query, key, value)


def _images(rows: Tensor, size: Sequence[int]) -> Tensor:
    """[N, HW, C] -> [N, C, H, W]."""
    return rows.unflatten(1, tuple(size)).permute(0, 3, 1, 2)


def _split_empty(joined: Tensor, keys: int, wide: bool) -> Three:
    samples, channels, height, width = joined.shape
    queries, few = height * width, (height // 2) * (width // 2)
    kind = torch.promote_types(joined.dtype, torch.float32) if wide else joined.dtype
    query = torch.empty(samples, queries, keys, dtype=kind, device=joined.device)
    key = torch.empty(samples, few, keys, dtype=kind, device=joined.device)
    return query, key, joined.new_empty(samples, few, channels - 2 * keys)


@operation("attention_rows", launches=1, fake=_split_empty)
def _split(joined: Tensor, keys: int, wide: bool) -> tuple[Tensor, Tensor, Tensor]:
    if not by_kernel(joined):
        query, key, value = (
            part.clone(memory_format=torch.contiguous_format)
            for part in _split_plainly(joined, keys, wide)
        )
        return query, key, value

    rows = rows_of(joined)
    samples, channels, height, width = rows.shape
    results = _split_empty(rows, keys, wide)
    cells = samples * ((height + 1) // 2) * ((width + 1) // 2)
    grid, block = blocks(cells, channels, elements=2048)
    launch(
        kernel("attention", "split"),
        grid,
        *(rows, *results, cells, height, width, channels),
        KEYS=keys,
        **block,
    )
    return results


def _split_backward_empty(
    joined: Tensor, of_query: Tensor, of_key: Tensor, of_value: Tensor
) -> Tensor:
    return empty(joined)


@operation("attention_rows_backward", launches=1, fake=_split_backward_empty)
def _split_backward(joined: Tensor, of_query: Tensor, of_key: Tensor, of_value: Tensor) -> Tensor:
    keys = of_query.shape[2]
    if not by_kernel(joined):
        size = joined.shape[2:]
        rest, few = joined[:, keys:], (size[0] // 2, size[1] // 2)
        _, places = F.max_pool2d(rest, 2, return_indices=True)
        of_pooled = torch.cat([of_key.to(joined.dtype), of_value], dim=2)
        of_rest = torch.ops.aten.max_pool2d_with_indices_backward(
            _images(of_pooled, few), rest, [2, 2], [2, 2], [0, 0], [1, 1], False, places
        )
        return like(torch.cat([_images(of_query.to(joined.dtype), size), of_rest], 1), joined)

    rows = rows_of(joined)
    of_joined = torch.empty_like(rows)
    samples, channels, height, width = rows.shape
    cells = samples * ((height + 1) // 2) * ((width + 1) // 2)
    grid, block = blocks(cells, channels, elements=2048)
    if of_key.stride() != (of_key[0].numel(), 1, of_key.shape[1]):  # as the product's gradient lies
        of_key = of_key.contiguous()
    slopes = (of_query.contiguous(), of_key, of_value.contiguous())
    launch(
        kernel("attention", "split_backward"),
        grid,
        *(rows, *slopes, of_joined, cells, height, width, channels, *of_key.stride()[1:]),
        KEYS=keys,
        **block,
    )
    return like(of_joined, joined)


def attention_rows(joined: Tensor, keys: int, *, wide: bool) -> Three:
    """Queries, and the largest keys and values of 2x2 pixels, with a row a position.

    Args:
        joined: [N, 2 keys + V, H, W], the channels of queries, keys and values; sides of 2 or more.
        keys: channels of the queries, and of the keys.
        wide: whether queries and keys are given in float32 at least.

    Returns:
        [N, HW, keys], [N, HW/4, keys] and [N, HW/4, V].
    """
    query, key, value = _Split.apply(joined, keys, wide)
    return query, key, value


class _Split(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, joined: Tensor, keys: int, wide: bool) -> Three:
        ctx.save_for_backward(joined)
        ctx.how = (keys, wide)
        result: Three = _split(joined, keys, wide)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (joined,) = ctx.saved_tensors
        if torch.is_grad_enabled():
            keys, wide = ctx.how
            formula = partial(_split_plainly, keys=keys, wide=wide)
            return *_differentiated(formula, [joined], gradients), None, None
        return _split_backward(joined, *gradients), None, None


# -- softmax


def _softmax_empty(scores: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.empty(scores.shape, dtype=dtype, device=scores.device)


@operation("attention_softmax", launches=1, fake=_softmax_empty)
def _softmax(scores: Tensor, dtype: torch.dtype) -> Tensor:
    if not by_kernel(scores):
        return torch.softmax(scores, -1).to(dtype, copy=True)
    result = _softmax_empty(scores, dtype)
    _launch_softmax(scores.contiguous(), None, result)
    return result


def _softmax_backward_empty(scores: Tensor, gradient: Tensor) -> Tensor:
    return torch.empty_like(scores, memory_format=torch.contiguous_format)


@operation("attention_softmax_backward", launches=1, fake=_softmax_backward_empty)
def _softmax_backward(scores: Tensor, gradient: Tensor) -> Tensor:
    if not by_kernel(scores):
        weights = torch.softmax(scores, -1)
        return torch.ops.aten._softmax_backward_data(
            gradient.to(scores.dtype), weights, -1, scores.dtype
        ).contiguous()
    result = _softmax_backward_empty(scores, gradient)
    _launch_softmax(scores.contiguous(), gradient.contiguous(), result)
    return result


def _launch_softmax(scores: Tensor, gradient: Tensor | None, result: Tensor) -> None:

    columns = scores.shape[-1]
    rows = scores.numel() // columns
    block = power_of_two(columns)
    size = max(2048 // block, 1)
    launch(
        kernel("attention", "softmax"),
        (-(-rows // size),),
        *(scores, scores if gradient is None else gradient, result, rows, columns),
        BACKWARD=gradient is not None,
        ROWS=size,
        COLUMNS=block,
    )


def attention_softmax(scores: Tensor, dtype: torch.dtype) -> Tensor:
    """Softmax of scores [N, L, S] over S, worked out in their type (float32 at least), given in another."""
    result: Tensor = _Softmax.apply(scores, dtype)
    return result


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, dtype: torch.dtype) -> Tensor:
        ctx.save_for_backward(scores)
        result: Tensor = _softmax(scores, dtype)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (scores,) = ctx.saved_tensors
        if torch.is_grad_enabled():
            weights = torch.softmax(scores, -1)
            product = weights * gradient.to(scores.dtype)
            return product - weights * product.sum(-1, keepdim=True), None
        return _softmax_backward(scores, gradient), None


# -- the gate


def _gated_empty(images: Tensor, gate: Tensor, added: Tensor) -> Tensor:
    return empty(images)


@operation("gated_sum", launches=1, fake=_gated_empty)
def _gated(images: Tensor, gate: Tensor, added: Tensor) -> Tensor:
    if not by_kernel(images):
        value = torch.addcmul(widened(images), widened(gate), widened(added))
        return like(value.to(images.dtype), images)

    rows = rows_of(images)
    result = torch.empty_like(rows)
    grid, block = blocks(count_of(rows), rows.shape[1])
    launch(
        kernel("attention", "gated"),
        grid,
        *(rows, gate, rows_of(added), result, count_of(rows), rows.shape[1]),
        **block,
    )
    return like(result, images)


def _gated_backward_empty(gradient: Tensor, gate: Tensor, added: Tensor) -> tuple[Tensor, Tensor]:
    kind = torch.promote_types(added.dtype, torch.float32)
    return empty(added), torch.empty(1, dtype=kind, device=gate.device)


@operation("gated_sum_backward", launches=2, fake=_gated_backward_empty)
def _gated_backward(gradient: Tensor, gate: Tensor, added: Tensor) -> tuple[Tensor, Tensor]:
    if not by_kernel(added):
        wide = widened(gradient)
        of_added = like((wide * widened(gate)).to(added.dtype), added)
        return of_added, (wide * widened(added)).sum().view(1)

    of_added, partial = _pass_gate(gradient, gate, added, sums=True)
    return of_added, add_partials(partial, 1).view(1)


def _gated_images_empty(gradient: Tensor, gate: Tensor, added: Tensor) -> Tensor:
    return empty(added)


@operation("gated_sum_backward_images", launches=1, fake=_gated_images_empty)
def _gated_backward_images(gradient: Tensor, gate: Tensor, added: Tensor) -> Tensor:
    if not by_kernel(added):
        return like((widened(gradient) * widened(gate)).to(added.dtype), added)
    return _pass_gate(gradient, gate, added, sums=False)[0]


def _pass_gate(
    gradient: Tensor, gate: Tensor, added: Tensor, *, sums: bool
) -> tuple[Tensor, Tensor]:

    rows = rows_of(added)
    of_added = torch.empty_like(rows)
    count, channels = count_of(rows), rows.shape[1]
    grid, block = blocks(count, channels, elements=2048)
    grid = parts_of(grid)
    partial = torch.empty(grid[0] * grid[1], 1, device=rows.device)
    launch(
        kernel("attention", "gated_backward"),
        grid,
        *(rows_of(gradient), gate, rows, of_added, partial, count, channels),
        SUMS=sums,
        **block,
    )
    return like(of_added, added), partial


def gated_sum(images: Tensor, gate: Tensor, added: Tensor) -> Tensor:
    """``images + gate x added`` in the type of the images; the gate [1] in its own type."""
    result: Tensor = _GatedSum.apply(images, gate, added)
    return result


class _GatedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, gate: Tensor, added: Tensor) -> Tensor:
        ctx.save_for_backward(gate, added)
        result: Tensor = _gated(images, gate, added)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        gate, added = ctx.saved_tensors
        if torch.is_grad_enabled():
            of_added = (widened(gradient) * widened(gate)).to(added.dtype)
            of_gate = (widened(gradient) * widened(added)).sum().view(1).to(gate.dtype)
            return gradient, of_gate, of_added
        if ctx.needs_input_grad[1]:
            of_added, of_gate = _gated_backward(gradient, gate, added)
            return gradient, of_gate.to(gate.dtype), of_added
        return gradient, None, _gated_backward_images(gradient, gate, added)
