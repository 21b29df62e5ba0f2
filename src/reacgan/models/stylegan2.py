"""StyleGAN2's generator, conditional as in StyleGAN2-ADA."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from reacgan import distributed
from reacgan.config import ConfigError, Depth, Grid, Resolution, UnitFloat, Width, grid_of
from reacgan.heads.equalised import LabelMapping, leaky_layers, normalised_second_moment
from reacgan.models.base import Generator
from reacgan.models.recompute import block_output
from reacgan.models.resample import Resampler
from reacgan.models.stylegan2_layers import (
    RESIDUAL_GAIN,
    Architecture,
    EqualisedConv2d,
    ModulatedConv2d,
    StyledConv,
    ToImage,
    channels_at,
)
from reacgan.models.stylegan2_styles import all_styles
from reacgan.randomness import Draws
from reacgan.tensors import without_autocast

# Of StyleGAN2's authors and of the runs whose scores are published; StyleGAN3 has 0.998.
MEAN_DECAY = 0.995


class SynthesisBlock(nn.Module):
    """All layers of one size: two styled convolutions (the first block has one), and the image."""

    def __init__(
        self,
        in_channels: int | None,
        out_channels: int,
        *,
        size: tuple[int, int],
        channels: int | None,
        style_dim: int,
        residual: bool,
    ) -> None:
        super().__init__()
        residual = residual and in_channels is not None
        gain = RESIDUAL_GAIN if residual else 1.0
        convs = []
        if in_channels is not None:
            convs.append(
                StyledConv(in_channels, out_channels, style_dim=style_dim, size=size, up=True)
            )
        convs.append(
            StyledConv(out_channels, out_channels, style_dim=style_dim, size=size, gain=gain)
        )
        self.size = size
        self.depth = len(convs)
        self.convs = nn.ModuleList(convs)
        self.shortcut = (
            EqualisedConv2d(
                in_channels, out_channels, 1, bias=False, leaky=False, resample="up", gain=gain
            )
            if residual and in_channels is not None
            else None
        )
        self.to_image = None
        if channels is not None:
            self.to_image = ToImage(out_channels, channels, style_dim=style_dim)
        self.resampler = Resampler()

    def modulated(self) -> list[ModulatedConv2d]:
        """All layers that take a style, in order."""
        convs: list[Any] = list(self.convs)
        layers = [conv.conv for conv in convs]
        return layers if self.to_image is None else [*layers, self.to_image.conv]

    def forward(
        self, hidden: Tensor, images: Tensor | None, w: Tensor | None, *others: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """[N, C, H, W] and the sum of smaller images, w [N, layers, style_dim] -> both, doubled.

        ``others``: noise [N, 1, H', W'] for each convolution, or none for the layers' constant ones. Where
        w is None, behind them styles and factors of each layer of :meth:`modulated`.
        """
        kept = hidden
        noises, styled = others, others[:0]
        if w is None:
            count = 2 * len(self.modulated())
            noises, styled = others[: len(others) - count], others[len(others) - count :]
        styles: list[Any] = list(zip(styled[::2], styled[1::2], strict=True))
        styles = styles if w is None else [w[:, index] for index in range(self.depth + 1)]
        for index, conv in enumerate(self.convs):
            hidden = conv(hidden, styles[index], noises[index] if noises else None)
        if self.shortcut is not None:
            hidden = hidden + self.shortcut(kept)
        if images is not None:
            with without_autocast(images):
                images = self.resampler.up(images)
        if self.to_image is not None:
            new = self.to_image(hidden, styles[self.depth])
            images = new if images is None else images + new
        return hidden, images


def _first_style(level: int) -> int:
    """Of a block's layers; an image shares its w with the next convolution."""
    return max(2 * level - 1, 0)


def _drawn(block: Any, draws: Draws | None, count: int) -> list[Tensor]:
    """Noise for each convolution of a block; drawn outside it, as recomputation must not draw."""
    if draws is None:
        return []
    return [draws.normal(count, 1, *block.size) for _ in block.convs]


