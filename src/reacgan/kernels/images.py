"""A batch of images out of the whole set on a device: chosen, mirrored, shifted and scaled in one pass."""

from __future__ import annotations

import torch
from torch import Tensor

from reacgan.kernels.base import operation, takes_kernel


def _fake_batch(
    images: Tensor,
    labels: Tensor,
    chosen: Tensor,
    tosses: Tensor | None,
    shifts: Tensor | None,
    *,
    dtype: torch.dtype,
    last: bool,
) -> tuple[Tensor, Tensor]:
    shape, device = (len(chosen), *images.shape[1:]), images.device
    order = torch.channels_last if last else torch.contiguous_format
    batch = torch.empty(shape, dtype=dtype, device=device, memory_format=order)
    return batch, labels.new_empty(len(chosen))


@operation("scaled_batch", launches=1, fake=_fake_batch)
def scaled_batch(
    images: Tensor,
    labels: Tensor,
    chosen: Tensor,
    tosses: Tensor | None,
    shifts: Tensor | None,
    *,
    dtype: torch.dtype,
    last: bool,
) -> tuple[Tensor, Tensor]:
    """Chosen images in [-1, 1], those mirrored whose toss is below 1/2, then shifted, edges repeated.

    Args:
        images: [M, C, H, W], uint8, contiguous.
        labels: [M] int64.
        chosen: [N] int64, of 0 .. M - 1.
        tosses: [N] float32 of [0, 1); None mirrors none.
        shifts: [N, 2] int64, pixels (y, x): the result at y is the image at y + shift; None shifts none.
        dtype: of the result.
        last: whether the result lies channels last.

    Returns:
        Images [N, C, H, W] and labels [N].
    """
    if takes_kernel(images) and dtype != torch.float64:
        from reacgan.kernels import triton_images  # noqa: PLC0415 - only where there are kernels

        made = _fake_batch(images, labels, chosen, tosses, shifts, dtype=dtype, last=last)
        triton_images.scaled_batch((images, labels), chosen, tosses, shifts, made, last=last)
        return made
    batch = images.index_select(0, chosen)
    if tosses is not None:
        batch = torch.where((tosses < 0.5)[:, None, None, None], batch.flip(-1), batch)
    if shifts is not None:
        batch = _shifted(batch, shifts)
    order = torch.channels_last if last else torch.contiguous_format
    batch = batch.to(dtype).mul_(2 / 255).sub_(1).contiguous(memory_format=order)
    return batch, labels.index_select(0, chosen)


def _shifted(images: Tensor, shifts: Tensor) -> Tensor:
    """Each image by its own pixels."""
    for axis, side in ((2, images.shape[2]), (3, images.shape[3])):
        positions = torch.arange(side, device=images.device) + shifts[:, axis - 2, None]
        index = positions.clamp(0, side - 1).unsqueeze(1).unsqueeze(5 - axis)
        images = images.gather(axis, index.expand_as(images))
    return images
