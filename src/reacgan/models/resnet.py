"""SNGAN's residual networks (Miyato et al. 2018; with attention SAGAN's), 8 to 512 pixels.

The class enters each conditional batch norm of the generator as a one-hot vector, z only the first
layer. The backbone is also BigGAN's; its features are summed over space.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from reacgan.config import Resolution, Width, grid_of
from reacgan.heads import PLAIN_LAYERS
from reacgan.kernels.preactivation import relu_sum
from reacgan.models.attention import attention_layers, stages_with
from reacgan.models.base import Backbone, Generator
from reacgan.models.layers import SPECTRAL_LAYERS, conv3x3, initialise_orthogonal, linear
from reacgan.models.norms import BatchNorm
from reacgan.models.recompute import attended, block_output
from reacgan.models.residual import (
    BACKBONE_STAGES,
    GENERATOR_STAGES,
    BackboneBlock,
    GeneratorBlock,
    Norm,
    block_modulations,
    stages_of,
)
from reacgan.models.spectral import weight_of
from reacgan.randomness import Draws


class ResNetGenerator(Generator):
    """Latent and label to image; the label as a one-hot vector in conditional batch norm.

    Args:
        resolution: side of a square or (height, width), shorter side 8 to 1023 pixels.
        channels: image channels.
        num_classes: labels run from 0 to num_classes - 1.
        width: base number of channels ("c" of the table).
        latent_dim: length of z.
        conditional: without it batch norm has plain gains and biases, and labels change nothing.
        attention_after: self-attention after these blocks, counted from 1.
        spectral_norm: normalise convolutions and linear layers (SAGAN; SNGAN does not).
    """

    def __init__(
        self,
        *,
        resolution: Resolution,
        channels: int,
        num_classes: int,
        width: Width = 64,
        latent_dim: Width = 128,
        conditional: bool = True,
        attention_after: tuple[int, ...] = (),
        spectral_norm: bool = False,
    ) -> None:
        super().__init__(num_classes)
        self.recompute = False
        self.grid = grid_of(resolution)
        multiples = stages_of(GENERATOR_STAGES, self.grid, resolution)
        stages = [width * multiple for multiple in multiples]
        self.latent_dim = latent_dim
        self.conditional = conditional
        cells = self.grid.rows * self.grid.columns
        self.input = linear(latent_dim, stages[0] * cells, spectral=spectral_norm)
        condition_dim = num_classes if conditional else 0
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
        condition = self.class_weights(labels, z.dtype) if self.conditional else None
        hidden = self.ordered(self.input(z).unflatten(1, (-1, self.grid.rows, self.grid.columns)))
        modulations = block_modulations(list(self.blocks), condition)
        for number, (block, modulation) in enumerate(
            zip(self.blocks, modulations, strict=True), start=1
        ):
            hidden = block_output(self, block, hidden, condition, modulation)
            hidden = attended(self, number, hidden)
        return self.output.activated(self.norm.activated(hidden), "tanh")

    def latent_weights(self) -> list[Tensor]:
        """The first layer's weight."""
        return [weight_of(self.input)]


class ResNetBackbone(Backbone):
    """Images to features: residual blocks, ReLU, sum over space.

    Args:
        resolution: side of a square or (height, width), shorter side 8 to 1023 pixels.
        channels: image channels.
        width: base number of channels ("c" of the table).
        attention_after: self-attention after these blocks, counted from 1.
        norm: spectral norm of all weights, the head's included (SNGAN, SAGAN); batch norm, with
            separate passes for real and fake images; or none (for gradient penalties).
        preactivated_shortcut: shortcuts take ReLU(x) instead of x, as in-place ReLUs of published runs
            had it.
    """

    def __init__(
        self,
        *,
        resolution: Resolution,
        channels: int,
        width: Width = 64,
        attention_after: tuple[int, ...] = (),
        norm: Norm = "spectral",
        preactivated_shortcut: bool = False,
    ) -> None:
        super().__init__()
        self.recompute = False
        self.kernels = False
        multiples, halvings = stages_of(BACKBONE_STAGES, grid_of(resolution), resolution)
        stages = [channels, *(width * multiple for multiple in multiples)]
        spectral = norm == "spectral"
        self.head_layers = SPECTRAL_LAYERS if spectral else PLAIN_LAYERS
        self.couples_samples = norm == "batch"
        self.out_features = stages[-1]
        self.blocks = nn.ModuleList(
            BackboneBlock(
                before,
                after,
                down=index < halvings,
                first=index == 0,
                norm=norm,
                preactivated_shortcut=preactivated_shortcut,
            )
            for index, (before, after) in enumerate(zip(stages, stages[1:], strict=False))
        )
        self.attention = attention_layers(
            attention_after, tuple(stages[1:]), spectral=spectral, where="model.backbone"
        )
        initialise_orthogonal(self)

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, channels, H, W] -> features [N, out_features]."""
        hidden = images
        for number, block in enumerate(self.blocks, start=1):
            hidden = attended(self, number, block_output(self, block, hidden))
        return relu_sum(hidden) if self.kernels else F.relu(hidden).sum((2, 3))

    def stages(self) -> Sequence[nn.Module]:
        """The blocks, each with the attention after it."""
        return stages_with(self.attention, self.blocks)
