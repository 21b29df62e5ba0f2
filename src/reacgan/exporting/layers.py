"""Layers with constant weights, in place of those that work their weights out in every pass.

Spectral norms, equalised learning rates, widened taps, demodulation's sums of squares and the class
vectors of StyleGAN2 are worked out once. Every layer here is plain PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reacgan.heads.equalised import LEAKY_GAIN, SLOPE, EqualisedLinear, LabelMapping
from reacgan.models.layers import Conv2d
from reacgan.models.resample import Resampler
from reacgan.models.spectral import SpectralNorm, weight_of
from reacgan.models.stylegan2_layers import (
    DEMODULATION_EPS,
    EqualisedConv2d,
    ModulatedConv2d,
    StyledConv,
)


def constant(values: Tensor, dtype: torch.dtype | None = None) -> nn.Parameter:
    """A weight of a file: contiguous, without gradient."""
    kept = values.detach().to(dtype or values.dtype).contiguous().clone()
    return nn.Parameter(kept, requires_grad=False)


class Convolution(nn.Module):
    """Convolution in the precision of its weight, with bias and result in that of the images."""

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None = None,
        *,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        transposed: bool = False,
    ) -> None:
        super().__init__()
        self.weight = constant(weight)
        self.bias = None if bias is None else constant(bias)
        self.stride, self.padding, self.groups = stride, padding, groups
        self.operation = F.conv_transpose2d if transposed else F.conv2d

    def forward(self, images: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C', H', W']."""
        same = images.dtype == self.weight.dtype
        hidden: Tensor = self.operation(
            images.to(self.weight.dtype),
            self.weight,
            self.bias if same else None,
            self.stride,
            self.padding,
            groups=self.groups,
        )
        if same:
            return hidden
        hidden = hidden.to(images.dtype)
        return hidden if self.bias is None else hidden + self.bias[:, None, None]

    def activated(self, images: Tensor, activation: str, slope: float = 0.0) -> Tensor:
        """The activation of the same, as :meth:`reacgan.models.layers.Conv2d.activated` names it."""
        hidden: Tensor = self(images)
        if activation == "relu":
            return F.relu(hidden)
        if activation == "leaky":
            return F.leaky_relu(hidden, slope)
        return torch.tanh(hidden) if activation == "tanh" else hidden


