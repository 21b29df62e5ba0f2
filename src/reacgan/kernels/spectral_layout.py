"""Where what many layers need lies: in flat tensors, and in the tables that kernels look up."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from reacgan.kernels.matrices import Resample

_ALIGNED = 64
"""Each layer's part begins at a multiple of so many elements: convolutions want 16 bytes."""
ROWS_OF_TILE, COLUMNS_OF_TILE = 128, 128
"""What a program multiplies of a matrix with a vector."""
ROWS_AT_ONCE, COLUMNS_AT_ONCE = 32, 64
"""What a program works on of a weight or gradient, element by element."""


class Form(enum.IntFlag):
    """What a layer wants to be done with its weight; see :func:`reacgan.kernels.spectral.together`."""

    UP = 1
    """Order of memory ``"up"``."""
    DOWN = 2
    """Order of memory ``"down"``."""
    WIDENED = 4
    """Taps widened, for the change of resolution that the order names."""
    ITERATES = 8
    """One power iteration first."""
    NARROW = 16
    """The result in the type of autocast."""

    @property
    def order(self) -> Resample:
        """The order of memory by its name."""
        return "up" if self & Form.UP else "down" if self & Form.DOWN else "none"

    @property
    def quarter(self) -> bool:
        """Whether it is divided by 4, being a kernel and an average."""
        return bool(self & Form.WIDENED and self & Form.DOWN)


class Part(NamedTuple):
    """Where a layer lies in the flat tensors."""

    form: Form
    shape: torch.Size
    """Of the weight."""
    memory: torch.Size
    """Shape of the weight that the layer takes, in the order of memory."""
    taken: slice
    """Of that weight, in ``narrow`` or ``wide``."""
    u: slice
    """Of u, [O]."""
    v: slice
    """Of v in the order of memory of the weight."""
    gradient: slice
    """Of the weight's gradient."""

    @property
    def is_turned(self) -> bool:
        """Whether the weight lies in memory as [I, kh, kw, O]."""
        return bool(self.form & Form.UP) and len(self.shape) == 4

    def given(self, flat: Tensor) -> Tensor:
        """The weight as the layer takes it, a view of ``narrow`` or ``wide``."""
        dense = flat[self.taken].view(self.memory)
        if dense.dim() != 4:
            return dense
        if self.is_turned and not self.form & Form.WIDENED:
            return dense.permute(3, 0, 1, 2)
        return dense.permute(0, 3, 1, 2)

    def flattened(self, gradient: Tensor) -> Tensor:
        """The inverse, [n]: a view where the gradient lies in memory as that weight does."""
        if gradient.dim() != 4:
            return gradient.reshape(-1)
        if self.is_turned and not self.form & Form.WIDENED:
            return gradient.permute(1, 2, 3, 0).reshape(-1)
        return gradient.permute(0, 2, 3, 1).reshape(-1)


@lru_cache(maxsize=1024)
def parts(shapes: tuple[torch.Size, ...], forms: tuple[int, ...]) -> tuple[Part, ...]:
    """Where layers of these weights lie, one after another."""
    made: list[Part] = []
    ends = {"narrow": 0, "wide": 0, "u": 0, "v": 0, "gradient": 0}

    def next_slice(name: str, length: int, step: int = _ALIGNED) -> slice:
        start = ends[name]
        ends[name] = start + _count(length, step) * step
        return slice(start, start + length)

    for shape, code in zip(shapes, forms, strict=True):
        form, memory = Form(code), shape
        if len(shape) == 4:
            outer, inner, rows, columns = shape
            rows, columns = (4, 4) if form & Form.WIDENED else (rows, columns)
            far, near = (inner, outer) if form & Form.UP else (outer, inner)
            memory = torch.Size((far, rows, columns, near))
        made.append(
            Part(
                form,
                shape,
                memory,
                next_slice("narrow" if form & Form.NARROW else "wide", memory.numel()),
                next_slice("u", shape[0], 1),
                next_slice("v", shape[1:].numel(), 1),
                next_slice("gradient", shape.numel()),
            )
        )
    return tuple(made)


def shapes_of(weights: Sequence[Tensor]) -> tuple[torch.Size, ...]:
    """Of each weight, for :func:`parts`."""
    return tuple(weight.shape for weight in weights)


