"""Doubling and halving of images: nearest, bilinear, and with StyleGAN2's kernel [1, 3, 3, 1].

All but the last use slices, which are deterministic on every device.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Resampling = Literal["bilinear", "nearest"]


def doubled(images: Tensor, how: Resampling) -> Tensor:
    """[N, C, H, W] -> [N, C, 2H, 2W], nearest or bilinear (borders repeated)."""
    if how == "nearest":
        return F.interpolate(images, scale_factor=2)
    # Channels last inside, so that images in this memory order stay in it.
    return _doubled(_doubled(images.permute(0, 2, 3, 1), 1), 2).permute(0, 3, 1, 2)


def halved(images: Tensor, how: Resampling) -> Tensor:
    """[N, C, H, W] -> [N, C, H/2, W/2]: 2x2 averages, or the bilinear filter (1 3 3 1)/8 each way."""
    if how == "nearest":
        return F.avg_pool2d(images, 2)
    return _halved(_halved(images.permute(0, 2, 3, 1), 1), 2).permute(0, 3, 1, 2)


def _doubled(images: Tensor, dim: int) -> Tensor:
    size = images.shape[dim]
    before = torch.cat([images.narrow(dim, 0, 1), images.narrow(dim, 0, size - 1)], dim)
    after = torch.cat([images.narrow(dim, 1, size - 1), images.narrow(dim, size - 1, 1)], dim)
    pair = torch.stack([torch.lerp(images, before, 0.25), torch.lerp(images, after, 0.25)], dim + 1)
    return pair.flatten(dim, dim + 1)


def _halved(images: Tensor, dim: int) -> Tensor:
    even, odd = images.unflatten(dim, (-1, 2)).unbind(dim + 1)
    size = even.shape[dim]
    before = torch.cat([even.narrow(dim, 0, 1), odd.narrow(dim, 0, size - 1)], dim)
    after = torch.cat([even.narrow(dim, 1, size - 1), odd.narrow(dim, size - 1, 1)], dim)
    return ((even + odd) * 3 + before + after) / 8


class Resampler(nn.Module):
    """Blur, doubling and halving with one kernel (Karras et al. 2019 section 3; 2020 appendix B).

    The kernel is separable, sums to 1, and equals three 2x2 averages; it is not in the state. Images
    are padded with zeros, as in the papers. Each operation is a depthwise 4x4 convolution.
    """

    TAPS: ClassVar[tuple[int, ...]] = (1, 3, 3, 1)
    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        taps = torch.tensor(self.TAPS, dtype=torch.float32) / sum(self.TAPS)
        # The taps are odd multiples of 1/64 below 16: exact in bfloat16 too.
        self.register_buffer("kernel", taps[:, None] * taps, persistent=False)

    def blur(self, images: Tensor, *, padding: int) -> Tensor:
        """[N, C, H, W] -> [N, C, H + 2 padding - 3, W + 2 padding - 3]."""
        return F.conv2d(images, self._kernel(images), padding=padding, groups=images.shape[1])

    def down(self, images: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H / 2, W / 2], H and W even.

        y[i] = (x[2i - 1] + 3 x[2i] + 3 x[2i + 1] + x[2i + 2]) / 8 along each axis.
        """
        return F.conv2d(images, self._kernel(images), stride=2, padding=1, groups=images.shape[1])

    def up(self, images: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, 2H, 2W]: zeros between the pixels, blurred with a gain of 4.

        y[2i] = (x[i - 1] + 3 x[i]) / 4 and y[2i + 1] = (3 x[i] + x[i + 1]) / 4 along each axis.
        """
        kernel = self._kernel(images) * 4
        return F.conv_transpose2d(images, kernel, stride=2, padding=1, groups=images.shape[1])

    def _kernel(self, images: Tensor) -> Tensor:
        return self.kernel.to(images.dtype).expand(images.shape[1], 1, -1, -1)
