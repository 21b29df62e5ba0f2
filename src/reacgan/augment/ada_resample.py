"""Geometric transformation of images by one matrix each, antialiased and twice differentiable."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan.augment.chances import reflected

# Low-pass filter of the wavelet sym6 (Daubechies 1992, least asymmetric, six vanishing moments).
SYM6 = (
    0.015404109327027373,
    0.0034907120842174702,
    -0.11799011114819057,
    -0.048311742585633,
    0.4910559419267466,
    0.787641141030194,
    0.3379294217276218,
    -0.07263752278646252,
    -0.021060292512300564,
    0.04472490177066578,
    0.0017677118642428036,
    -0.007800708325034148,
)
_REACH = len(SYM6) // 2 - 1  # pixels beyond the edge that the doubled image depends on
_CENTRE = sum(index * tap for index, tap in enumerate(SYM6)) / sum(SYM6)  # delay, doubled pixels


def resample(images: Tensor, linear: Tensor, shift: Tensor, taps: Tensor) -> Tensor:
    """Sample each position p from ``linear @ (p - shift)`` of the image.

    As in Karras et al. 2020, appendix B: the image, continued by reflection, is doubled in size with
    the wavelet's filter, sampled bilinearly, and halved with the same filter. The identity is exact,
    since the filter is orthogonal to its even shifts. The delay of the filter, which is not quite
    symmetric, is compensated, so that rotations and reflections stay centred.

    Twice differentiable in the images: sampling is by ``gather``, because PyTorch's ``grid_sample`` has
    no second derivative and R1 needs one.

    Args:
        images: ``[N, C, H, W]``, float32 or float64.
        linear: ``[N, 2, 2]`` on (x, y) in pixels from the image's centre, x right, y down.
        shift: ``[N, 2]`` pixels (x, y).
        taps: :data:`SYM6` as a tensor on the images' device.
    """
    height, width = images.shape[2:]
    doubled = _doubled(_doubled(images, taps, 2), taps, 3)
    pixels = torch.arange(max(doubled.shape[2:]), device=images.device, dtype=images.dtype)
    # In doubled pixels from the centre; shift doubles too.
    y = (pixels[: doubled.shape[2]] - _CENTRE - (height - 1))[None, :, None]
    x = (pixels[: doubled.shape[3]] - _CENTRE - (width - 1))[None, None, :]
    x, y = x - 2 * shift[:, 0, None, None], y - 2 * shift[:, 1, None, None]
    matrix = linear[:, :, :, None, None]
    columns = _inside(matrix[:, 0, 0] * x + matrix[:, 0, 1] * y, width)
    rows = _inside(matrix[:, 1, 0] * x + matrix[:, 1, 1] * y, height)
    return _halved(_halved(bilinear(doubled, rows, columns), taps, 2), taps, 3)


def bilinear(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Interpolate ``[N, C, H, W]`` at rows and columns ``[N, A, B]``, in pixels: ``[N, C, A, B]``."""
    height, width = images.shape[2:]
    top, left = rows.floor(), columns.floor()
    down, right = (rows - top).flatten(1)[:, None], (columns - left).flatten(1)[:, None]
    flat = images.flatten(2)

    def at(row: Tensor, column: Tensor) -> Tensor:
        source = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
        return flat.gather(2, source.flatten(1)[:, None].expand(-1, images.shape[1], -1))

    y, x = top.long(), left.long()
    upper = at(y, x) * (1 - right) + at(y, x + 1) * right
    lower = at(y + 1, x) * (1 - right) + at(y + 1, x + 1) * right
    return (upper * (1 - down) + lower * down).unflatten(2, rows.shape[1:])


def _inside(offset: Tensor, length: int) -> Tensor:
    """Indices of the doubled image from offsets in doubled pixels; reflected outside of it."""
    last = 2 * length + 2 * _REACH - 1
    index = offset + _CENTRE + (length - 1)
    # Within the doubled image its own margin is used, so that the identity is exact at the edges.
    within = (index > -0.5) & (index < last + 0.5)
    folded = reflected(index - _CENTRE, 2 * length - 1) + _CENTRE
    return torch.where(within, index.clamp(0, last), folded)


def _along(taps: Tensor, images: Tensor, axis: int) -> Tensor:
    """Taps as the kernel of a convolution along an axis of ``[N, C, H, W]``."""
    shape = (1, 1, -1, 1) if axis == 2 else (1, 1, 1, -1)
    return taps.to(images.dtype).view(shape)


def _doubled(images: Tensor, taps: Tensor, axis: int) -> Tensor:
    """u(t) = sum_i x(i) h(t - 2 i) for t = 0 ... 2 L + 9, x continued by reflection; L: length."""
    length = images.shape[axis]
    index = torch.arange(-_REACH, length + _REACH, device=images.device)
    images = images.index_select(axis, reflected(index, length))
    stride, padding = (2, 1), (2 * _REACH, 0)
    if axis == 3:
        stride, padding = stride[::-1], padding[::-1]
    planes = images.flatten(0, 1)[:, None]  # [N C, 1, H, W]
    planes = F.conv_transpose2d(planes, _along(taps, images, axis), stride=stride, padding=padding)
    return planes.view(*images.shape[:2], *planes.shape[2:]) * math.sqrt(2)


def _halved(images: Tensor, taps: Tensor, axis: int) -> Tensor:
    """y(j) = sum_k h(k) v(2 j + k)."""
    planes = images.flatten(0, 1)[:, None]
    stride = (2, 1) if axis == 2 else (1, 2)
    planes = F.conv2d(planes, _along(taps, images, axis), stride=stride)
    return planes.view(*images.shape[:2], *planes.shape[2:]) / math.sqrt(2)