class Linear(nn.Module):
    """A product in the precision of its weight, with bias and result in that of the values.

    ``precise`` is one of a mapping network or style, which float16 would harm.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None = None,
        *,
        leaky: bool = False,
        precise: bool = False,
    ) -> None:
        super().__init__()
        self.weight = constant(weight)
        self.bias = None if bias is None else constant(bias)
        self.leaky = leaky
        self.precise = precise

    def forward(self, values: Tensor) -> Tensor:
        """[..., C] -> [..., C']."""
        output = F.linear(values.to(self.weight.dtype), self.weight).to(values.dtype)
        output = output if self.bias is None else output + self.bias
        return F.leaky_relu(output, SLOPE) if self.leaky else output


class Numbers(nn.Module):
    """:meth:`reacgan.models.Generator.numbers` as constants, on whatever device they are moved to."""

    values: Tensor

    def __init__(self, most: int) -> None:
        super().__init__()
        self.register_buffer("values", torch.arange(most))

    def forward(self, count: int, device: torch.device) -> Tensor:
        """int64 [count]."""
        return self.values[:count]


class Blur(nn.Module):
    """:class:`~reacgan.models.resample.Resampler` for a known number of channels."""

    def __init__(self, kernel: Tensor, channels: int, *, factor: float = 1.0) -> None:
        super().__init__()
        self.channels = channels
        self.kernel = constant((kernel * factor).expand(channels, 1, -1, -1))

    def blur(self, images: Tensor, *, padding: int) -> Tensor:
        """[N, C, H, W] -> [N, C, H + 2 padding - 3, W + 2 padding - 3]."""
        return F.conv2d(images, self.kernel, padding=padding, groups=self.channels)

    def up(self, images: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, 2H, 2W]; ``factor`` is 4 for the zeros between the pixels."""
        return F.conv_transpose2d(images, self.kernel, stride=2, padding=1, groups=self.channels)


class Modulated(nn.Module):
    """Modulated convolution: scale the input's channels, convolve, scale the output's."""

    def __init__(self, layer: ModulatedConv2d, gain: float = 1.0) -> None:
        super().__init__()
        weight = layer.weight
        style = layer.style
        scale = style.scale * layer.scale
        bias = None if style.bias is None else style.bias * style.lr_multiplier * layer.scale
        self.style = Linear(style.weight * scale, bias, precise=True)
        outer, size = len(weight), weight.shape[-1]
        self.squares = None
        if layer.demodulate:
            self.squares = constant(weight.square().sum((2, 3)).T)  # [C, C']
        self.gain = gain
        self.blurred = None
        if layer.resampler is None:
            self.convolution = Convolution(weight, padding=size // 2)
        else:
            self.convolution = Convolution(weight.transpose(0, 1), stride=2, transposed=True)
            self.blurred = Blur(layer.resampler.kernel, outer, factor=4.0)

    def forward(self, images: Tensor, w: Tensor) -> Tensor:
        """[N, C, H, W] and w [N, style_dim] -> [N, C', H, W], or twice the size."""
        styles = self.style(w)
        hidden: Tensor = self.convolution(images * styles[:, :, None, None])
        if self.blurred is not None:
            hidden = self.blurred.blur(hidden, padding=1)
        if self.squares is None:
            return hidden
        factors = (styles.square() @ self.squares + DEMODULATION_EPS).rsqrt() * self.gain
        return hidden * factors[:, :, None, None]


class Styled(nn.Module):
    """Modulated convolution, constant noise, bias, leaky ReLU, whose gain is folded into the others."""

    def __init__(self, layer: StyledConv) -> None:
        super().__init__()
        gain = LEAKY_GAIN * layer.gain
        self.conv = Modulated(layer.conv, gain)
        self.noise = constant(layer.noise * layer.noise_strength * gain)
        self.bias = constant(layer.bias[:, None, None] * gain)

    def forward(self, images: Tensor, w: Tensor, noise: Tensor | None = None) -> Tensor:
        """[N, C, H, W], w [N, style_dim] -> [N, C', H', W']."""
        hidden: Tensor = self.conv(images, w)
        return F.leaky_relu(hidden + self.noise + self.bias, SLOPE)


class Shortcut(nn.Module):
    """1x1 convolution, then doubling."""

    def __init__(self, layer: EqualisedConv2d, resampler: Resampler) -> None:
        super().__init__()
        self.convolution = Convolution(layer.weight * layer.scale * layer.gain)
        self.doubling = Blur(resampler.kernel, len(layer.weight), factor=4.0)

    def forward(self, images: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C', 2H, 2W]."""
        return self.doubling.up(self.convolution(images))


def _convolution(layer: nn.Conv2d) -> nn.Module | None:
    padding = layer.kernel_size[0] // 2
    if not isinstance(layer, Conv2d):
        plain = layer.stride == (1, 1) == layer.dilation and layer.padding_mode == "zeros"
        if not plain or layer.padding != (padding, padding):
            return None
        return Convolution(weight_of(layer), layer.bias, padding=padding, groups=layer.groups)
    padding = (layer.kernel_size[0] - 1) // 2
    if layer.resample == "none":
        return Convolution(layer.effective_weight(), layer.bias, padding=padding)
    transposed = layer.resample == "up"
    if layer.kernel_size[0] == 4:
        weight = layer.effective_weight()
        weight = weight.transpose(0, 1) if transposed else weight
    else:
        weight = layer.merged_weight()
    return Convolution(weight, layer.bias, stride=2, padding=padding, transposed=transposed)


def _linear(layer: nn.Linear) -> nn.Module:
    return Linear(weight_of(layer), layer.bias)


def _equalised_linear(layer: EqualisedLinear) -> nn.Module:
    gain = LEAKY_GAIN if layer.leaky else 1.0  # of a leaky ReLU: the same before and after it
    bias = None if layer.bias is None else layer.bias * (layer.lr_multiplier * gain)
    return Linear(layer.weight * (layer.scale * gain), bias, leaky=layer.leaky, precise=True)


def _labels(layer: LabelMapping) -> nn.Module:
    labels = torch.arange(layer.num_classes, device=layer.embedding.weight.device)
    return nn.Embedding.from_pretrained(layer(labels).detach())


def _equalised_convolution(layer: EqualisedConv2d) -> nn.Module | None:
    resampler = layer.resampler
    if layer.leaky or layer.bias is not None or resampler is None or layer.resample != "up":
        return None
    return Shortcut(layer, resampler)


def _embedding(layer: nn.Embedding) -> nn.Module | None:
    if not isinstance(layer, SpectralNorm):
        return None
    return nn.Embedding.from_pretrained(weight_of(layer))


# Subclasses before what they are subclasses of; None leaves a layer as it is.
FOLDED: tuple[tuple[type[nn.Module], Callable[..., nn.Module | None]], ...] = (
    (StyledConv, Styled),
    (ModulatedConv2d, Modulated),
    (EqualisedConv2d, _equalised_convolution),
    (LabelMapping, _labels),
    (EqualisedLinear, _equalised_linear),
    (nn.Conv2d, _convolution),
    (nn.Linear, _linear),
    (nn.Embedding, _embedding),
)
"""Kinds of layers, and what makes one with constant weights of them."""


def folded(layer: nn.Module) -> nn.Module | None:
    """The layer with constant weights; None where it has none of the kinds in :data:`FOLDED`."""
    for kind, make in FOLDED:
        if isinstance(layer, kind):
            return make(layer)
    return None
