"""ReACGAN's networks at 32 pixels (BigGAN's), each layer as it stands in the papers.

Memory is NCHW, every layer is wrapped in ``torch.nn.utils.spectral_norm``, doubling comes before a 3x3
convolution and pooling after one, and shortcuts are convolved at the higher resolution.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import spectral_norm

CHUNK = 20
SHARED = 128
BATCH_NORM_EPS = 1e-4
SPECTRAL_EPS = 1e-6


def normalised(layer: nn.Module) -> nn.Module:
    """The layer with spectral norm."""
    return spectral_norm(layer, eps=SPECTRAL_EPS)


def conv(before: int, after: int, size: int, *, bias: bool = True) -> nn.Module:
    """A convolution that keeps the size."""
    return normalised(nn.Conv2d(before, after, size, padding=size // 2, bias=bias))


class ConditionalBatchNorm(nn.Module):
    """(1 + A c) BN(x) + B c."""

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, eps=BATCH_NORM_EPS, affine=False)
        self.gain = normalised(nn.Linear(condition, channels, bias=False))
        self.bias = normalised(nn.Linear(condition, channels, bias=False))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        gain = (1 + self.gain(condition)).view(x.size(0), -1, 1, 1)
        bias = self.bias(condition).view(x.size(0), -1, 1, 1)
        return self.norm(x) * gain + bias


class SelfAttention(nn.Module):
    """Attention over positions, keys and values pooled."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = conv(channels, channels // 8, 1, bias=False)
        self.key = conv(channels, channels // 8, 1, bias=False)
        self.value = conv(channels, channels // 2, 1, bias=False)
        self.out = conv(channels // 2, channels, 1, bias=False)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        query = self.query(x).view(n, c // 8, h * w)
        key = F.max_pool2d(self.key(x), 2).view(n, c // 8, h * w // 4)
        value = F.max_pool2d(self.value(x), 2).view(n, c // 2, h * w // 4)
        weights = torch.softmax(torch.bmm(query.transpose(1, 2), key), dim=-1)
        mixed = torch.bmm(value, weights.transpose(1, 2)).view(n, c // 2, h, w)
        return x + self.gate * self.out(mixed)


class GeneratorBlock(nn.Module):
    """cBN, ReLU, doubling, 3x3, cBN, ReLU, 3x3; plus the doubled input through 1x1."""

    def __init__(self, before: int, after: int, condition: int) -> None:
        super().__init__()
        self.norm1 = ConditionalBatchNorm(before, condition)
        self.conv1 = conv(before, after, 3)
        self.norm2 = ConditionalBatchNorm(after, condition)
        self.conv2 = conv(after, after, 3)
        self.shortcut = conv(before, after, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        hidden = F.relu(self.norm1(x, condition))
        hidden = self.conv1(F.interpolate(hidden, scale_factor=2, mode="nearest"))
        hidden = self.conv2(F.relu(self.norm2(hidden, condition)))
        return hidden + self.shortcut(F.interpolate(x, scale_factor=2, mode="nearest"))


class Generator(nn.Module):
    """z [N, 80] and labels [N] to images [N, 3, 32, 32]."""

    def __init__(self, width: int, classes: int = 10) -> None:
        super().__init__()
        self.channels = 4 * width
        self.latent_dim = 4 * CHUNK
        self.shared = nn.Embedding(classes, SHARED)
        self.input = normalised(nn.Linear(CHUNK, self.channels * 16))
        self.blocks = nn.ModuleList(
            GeneratorBlock(self.channels, self.channels, SHARED + CHUNK) for _ in range(3)
        )
        self.attention = SelfAttention(self.channels)  # behind the second block
        self.norm = nn.BatchNorm2d(self.channels, eps=BATCH_NORM_EPS)
        self.output = conv(self.channels, 3, 3)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        first, *chunks = torch.split(z, CHUNK, dim=1)
        shared = self.shared(labels)
        hidden = self.input(first).view(-1, self.channels, 4, 4)
        for place, block in enumerate(self.blocks):
            hidden = block(hidden, torch.cat([shared, chunks[place]], dim=1))
            if place == 1:
                hidden = self.attention(hidden)
        return torch.tanh(self.output(F.relu(self.norm(hidden))))


class DiscriminatorBlock(nn.Module):
    """(ReLU,) 3x3, ReLU, 3x3, pooling; plus the input through 1x1 and pooling."""

    def __init__(self, before: int, after: int, *, down: bool, first: bool) -> None:
        super().__init__()
        self.down = down
        self.first = first
        self.conv1 = conv(before, after, 3)
        self.conv2 = conv(after, after, 3)
        self.shortcut = conv(before, after, 1) if down or before != after else None

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv1(x if self.first else F.relu(x))
        hidden = self.conv2(F.relu(hidden))
        if self.down:
            hidden = F.avg_pool2d(hidden, 2)
        if self.shortcut is None:
            return hidden + x
        if self.first:  # the published block that takes the image pools before its shortcut
            return hidden + self.shortcut(F.avg_pool2d(x, 2))
        kept = self.shortcut(x)
        return hidden + (F.avg_pool2d(kept, 2) if self.down else kept)


class Discriminator(nn.Module):
    """Images and labels to a score [N], and an embedding and class vector [N, 512] of length 1."""

    def __init__(self, width: int, classes: int = 10) -> None:
        super().__init__()
        channels = 2 * width
        self.blocks = nn.ModuleList(
            [
                DiscriminatorBlock(3, channels, down=True, first=True),
                DiscriminatorBlock(channels, channels, down=True, first=False),
                DiscriminatorBlock(channels, channels, down=False, first=False),
                DiscriminatorBlock(channels, channels, down=False, first=False),
            ]
        )
        self.attention = SelfAttention(channels)  # behind the first block
        self.score = normalised(nn.Linear(channels, 1))
        self.embedding = normalised(nn.Linear(channels, 512))
        self.class_vectors = normalised(nn.Embedding(classes, 512))

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden = images
        for place, block in enumerate(self.blocks):
            hidden = block(hidden)
            if place == 0:
                hidden = self.attention(hidden)
        features = F.relu(hidden).sum(dim=(2, 3))
        embedding = F.normalize(self.embedding(features), dim=1)
        class_vector = F.normalize(self.class_vectors(labels), dim=1)
        return self.score(features).squeeze(1), embedding, class_vector
