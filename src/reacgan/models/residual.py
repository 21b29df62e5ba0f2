"""Widths and blocks that the residual networks share (SNGAN, SAGAN, BigGAN).

Widths and depths per resolution follow the published table; 8 and 16 pixels continue it downwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reacgan.config import ConfigError, Grid
from reacgan.kernels.elementwise import residual_sum
from reacgan.kernels.preactivation import relu_and_kept
from reacgan.models.fused import add_doubled
from reacgan.models.layers import Conv2d, conv1x1, conv3x3
from reacgan.models.norms import (
    BatchNorm,
    ConditionalBatchNorm,
    split_modulation,
    stacked_weights,
)
from reacgan.models.weights import Resample

Norm = Literal["spectral", "batch", "none"]
"""Of a backbone: spectral norm of the weights, batch norm of the features, or neither."""

Stages = TypeVar("Stages")

# By the side of the square (other sizes use the row with as many doublings), channels in multiples of
# the width: input of the first block, then output of each block.
GENERATOR_STAGES: dict[int, tuple[int, ...]] = {
    8: (4, 4),
    16: (4, 4, 4),
    32: (4, 4, 4, 4),
    64: (16, 8, 4, 2, 1),
    128: (16, 16, 8, 4, 2, 1),
    256: (16, 16, 8, 8, 4, 2, 1),
    512: (16, 16, 8, 8, 4, 2, 1, 1),
}
# Output channels of each backbone block, and how many blocks, from the first, halve the resolution.
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


def takes_kernels(block: nn.Module) -> bool:
    """Whether the norms of a generator's block do; see :class:`~reacgan.models.norms.BatchNorm`."""
    return block.norms[0].norm.takes_kernels()  # type: ignore[index, union-attr]


def block_modulations(
    blocks: Sequence[nn.Module], condition: Tensor | None
) -> list[Tensor] | list[None]:
    """Gains and biases of all blocks as one product, where they share a condition and take kernels."""
    if condition is None or not takes_kernels(blocks[0]):
        return [None] * len(blocks)
    norms: list[list[ConditionalBatchNorm]] = [list(block.norms) for block in blocks]  # type: ignore[arg-type]
    product = F.linear(condition, stacked_weights(norm for group in norms for norm in group))
    sizes = [sum(2 * norm.features for norm in group) for group in norms]
    return list(product.split(sizes, dim=1))


def modulations_of(
    block: nn.Module, condition: Tensor | None, modulation: Tensor | None
) -> Sequence[tuple[Tensor, Tensor] | None]:
    """Gain and bias of each norm of a block that takes kernels.

    ``modulation`` is the product of the condition and :func:`stacked_weights` of the norms, [N, *]; it is
    worked out here where there is none yet. Norms without a condition have their own: None.
    """
    norms: list[ConditionalBatchNorm] = list(block.norms)  # type: ignore[arg-type]
    if modulation is None and condition is not None:
        modulation = F.linear(condition, stacked_weights(norms))
    return [None] * len(norms) if modulation is None else split_modulation(modulation, norms)


