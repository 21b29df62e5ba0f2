"""Images as kernels take them: rows [N H W, C], with the channels of a pixel next to one another.

What an operation gives lies in memory as its images do: channels last, or else contiguous.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from reacgan.kernels.base import launch, takes_kernel
from reacgan.tensors import widened


def by_kernel(images: Tensor) -> bool:
    """Whether images go to a Triton kernel; float64 takes the formula."""
    return takes_kernel(images) and images.dtype != torch.float64


def rows_of(images: Tensor) -> Tensor:
    """The same images with their channels last in memory."""
    return images.contiguous(memory_format=torch.channels_last)


def like(result: Tensor, images: Tensor) -> Tensor:
    """The result in the order of memory that :func:`empty` gives for these images."""
    if images.is_contiguous(memory_format=torch.channels_last):
        return rows_of(result)
    return result.contiguous()


def empty(
    images: Tensor, *, dtype: torch.dtype | None = None, size: tuple[int, int] | None = None
) -> Tensor:
    """Room for images in the order of memory of others, channels last or contiguous."""
    last = images.is_contiguous(memory_format=torch.channels_last)
    order = torch.channels_last if last else torch.contiguous_format
    shape = (*images.shape[:2], *(size or images.shape[2:]))
    return torch.empty(
        shape, dtype=dtype or images.dtype, device=images.device, memory_format=order
    )


def spread(values: Tensor) -> Tensor:
    """[C] -> [1, C, 1, 1], float32 at least."""
    return widened(values).view(1, -1, 1, 1)


def count_of(images: Tensor) -> int:
    """N H W."""
    return images.numel() // images.shape[1]


def as_type(tensor: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """The tensor in this type, if there is one."""
    return None if tensor is None else tensor.to(dtype)


# -- grids

PARTS = 256
"""Most partial sums of a column; a constant, so that sums are the same on every device."""
_PROGRAMS = 1024
"""Of a first stage: as many as a large GPU runs at once, since no second round fills it."""


def kernel(part: str, name: str) -> Any:
    """A Triton kernel of ``triton_<part>``, imported when the first is launched: it needs Triton."""
    return getattr(import_module(f"reacgan.kernels.triton_{part}"), f"{name}_kernel")


def power_of_two(number: int) -> int:
    """The next one, or the number itself."""
    return 1 << (number - 1).bit_length()


def columns_of(channels: int) -> int:
    """Columns of a program's block: a power of two, without idle ones where that can be."""
    for size in (128, 64, 32):
        if channels % size == 0:
            return size
    return min(power_of_two(channels), 64)


def blocks(
    rows: int, channels: int, *, elements: int = 4096
) -> tuple[tuple[int, int], dict[str, int]]:
    """The grid over rows and channels, and the sizes of a program's block."""
    columns = columns_of(channels)
    size = max(elements // columns, 1)
    return (-(-rows // size), -(-channels // columns)), {"ROWS": size, "COLUMNS": columns}


def parts_of(grid: tuple[int, int]) -> tuple[int, int]:
    """The grid of a first stage: of fewer programs, each of which goes over several blocks of rows."""
    down, across = grid
    return min(down, PARTS, max(_PROGRAMS // across, 1)), across


def partial_sums(rows: int, images: Tensor) -> tuple[tuple[int, int], dict[str, int], Tensor]:
    """Grid, block and memory of the first stage of a sum over rows."""
    channels = images.shape[1]
    grid, block = blocks(rows, channels, elements=2048)
    grid = parts_of(grid)
    return grid, block, torch.empty(grid[0], channels, device=images.device)


def add_partials(partial: Tensor, copies: int) -> Tensor:
    """The second stage: [parts, C] -> [copies, C], float32."""
    parts, channels = partial.shape
    sums = torch.empty(copies, channels, device=partial.device)
    grid = (-(-channels // 16),)
    block = {"COPIES": copies, "ROWS": 256, "COLUMNS": 16}
    launch(kernel("elementwise", "partials"), grid, partial, sums, parts, channels, **block)
    return sums
