"""Layers of StyleGAN2: equalised and modulated convolutions, minibatch standard deviation.

Karras, Laine, Aittala, Hellsten, Lehtinen, Aila, "Analyzing and improving the image quality of
StyleGAN", CVPR 2020, in plain PyTorch. Kernels of upsampling convolutions are flipped relative to the
others, which makes no difference to training.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reacgan.heads.equalised import LEAKY_GAIN, SLOPE, EqualisedLinear, leaky_relu
from reacgan.kernels.bias_act import Act, activated
from reacgan.kernels.demodulation import demodulation
from reacgan.kernels.moments import group_deviation
from reacgan.models.convolution import differentiable_convolution
from reacgan.models.resample import Resampler
from reacgan.models.weights import Resample
from reacgan.tensors import widened, without_autocast

Styled = tuple[Tensor, Tensor | None]
"""Styles [N, C] before their scale, and factors [N, C'] of the output or None."""
Architecture = Literal["skip", "resnet", "orig"]
"""How images of several sizes are joined: sums of images, residual blocks, or only the last."""

RESIDUAL_GAIN = math.sqrt(0.5)
DEMODULATION_EPS = 1e-8
DEVIATION_EPS = 1e-8


def channels_at(square: int, base: int, most: int) -> int:
    """Channels of a layer of ``square`` x ``square`` pixels: base / square, 1 to ``most``."""
    return max(min(base // square, most), 1)


class EqualisedConv2d(nn.Module):
    """Convolution with weights from N(0, 1), scaled by 1 / sqrt(fan-in) when used.

    Doubling and halving blur with [1, 3, 3, 1]: a 3x3 convolution halves after the blur and is blurred
    after it doubles; a 1x1 convolution runs at the lower resolution.

    Args:
        in_channels: C.
        out_channels: C'.
        size: 1 or 3.
        bias: learned offset, zero at first.
        leaky: whether a leaky ReLU follows.
        resample: ``"up"`` only for size 1.
        gain: factor of the output.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: int,
        *,
        bias: bool = True,
        leaky: bool = True,
        resample: Resample = "none",
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.fused_layers = True
        self.kernels = False
        self.leaky = leaky
        self.resample = resample
        self.gain = gain
        self.scale = 1 / math.sqrt(in_channels * size * size)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, size, size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.resampler = Resampler() if resample != "none" else None

    def forward(self, images: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C', H, W], or twice or half the size."""
        size = self.weight.shape[-1]
        stride, padding = 1, size // 2
        scale = self.scale if self.leaky else self.scale * self.gain
        # With kernels the weight is not scaled, but what comes out is: by the filter, or with the bias.
        factor = scale if self.kernels and size == 1 and self.bias is None else 1.0
        if self.resampler is not None and self.resample == "down":
            if size == 1:
                images = self.resampler.down(images, factor=factor)
            else:
                images, stride, padding = self.resampler.blur(images, padding=2), 2, 0
        if self.kernels:
            hidden = differentiable_convolution(images, self.weight, stride=stride, padding=padding)
        elif self.fused_layers:
            hidden = differentiable_convolution(
                images, self.weight * scale, self.bias, stride=stride, padding=padding
            )
        else:
            hidden = F.conv2d(images, self.weight * scale, self.bias, stride, padding)
        if self.resampler is not None and self.resample == "up":
            hidden = self.resampler.up(hidden, factor=factor)
        if not self.kernels:
            return leaky_relu(hidden, self.gain) if self.leaky else hidden
        if self.resampler is not None and size == 1 and self.bias is None and not self.leaky:
            return hidden
        slope, gain = (SLOPE, LEAKY_GAIN * self.gain) if self.leaky else (1.0, 1.0)
        return activated(hidden, Act(scale, 1.0, slope, gain), bias=self.bias)


class ModulatedConv2d(nn.Module):
    """Convolution whose weights a style scales for each sample (equations 1 to 3 of the paper).

    w'_oik = s_i w_oik, and with demodulation w''_oik = w'_oik / sqrt(sum_ik w'_oik^2 + 1e-8). The same
    is computed with one convolution for the whole batch, by scaling input channels by s and output
    channels by 1 / sqrt(...), which is in float32 at least, under autocast too.

    Args:
        in_channels: C.
        out_channels: C'.
        size: 1 or 3.
        style_dim: length of w.
        demodulate: give each sample's weights of an output channel unit length.
        up: double the size; for size 3.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: int,
        *,
        style_dim: int,
        demodulate: bool = True,
        up: bool = False,
    ) -> None:
        super().__init__()
        self.fused_layers = True
        self.kernels = False
        self.demodulate = demodulate
        self.up = up
        self.scale = 1 / math.sqrt(in_channels * size * size)
        self.style = EqualisedLinear(style_dim, in_channels, bias_start=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, size, size))
        self.resampler = Resampler() if up else None

    def forward(self, images: Tensor, w: Tensor) -> Tensor:
        """[N, C, H, W] and w [N, style_dim] -> [N, C', H, W], or twice the size."""
        if self.kernels:
            hidden, factors = self.unscaled(images, self.styled(w))
            return hidden if factors is None else activated(hidden, Act(), factors=factors)
        styles = self.style(w) * self.scale  # [N, C], float32
        hidden = self._filtered(images * styles[:, :, None, None].to(images.dtype))
        factors = self.output_factors(styles)
        return hidden if factors is None else hidden * factors[:, :, None, None].to(hidden.dtype)

    def styled(self, w: Tensor) -> Styled:
        """What w [N, style_dim] makes of the layer, with kernels."""
        styles = self.style(w)
        if not self.demodulate:
            return styles, None
        with without_autocast(styles):
            factors = demodulation(
                styles, self.weight, scale=self.scale, gain=1.0, eps=DEMODULATION_EPS
            )
        return styles, factors

    def unscaled(self, images: Tensor, styled: Styled) -> Styled:
        """What has yet to be multiplied by the factors, and those; with kernels."""
        hidden = activated(images, Act(self.scale), factors=styled[0])
        return self._filtered(hidden, gain=4.0), styled[1]

    def _filtered(self, hidden: Tensor, *, gain: float = 1.0) -> Tensor:
        """The convolution; ``gain`` is of a doubling, which has zeros between pixels."""
        if self.resampler is None:
            return self._convolve(hidden, self.weight, padding=self.weight.shape[-1] // 2)
        hidden = self._convolve(hidden, self.weight.transpose(0, 1), stride=2, transposed=True)
        return self.resampler.blur(hidden, padding=1, factor=gain)

    def _convolve(
        self,
        images: Tensor,
        weight: Tensor,
        *,
        stride: int = 1,
        padding: int = 0,
        transposed: bool = False,
    ) -> Tensor:
        if self.fused_layers or self.kernels:
            return differentiable_convolution(
                images, weight, stride=stride, padding=padding, transposed=transposed
            )
        operation = F.conv_transpose2d if transposed else F.conv2d
        return operation(images, weight, stride=stride, padding=padding)

    def output_factors(self, styles: Tensor) -> Tensor | None:
        """Factors [N, C'] of the output: demodulation, and 4 for the zeros that upsampling inserts."""
        gain = 4.0 if self.up else 1.0
        if not self.demodulate:
            return None if gain == 1 else styles.new_full((len(styles), len(self.weight)), gain)
        with without_autocast(styles):
            lengths = styles.square() @ self.weight.square().sum((2, 3)).T  # [N, C']
            return (lengths + DEMODULATION_EPS).rsqrt() * gain


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, noise of a learned strength (zero at first), bias, leaky ReLU.

    Args:
        in_channels: C.
        out_channels: C'.
        style_dim: length of w.
        size: (height, width) of the output.
        up: whether it doubles the size.
        gain: factor of the output.
    """

    noise: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        style_dim: int,
        size: tuple[int, int],
        up: bool = False,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.kernels = False
        self.gain = gain
        self.conv = ModulatedConv2d(in_channels, out_channels, 3, style_dim=style_dim, up=up)
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("noise", torch.randn(size))

    def forward(self, images: Tensor, w: Tensor | Styled, noise: Tensor | None = None) -> Tensor:
        """[N, C, H, W], w [N, style_dim], noise [N, 1, H', W'] or None for the layer's constant one.

        With kernels, w may be what :meth:`ModulatedConv2d.styled` makes of it.
        """
        drawn = self.noise if noise is None else noise
        if self.kernels:
            styled = self.conv.styled(w) if isinstance(w, Tensor) else w
            product, factors = self.conv.unscaled(images, styled)
            return activated(
                product,
                Act(slope=SLOPE, gain=LEAKY_GAIN * self.gain),
                bias=self.bias,
                factors=factors,
                noise=drawn,
                strength=self.noise_strength,
            )
        hidden: Tensor = self.conv(images, w)
        drawn = drawn.to(self.noise_strength.dtype) * self.noise_strength
        hidden = hidden + drawn.to(hidden.dtype) + self.bias[:, None, None].to(hidden.dtype)
        return leaky_relu(hidden, self.gain)


class ToImage(nn.Module):
    """Modulated 1x1 convolution to image channels, without demodulation; float32 at least."""

    def __init__(self, in_channels: int, channels: int, *, style_dim: int) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(in_channels, channels, 1, style_dim=style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, hidden: Tensor, w: Tensor | Styled) -> Tensor:
        """[N, C, H, W], w [N, style_dim] -> [N, channels, H, W]; w as in :class:`StyledConv`."""
        images: Tensor
        if isinstance(w, Tensor):
            images = self.conv(hidden, w)
        else:
            images, _ = self.conv.unscaled(hidden, w)
        return images + self.bias[:, None, None]  # in the precision of the bias


class GroupDeviation(nn.Module):
    """Minibatch standard deviation as one more channel (Karras et al. 2018, section 3).

    Groups are consecutive samples; their size is the greatest common divisor of batch and ``group``.
    The channel holds the standard deviation over the group, averaged over channels and pixels.
    """

    def __init__(self, group: int) -> None:
        super().__init__()
        self.kernels = False
        self.group = group

    def forward(self, hidden: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C + 1, H, W]."""
        count = len(hidden)
        members = math.gcd(count, self.group)
        wide = widened(hidden)
        if self.kernels:
            deviation = group_deviation(wide, members, DEVIATION_EPS)
            return self._joined(hidden, deviation, members)
        grouped = wide.reshape(count // members, members, -1)
        variance = (grouped - grouped.mean(1, keepdim=True)).square().mean(1)
        deviation = (variance + DEVIATION_EPS).sqrt().mean(1)  # one number a group
        return self._joined(hidden, deviation, members)

    def _joined(self, hidden: Tensor, deviation: Tensor, members: int) -> Tensor:
        count, _, height, width = hidden.shape
        channel = deviation[:, None].expand(-1, members).reshape(count, 1, 1, 1)
        return torch.cat([hidden, channel.expand(-1, 1, height, width).to(hidden.dtype)], dim=1)