class StyleGAN2Generator(Generator):
    """Latent and label to styles w, and w to an image (Karras et al., CVPR 2020; ADA, NeurIPS 2020).

    z and the linearly embedded one-hot label, each divided by its root mean square, go through the
    mapping network to w; each convolution of the synthesis is modulated by w. With one class there is
    no embedding. Images are not bounded by a tanh: they leave [-1, 1] slightly, and are clipped when
    they become bytes. In training with ``draws`` each image gets its own noise, and a share of them a
    second w from some layer on (style mixing; the layer is drawn for each image, in published code for
    the whole batch). Without ``draws`` noise is constant. ``mean_w`` is the moving average of w in
    training.

    Args:
        resolution: side of a square or (height, width), 8 to 1024 pixels.
        channels: image channels.
        num_classes: labels run from 0 to num_classes - 1.
        latent_dim: length of z.
        style_dim: length of w.
        mapping_layers: depth of the mapping network.
        channel_base: a layer of s x s pixels has channel_base / s channels ...
        channel_max: ... but at most this many.
        mixing: share of images with mixed styles.
        architecture: ``skip`` as published, ``resnet``, or ``orig`` (neither, as in StyleGAN).
    """

    mean_w: Tensor
    """``[style_dim]``: long-running mean of w over all classes."""

    def __init__(
        self,
        *,
        resolution: Resolution,
        channels: int,
        num_classes: int,
        latent_dim: Width = 512,
        style_dim: Width = 512,
        mapping_layers: Depth = 8,
        channel_base: Width = 32768,
        channel_max: Width = 512,
        mixing: UnitFloat = 0.9,
        architecture: Architecture = "skip",
    ) -> None:
        super().__init__(num_classes)
        self.recompute = False
        self.kernels = False
        grid = grid_of(resolution)
        self.latent_dim = latent_dim
        self.style_dim = style_dim
        self.mixing = mixing
        self.track = True
        self.layers = 2 * grid.doublings + 2
        """Number of layers that each take a w: the convolutions, and the last image."""
        self.label = LabelMapping(num_classes, style_dim, layers=0) if num_classes > 1 else None
        joined = latent_dim + (style_dim if num_classes > 1 else 0)
        self.mapping_network = nn.Sequential(*leaky_layers(joined, style_dim, mapping_layers))
        widths = [
            channels_at(4 << level, channel_base, channel_max)
            for level in range(grid.doublings + 1)
        ]
        self.constant = nn.Parameter(torch.randn(widths[0], grid.rows, grid.columns))
        self.blocks = _synthesis_blocks(widths, grid, channels, style_dim, architecture)
        self.register_buffer("mean_w", torch.zeros(style_dim))

    def forward(self, z: Tensor, labels: Tensor, draws: Draws | None = None) -> Tensor:
        """Latent z [N, latent_dim] and labels -> images [N, channels, H, W], float32 at least."""
        w = self.styles(z, labels)
        self._follow(w)
        return self.synthesis(self._mixed(w, labels, draws), draws)

    def styles(self, z: Tensor, labels: Tensor) -> Tensor:
        """Z [N, latent_dim] and labels [N] or weights of classes [N, K] -> w [N, style_dim]."""
        inputs = [normalised_second_moment(z.to(self.mean_w.dtype), kernels=self.kernels)]
        if self.label is not None:
            # After the normalisation, which would undo it.
            inputs.append(self.label(labels) * self.condition_strength)
        w: Tensor = self.mapping_network(torch.cat(inputs, dim=1))
        return w

    def mapping(self, z: Tensor, labels: Tensor, draws: Draws | None = None) -> Tensor:
        """A w for each layer, [N, layers, style_dim], mixed as in training where ``draws`` are given."""
        return self._mixed(self.styles(z, labels), labels, draws)

    def synthesis(self, w: Tensor, draws: Draws | None = None) -> Tensor:
        """Images of w [N, layers, style_dim], or of one w [N, style_dim] for all layers."""
        if w.dim() == 2:
            w = w[:, None].expand(-1, self.layers, -1)
        count = w.shape[0]  # len would be a constant where the operations are recorded
        hidden = self.ordered(self.constant.expand(count, -1, -1, -1))
        images: Tensor | None = None
        draws = draws if self.training else None
        styled = self._all_styles(w) if self.kernels else None
        for level, block in enumerate(self.blocks):
            noises = _drawn(block, draws, count)
            if styled is not None:
                hidden, images = block_output(
                    self, block, hidden, images, None, *noises, *styled[level]
                )
                continue
            hidden, images = block_output(
                self, block, hidden, images, w[:, _first_style(level) :], *noises
            )
        if images is None:
            raise RuntimeError("no block makes an image")
        return images

    def _all_styles(self, w: Tensor) -> list[list[Tensor | None]]:
        """For each block, styles and factors of its layers one behind the other."""
        each = w.unbind(1)
        blocks: list[Any] = list(self.blocks)
        layers = [block.modulated() for block in blocks]
        chosen = [
            each[_first_style(level) + index]
            for level, block_layers in enumerate(layers)
            for index in range(len(block_layers))
        ]
        styled = iter(all_styles([layer for some in layers for layer in some], chosen))
        return [[tensor for _ in some for tensor in next(styled)] for some in layers]

    def truncated(
        self, z: Tensor, labels: Tensor, *, psi: float, layers: int | None = None
    ) -> Tensor:
        """Images from w drawn towards its mean: mean + psi (w - mean), in the first ``layers``.

        Raises:
            ConfigError: ``layers`` is not 0 to the number of layers.
        """
        layers = self.layers if layers is None else layers
        if not 0 <= layers <= self.layers:
            raise ConfigError(
                f"truncated layers are {layers}; this generator has layers 1 to {self.layers}: "
                "give 0 to that number, or none for all of them"
            )
        w = self.styles(z, labels)
        drawn = self.mean_w + psi * (w - self.mean_w)
        each = [drawn] * layers + [w] * (self.layers - layers)
        return self.synthesis(torch.stack(each, dim=1))

    def latent_weights(self) -> list[Tensor]:
        """The first mapping layer's weights of z: ``[style_dim, latent_dim]``.

        These give directions in z. For directions in w, see :meth:`style_weights`.
        """
        first = next(self.mapping_network.parameters())  # [style_dim, latent_dim (+ style_dim)]
        return [first[:, : self.latent_dim]]

    def style_weights(self) -> list[Tensor]:
        """Weights ``[channels, style_dim]`` of w, one matrix for each styled convolution.

        SeFa (Shen, Zhou, CVPR 2021) finds directions in w from them: images of ``w + a direction`` are
        ``synthesis(styles(z, labels) + a * direction)``.
        """
        convs = [layer for layer in self.modules() if isinstance(layer, StyledConv)]
        return [layer.conv.style.weight for layer in convs]

    def _mixed(self, w: Tensor, labels: Tensor, draws: Draws | None) -> Tensor:
        """Each sample's w for each layer; some switch to a second w at a layer of 2 .. L."""
        each = w[:, None].expand(-1, self.layers, -1)
        if draws is None or not self.training or self.mixing == 0:
            return each
        count = len(w)
        other = self.styles(draws.normal(count, self.latent_dim), labels)
        crossover = draws.integers(count, low=1, high=self.layers)
        mixes = draws.uniform(count) < self.mixing
        places = torch.arange(self.layers, device=w.device)
        taken = (places >= crossover[:, None]) & mixes[:, None]  # [N, layers]
        return torch.where(taken[:, :, None], other[:, None], each)

    def _follow(self, w: Tensor) -> None:
        if self.training and self.track:
            with torch.no_grad():
                total = distributed.sum_over_processes(w.mean(0), "mean of w")
                self.mean_w.lerp_(total / distributed.world_size(), 1 - MEAN_DECAY)


def _synthesis_blocks(
    widths: list[int], grid: Grid, channels: int, style_dim: int, architecture: Architecture
) -> nn.ModuleList:
    last = len(widths) - 1
    return nn.ModuleList(
        SynthesisBlock(
            widths[level - 1] if level > 0 else None,
            width,
            size=(grid.rows << level, grid.columns << level),
            channels=channels if architecture == "skip" or level == last else None,
            style_dim=style_dim,
            residual=architecture == "resnet",
        )
        for level, width in enumerate(widths)
    )
