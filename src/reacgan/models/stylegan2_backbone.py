"""StyleGAN2's discriminator without its head."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from reacgan.config import Resolution, Width, grid_of
from reacgan.heads.equalised import EQUALISED_LAYERS, EqualisedLinear
from reacgan.models.base import Backbone
from reacgan.models.layers import AnyModule
from reacgan.models.recompute import block_output
from reacgan.models.resample import Resampler
from reacgan.models.stylegan2_layers import (
    RESIDUAL_GAIN,
    Architecture,
    EqualisedConv2d,
    GroupDeviation,
    channels_at,
)
from reacgan.tensors import without_autocast


class StyleGAN2BackboneBlock(nn.Module):
    """Two 3x3 convolutions, the second of which halves; with a 1x1 shortcut where ``resnet``.

    The image enters through a 1x1 convolution: in the first block, or with ``skip`` in every block,
    which passes the halved image on.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        channels: int,
        architecture: Architecture,
        first: bool,
    ) -> None:
        super().__init__()
        takes_image = first or architecture == "skip"
        self.from_image = EqualisedConv2d(channels, in_channels, 1) if takes_image else None
        self.resampler = Resampler() if architecture == "skip" else None
        residual = architecture == "resnet"
        gain = RESIDUAL_GAIN if residual else 1.0
        self.conv1 = EqualisedConv2d(in_channels, in_channels, 3)
        self.conv2 = EqualisedConv2d(in_channels, out_channels, 3, resample="down", gain=gain)
        self.shortcut = (
            EqualisedConv2d(
                in_channels, out_channels, 1, bias=False, leaky=False, resample="down", gain=gain
            )
            if residual
            else None
        )

    def forward(self, hidden: Tensor | None, images: Tensor) -> tuple[Tensor, Tensor]:
        """[N, C, H, W] (None for the first) and images [N, channels, H, W] -> both, halved."""
        if self.from_image is not None:
            taken = self.from_image(images)
            hidden = taken if hidden is None else hidden + taken
        if self.resampler is not None:
            images = self.resampler.down(images)
        if hidden is None:
            raise RuntimeError("a block that takes no image needs the output of the one before")
        output: Tensor = self.conv2(self.conv1(hidden))
        if self.shortcut is not None:
            output = output + self.shortcut(hidden)
        return output, images


class BackboneEnd(nn.Module):
    """Minibatch standard deviation, 3x3 convolution, leaky linear layer; float32 at least.

    Under autocast too: these are the cheapest layers, and the deviation is small.
    """

    def __init__(
        self,
        width: int,
        *,
        cells: tuple[int, int],
        channels: int,
        architecture: Architecture,
        group: int,
    ) -> None:
        super().__init__()
        skip = architecture == "skip"
        self.from_image = EqualisedConv2d(channels, width, 1) if skip else None
        self.deviation = GroupDeviation(group)
        self.conv = EqualisedConv2d(width + 1, width, 3)
        self.linear = EqualisedLinear(width * cells[0] * cells[1], width, leaky=True)

    def forward(self, hidden: Tensor, images: Tensor) -> Tensor:
        """[N, width, rows, columns] and images of the same size -> [N, width]."""
        with without_autocast(hidden):
            dtype = self.conv.weight.dtype
            hidden = hidden.to(dtype)
            if self.from_image is not None:
                hidden = hidden + self.from_image(images.to(dtype))
            output: Tensor = self.linear(self.conv(self.deviation(hidden)).flatten(1))
            return output


class StyleGAN2Backbone(Backbone):
    """Images to features (Karras et al., CVPR 2020, section 4.1 and table 2 of the supplement).

    Up to the last hidden layer of StyleGAN2's discriminator; the head that follows is made of layers
    with an equalised learning rate, and its class vectors are mapped one-hot labels.

    Args:
        resolution: side of a square or (height, width), 8 to 1024 pixels.
        channels: image channels.
        architecture: ``resnet`` as published, ``skip``, or ``orig`` (neither, as in StyleGAN).
        channel_base: a layer of s x s pixels has channel_base / s channels ...
        channel_max: ... but at most this many.
        group: size of a group of the minibatch standard deviation, consecutive samples; 1 for none.
            Published code takes every (N / group)-th sample instead.
    """

    def __init__(
        self,
        *,
        resolution: Resolution,
        channels: int,
        architecture: Architecture = "resnet",
        channel_base: Width = 32768,
        channel_max: Width = 512,
        group: Width = 4,
    ) -> None:
        super().__init__()
        self.recompute = False
        grid = grid_of(resolution)
        squares = [grid.square >> level for level in range(grid.doublings + 1)]
        widths = [channels_at(square, channel_base, channel_max) for square in squares]
        self.head_layers = EQUALISED_LAYERS
        self.out_features = widths[-1]
        self.couples_samples = group > 1
        self.blocks = nn.ModuleList(
            StyleGAN2BackboneBlock(
                before,
                after,
                channels=channels,
                architecture=architecture,
                first=index == 0,
            )
            for index, (before, after) in enumerate(zip(widths, widths[1:], strict=False))
        )
        self.end = BackboneEnd(
            widths[-1],
            cells=(grid.rows, grid.columns),
            channels=channels,
            architecture=architecture,
            group=group,
        )

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, channels, H, W] -> features [N, out_features], float32 at least."""
        hidden: Tensor | None = None
        for block in self.blocks:
            hidden, images = block_output(self, block, hidden, images)
        features: Tensor = block_output(self, self.end, hidden, images)
        return features

    def couples(self, count: int) -> bool:
        """Groups are consecutive samples: a batch that whole groups divide may have another behind it."""
        group = self.end.deviation.group
        return math.gcd(2 * count, group) != math.gcd(count, group)

    def initialise(self, module: AnyModule) -> AnyModule:
        """Leave the head's weights as drawn: equalised layers need N(0, 1)."""
        return module

    def stages(self) -> Sequence[nn.Module]:
        """The blocks, the first with the layer that takes the image, and the last layers."""
        return [*self.blocks, self.end]
