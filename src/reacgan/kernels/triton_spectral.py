"""The kernels of :mod:`reacgan.kernels.spectral`, each for all layers at once.

A weight is read as it lies in memory, a matrix [rows, columns] of contiguous rows: [O, (kh, kw, I)], or
for layers of order ``"up"`` [(I, kh, kw), O]. A table on the device says where each layer's tensors are
and how large; a program looks up its layer and its tile. Sums are made in two stages, each in a
fixed order.
"""

# ruff: noqa: PLR0917
# mypy: disable-error-code="no-untyped-def, untyped-decorator"

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from reacgan.kernels.base import launch
from reacgan.kernels.matrices import SPECTRAL_NORM_EPS
from reacgan.kernels.spectral_layout import (
    COLUMNS_AT_ONCE,
    COLUMNS_OF_TILE,
    FIELDS,
    ROWS_AT_ONCE,
    ROWS_OF_TILE,
    shapes_of,
    tables_of,
)

_ROWS_OF_STEP = 32
_ENTRIES = 1024
_PARTS_AT_ONCE = tl.constexpr(8)

_WEIGHT = tl.constexpr(FIELDS.index("weight"))
_U = tl.constexpr(FIELDS.index("u"))
_V = tl.constexpr(FIELDS.index("v"))
_HEIGHT = tl.constexpr(FIELDS.index("height"))
_WIDTH = tl.constexpr(FIELDS.index("width"))
_INNER = tl.constexpr(FIELDS.index("inner"))
_FAR = tl.constexpr(FIELDS.index("far"))
_NEAR = tl.constexpr(FIELDS.index("near"))
_UP = tl.constexpr(FIELDS.index("up"))
_ITERATES = tl.constexpr(FIELDS.index("iterates"))
_WIDENED = tl.constexpr(FIELDS.index("widened"))
_NARROW = tl.constexpr(FIELDS.index("narrow"))
_TAKEN = tl.constexpr(FIELDS.index("taken"))
_FLAT_U = tl.constexpr(FIELDS.index("flat_u"))
_FLAT_V = tl.constexpr(FIELDS.index("flat_v"))
_GRADIENT = tl.constexpr(FIELDS.index("gradient"))
_FIRST = tl.constexpr(FIELDS.index("first"))
_FIRST_COUNT = tl.constexpr(FIELDS.index("first_count"))
_SECOND = tl.constexpr(FIELDS.index("second"))
_SECOND_COUNT = tl.constexpr(FIELDS.index("second_count"))
_DOTS = tl.constexpr(FIELDS.index("dots"))
_DOTS_COUNT = tl.constexpr(FIELDS.index("dots_count"))
_FIELD_COUNT = tl.constexpr(len(FIELDS))


_TILE = {"ROWS": ROWS_AT_ONCE, "COLUMNS": COLUMNS_AT_ONCE}


def normalise(
    weights: Sequence[Tensor],
    us: Sequence[Tensor],
    vs: Sequence[Tensor],
    forms: Sequence[int],
    outputs: tuple[Tensor, Tensor, Tensor, Tensor, Tensor],
) -> None:
    """Fill the outputs of ``spectral_weights``; four launches."""
    narrow, wide, sigma, flat_u, flat_v = outputs
    addresses = tuple(
        (weight.data_ptr(), u.data_ptr(), v.data_ptr())
        for weight, u, v in zip(weights, us, vs, strict=True)
    )
    tables = tables_of(shapes_of(weights), tuple(forms), addresses, sigma.device)
    first, second = sigma.new_empty(tables.first), sigma.new_empty(tables.second)
    for is_second in (False, True):
        launch(
            spectral_product_kernel,
            (len(tables.tiles),),
            *(tables.layers, tables.tiles, first, second),
            SECOND=is_second,
            ROWS=ROWS_OF_TILE,
            COLUMNS=COLUMNS_OF_TILE,
            STEP=_ROWS_OF_STEP,
        )
    launch(
        spectral_vectors_kernel,
        (len(weights),),
        *(tables.layers, first, second, sigma, flat_u, flat_v),
        EPS=SPECTRAL_NORM_EPS,
        ENTRIES=_ENTRIES,
        num_warps=8,
    )
    launch(
        spectral_scale_kernel,
        (len(tables.taken),),
        *(tables.layers, tables.taken, sigma, narrow, wide),
        **_TILE,
    )


