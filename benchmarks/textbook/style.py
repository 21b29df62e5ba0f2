"""StyleGAN2 at 32 pixels as its authors' reference operations compute it, without their CUDA code.

Filters are a padded depthwise convolution with all 4x4 taps, bias and activation are apart, weights are
scaled before each use, a modulated convolution scales the weights for each sample and runs in groups.
Written from the papers (Karras et al., CVPR 2020 and NeurIPS 2020); R3GAN's blocks likewise.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0])
SLOPE = 0.2


def filter_taps() -> Tensor:
    """[4, 4], of sum 1."""
    taps = TAPS[:, None] * TAPS
    return taps / taps.sum()


def upfirdn(
    x: Tensor, taps: Tensor, *, up: int = 1, down: int = 1, pad: tuple[int, int] = (0, 0)
) -> Tensor:
    """Zeros between pixels, padding, a full filter on each channel, every ``down``-th pixel."""
    n, c, h, w = x.shape
    if up > 1:
        x = x.reshape(n, c, h, 1, w, 1)
        x = F.pad(x, (0, up - 1, 0, 0, 0, up - 1)).reshape(n, c, h * up, w * up)
    x = F.pad(x, (pad[0], pad[1], pad[0], pad[1]))
    kernel = (taps * up**2).to(x.dtype).flip(0, 1)[None, None].repeat(c, 1, 1, 1)
    return F.conv2d(x, kernel, groups=c)[:, :, ::down, ::down]


def bias_act(x: Tensor, bias: Tensor | None, *, leaky: bool = True, gain: float = 1.0) -> Tensor:
    """Bias, leaky ReLU, gain: three operations."""
    if bias is not None:
        x = x + bias.to(x.dtype).reshape(1, -1, *[1] * (x.dim() - 2))
    if leaky:
        x = F.leaky_relu(x, SLOPE)
    gain = gain * math.sqrt(2) if leaky else gain
    return x * gain if gain != 1 else x


class Linear(nn.Module):
    """Equalised, with a multiplier of its learning rate."""

    def __init__(
        self, before: int, after: int, *, leaky: bool = False, lr: float = 1.0, start: float = 0.0
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before) / lr)
        self.bias = nn.Parameter(torch.full((after,), start / lr))
        self.gain, self.lr, self.leaky = lr / math.sqrt(before), lr, leaky

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight * self.gain, self.bias
        if self.lr != 1:
            bias = bias * self.lr
        if not self.leaky:
            return torch.addmm(bias[None], x, weight.t())
        return bias_act(x @ weight.t(), bias)


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """[N, classes]; torch's own looks at the values."""
    zeros = torch.zeros(len(labels), classes, device=labels.device)
    return zeros.scatter(1, labels[:, None], 1.0)


