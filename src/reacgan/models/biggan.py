"""BigGAN's generator and discriminator backbone for 8 to 512 pixels (Brock et al. 2019).

The generator gives each block a chunk of the latent and the shared class embedding through
conditional batch norm; the backbone is a residual network whose features are summed over space.
Widths and depths per resolution follow the published table; 8 and 16 pixels continue it downwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reacgan.config import ConfigError, Grid, PositiveInt, Resolution, grid_of
from reacgan.heads import PLAIN_LAYERS
from reacgan.models.base import Backbone, Generator
from reacgan.models.layers import (
    SPECTRAL_LAYERS,
    BatchNorm,
    ConditionalBatchNorm,
    Resample,
    SelfAttention,
    conv1x1,
    conv3x3,
    initialise_orthogonal,
    linear,
)
from reacgan.randomness import Draws

Stages = TypeVar("Stages")

# By the side of the square (other sizes have the row of as many doublings), channels in multiples
# of the width: what enters the first block, then what each block gives.
GENERATOR_STAGES: dict[int, tuple[int, ...]] = {
    8: (4, 4),
    16: (4, 4, 4),
    32: (4, 4, 4, 4),
    64: (16, 8, 4, 2, 1),
    128: (16, 16, 8, 4, 2, 1),
    256: (16, 16, 8, 8, 4, 2, 1),
    512: (16, 16, 8, 8, 4, 2, 1, 1),
}
# What each block of the backbone gives, and how many of them (from the first) halve the resolution.
BACKBONE_STAGES: dict[int, tuple[tuple[int, ...], int]] = {
    8: ((2, 2, 2), 1),
    16: ((2, 2, 2, 2), 2),
    32: ((2, 2, 2, 2), 2),
    64: ((1, 2, 4, 8, 16), 4),
    128: ((1, 2, 4, 8, 16, 16), 5),
    256: ((1, 2, 4, 8, 8, 16, 16), 6),
    512: ((1, 1, 2, 4, 8, 8, 16, 16), 7),
}


def stages_of(table: dict[int, Stages], grid: Grid, resolution: int | tuple[int, int]) -> Stages:
    """The row of a table of widths for a size; raises ConfigError where it has none."""
    if grid.square not in table:
        raise ConfigError(
            f"resolution is {resolution}; this network goes to shorter sides below {2 * max(table)}"
        )
    return table[grid.square]


def _check_places(places: tuple[int, ...], blocks: int, where: str) -> None:
    wrong = [place for place in places if not 1 <= place <= blocks]
    if wrong:
        raise ConfigError(
            f"{where}: attention_after holds {wrong[0]}, but this network has blocks 1 to {blocks}"
        )


class GeneratorBlock(nn.Module):
    """cBN-ReLU-upsample-3x3-cBN-ReLU-3x3, plus an upsampled 1x1 shortcut."""

    def __init__(
        self, in_channels: int, out_channels: int, condition_dim: int, *, spectral: bool
    ) -> None:
        super().__init__()
        self.norm1 = ConditionalBatchNorm(in_channels, condition_dim, spectral=spectral)
        self.conv1 = conv3x3(in_channels, out_channels, spectral=spectral, resample="up")
        self.norm2 = ConditionalBatchNorm(out_channels, condition_dim, spectral=spectral)
        self.conv2 = conv3x3(out_channels, out_channels, spectral=spectral)
        self.shortcut = conv1x1(in_channels, out_channels, spectral=spectral)

    def forward(self, images: Tensor, condition: Tensor) -> Tensor:
        """[N, C, H, W], condition [N, D] -> [N, C', 2H, 2W]."""
        hidden = F.relu(self.norm1(images, condition), inplace=True)
        hidden = self.conv1(hidden)
        hidden = self.conv2(F.relu(self.norm2(hidden, condition), inplace=True))
        # A 1x1 convolution and nearest upsampling commute; this order costs a quarter.
        return hidden + F.interpolate(self.shortcut(images), scale_factor=2)


class BigGANGenerator(Generator):
    """Latent and label to image, hierarchical latent and shared class embedding.

    Args:
        resolution: side of a square or (height, width), shorter side 8 to 1023 pixels.
        channels: image channels.
        num_classes: labels run from 0 to num_classes - 1.
        width: base number of channels ("c" of the table).
        latent_dim: length of z; divisible by the number of blocks + 1. None is 20 for each of them.
        shared_dim: length of the class embedding (never spectrally normalised).
        attention_after: self-attention after these blocks, counted from 1.
        spectral_norm: normalise convolutions and linear layers.
    """

    def __init__(
        self,
        *,
        resolution: Resolution,
        channels: int,
        num_classes: int,
        width: PositiveInt = 96,
        latent_dim: PositiveInt | None = None,
        shared_dim: PositiveInt = 128,
        attention_after: tuple[int, ...] = (),
        spectral_norm: bool = True,
    ) -> None:
        super().__init__(num_classes)
        self.grid = grid_of(resolution)
        multiples = stages_of(GENERATOR_STAGES, self.grid, resolution)
        stages = [width * multiple for multiple in multiples]
        blocks = len(stages) - 1
        _check_places(attention_after, blocks, "model.generator")
        if latent_dim is None:
            latent_dim = 20 * (blocks + 1)
        if latent_dim % (blocks + 1):
            raise ConfigError(
                f"model.generator: latent_dim is {latent_dim}; at {resolution} pixels it must be a "
                f"multiple of {blocks + 1} (a chunk for the input and one for each block)"
            )
        self.latent_dim = latent_dim
        self.chunk = latent_dim // (blocks + 1)
        self.in_channels = stages[0]
        condition_dim = shared_dim + self.chunk
        self.shared = nn.Embedding(num_classes, shared_dim)
        cells = self.grid.rows * self.grid.columns
        self.input = linear(self.chunk, stages[0] * cells, spectral=spectral_norm)
        self.blocks = nn.ModuleList(
            GeneratorBlock(before, after, condition_dim, spectral=spectral_norm)
            for before, after in zip(stages, stages[1:], strict=False)
        )
        self.attention = nn.ModuleDict(
            {
                str(place): SelfAttention(stages[place], spectral=spectral_norm)
                for place in attention_after
            }
        )
        self.norm = BatchNorm(stages[-1], affine=True)
        self.output = conv3x3(stages[-1], channels, spectral=spectral_norm)
        initialise_orthogonal(self)

    def forward(self, z: Tensor, labels: Tensor, draws: Draws | None = None) -> Tensor:
        """Latent z [N, latent_dim] and labels -> images [N, channels, H, W] in [-1, 1]."""
        first, *rest = z.split(self.chunk, dim=1)
        shared = self.class_vectors(self.shared, labels)
        hidden = self.input(first).view(-1, self.in_channels, self.grid.rows, self.grid.columns)
        hidden = hidden.contiguous(memory_format=torch.channels_last)
        for place, (block, chunk) in enumerate(zip(self.blocks, rest, strict=True), start=1):
            hidden = block(hidden, torch.cat([shared, chunk], dim=1))
            if str(place) in self.attention:
                hidden = self.attention[str(place)](hidden)
        return torch.tanh(self.output(F.relu(self.norm(hidden), inplace=True)))


class BackboneBlock(nn.Module):
    """(ReLU)-3x3-ReLU-3x3, plus a shortcut; both halved by 2x2 averages when ``down``.

    The first block of a network takes the image itself, so it starts without a ReLU.
    ``preactivated_shortcut`` feeds the shortcut ReLU(x) instead of x: what an in-place ReLU does to
    networks of this kind, among them the ones whose scores were published.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        down: bool,
        first: bool,
        spectral: bool,
        preactivated_shortcut: bool,
    ) -> None:
        super().__init__()
        self.down = down
        self.first = first
        self.preactivated_shortcut = preactivated_shortcut
        self.conv1 = conv3x3(in_channels, out_channels, spectral=spectral)
        resample: Resample = "down" if down else "none"
        self.conv2 = conv3x3(out_channels, out_channels, spectral=spectral, resample=resample)
        learned = first or down or in_channels != out_channels
        self.shortcut = (
            conv1x1(in_channels, out_channels, spectral=spectral) if learned else nn.Identity()
        )

    def forward(self, images: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C', H/2, W/2] or the same size."""
        active = images if self.first else F.relu(images)
        hidden = self.conv2(F.relu(self.conv1(active), inplace=True))
        kept = active if self.preactivated_shortcut else images
        if self.down:
            # Averaging and a 1x1 convolution commute; this order costs a quarter.
            kept = F.avg_pool2d(kept, 2)
        return hidden + self.shortcut(kept)


class BigGANBackbone(Backbone):
    """Images to features: residual blocks, ReLU, sum over space.

    Args:
        resolution: side of a square or (height, width), shorter side 8 to 1023 pixels.
        channels: image channels.
        width: base number of channels ("c" of the table).
        attention_after: self-attention after these blocks, counted from 1.
        spectral_norm: normalise the convolutions, and the head that follows.
        preactivated_shortcut: see :class:`BackboneBlock`.
    """

    def __init__(
        self,
        *,
        resolution: Resolution,
        channels: int,
        width: PositiveInt = 96,
        attention_after: tuple[int, ...] = (),
        spectral_norm: bool = True,
        preactivated_shortcut: bool = False,
    ) -> None:
        super().__init__()
        multiples, halvings = stages_of(BACKBONE_STAGES, grid_of(resolution), resolution)
        stages = [channels, *(width * multiple for multiple in multiples)]
        _check_places(attention_after, len(multiples), "model.backbone")
        self.head_layers = SPECTRAL_LAYERS if spectral_norm else PLAIN_LAYERS
        self.out_features = stages[-1]
        self.blocks = nn.ModuleList(
            BackboneBlock(
                before,
                after,
                down=place < halvings,
                first=place == 0,
                spectral=spectral_norm,
                preactivated_shortcut=preactivated_shortcut,
            )
            for place, (before, after) in enumerate(zip(stages, stages[1:], strict=False))
        )
        self.attention = nn.ModuleDict(
            {
                str(place): SelfAttention(stages[place], spectral=spectral_norm)
                for place in attention_after
            }
        )
        initialise_orthogonal(self)

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, channels, H, W] -> features [N, out_features]."""
        hidden = images
        for place, block in enumerate(self.blocks, start=1):
            hidden = block(hidden)
            if str(place) in self.attention:
                hidden = self.attention[str(place)](hidden)
        return F.relu(hidden).sum((2, 3))

    def stages(self) -> Sequence[nn.Module]:
        """The blocks, each with the attention behind it."""
        found: list[nn.Module] = []
        for place, block in enumerate(self.blocks, start=1):
            behind = [self.attention[str(place)]] if str(place) in self.attention else []
            found.append(nn.ModuleList([block, *behind]))
        return found
