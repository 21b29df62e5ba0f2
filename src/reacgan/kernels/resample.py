"""Blur, halving and doubling with the filter (1 3 3 1) / 8 along both axes, in one pass over memory.

Along an axis, with x zero beyond the border or repeated (x[-1] = x[0]):

    blur    y[i] = (x[i - p] + 3 x[i - p + 1] + 3 x[i - p + 2] + x[i - p + 3]) / 8
    down    y[i] = (x[2i - 1] + 3 x[2i] + 3 x[2i + 1] + x[2i + 2]) / 8
    up      y[2i] = (x[i - 1] + 3 x[i]) / 4,  y[2i + 1] = (3 x[i] + x[i + 1]) / 4

Each is linear, and its transpose is of the same three: of a blur with padding p one with 3 - p, of a
halving a quarter of the doubling (in two dimensions), with either border. So derivatives of every order
are single passes too.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan.kernels.base import operation, takes_kernel

Change = Literal["blur", "down", "up"]
TAPS = (1 / 8, 3 / 8, 3 / 8, 1 / 8)
_TYPES = (torch.float32, torch.bfloat16, torch.float16)


def filtered(
    images: Tensor,
    change: Change,
    *,
    padding: int = 1,
    repeat: bool = False,
    factor: float = 1.0,
) -> Tensor:
    """Images [N, C, H, W] filtered and multiplied by ``factor``; sums in float32 at least.

    Args:
        images: any type; H and W even for ``"down"``.
        change: ``"blur"`` gives [N, C, H + 2 padding - 3, W + 2 padding - 3], ``"down"`` and ``"up"``
            half and twice the size.
        padding: of a blur, 0 to 3.
        repeat: the border is repeated, else images are zero beyond it; not for a blur.
        factor: of the result.
    """
    result: Tensor = _Filtered.apply(images, change, padding, repeat, factor)
    return result


class _Filtered(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, images: Tensor, change: Change, padding: int, repeat: bool, factor: float
    ) -> Tensor:
        ctx.how = (change, padding, repeat, factor)
        return torch.ops.reacgan.resample(images, change, padding, repeat, factor)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        change, padding, repeat, factor = ctx.how
        change, factor = _TRANSPOSES[change][0], factor * _TRANSPOSES[change][1]
        return _Filtered.apply(gradient, change, 3 - padding, repeat, factor), *[None] * 4


_TRANSPOSES: dict[str, tuple[Change, float]] = {
    "blur": ("blur", 1.0),
    "down": ("up", 0.25),
    "up": ("down", 4.0),
}


def _resample_fake(
    images: Tensor, change: str, padding: int, repeat: bool, factor: float
) -> Tensor:
    count, channels, height, width = images.shape
    if change == "blur":
        height, width = height + 2 * padding - 3, width + 2 * padding - 3
    elif change == "down":
        height, width = height // 2, width // 2
    else:
        height, width = height * 2, width * 2
    return torch.empty(
        (count, channels, height, width),
        dtype=images.dtype,
        device=images.device,
        memory_format=_order(images),
    )


@operation("resample", launches=1, fake=_resample_fake)
def resample(images: Tensor, change: str, padding: int, repeat: bool, factor: float) -> Tensor:
    """See :func:`filtered`."""
    if takes_kernel(images) and images.dtype in _TYPES:
        from reacgan.kernels.triton_resample import run_resample  # noqa: PLC0415 - Triton

        images = images.contiguous(memory_format=_order(images))
        result = _resample_fake(images, change, padding, repeat, factor)
        run_resample(images, result, change, padding, repeat, factor)
        return result
    result = _formula(images, change, padding, repeat) * factor
    return result.contiguous(memory_format=_order(images))


def _formula(images: Tensor, change: str, padding: int, repeat: bool) -> Tensor:
    """By the library's depthwise convolutions."""
    channels = images.shape[1]
    taps = torch.tensor(TAPS, dtype=images.dtype, device=images.device)
    kernel = (taps[:, None] * taps).expand(channels, 1, 4, 4)
    if change == "blur":
        return F.conv2d(images, kernel, padding=padding, groups=channels)
    if repeat:
        images = F.pad(images, (1, 1, 1, 1), mode="replicate")
    if change == "down":
        return F.conv2d(images, kernel, stride=2, padding=0 if repeat else 1, groups=channels)
    return F.conv_transpose2d(
        images, kernel * 4, stride=2, padding=3 if repeat else 1, groups=channels
    )


def _order(images: Tensor) -> torch.memory_format:
    last = images.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format
