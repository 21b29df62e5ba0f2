"""torchgan's conditional DCGAN of our layers, so that both sides multiply the same numbers.

One thing stays apart: our backbones know no labels, so the label enters D as a projection on its last
features instead of ten further channels of the image.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reacgan.heads import PLAIN_LAYERS
from reacgan.models import Backbone, Generator
from reacgan.models.layers import conv4x4, linear
from reacgan.models.norms import BatchNorm
from reacgan.randomness import Draws

STAGES = (256, 128, 64)
LEAK = 0.2


class ConcatenatedGenerator(Generator):
    """z and a vector of the label, side by side, through transposed 4x4 convolutions."""

    def __init__(
        self, *, resolution: Any, channels: int, num_classes: int, latent_dim: int = 128
    ) -> None:
        super().__init__(num_classes)
        self.latent_dim = latent_dim
        self.label_vectors = nn.Embedding(num_classes, num_classes)
        self.input = linear(latent_dim + num_classes, 16 * STAGES[0], spectral=False, bias=False)
        self.norms = nn.ModuleList(BatchNorm(width, affine=True) for width in STAGES)
        self.convolutions = nn.ModuleList(
            conv4x4(before, after, spectral=False, resample="up")
            for before, after in zip(STAGES, (*STAGES[1:], channels), strict=True)
        )

    def forward(self, z: Tensor, labels: Tensor, draws: Draws | None = None) -> Tensor:
        vectors = self.class_vectors(self.label_vectors, labels)
        hidden = self.input(torch.cat([z, vectors], dim=1)).view(len(z), STAGES[0], 4, 4)
        hidden = hidden.contiguous(memory_format=torch.channels_last)
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            hidden = convolution(F.leaky_relu(norm(hidden), LEAK, inplace=True))
        return torch.tanh(hidden)


class StridedBackbone(Backbone):
    """4x4 convolutions of stride 2 down to 4x4, batch norm but in the first."""

    head_layers = PLAIN_LAYERS
    couples_samples = True

    def __init__(self, *, resolution: Any, channels: int) -> None:
        super().__init__()
        widths = (channels, *STAGES[::-1])
        self.out_features = 16 * STAGES[0]
        self.convolutions = nn.ModuleList(
            conv4x4(before, after, spectral=False, resample="down")
            for before, after in zip(widths, widths[1:], strict=False)
        )
        self.norms = nn.ModuleList(BatchNorm(width, affine=True) for width in widths[2:])

    def forward(self, images: Tensor) -> Tensor:
        hidden = images
        for place, convolution in enumerate(self.convolutions):
            hidden = convolution(hidden)
            hidden = self.norms[place - 1](hidden) if place else hidden
            hidden = F.leaky_relu(hidden, LEAK, inplace=True)
        return hidden.flatten(1)


def register() -> None:
    """Make both known by the name torchgan."""
    from reacgan.models import BACKBONES, GENERATORS

    GENERATORS["torchgan"] = ConcatenatedGenerator
    BACKBONES["torchgan"] = StridedBackbone