def normalised_convolution(
    convolution: Conv2d,
    norm: ConditionalBatchNorm,
    images: Tensor,
    condition: Tensor | None,
    modulation: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """A convolution, then norm and ReLU; a bias that the norm takes over is not added."""
    if norm.norm.takes_offset():
        hidden = convolution.without_bias(images)
        return norm.activated(hidden, condition, modulation, offset=convolution.bias)
    return norm.activated(convolution(images), condition, modulation)


class GeneratorBlock(nn.Module):
    """cBN-ReLU-upsample-3x3-cBN-ReLU-3x3, plus an upsampled 1x1 shortcut."""

    def __init__(
        self, in_channels: int, out_channels: int, condition_dim: int, *, spectral: bool
    ) -> None:
        super().__init__()
        self.merged_convolutions = True
        self.fused_layers = True
        self.kernels = False
        self.norm1 = ConditionalBatchNorm(in_channels, condition_dim, spectral=spectral)
        self.conv1 = conv3x3(in_channels, out_channels, spectral=spectral, resample="up")
        self.norm2 = ConditionalBatchNorm(out_channels, condition_dim, spectral=spectral)
        self.conv2 = conv3x3(out_channels, out_channels, spectral=spectral)
        self.shortcut = conv1x1(in_channels, out_channels, spectral=spectral)

    def forward(
        self, images: Tensor, condition: Tensor | None, modulation: Tensor | None = None
    ) -> Tensor:
        """[N, C, H, W], condition [N, D] or None -> [N, C', 2H, 2W].

        In place of the condition ``modulation``, what :func:`modulations_of` takes.
        """
        hidden = self._until_last(images, condition, modulation)
        if self.kernels and self.merged_convolutions:
            hidden, shortcut = self.conv2.without_bias(hidden), self.shortcut.without_bias(images)
            return residual_sum(hidden, shortcut, self.conv2.bias, self.shortcut.bias)
        hidden = self.conv2(hidden)
        if not self.merged_convolutions:
            return hidden + self.shortcut(F.interpolate(images, scale_factor=2))
        # A 1x1 convolution and nearest upsampling commute; this order costs a quarter.
        shortcut = self.shortcut(images)
        if self.fused_layers:
            return add_doubled(hidden, shortcut)
        return hidden + F.interpolate(shortcut, scale_factor=2)

    def _until_last(
        self, images: Tensor, condition: Tensor | None, modulation: Tensor | None
    ) -> Tensor:
        """What the last convolution takes."""
        if not takes_kernels(self):
            hidden = self.conv1(self.norm1.activated(images, condition))
            return self.norm2.activated(hidden, condition)
        first, second = modulations_of(self, condition, modulation)
        hidden = self.norm1.activated(images, None, first)
        return normalised_convolution(self.conv1, self.norm2, hidden, None, second)

    @property
    def norms(self) -> list[ConditionalBatchNorm]:
        """Both norms, in their order."""
        return [self.norm1, self.norm2]

    def condition_weight(self) -> Tensor:
        """Weights of the condition in both norms, [2 C + 2 C', D]."""
        return torch.cat([self.norm1.condition_weight(), self.norm2.condition_weight()])


class BackboneBlock(nn.Module):
    """(BN-ReLU)-3x3-(BN)-ReLU-3x3, plus a shortcut; both halved by 2x2 averages when ``down``.

    The first block of a network takes the image itself, so it starts without BN and ReLU. With batch
    norm a learned shortcut is normalised too. ``preactivated_shortcut`` feeds the shortcut ReLU(x)
    instead of x: the effect of in-place ReLUs in such networks, including those with published scores.
    With batch norm, whose output is another tensor, it changes nothing.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        down: bool,
        first: bool,
        norm: Norm,
        preactivated_shortcut: bool,
    ) -> None:
        super().__init__()
        self.merged_convolutions = True
        self.kernels = False
        self.down = down
        self.first = first
        self.preactivated_shortcut = preactivated_shortcut and norm != "batch"
        spectral = norm == "spectral"
        learned = first or down or in_channels != out_channels

        def normalised(features: int, *, needed: bool = True) -> nn.Module:
            return BatchNorm(features, affine=True) if norm == "batch" and needed else nn.Identity()

        self.norm1 = normalised(in_channels, needed=not first)
        self.conv1 = conv3x3(in_channels, out_channels, spectral=spectral)
        self.norm2 = normalised(out_channels)
        resample: Resample = "down" if down else "none"
        self.conv2 = conv3x3(out_channels, out_channels, spectral=spectral, resample=resample)
        self.shortcut_norm = normalised(in_channels, needed=learned)
        self.shortcut = (
            conv1x1(in_channels, out_channels, spectral=spectral) if learned else nn.Identity()
        )

    def forward(self, images: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C', H/2, W/2] or the same size."""
        if self.kernels:
            return self._by_kernels(images)
        active = images if self.first else _active(self.norm1, images)
        hidden = self.conv2(_active(self.norm2, self.conv1(active), owned=True))
        kept = active if self.preactivated_shortcut else images
        if self.first:
            return hidden + self.shortcut(self.shortcut_norm(self._halved(kept)))
        kept = self.shortcut_norm(kept)
        if not self.merged_convolutions:
            return hidden + self._halved(self.shortcut(kept))
        # Averaging and a 1x1 convolution commute; this order costs a quarter.
        return hidden + self.shortcut(self._halved(kept))

    def _by_kernels(self, images: Tensor) -> Tensor:
        """The same; ReLUs and what the shortcut takes, biases and sums as single operations."""
        active, kept = self._entered(images)
        if isinstance(self.norm2, BatchNorm):
            hidden = self.norm2.activated(self.conv1(active))
        else:
            hidden = self.conv1.activated(active, "relu")
        hidden, bias = self.conv2.without_bias(hidden), None
        if isinstance(self.shortcut, Conv2d):
            kept, bias = self.shortcut.without_bias(kept), self.shortcut.bias
        if not (self.first or self.merged_convolutions):
            kept = self._halved(kept)
        return residual_sum(hidden, kept, self.conv2.bias, bias)

    def _entered(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What the first convolution takes, and what the shortcut's takes."""
        if self.first:
            return images, self.shortcut_norm(self._halved(images))
        average = self.down and self.merged_convolutions
        if isinstance(self.norm1, BatchNorm):
            active, kept = self.norm1.activated(images), self.shortcut_norm(images)
        else:
            even = images.shape[2] % 2 == 0 == images.shape[3] % 2
            active, kept = relu_and_kept(
                images, kept_active=self.preactivated_shortcut, halved=average and even
            )
            average = average and not even
        return active, self._halved(kept) if average else kept

    def _halved(self, images: Tensor) -> Tensor:
        return F.avg_pool2d(images, 2) if self.down else images


def _active(norm: nn.Module, images: Tensor, *, owned: bool = False) -> Tensor:
    """ReLU of the normalised images, in place where ``owned``: nothing else uses them."""
    if isinstance(norm, BatchNorm):
        return norm.activated(images)
    return F.relu(images, inplace=owned)
