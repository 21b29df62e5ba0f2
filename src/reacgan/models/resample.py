"""Doubling and halving of images: nearest, bilinear, and with StyleGAN2's kernel [1, 3, 3, 1].

All but the last use slices, which are deterministic on every device.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reacgan.kernels.resample import filtered
from reacgan.models.convolution import differentiable_convolution

Resampling = Literal["bilinear", "nearest"]


def doubled(images: Tensor, how: Resampling, *, kernels: bool = False) -> Tensor:
    """[N, C, H, W] -> [N, C, 2H, 2W], nearest or bilinear (borders repeated).

    ``kernels``: by one operation of :mod:`reacgan.kernels.resample` instead of slices.
    """
    if how == "nearest":
        return F.interpolate(images, scale_factor=2)
    if kernels:
        return filtered(images, "up", repeat=True)
    # Channels last inside, so that images in this memory order stay in it.
    return _doubled(_doubled(images.permute(0, 2, 3, 1), 1), 2).permute(0, 3, 1, 2)


def halved(images: Tensor, how: Resampling, *, kernels: bool = False) -> Tensor:
    """[N, C, H, W] -> [N, C, H/2, W/2]: 2x2 averages, or the bilinear filter (1 3 3 1)/8 each way."""
    if how == "nearest":
        return F.avg_pool2d(images, 2)
    if kernels:
        return filtered(images, "down", repeat=True)
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

    The kernel is separable, sums to 1, and is a 2x2 average three times over; it is not in the state.
    Beyond the border images are zero, as in the papers. Each is a depthwise convolution of 4x4 taps, or
    with ``kernels`` an operation of :mod:`reacgan.kernels.resample`.
    """

    TAPS: ClassVar[tuple[int, ...]] = (1, 3, 3, 1)
    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.fused_layers = True
        self.kernels = False
        taps = torch.tensor(self.TAPS, dtype=torch.float32) / sum(self.TAPS)
        # The taps are odd multiples of 1/64 below 16: exact in bfloat16 too.
        self.register_buffer("kernel", taps[:, None] * taps, persistent=False)

    def blur(self, images: Tensor, *, padding: int, factor: float = 1.0) -> Tensor:
        """[N, C, H, W] -> [N, C, H + 2 padding - 3, W + 2 padding - 3] times ``factor``."""
        if self.kernels:
            return filtered(images, "blur", padding=padding, factor=factor)
        blurred = self._convolve(images, padding=padding)
        return blurred if factor == 1 else blurred * factor

    def down(self, images: Tensor, *, factor: float = 1.0) -> Tensor:
        """[N, C, H, W] -> [N, C, H / 2, W / 2] times ``factor``, H and W even.

        y[i] = (x[2i - 1] + 3 x[2i] + 3 x[2i + 1] + x[2i + 2]) / 8 along each axis.
        """
        if self.kernels:
            return filtered(images, "down", factor=factor)
        halves = self._convolve(images, stride=2)
        return halves if factor == 1 else halves * factor

    def up(self, images: Tensor, *, factor: float = 1.0) -> Tensor:
        """[N, C, H, W] -> [N, C, 2H, 2W] times ``factor``: zeros between the pixels, blurred, times 4.

        y[2i] = (x[i - 1] + 3 x[i]) / 4 and y[2i + 1] = (3 x[i] + x[i + 1]) / 4 along each axis.
        """
        if self.kernels:
            return filtered(images, "up", factor=factor)
        wide = self._convolve(images, stride=2, transposed=True)
        return wide if factor == 1 else wide * factor

    def _convolve(
        self, images: Tensor, *, stride: int = 1, padding: int = 1, transposed: bool = False
    ) -> Tensor:
        channels = int(images.shape[1])  # a number where the operations are recorded
        kernel = self.kernel.to(images.dtype)
        kernel = (kernel * 4 if transposed else kernel).expand(channels, 1, -1, -1)
        if self.fused_layers:
            return differentiable_convolution(
                images,
                kernel,
                stride=stride,
                padding=padding,
                groups=channels,
                transposed=transposed,
            )
        operation = F.conv_transpose2d if transposed else F.conv2d
        return operation(images, kernel, None, stride, padding, groups=channels)