FIELDS = (
    *("weight", "u", "v", "height", "width", "inner", "far", "near", "up", "iterates", "widened"),
    *("narrow", "taken", "flat_u", "flat_v", "gradient"),
    *("first", "first_count", "second", "second_count", "dots", "dots_count"),
)
"""Columns of the table of layers: addresses; the weight in memory, a matrix [height, width]; what the layer
wants; where its parts of flat tensors and of scratch begin, and of how many parts sums are."""


class Tables(NamedTuple):
    """What the kernels look up, on the device, and how much scratch they need."""

    layers: Tensor
    """int64 [layers, fields]."""
    tiles: Tensor
    """int32 [programs, 2]: layer and tile of its matrix."""
    taken: Tensor
    """int32 [programs, 2]: layer and tile of the weight that it takes."""
    gradient: Tensor
    """int32 [programs, 2]: layer and tile of its gradient."""
    first: int
    """Elements of scratch of W^T u."""
    second: int
    """Elements of scratch of W v."""


@lru_cache(maxsize=1024)
def tables_of(
    shapes: tuple[torch.Size, ...],
    forms: tuple[int, ...],
    addresses: tuple[tuple[int, int, int], ...],
    device: torch.device,
) -> Tables:
    """Copied to the device once for each set of addresses.

    A recorded step reads them at each replay, so they must outlive it: more sets are kept than a process
    meets.
    """
    rows: list[list[int]] = []
    tiles: list[tuple[int, int]] = []
    taken: list[tuple[int, int]] = []
    gradient: list[tuple[int, int]] = []
    first = second = 0
    for number, (part, (weight, u, v)) in enumerate(
        zip(parts(shapes, forms), addresses, strict=True)
    ):
        field = {"weight": weight, "u": u, "v": v, "first": first, "second": second}
        field |= {"dots": len(gradient), **_sizes(part)}
        rows.append([field[name] for name in FIELDS])
        outer, rest = part.shape[0], part.shape[1:].numel()
        first += field["first_count"] * rest
        second += field["second_count"] * outer
        tiles += [(number, tile) for tile in range(field["first_count"] * field["second_count"])]
        taken += [(number, tile) for tile in range(_tiles(part, 16))]
        gradient += [(number, tile) for tile in range(field["dots_count"])]
    return Tables(
        torch.tensor(rows, dtype=torch.int64).to(device),
        torch.tensor(tiles, dtype=torch.int32).to(device),
        torch.tensor(taken, dtype=torch.int32).to(device),
        torch.tensor(gradient, dtype=torch.int32).to(device),
        first,
        second,
    )


def _sizes(part: Part) -> dict[str, int]:
    """Of a layer's row, what does not depend on addresses or on other layers."""
    rest, up = part.shape[1:].numel(), part.is_turned
    height, width = (rest, part.shape[0]) if up else (part.shape[0], rest)
    far, near = _sides(part)
    down, across = _count(height, ROWS_OF_TILE), _count(width, COLUMNS_OF_TILE)
    return {
        "height": height,
        "width": width,
        "inner": part.shape[1] if len(part.shape) == 4 and not up else rest,
        "far": far,
        "near": near,
        "up": int(up),
        "iterates": int(bool(part.form & Form.ITERATES)),
        "widened": int(bool(part.form & Form.WIDENED)),
        "narrow": int(bool(part.form & Form.NARROW)),
        "taken": part.taken.start,
        "flat_u": part.u.start,
        "flat_v": part.v.start,
        "gradient": part.gradient.start,
        "first_count": across if up else down,
        "second_count": down if up else across,
        "dots_count": _tiles(part, 9),
    }


def _sides(part: Part) -> tuple[int, int]:
    """First and last side of the weight in memory: [far, taps, near] if it is widened, else a matrix."""
    if part.form & Form.WIDENED:
        return part.memory[0], part.memory[-1]
    far = part.memory[:-1].numel() if part.is_turned else part.memory[0]
    return far, part.memory.numel() // far


def _tiles(part: Part, taps: int) -> int:
    """How many programs work on a weight element by element; ``taps``: of a widened one."""
    far, near = _sides(part)
    across = _count(far, ROWS_AT_ONCE) * _count(near, COLUMNS_AT_ONCE)
    return across * (taps if part.form & Form.WIDENED else 1)


def _count(length: int, step: int) -> int:
    return -(-length // step)
