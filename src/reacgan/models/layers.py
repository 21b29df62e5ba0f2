"""Convolutions and linear layers that the networks are made of, and their initialisation."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reacgan.heads import Layers
from reacgan.models.fused import convolve, convolve_thinly, is_thin
from reacgan.models.spectral import SpectralNorm
from reacgan.models.weights import Resample, arranged, scaled, widened

AnyModule = TypeVar("AnyModule", bound=nn.Module)


class Conv2d(nn.Conv2d):
    """Convolution, optionally with the doubling before it or the halving after it built in.

    Nearest upsampling by 2 and then a 3x3 convolution is one 4x4 transposed convolution of stride 2
    with summed taps; a 3x3 convolution and then a 2x2 average is one 4x4 convolution of stride 2.
    Both are exact, borders included, with 4/9 of the multiplications. Of size 4, the taps of that
    (transposed) convolution of stride 2 are learned themselves (DCGAN).
    ``merged_convolutions = False`` computes one after the other instead.

    Args:
        in_channels: C.
        out_channels: C'.
        size: 1, 3 or 4.
        bias: learned offset.
        resample: for size 1 ``"none"``, for size 4 ``"up"`` or ``"down"``, for size 3 any.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: int,
        *,
        bias: bool = True,
        resample: Resample = "none",
    ) -> None:
        super().__init__(in_channels, out_channels, size, padding=(size - 1) // 2, bias=bias)
        self.resample = resample
        self.merged_convolutions = True
        self.fused_layers = True

    def effective_weight(self) -> Tensor:
        """The weight that the convolution uses."""
        return self.weight

    def merged_weight(self) -> Tensor:
        """The same with the halving built in, [O, I, 4, 4], or the doubling, [I, O, 4, 4]."""
        if not self.fused_layers:
            weight = widened(self.effective_weight(), self.resample)
            return weight / 4 if self.resample == "down" else weight
        with torch.autocast(self.weight.device.type, enabled=False):
            return scaled(self.weight, self.norm_vectors(), order=self.resample, widen=True)

    def arrange(self) -> None:
        """Put the weight into the order of memory that its convolution takes."""
        self.weight.data = arranged(self.weight.data, self.resample)

    def norm_vectors(self) -> tuple[Tensor, Tensor, Tensor] | None:
        """What the weight is divided by; None for nothing."""
        return None

    def forward(self, input: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C', H, W], or twice or half the size."""
        return self._result(input, self.bias)

    def without_bias(self, input: Tensor) -> Tensor:
        """The same before ``bias`` is added, for a caller who adds it to something else."""
        return self._result(input, None)

    def _result(self, input: Tensor, bias: Tensor | None) -> Tensor:
        if self.resample == "none":
            return self._convolve(input, self.effective_weight(), bias)
        if self.kernel_size[0] == 4:
            weight = self.effective_weight()
            weight = weight.transpose(0, 1) if self.resample == "up" else weight
        elif self.merged_convolutions:
            weight = self.merged_weight()
        else:
            return self._apart(input, self.effective_weight(), bias)
        return self._convolve(input, weight, bias, stride=2, transposed=self.resample == "up")

    def _convolve(
        self,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        *,
        stride: int = 1,
        transposed: bool = False,
    ) -> Tensor:
        padding = (self.kernel_size[0] - 1) // 2
        if self.fused_layers and stride == 1 and is_thin(input, weight):
            return convolve_thinly(input, weight, bias)
        if self.fused_layers:
            return convolve(
                input, weight, bias, stride=stride, padding=padding, transposed=transposed
            )
        operation = F.conv_transpose2d if transposed else F.conv2d
        return operation(input, weight, bias, stride=stride, padding=padding)

    def _apart(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Doubling, then convolution; or convolution, then halving."""
        if self.resample == "up":
            return self._convolve(F.interpolate(input, scale_factor=2), weight, bias)
        return F.avg_pool2d(self._convolve(input, weight, bias), 2)


class SpectralConv2d(SpectralNorm, Conv2d):
    """:class:`Conv2d` with a spectrally normalised weight."""

    def effective_weight(self) -> Tensor:
        """The weight over its largest singular value."""
        return self.normalised_weight()


class SpectralLinear(SpectralNorm, nn.Linear):
    """Linear layer with a spectrally normalised weight."""

    def forward(self, input: Tensor) -> Tensor:
        """[..., C] -> [..., C']."""
        return F.linear(input, self.normalised_weight(), self.bias)


class SpectralEmbedding(SpectralNorm, nn.Embedding):
    """Table of vectors with a spectrally normalised weight."""

    def forward(self, input: Tensor) -> Tensor:
        """int64 [...] -> [..., C]."""
        return F.embedding(input, self.normalised_weight())


SPECTRAL_LAYERS = Layers(SpectralLinear, SpectralEmbedding)


def conv3x3(
    in_channels: int, out_channels: int, *, spectral: bool, resample: Resample = "none"
) -> Conv2d:
    """3x3 convolution with bias; same size, doubled before it (up) or averaged after it (down)."""
    layer = SpectralConv2d if spectral else Conv2d
    return layer(in_channels, out_channels, 3, resample=resample)


def conv1x1(in_channels: int, out_channels: int, *, spectral: bool, bias: bool = True) -> Conv2d:
    """1x1 convolution."""
    layer = SpectralConv2d if spectral else Conv2d
    return layer(in_channels, out_channels, 1, bias=bias)


def conv4x4(in_channels: int, out_channels: int, *, spectral: bool, resample: Resample) -> Conv2d:
    """4x4 convolution of stride 2 with bias, transposed for ``"up"``."""
    layer = SpectralConv2d if spectral else Conv2d
    return layer(in_channels, out_channels, 4, resample=resample)


def linear(in_features: int, out_features: int, *, spectral: bool, bias: bool = True) -> nn.Linear:
    """Linear layer."""
    layer = SpectralLinear if spectral else nn.Linear
    return layer(in_features, out_features, bias=bias)


def initialise_orthogonal(module: AnyModule) -> AnyModule:
    """Orthogonal weights and zero biases in every convolution, linear layer and embedding."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding):
            nn.init.orthogonal_(layer.weight)
            bias = getattr(layer, "bias", None)
            if bias is not None:
                nn.init.zeros_(bias)
        if isinstance(layer, SpectralNorm):
            layer.follow_weight()
    return module


def arrange(module: nn.Module) -> None:
    """Put the weights of all convolutions into the order of memory that they are used in."""
    for layer in module.modules():
        if isinstance(layer, Conv2d):
            layer.arrange()