def differentiate(
    flats: tuple[Tensor, Tensor],
    weights: Sequence[Tensor],
    norms: Sequence[Tensor],
    forms: Sequence[int],
    result: Tensor,
) -> None:
    """Fill the result of ``spectral_gradients``; three launches."""
    addresses = tuple((weight.data_ptr(), 0, 0) for weight in weights)
    tables = tables_of(shapes_of(weights), tuple(forms), addresses, result.device)
    sigma, u, v = norms
    dots, shares = sigma.new_empty(len(tables.gradient)), torch.empty_like(sigma)
    grid = (len(tables.gradient),)
    common = (tables.layers, tables.gradient, *flats)
    launch(spectral_dots_kernel, grid, *common, dots, **_TILE)
    launch(
        spectral_shares_kernel,
        (len(weights),),
        tables.layers,
        dots,
        sigma,
        shares,
        ENTRIES=_ENTRIES,
    )
    launch(spectral_gradient_kernel, grid, *common, sigma, shares, u, v, result, **_TILE)


@triton.jit
def _row_of(layers, number):
    return layers + number.to(tl.int64) * _FIELD_COUNT


@triton.jit
def _field(layer, FIELD: tl.constexpr):
    """A size or a flag."""
    return tl.load(layer + FIELD).to(tl.int32)


@triton.jit
def _floats(layer, FIELD: tl.constexpr):
    """A tensor by its address."""
    return tl.load(layer + FIELD).to(tl.pointer_type(tl.float32))


