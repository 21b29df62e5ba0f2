"""Images as kernels take them: rows [N H W, C], with the channels of a pixel next to one another.

What an operation gives lies in memory as its images do: channels last, or else contiguous.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reacgan.kernels.base import takes_kernel
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
