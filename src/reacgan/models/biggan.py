"""BigGAN's generator and discriminator backbone for 8 to 512 pixels (Brock et al. 2019).

The generator gives each block a chunk of the latent and the shared class embedding through
conditional batch norm; the backbone is the residual network of :mod:`reacgan.models.resnet`, wider.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reacgan.config import ConfigError, Resolution, Width, grid_of, neighbours
from reacgan.models.attention import attention_layers
from reacgan.models.base import Generator
from reacgan.models.layers import conv3x3, initialise_orthogonal, linear
from reacgan.models.norms import BatchNorm, stacked_weights
from reacgan.models.recompute import attended, block_output
from reacgan.models.residual import GENERATOR_STAGES, GeneratorBlock, stages_of, takes_kernels
from reacgan.models.resnet import ResNetBackbone
from reacgan.models.spectral import weight_of
from reacgan.randomness import Draws


class BigGANGenerator(Generator):
    """Latent and label to image, hierarchical latent and shared class embedding.

    Args:
        resolution: side of a square or (height, width), shorter side 8 to 1023 pixels.
        channels: image channels.
        num_classes: labels run from 0 to num_classes - 1.
        width: base number of channels ("c" of the table).
        latent_dim: length of z; a multiple of the number of blocks + 1; by default 20 times it.
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
        width: Width = 96,
        latent_dim: Width | None = None,
        shared_dim: Width = 128,
        attention_after: tuple[int, ...] = (),
        spectral_norm: bool = True,
    ) -> None:
        super().__init__(num_classes)
        self.recompute = False
        self.grid = grid_of(resolution)
        multiples = stages_of(GENERATOR_STAGES, self.grid, resolution)
        stages = [width * multiple for multiple in multiples]
        blocks = len(stages) - 1
        if latent_dim is None:
            latent_dim = 20 * (blocks + 1)
        if latent_dim % (blocks + 1):
            raise ConfigError(
                f"model.generator: latent_dim is {latent_dim}; at {resolution} pixels it must be a "
                f"multiple of {blocks + 1} (a chunk for the input and one for each block), such as "
                f"{neighbours(latent_dim, blocks + 1)}; set model.generator.latent_dim"
            )
        self.latent_dim = latent_dim
        self.chunk = latent_dim // (blocks + 1)
        condition_dim = shared_dim + self.chunk
        self.shared = nn.Embedding(num_classes, shared_dim)
        cells = self.grid.rows * self.grid.columns
        self.input = linear(self.chunk, stages[0] * cells, spectral=spectral_norm)
        self.blocks = nn.ModuleList(
            GeneratorBlock(before, after, condition_dim, spectral=spectral_norm)
            for before, after in zip(stages, stages[1:], strict=False)
        )
        self.attention = attention_layers(
            attention_after, tuple(stages[1:]), spectral=spectral_norm, where="model.generator"
        )
        self.norm = BatchNorm(stages[-1], affine=True)
        self.output = conv3x3(stages[-1], channels, spectral=spectral_norm)
        initialise_orthogonal(self)

    def forward(self, z: Tensor, labels: Tensor, draws: Draws | None = None) -> Tensor:
        """Latent z [N, latent_dim] and labels -> images [N, channels, H, W] in [-1, 1]."""
        first, *rest = z.split(self.chunk, dim=1)
        shared = self.class_vectors(self.shared, labels)
        hidden = self.ordered(
            self.input(first).unflatten(1, (-1, self.grid.rows, self.grid.columns))
        )
        modulations = self._modulations(shared, z)
        for number, (block, chunk) in enumerate(zip(self.blocks, rest, strict=True), start=1):
            if modulations is None:
                hidden = block_output(self, block, hidden, torch.cat([shared, chunk], dim=1))
            else:
                hidden = block_output(self, block, hidden, None, modulations[number - 1])
            hidden = attended(self, number, hidden)
        return self.output.activated(self.norm.activated(hidden), "tanh")

    def _modulations(self, shared: Tensor, z: Tensor) -> Sequence[Tensor] | None:
        """Gains and biases of all blocks as one batched product, where these have equal widths."""
        blocks: Any = list(self.blocks)
        widths = {tuple(norm.features for norm in block.norms) for block in blocks}
        if len(widths) > 1 or not takes_kernels(blocks[0]):
            return None
        chunks = z[:, self.chunk :].unflatten(1, (len(blocks), -1)).transpose(0, 1)
        conditions = torch.cat([shared.expand(len(blocks), -1, -1), chunks], dim=2)
        weight = stacked_weights(norm for block in blocks for norm in block.norms)
        weight = weight.view(len(blocks), -1, weight.shape[1])
        return torch.bmm(conditions, weight.transpose(1, 2)).unbind()

    def latent_weights(self) -> list[Tensor]:
        """The first layer's weight, then each block's weights of its chunk of z, padded with zeros."""
        shared_dim = self.shared.embedding_dim
        parts = [weight_of(self.input)]
        for block in self.blocks:
            parts.append(block.condition_weight()[:, shared_dim:])  # type: ignore[operator]
        return [
            F.pad(part, (index * self.chunk, self.latent_dim - (index + 1) * self.chunk))
            for index, part in enumerate(parts)
        ]


class BigGANBackbone(ResNetBackbone):
    """Images to features: residual blocks, ReLU, sum over space.

    Args:
        resolution: side of a square or (height, width), shorter side 8 to 1023 pixels.
        channels: image channels.
        width: base number of channels ("c" of the table).
        attention_after: self-attention after these blocks, counted from 1.
        spectral_norm: normalise the convolutions, and the head that follows.
        preactivated_shortcut: shortcuts take ReLU(x) instead of x, as in-place ReLUs of published runs
            had it.
    """

    def __init__(
        self,
        *,
        resolution: Resolution,
        channels: int,
        width: Width = 96,
        attention_after: tuple[int, ...] = (),
        spectral_norm: bool = True,
        preactivated_shortcut: bool = False,
    ) -> None:
        super().__init__(
            resolution=resolution,
            channels=channels,
            width=width,
            attention_after=attention_after,
            norm="spectral" if spectral_norm else "none",
            preactivated_shortcut=preactivated_shortcut,
        )
