"""R3GAN's generator and discriminator backbone (Huang et al., NeurIPS 2024), from the paper.

Residual networks without normalisation, attention or styles: inverted bottlenecks with grouped 3x3
convolutions, leaky ReLU, linear transitions between resolutions, and initial weights that keep the
residual stream's variance at any depth (Fixup, Zhang et al. 2019). Meant for the relativistic loss with
R1 and R2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reacgan.config import Depth, Grid, NonNegativeFloat, Resolution, Width, grid_of
from reacgan.heads import PLAIN_LAYERS
from reacgan.kernels.bias_act import Act, activated
from reacgan.models.base import Backbone, Generator
from reacgan.models.convolution import differentiable_convolution
from reacgan.models.layers import AnyModule, conv1x1
from reacgan.models.recompute import chain_output
from reacgan.models.resample import Resampling, doubled, halved
from reacgan.models.spectral import weight_of
from reacgan.randomness import Draws

LEAK = 0.2
FULL_WIDTH_DOUBLINGS = 3
"""Stages have the full width up to this many doublings (32 pixels)."""


def widths_of(grid: Grid, width: int) -> list[int]:
    """Channels on each grid from the smallest on: full up to 32 pixels, then halved each time."""
    return [
        max(width >> max(level - FULL_WIDTH_DOUBLINGS, 0), 1) for level in range(grid.doublings + 1)
    ]


def draw_scaled(layer: nn.Conv2d | nn.Linear | nn.Embedding, gain: float) -> None:
    """Normal weights of standard deviation gain / sqrt(inputs); biases zero."""
    nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.weight[0].numel()))
    bias = getattr(layer, "bias", None)
    if isinstance(bias, Tensor):
        nn.init.zeros_(bias)


class InvertedBlock(nn.Module):
    """x + 1x1(leaky(grouped 3x3(leaky(1x1(x))))), wider inside.

    With L blocks in the network, the first two convolutions start with the weights that keep
    variance through a leaky ReLU times L^(-1/4), the last one times ``last_gain``. Fixup has zero
    there, which leaves the other two without a gradient in the first step.
    """

    def __init__(
        self,
        channels: int,
        *,
        expansion: int,
        group_size: int,
        network_blocks: int,
        last_gain: float,
    ) -> None:
        super().__init__()
        self.fused_layers = True
        self.kernels = False
        hidden = channels * expansion
        self.enter = nn.Conv2d(channels, hidden, 1)
        groups = hidden // math.gcd(hidden, group_size)
        self.grouped = nn.Conv2d(hidden, hidden, 3, padding=1, groups=groups)
        self.leave = nn.Conv2d(hidden, channels, 1, bias=False)
        gain = math.sqrt(2 / (1 + LEAK**2))
        for layer in (self.enter, self.grouped):
            draw_scaled(layer, gain * network_blocks**-0.25)
        draw_scaled(self.leave, gain * last_gain)

    def forward(self, images: Tensor) -> Tensor:
        """[N, C, H, W] -> the same shape."""
        hidden = self._leaky(self.enter, images)
        hidden = self._leaky(self.grouped, hidden)
        return images + self._convolve(self.leave, hidden)

    def _leaky(self, layer: nn.Conv2d, images: Tensor) -> Tensor:
        if self.kernels:  # the bias with the activation, in float32
            hidden = self._convolve(layer, images, bias=False)
            return activated(hidden, Act(slope=LEAK), bias=layer.bias)
        return F.leaky_relu(self._convolve(layer, images), LEAK, inplace=True)

    def _convolve(self, layer: nn.Conv2d, images: Tensor, *, bias: bool = True) -> Tensor:
        if not (self.fused_layers or self.kernels):
            result: Tensor = layer(images)
            return result
        return differentiable_convolution(
            images,
            layer.weight,
            layer.bias if bias else None,
            padding=layer.kernel_size[0] // 2,
            groups=layer.groups,
        )


class Stage(nn.Module):
    """The blocks of one resolution, after a linear transition from the previous one.

    A 1x1 convolution, where the width changes, runs on the smaller grid: it commutes with
    resampling.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        blocks: Sequence[InvertedBlock],
        *,
        change: str,
        resampling: Resampling,
    ) -> None:
        super().__init__()
        self.recompute = False
        self.kernels = False
        self.change = change
        self.resampling: Resampling = resampling
        self.transition: nn.Module = nn.Identity()
        if in_channels != channels:
            mixed = conv1x1(in_channels, channels, spectral=False, bias=False)
            draw_scaled(mixed, 1.0)
            self.transition = mixed
        self.blocks = nn.Sequential(*blocks)

    def forward(self, images: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C', 2H, 2W], [N, C', H/2, W/2] or [N, C', H, W]."""
        if self.change == "down":
            images = halved(images, self.resampling, kernels=self.kernels)
        images = self.transition(images)
        if self.change == "up":
            images = doubled(images, self.resampling, kernels=self.kernels)
        return chain_output(self, self.blocks, images)


def _stages(
    widths: Sequence[int],
    change: str,
    *,
    blocks: int,
    expansion: int,
    group_size: int,
    last_gain: float,
    resampling: Resampling,
) -> nn.ModuleList:
    """A stage for each width, the first without a change of resolution."""
    return nn.ModuleList(
        Stage(
            before,
            after,
            [
                InvertedBlock(
                    after,
                    expansion=expansion,
                    group_size=group_size,
                    network_blocks=blocks * len(widths),
                    last_gain=last_gain,
                )
                for _ in range(blocks)
            ],
            change=change if index else "none",
            resampling=resampling,
        )
        for index, (before, after) in enumerate(zip([widths[0], *widths], widths, strict=False))
    )


class R3GANGenerator(Generator):
    """Latent and label to image: a learned basis on the smallest grid, weighted by z and the class.

    The last layer is linear, as in the paper, so images may overshoot [-1, 1] a little.

    Args:
        resolution: side of a square or (height, width), shorter side 8 to 1024 pixels.
        channels: image channels.
        num_classes: labels run from 0 to num_classes - 1.
        width: channels up to 32 pixels; each further doubling halves them. 768 is the paper's for
            CIFAR-10.
        latent_dim: length of z.
        shared_dim: length of the class embedding, which is joined with z.
        conditional: without it there is no embedding, and labels change nothing.
        blocks: residual blocks at each resolution.
        expansion: width inside a block, in multiples of the width outside.
        group_size: channels of a group of the 3x3 convolutions; where it does not divide the width
            inside a block, their greatest common divisor.
        last_gain: factor of the first weights of each block's last convolution; 0 is Fixup's.
        resampling: ``"bilinear"``, or ``"nearest"`` (with 2x2 averages in the other direction).
    """

    def __init__(
        self,
        *,
        resolution: Resolution,
        channels: int,
        num_classes: int,
        width: Width = 768,
        latent_dim: Width = 64,
        shared_dim: Width = 64,
        conditional: bool = True,
        blocks: Depth = 2,
        expansion: Depth = 2,
        group_size: Width = 16,
        last_gain: NonNegativeFloat = 0.01,
        resampling: Resampling = "bilinear",
    ) -> None:
        super().__init__(num_classes)
        grid = grid_of(resolution)
        widths = widths_of(grid, width)
        self.latent_dim = latent_dim
        self.conditional = conditional
        if conditional:
            self.shared = nn.Embedding(num_classes, shared_dim)
        self.basis = nn.Parameter(torch.randn(widths[0], grid.rows, grid.columns))
        joined = latent_dim + (shared_dim if conditional else 0)
        self.input = nn.Linear(joined, widths[0], bias=False)
        self.blocks = _stages(
            widths,
            "up",
            blocks=blocks,
            expansion=expansion,
            group_size=group_size,
            last_gain=last_gain,
            resampling=resampling,
        )
        self.output = conv1x1(widths[-1], channels, spectral=False)
        draw_scaled(self.input, 1.0)
        draw_scaled(self.output, 1.0)
        if conditional:
            nn.init.normal_(self.shared.weight)

    def forward(self, z: Tensor, labels: Tensor, draws: Draws | None = None) -> Tensor:
        """Latent z [N, latent_dim] and labels -> images [N, channels, H, W]."""
        joined = z
        if self.conditional:
            joined = torch.cat([z, self.class_vectors(self.shared, labels)], dim=1)
        hidden = self.ordered(self.basis * self.input(joined)[:, :, None, None])
        for stage in self.blocks:
            hidden = stage(hidden)
        result: Tensor = self.output(hidden)
        return result

    def latent_weights(self) -> list[Tensor]:
        """The first layer's weights of z."""
        return [weight_of(self.input)[:, : self.latent_dim]]


class R3GANBackbone(Backbone):
    """Images to features: the generator's mirror image, then a learned sum over space for each channel.

    No activation precedes the features: with the head ``unconditional`` or ``projection`` this is the
    paper's discriminator.

    Args:
        resolution: side of a square or (height, width), shorter side 8 to 1024 pixels.
        channels: image channels.
        width: see :class:`R3GANGenerator`.
        blocks: see :class:`R3GANGenerator`.
        expansion: see :class:`R3GANGenerator`.
        group_size: see :class:`R3GANGenerator`.
        last_gain: see :class:`R3GANGenerator`.
        resampling: see :class:`R3GANGenerator`.
    """

    def __init__(
        self,
        *,
        resolution: Resolution,
        channels: int,
        width: Width = 768,
        blocks: Depth = 2,
        expansion: Depth = 2,
        group_size: Width = 16,
        last_gain: NonNegativeFloat = 0.01,
        resampling: Resampling = "bilinear",
    ) -> None:
        super().__init__()
        grid = grid_of(resolution)
        widths = widths_of(grid, width)[::-1]
        self.head_layers = PLAIN_LAYERS
        self.out_features = widths[-1]
        self.input = conv1x1(channels, widths[0], spectral=False, bias=False)
        draw_scaled(self.input, 1.0)
        self.blocks = _stages(
            widths,
            "down",
            blocks=blocks,
            expansion=expansion,
            group_size=group_size,
            last_gain=last_gain,
            resampling=resampling,
        )
        cells = grid.rows * grid.columns
        self.basis = nn.Parameter(torch.randn(widths[-1], grid.rows, grid.columns) / cells**0.5)

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, channels, H, W] -> features [N, out_features]."""
        hidden = self.input(images)
        for stage in self.blocks:
            hidden = stage(hidden)
        return (hidden * self.basis).sum((2, 3))

    def initialise(self, module: AnyModule) -> AnyModule:
        """Normal weights that keep variance, class vectors of length about 1, biases zero."""
        for layer in module.modules():
            if isinstance(layer, nn.Linear | nn.Embedding):
                draw_scaled(layer, 1.0)
        return module

    def stages(self) -> Sequence[nn.Module]:
        """The first convolution, then the resolutions."""
        return [self.input, *self.blocks]