@triton.jit
def _entries(base, count, length, inner, entry, inside):
    """Entries of a vector of this length that lies there as so many parts of a sum.

    ``inner`` of them are neighbours in the order of memory of the weight, but taps apart in the vector.
    """
    where = base + entry % inner * (length // inner) + entry // inner
    total = tl.zeros_like(entry).to(tl.float32)
    for start in range(0, count, _PARTS_AT_ONCE):
        for ahead in tl.static_range(_PARTS_AT_ONCE):
            mask = inside & (tl.zeros_like(entry) + start + ahead < count)
            total += tl.load(where + (start + ahead) * length, mask=mask, other=0.0)
    return total


@triton.jit
def _right_vector(layer, first):
    """Where v is: its address, count of parts, length, and inner; W^T u where it is new."""
    iterates = _field(layer, _ITERATES) != 0
    length = tl.where(_field(layer, _UP) != 0, _field(layer, _HEIGHT), _field(layer, _WIDTH))
    parts = (first + tl.load(layer + _FIRST)).to(tl.int64)
    address = tl.where(iterates, parts, tl.load(layer + _V))
    count = tl.where(iterates, _field(layer, _FIRST_COUNT), 1)
    inner = tl.where(iterates, length, _field(layer, _INNER))
    return address.to(tl.pointer_type(tl.float32)), count, length, inner


@triton.jit
def spectral_product_kernel(
    layers,
    tiles,
    first,
    second,
    SECOND: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    STEP: tl.constexpr,
):
    """A tile's part of W^T u, where the layer iterates; or of W times what :func:`_right_vector` says."""
    program = tl.program_id(0)
    layer = _row_of(layers, tl.load(tiles + 2 * program))
    tile = tl.load(tiles + 2 * program + 1)
    height, width = _field(layer, _HEIGHT), _field(layer, _WIDTH)
    up = _field(layer, _UP)
    across = tl.cdiv(width, COLUMNS)
    if SECOND:
        base, count, length, inner = _right_vector(layer, first)
        target = second + tl.load(layer + _SECOND)
        by_rows, last = up == 0, height
    else:
        base, count, length = _floats(layer, _U), 1, tl.where(up != 0, width, height)
        inner, target = length, first + tl.load(layer + _FIRST)
        # Of a layer that does not iterate it is of no rows, and nobody reads it.
        by_rows, last = up != 0, tl.where(_field(layer, _ITERATES) != 0, height, 0)
    matrix = _floats(layer, _WEIGHT)
    column = tile % across * COLUMNS + tl.arange(0, COLUMNS)
    inside = column < width
    start = tile // across * ROWS
    if by_rows:
        vector = _entries(base, count, length, inner, column, inside)
        for step in range(0, ROWS, STEP):
            row = start + step + tl.arange(0, STEP)
            mask = (row < last)[:, None] & inside[None, :]
            values = tl.load(matrix + row[:, None] * width + column[None, :], mask=mask, other=0.0)
            sums = tl.sum(values * vector[None, :], axis=1)
            tl.store(target + tile % across * height + row, sums, mask=row < last)
    else:
        total = tl.zeros((COLUMNS,), tl.float32)
        for step in range(0, ROWS, STEP):
            row = start + step + tl.arange(0, STEP)
            mask = (row < last)[:, None] & inside[None, :]
            values = tl.load(matrix + row[:, None] * width + column[None, :], mask=mask, other=0.0)
            vector = _entries(base, count, length, inner, row, row < last)
            total += tl.sum(values * vector[:, None], axis=0)
        tl.store(target + tile // across * width + column, total, mask=inside)


@triton.jit
def spectral_vectors_kernel(
    layers,
    first,
    second,
    sigma,
    flat_u,
    flat_v,
    EPS: tl.constexpr,
    ENTRIES: tl.constexpr,
):
    """A layer's new u and v, also in its buffers, and sigma = u^T W v."""
    number = tl.program_id(0)
    layer = _row_of(layers, number)
    iterates = _field(layer, _ITERATES) != 0
    span = tl.arange(0, ENTRIES)
    # v, of length 1 from here on
    base, count, rest, inner = _right_vector(layer, first)
    squares = tl.zeros((ENTRIES,), tl.float32)
    for start in range(0, rest, ENTRIES):
        entry = start + span
        values = _entries(base, count, rest, inner, entry, entry < rest)
        squares += values * values
    norm = tl.where(iterates, tl.maximum(tl.sqrt(tl.sum(squares, axis=0)), EPS), 1.0)
    taps_apart = _field(layer, _INNER)
    for start in range(0, rest, ENTRIES):
        entry = start + span
        inside = entry < rest
        values = _entries(base, count, rest, inner, entry, inside) / norm
        tl.store(flat_v + tl.load(layer + _FLAT_V) + entry, values, mask=inside)
        named = entry % taps_apart * (rest // taps_apart) + entry // taps_apart
        tl.store(_floats(layer, _V) + named, values, mask=entry < tl.where(iterates, rest, 0))
    # u = W v / |W v|
    outer = tl.where(_field(layer, _UP) != 0, _field(layer, _WIDTH), _field(layer, _HEIGHT))
    image, parts = second + tl.load(layer + _SECOND), _field(layer, _SECOND_COUNT)
    squares = tl.zeros((ENTRIES,), tl.float32)
    for start in range(0, outer, ENTRIES):
        entry = start + span
        values = _entries(image, parts, outer, outer, entry, entry < outer) / norm
        squares += values * values
    length = tl.maximum(tl.sqrt(tl.sum(squares, axis=0)), EPS)
    products = tl.zeros((ENTRIES,), tl.float32)
    for start in range(0, outer, ENTRIES):
        entry = start + span
        inside = entry < outer
        values = _entries(image, parts, outer, outer, entry, inside) / norm
        own = tl.load(_floats(layer, _U) + entry, mask=inside, other=0.0)
        own = tl.where(iterates, values / length, own)
        products += own * values
        tl.store(flat_u + tl.load(layer + _FLAT_U) + entry, own, mask=inside)
        tl.store(_floats(layer, _U) + entry, own, mask=entry < tl.where(iterates, outer, 0))
    tl.store(sigma + number, tl.sum(products, axis=0))


@triton.jit
def _tile(layer, blocks, TAPS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """This program's part of a tensor [far, taps, near]: some of the first, a tap, some of the last.

    A widened kernel has that shape in either order of memory; other weights are matrices, with one tap.
    What a program does is worked out by it, not by the element, and neighbours are read by neighbours.
    """
    number = tl.load(blocks + 2 * tl.program_id(0) + 1)
    far, near = _field(layer, _FAR), _field(layer, _NEAR)
    across = tl.cdiv(near, COLUMNS)
    taps = tl.where(_field(layer, _WIDENED) != 0, TAPS, 1)
    rest = number // across
    row = rest // taps * ROWS + tl.arange(0, ROWS)
    column = number % across * COLUMNS + tl.arange(0, COLUMNS)
    inside = (row < far)[:, None] & (column < near)[None, :]
    return row, column, inside, rest % taps, taps, near


@triton.jit
def _entry(row, column, tap, taps, near):
    """Of a tile's elements, where they are in a tensor of so many taps."""
    return (row * (taps * near))[:, None] + (tap * near + column)[None, :]


@triton.jit
def spectral_scale_kernel(
    layers, blocks, sigma, narrow, wide, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    """A tile of the weight that a layer takes: over sigma, taps widened, in its type."""
    number = tl.load(blocks + 2 * tl.program_id(0))
    layer = _row_of(layers, number)
    row, column, inside, tap, taps, near = _tile(layer, blocks, 16, ROWS, COLUMNS)
    matrix, scale = _floats(layer, _WEIGHT), tl.load(sigma + number)
    if _field(layer, _WIDENED) != 0:
        up = _field(layer, _UP) != 0
        y, x = tap // 4, tap % 4
        values = tl.zeros((ROWS, COLUMNS), tl.float32)
        # A tap is the sum of the kernel's at this position and the one before. Up mirrors the kernel.
        for down in tl.static_range(2):
            for right in tl.static_range(2):
                from_y, from_x = y - down, x - right
                exists = (from_y >= 0) & (from_y < 3) & (from_x >= 0) & (from_x < 3)
                source = 3 * from_y + from_x
                where = matrix + _entry(row, column, tl.where(up, 8 - source, source), 9, near)
                reached = (column < tl.where(exists, near, 0))[None, :]
                values += tl.load(where, mask=inside & reached, other=0.0)
        scale *= tl.where(up, 1.0, 4.0)
    else:
        where = matrix + _entry(row, column, tap, taps, near)
        values = tl.load(where, mask=inside, other=0.0)
    values = values / scale
    target = tl.load(layer + _TAKEN) + _entry(row, column, tap, taps, near)
    if _field(layer, _NARROW) != 0:
        tl.store(narrow + target, values.to(narrow.dtype.element_ty), mask=inside)
    else:
        tl.store(wide + target, values, mask=inside)


@triton.jit
def _narrowed(layer, base, row, column, inside, tap, near):
    """A tile of the gradient with respect to W / sigma, from that of the weight that a layer took."""
    if _field(layer, _WIDENED) != 0:
        up = _field(layer, _UP) != 0
        source = tl.where(up, 8 - tap, tap)
        corner = base + _entry(row, column, source // 3 * 4 + source % 3, 16, near)
        values = tl.load(corner, mask=inside, other=0.0).to(tl.float32)
        values += tl.load(corner + near, mask=inside, other=0.0).to(tl.float32)
        values += tl.load(corner + 4 * near, mask=inside, other=0.0).to(tl.float32)
        values += tl.load(corner + 5 * near, mask=inside, other=0.0).to(tl.float32)
        values = values * tl.where(up, 1.0, 0.25)
    else:
        where = base + _entry(row, column, tap, 1, near)
        values = tl.load(where, mask=inside, other=0.0).to(tl.float32)
    return values


@triton.jit
def _gradient(layer, narrow, wide, row, column, inside, tap, near):
    start = tl.load(layer + _TAKEN)
    if _field(layer, _NARROW) != 0:
        values = _narrowed(layer, narrow + start, row, column, inside, tap, near)
    else:
        values = _narrowed(layer, wide + start, row, column, inside, tap, near)
    return values


@triton.jit
def spectral_dots_kernel(
    layers, blocks, narrow, wide, dots, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    """A tile's part of the dot product of gradient and weight."""
    layer = _row_of(layers, tl.load(blocks + 2 * tl.program_id(0)))
    row, column, inside, tap, taps, near = _tile(layer, blocks, 9, ROWS, COLUMNS)
    values = _gradient(layer, narrow, wide, row, column, inside, tap, near)
    where = _floats(layer, _WEIGHT) + _entry(row, column, tap, taps, near)
    products = values * tl.load(where, mask=inside, other=0.0)
    tl.store(dots + tl.program_id(0), tl.sum(tl.sum(products, axis=0), axis=0))


@triton.jit
def spectral_shares_kernel(layers, dots, sigma, shares, ENTRIES: tl.constexpr):
    """A layer's dot product over sigma squared."""
    number = tl.program_id(0)
    layer = _row_of(layers, number)
    base, count = dots + tl.load(layer + _DOTS), _field(layer, _DOTS_COUNT)
    total = tl.zeros((ENTRIES,), tl.float32)
    for start in range(0, count, ENTRIES):
        entry = start + tl.arange(0, ENTRIES)
        total += tl.load(base + entry, mask=entry < count, other=0.0)
    scale = tl.load(sigma + number)
    tl.store(shares + number, tl.sum(total, axis=0) / scale / scale)


@triton.jit
def spectral_gradient_kernel(
    layers,
    blocks,
    narrow,
    wide,
    sigma,
    shares,
    u,
    v,
    result,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """A tile of d(W / sigma) = dW / sigma - W (u^T dW v) / sigma^2."""
    number = tl.load(blocks + 2 * tl.program_id(0))
    layer = _row_of(layers, number)
    up = _field(layer, _UP) != 0
    row, column, inside, tap, taps, near = _tile(layer, blocks, 9, ROWS, COLUMNS)
    values = _gradient(layer, narrow, wide, row, column, inside, tap, near)
    values = values / tl.load(sigma + number)
    # u goes with output channels, v with all else.
    u += tl.load(layer + _FLAT_U)
    v += tl.load(layer + _FLAT_V)
    far = _field(layer, _FAR)
    rows = tl.load(u + row, mask=row < tl.where(up, 0, far), other=0.0)
    rows += tl.load(v + row * taps + tap, mask=row < tl.where(up, far, 0), other=0.0)
    columns = tl.load(v + tap * near + column, mask=column < tl.where(up, 0, near), other=0.0)
    columns += tl.load(u + column, mask=column < tl.where(up, near, 0), other=0.0)
    values -= (tl.load(shares + number) * rows)[:, None] * columns[None, :]
    target = result + tl.load(layer + _GRADIENT) + _entry(row, column, tap, taps, near)
    tl.store(target, values, mask=inside)
