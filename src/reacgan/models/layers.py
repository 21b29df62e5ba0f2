"""Layers that the convolutional generators and backbones are made of.

Spectral normalisation (Miyato et al. 2018), conditional batch normalisation (BigGAN, Brock et al.
2019) whose statistics span all processes, and orthogonal initialisation. Everything is plain
PyTorch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reacgan import distributed
from reacgan.heads import Layers

AnyModule = TypeVar("AnyModule", bound=nn.Module)

Resample = Literal["none", "up", "down"]

BATCH_NORM_EPS = 1e-4
SPECTRAL_NORM_EPS = 1e-6


class _SpectralNorm(nn.Module):
    """Mixin that divides ``weight`` by its largest singular value, estimated by power iteration.

    With W the weight as a matrix [out, rest]: v = W^T u / |.|, u = W v / |.| (one iteration for each
    forward pass in training mode, none in evaluation mode), sigma = u^T W v; u and v are constants
    for the gradient. Kept in float32 (or float64) under autocast.
    """

    weight: Tensor
    u: Tensor
    v: Tensor
    iterate: bool = True

    def reset_parameters(self) -> None:
        """Draw the weight as the layer does (its constructor ends here), then u and v."""
        super().reset_parameters()  # type: ignore[misc]
        matrix = self.weight.detach().flatten(1)
        self.register_buffer("u", F.normalize(torch.randn(matrix.shape[0]), dim=0))
        self.register_buffer("v", F.normalize(torch.randn(matrix.shape[1]), dim=0))

    def normalised_weight(self) -> Tensor:
        """``weight / sigma``, same shape as ``weight``."""
        with torch.autocast(self.weight.device.type, enabled=False):
            matrix = self.weight.flatten(1)
            if self.training and self.iterate:
                with torch.no_grad():
                    held = matrix.detach()
                    self.v.copy_(F.normalize(held.t().mv(self.u), dim=0, eps=SPECTRAL_NORM_EPS))
                    self.u.copy_(F.normalize(held.mv(self.v), dim=0, eps=SPECTRAL_NORM_EPS))
            # Clones: the next forward pass overwrites the buffers while this graph may still live.
            u, v = self.u.clone(), self.v.clone()
            return self.weight / torch.dot(u, matrix.mv(v))


def widen_taps(weight: Tensor) -> Tensor:
    """Kernel [O, I, 3, 3] convolved with a 2x2 kernel of ones: [O, I, 4, 4]."""
    return sum(  # type: ignore[return-value]
        F.pad(weight, (left, 1 - left, top, 1 - top)) for left in (0, 1) for top in (0, 1)
    )


class Conv2d(nn.Conv2d):
    """Convolution, optionally with the doubling before it or the halving after it built in.

    Nearest upsampling by 2 and then a 3x3 convolution is one 4x4 transposed convolution of stride 2
    with summed taps; a 3x3 convolution and then a 2x2 average is one 4x4 convolution of stride 2.
    Both are exact, borders included, with 4/9 of the multiplications. Of size 4, the taps of that
    (transposed) convolution of stride 2 are learned themselves (DCGAN).

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

    def effective_weight(self) -> Tensor:
        """The weight that the convolution uses."""
        return self.weight

    def forward(self, input: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C', H, W], or twice or half the size."""
        weight = self.effective_weight()
        learned = self.kernel_size[0] == 4
        if self.resample == "up":
            taps = weight if learned else widen_taps(weight.flip(2, 3))
            return F.conv_transpose2d(input, taps.transpose(0, 1), self.bias, stride=2, padding=1)
        if self.resample == "down":
            taps = weight if learned else widen_taps(weight) / 4
            return F.conv2d(input, taps, self.bias, stride=2, padding=1)
        return self._conv_forward(input, weight, self.bias)


class SpectralConv2d(_SpectralNorm, Conv2d):
    """:class:`Conv2d` with a spectrally normalised weight."""

    def effective_weight(self) -> Tensor:
        """The weight over its largest singular value."""
        return self.normalised_weight()


class SpectralLinear(_SpectralNorm, nn.Linear):
    """Linear layer with a spectrally normalised weight."""

    def forward(self, input: Tensor) -> Tensor:
        """[..., C] -> [..., C']."""
        return F.linear(input, self.normalised_weight(), self.bias)


class SpectralEmbedding(_SpectralNorm, nn.Embedding):
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


class BatchNorm(nn.Module):
    """Batch normalisation over all processes, with or without learned gain and bias.

    ``F.batch_norm`` when alone; with several processes mean and variance are summed over them with
    gradient (PyTorch's own synchronised layer refuses CPUs). ``track = False`` leaves the running
    statistics as they are; see :func:`statistics_frozen`.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_features: int, *, affine: bool, momentum: float = 0.1) -> None:
        super().__init__()
        self.momentum = momentum
        self.track = True
        self.gain = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, images: Tensor) -> Tensor:
        """[N, C, H, W] -> the same shape."""
        if self.training and distributed.world_size() > 1:
            return self._over_processes(images)
        tracked = self.track or not self.training
        return F.batch_norm(
            images,
            self.running_mean if tracked else None,
            self.running_var if tracked else None,
            self.gain,
            self.bias,
            training=self.training,
            momentum=self.momentum,
            eps=BATCH_NORM_EPS,
        )

    def _over_processes(self, images: Tensor) -> Tensor:
        wide = images.to(self.running_mean.dtype)
        count = images.numel() // images.shape[1] * distributed.world_size()
        mean = distributed.sum_over_processes(wide.sum((0, 2, 3))) / count
        centred = wide - mean.view(1, -1, 1, 1)
        variance = distributed.sum_over_processes(centred.square().sum((0, 2, 3))) / count
        if self.track:
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        normalised = centred * (variance + BATCH_NORM_EPS).rsqrt().view(1, -1, 1, 1)
        if self.gain is not None and self.bias is not None:
            normalised = normalised * self.gain.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)
        return normalised.to(images.dtype)


@contextmanager
def statistics_frozen(module: nn.Module) -> Iterator[None]:
    """Within the block, ``module`` normalises as before but tracks no statistics.

    This holds for every layer that has a switch ``track``: batch norms, StyleGAN2's mean style.
    """
    with _switched_off(module, "track"):
        yield


@contextmanager
def power_iteration_frozen(module: nn.Module) -> Iterator[None]:
    """Within the block, spectral norms of ``module`` use u and v as they are."""
    with _switched_off(module, "iterate"):
        yield


@contextmanager
def _switched_off(module: nn.Module, switch: str) -> Iterator[None]:
    layers: list[Any] = [layer for layer in module.modules() if getattr(layer, switch, False)]
    for layer in layers:
        setattr(layer, switch, False)
    try:
        yield
    finally:
        for layer in layers:
            setattr(layer, switch, True)


def weight_of(layer: nn.Module) -> Tensor:
    """The weight that a layer works with at present, without gradient and without an iteration."""
    with torch.no_grad(), power_iteration_frozen(layer):
        weight: Any = (
            layer.normalised_weight() if isinstance(layer, _SpectralNorm) else layer.weight
        )
        return torch.as_tensor(weight).detach()


class ConditionalBatchNorm(nn.Module):
    """Batch norm whose gain and bias depend on a condition: y = (1 + A c) BN(x) + B c (BigGAN).

    A condition of length 0 stands for none: gain and bias are then learned as they are.
    """

    def __init__(self, num_features: int, condition_dim: int, *, spectral: bool) -> None:
        super().__init__()
        self.norm = BatchNorm(num_features, affine=condition_dim == 0)
        if condition_dim:
            self.gain = linear(condition_dim, num_features, spectral=spectral, bias=False)
            self.bias = linear(condition_dim, num_features, spectral=spectral, bias=False)

    def forward(self, images: Tensor, condition: Tensor | None) -> Tensor:
        """Images [N, C, H, W], condition [N, condition_dim] or None -> [N, C, H, W]."""
        normalised: Tensor = self.norm(images)
        if condition is None:
            return normalised
        gain = (1 + self.gain(condition))[:, :, None, None]
        bias = self.bias(condition)[:, :, None, None]
        return torch.addcmul(bias.to(images.dtype), gain.to(images.dtype), normalised)

    def condition_weight(self) -> Tensor:
        """A above B, [2 C, condition_dim], without gradient."""
        return torch.cat([weight_of(self.gain), weight_of(self.bias)])


def initialise_orthogonal(module: AnyModule) -> AnyModule:
    """Orthogonal weights and zero biases in every convolution, linear layer and embedding."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding):
            nn.init.orthogonal_(layer.weight)
            bias = getattr(layer, "bias", None)
            if bias is not None:
                nn.init.zeros_(bias)
    return module