def normalised(x: Tensor) -> Tensor:
    """Over the root of the mean square."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


class Modulated(nn.Module):
    """A modulated convolution, noise, bias and activation; or the last one, to images."""

    def __init__(
        self,
        before: int,
        after: int,
        size: int,
        *,
        style: int,
        up: bool = False,
        image: bool = False,
    ) -> None:
        super().__init__()
        self.style = Linear(style, before, start=1)
        self.weight = nn.Parameter(torch.randn(after, before, size, size))
        self.bias = nn.Parameter(torch.zeros(after))
        self.strength = None if image else nn.Parameter(torch.zeros([]))
        self.up, self.image = up, image
        self.register_buffer("taps", filter_taps())

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        styles = self.style(w)
        if self.image:
            styles = styles * (1 / math.sqrt(self.weight[0].numel()))
        n, c = styles.shape
        weight = self.weight[None] * styles.reshape(n, 1, c, 1, 1)
        if not self.image:
            factors = (weight.square().sum([2, 3, 4]) + 1e-8).rsqrt()
            weight = weight * factors.reshape(n, -1, 1, 1, 1)
        size, after = self.weight.shape[-1], len(self.weight)
        x = x.reshape(1, -1, *x.shape[2:])
        if self.up:
            weight = weight.transpose(1, 2).reshape(n * c, after, size, size).to(x.dtype)
            x = F.conv_transpose2d(x, weight, stride=2, groups=n)
            x = upfirdn(x, self.taps * 4, pad=(1, 1))
        else:
            weight = weight.reshape(n * after, c, size, size).to(x.dtype)
            x = F.conv2d(x, weight, padding=size // 2, groups=n)
        x = x.reshape(n, after, *x.shape[2:])
        if self.strength is not None:
            noise = torch.randn(n, 1, *x.shape[2:], device=x.device) * self.strength
            x = x + noise.to(x.dtype)
        return bias_act(x, self.bias, leaky=not self.image)


class StyleGenerator(nn.Module):
    """z [N, 512] and labels to images [N, 3, 32, 32] (architecture ``orig``, two mapping layers)."""

    def __init__(self, width: int = 512, classes: int = 10) -> None:
        super().__init__()
        self.classes = classes
        self.embedding = Linear(classes, width)
        self.mapping = nn.Sequential(
            Linear(2 * width, width, leaky=True, lr=0.01),
            Linear(width, width, leaky=True, lr=0.01),
        )
        self.constant = nn.Parameter(torch.randn(width, 4, 4))
        layers = [Modulated(width, width, 3, style=width)]
        for _ in range(3):
            layers.append(Modulated(width, width, 3, style=width, up=True))
            layers.append(Modulated(width, width, 3, style=width))
        layers.append(Modulated(width, 3, 1, style=width, image=True))
        self.layers = nn.ModuleList(layers)

    def styles(self, z: Tensor, labels: Tensor) -> Tensor:
        embedded = self.embedding(one_hot(labels, self.classes).to(z.dtype))
        w = self.mapping(torch.cat([normalised(z), normalised(embedded)], 1))
        return w[:, None].repeat(1, len(self.layers), 1)

    def synthesis(self, w: Tensor) -> Tensor:
        x = self.constant[None].repeat(len(w), 1, 1, 1)
        for layer, style in zip(self.layers, w.unbind(1), strict=True):
            x = layer(x, style)
        return x

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        return self.synthesis(self.styles(z, labels))


class Conv(nn.Module):
    """Equalised convolution, the halving one behind a blur, bias, activation."""

    def __init__(self, before: int, after: int, size: int, *, down: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before, size, size))
        self.bias = nn.Parameter(torch.zeros(after))
        self.gain, self.down = 1 / math.sqrt(before * size**2), down
        self.register_buffer("taps", filter_taps())

    def forward(self, x: Tensor) -> Tensor:
        weight = (self.weight * self.gain).to(x.dtype)
        if self.down:
            x = F.conv2d(upfirdn(x, self.taps, pad=(2, 2)), weight, stride=2)
        else:
            x = F.conv2d(x, weight, padding=self.weight.shape[-1] // 2)
        return bias_act(x, self.bias)


class StyleDiscriminator(nn.Module):
    """Images and labels to scores [N] (architecture ``orig``, projection on mapped labels)."""

    def __init__(self, width: int = 512, classes: int = 10, group: int = 32) -> None:
        super().__init__()
        self.classes, self.group = classes, group
        layers = [Conv(3, width, 1)]
        for _ in range(3):
            layers += [Conv(width, width, 3), Conv(width, width, 3, down=True)]
        self.convolutions = nn.Sequential(*layers)
        self.last = Conv(width + 1, width, 3)
        self.linear = Linear(width * 16, width, leaky=True)
        self.score = Linear(width, width)
        self.embedding = Linear(classes, width)
        self.mapping = Linear(width, width, leaky=True, lr=0.01)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        x = self.convolutions(images).float()
        n, c, h, w = x.shape
        y = x.reshape(min(self.group, n), -1, c, h, w)
        y = (y - y.mean(0)).square().mean(0)
        y = (y + 1e-8).sqrt().mean([1, 2, 3]).reshape(-1, 1, 1, 1)
        x = torch.cat([x, y.repeat(min(self.group, n), 1, h, w)], 1)
        x = self.score(self.linear(self.last(x).flatten(1)))
        embedded = self.embedding(one_hot(labels, self.classes).to(x.dtype))
        vectors = normalised(self.mapping(normalised(embedded)))
        return (x * vectors).sum(1) * (1 / math.sqrt(x.shape[1]))


class R3Block(nn.Module):
    """x + 1x1(leaky(grouped 3x3(leaky(1x1(x)))))."""

    def __init__(self, channels: int, *, expansion: int = 2, group: int = 16) -> None:
        super().__init__()
        hidden = channels * expansion
        self.groups = hidden // group
        self.enter = nn.Parameter(torch.randn(hidden, channels, 1, 1) * channels**-0.5)
        self.grouped = nn.Parameter(torch.randn(hidden, group, 3, 3) / math.sqrt(9 * group))
        self.leave = nn.Parameter(torch.randn(channels, hidden, 1, 1) * 0.01 * hidden**-0.5)
        self.biases = nn.ParameterList([nn.Parameter(torch.zeros(hidden)) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        y = bias_act(F.conv2d(x, self.enter.to(x.dtype)), self.biases[0])
        y = F.conv2d(y, self.grouped.to(x.dtype), padding=1, groups=self.groups)
        return x + F.conv2d(bias_act(y, self.biases[1]), self.leave.to(x.dtype))


class R3Network(nn.Module):
    """Blocks at four resolutions between 32 and 4 pixels, in either direction; then a 1x1 convolution."""

    def __init__(self, width: int = 768, *, up: bool) -> None:
        super().__init__()
        self.up = up
        self.blocks = nn.ModuleList(R3Block(width) for _ in range(8))
        shape = (3, width) if up else (width, 3)
        self.image = nn.Parameter(torch.randn(*shape, 1, 1))
        self.register_buffer("taps", filter_taps())

    def forward(self, x: Tensor) -> Tensor:
        if not self.up:
            x = F.conv2d(x, self.image.to(x.dtype))
        for place, block in enumerate(self.blocks):
            if place and place % 2 == 0 and self.up:
                x = upfirdn(x, self.taps, up=2, pad=(2, 1))
            elif place and place % 2 == 0:
                x = upfirdn(x, self.taps, down=2, pad=(1, 1))
            x = block(x)
        return F.conv2d(x, self.image.to(x.dtype)) if self.up else x
