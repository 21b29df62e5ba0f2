"""Blurring, doubling and halving with the kernel [1, 3, 3, 1], which StyleGAN2 resamples with.

The kernel is separable, sums to 1, and is a 2x2 average three times over. Beyond the border images
are zero, as in the papers. Everything is one depthwise convolution of 4x4 taps.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Resampler(nn.Module):
    """The three operations with one kernel (Karras et al. 2019 section 3; 2020 appendix B).

    The kernel is a constant, no part of the state.
    """

    TAPS: ClassVar[tuple[int, ...]] = (1, 3, 3, 1)
    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        taps = torch.tensor(self.TAPS, dtype=torch.float32) / sum(self.TAPS)
        # The taps are odd multiples of 1/64 below 16: exact in bfloat16 too.
        self.register_buffer("kernel", taps[:, None] * taps, persistent=False)

    def blur(self, images: Tensor, *, padding: int) -> Tensor:
        """[N, C, H, W] -> [N, C, H + 2 padding - 3, W + 2 padding - 3]; a constant stays itself."""
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
