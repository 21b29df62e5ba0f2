"""BigGAN-deep's generator and discriminator backbone (Brock et al. 2019, appendix B).

Bottleneck blocks of a quarter of the width, several at each resolution; the whole latent, next to
the shared class embedding, enters the first layer and every conditional batch norm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reacgan.config import Depth, Resolution, Width, grid_of
from reacgan.heads import PLAIN_LAYERS
from reacgan.kernels.elementwise import residual_sum
from reacgan.kernels.preactivation import relu_and_kept, relu_sum
from reacgan.models.attention import attention_layers, stages_with
from reacgan.models.base import Backbone, Generator
from reacgan.models.layers import (
    SPECTRAL_LAYERS,
    Conv2d,
    conv1x1,
    conv3x3,
    initialise_orthogonal,
    linear,
)
from reacgan.models.norms import BatchNorm, ConditionalBatchNorm
from reacgan.models.recompute import attended, block_output, chain_output
from reacgan.models.residual import (
    GENERATOR_STAGES,
    block_modulations,
    modulations_of,
    normalised_convolution,
    stages_of,
    takes_kernels,
)
from reacgan.models.spectral import weight_of
from reacgan.models.weights import Resample
from reacgan.randomness import Draws

Shortcut = Literal["drop", "learned"]
RATIO = 4

# By the side of the square, in multiples of the width: output channels of the first convolution (with
# dropping or learned shortcuts) and of each stage; how many stages, from the first, halve the
# resolution.
BACKBONE_STAGES: dict[int, tuple[tuple[int, int], tuple[int, ...], int]] = {
    8: ((4, 1), (4, 4), 1),
    16: ((4, 1), (4, 4, 4), 2),
    32: ((4, 1), (4, 4, 4), 2),
    64: ((1, 1), (2, 4, 8, 16), 4),
    128: ((1, 1), (2, 4, 8, 16, 16), 5),
    256: ((1, 1), (2, 4, 8, 8, 16, 16), 6),
    512: ((1, 1), (1, 2, 4, 8, 8, 16, 16), 7),
}


class DeepGeneratorBlock(nn.Module):
    """cBN-ReLU-1x1, cBN-ReLU-(upsample)-3x3, cBN-ReLU-3x3, cBN-ReLU-1x1, plus a shortcut.

    The shortcut keeps the first channels (``"drop"``) or is a 1x1 convolution (``"learned"``).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        condition_dim: int,
        *,
        up: bool,
        shortcut: Shortcut,
        spectral: bool,
    ) -> None:
        super().__init__()
        self.kernels = False
        self.up = up
        self.out_channels = out_channels
        hidden = max(in_channels // RATIO, 1)
        self.norms = nn.ModuleList(
            ConditionalBatchNorm(features, condition_dim, spectral=spectral)
            for features in (in_channels, hidden, hidden, hidden)
        )
        resample: Resample = "up" if up else "none"
        self.convolutions = nn.ModuleList(
            [
                conv1x1(in_channels, hidden, spectral=spectral),
                conv3x3(hidden, hidden, spectral=spectral, resample=resample),
                conv3x3(hidden, hidden, spectral=spectral),
                conv1x1(hidden, out_channels, spectral=spectral),
            ]
        )
        learned = shortcut == "learned"
        self.shortcut = (
            conv1x1(in_channels, out_channels, spectral=spectral) if learned else nn.Identity()
        )

    def forward(
        self, images: Tensor, condition: Tensor, modulation: Tensor | None = None
    ) -> Tensor:
        """[N, C, H, W], condition [N, D] -> [N, C', 2H, 2W] or the same size; C' <= C if dropped.

        ``modulation``: see :func:`~reacgan.models.residual.modulations_of`.
        """
        hidden = self._until_last(images, condition, modulation)
        last: Any = self.convolutions[-1]
        if not self.kernels:
            kept = self.shortcut(images)[:, : self.out_channels]
            return last(hidden) + (F.interpolate(kept, scale_factor=2) if self.up else kept)
        if isinstance(self.shortcut, Conv2d):
            kept, bias = self.shortcut.without_bias(images), self.shortcut.bias
        else:
            kept, bias = images[:, : self.out_channels], None
        return residual_sum(last.without_bias(hidden), kept, last.bias, bias)

    def _until_last(self, images: Tensor, condition: Tensor, modulation: Tensor | None) -> Tensor:
        """What the last convolution takes."""
        norms: Any = list(self.norms)
        convolutions: Any = list(self.convolutions)
        parts: Sequence[tuple[Tensor, Tensor] | None] = [None] * len(norms)
        given: Tensor | None = condition
        if takes_kernels(self):
            parts, given = modulations_of(self, condition, modulation), None
        hidden: Tensor = norms[0].activated(images, given, parts[0])
        for convolution, norm, part in zip(convolutions[:-1], norms[1:], parts[1:], strict=True):
            hidden = normalised_convolution(convolution, norm, hidden, given, part)
        return hidden

    def condition_weight(self) -> Tensor:
        """Weights of the condition in all norms, [*, D]."""
        return torch.cat([norm.condition_weight() for norm in self.norms])  # type: ignore[operator]


class BigGANDeepGenerator(Generator):
    """Latent and label to image, many thin blocks.

    Args:
        resolution: side of a square or (height, width), shorter side 8 to 1023 pixels.
        channels: image channels.
        num_classes: labels run from 0 to num_classes - 1.
        width: base number of channels ("c" of BigGAN's table).
        latent_dim: length of z.
        shared_dim: length of the class embedding (never spectrally normalised).
        depth: blocks at each resolution; the last of them doubles it and changes the width.
        shortcut: ``"drop"`` leaves out channels where the width falls (the paper's);
            ``"learned"`` puts a 1x1 convolution into every shortcut (a published variant).
        attention_after: self-attention after these resolutions, counted from 1.
        spectral_norm: normalise convolutions and linear layers.
    """

    def __init__(
        self,
        *,
        resolution: Resolution,
        channels: int,
        num_classes: int,
        width: Width = 128,
        latent_dim: Width = 128,
        shared_dim: Width = 128,
        depth: Depth = 2,
        shortcut: Shortcut = "drop",
        attention_after: tuple[int, ...] = (),
        spectral_norm: bool = True,
    ) -> None:
        super().__init__(num_classes)
        self.recompute = False
        self.grid = grid_of(resolution)
        multiples = stages_of(GENERATOR_STAGES, self.grid, resolution)
        stages = [width * multiple for multiple in multiples]
        self.latent_dim = latent_dim
        condition_dim = shared_dim + latent_dim
        self.shared = nn.Embedding(num_classes, shared_dim)
        cells = self.grid.rows * self.grid.columns
        self.input = linear(condition_dim, stages[0] * cells, spectral=spectral_norm)
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                DeepGeneratorBlock(
                    before,
                    after if number == depth else before,
                    condition_dim,
                    up=number == depth,
                    shortcut=shortcut,
                    spectral=spectral_norm,
                )
                for number in range(1, depth + 1)
            )
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
        condition = torch.cat([self.class_vectors(self.shared, labels), z], dim=1)
        cells = self.input(condition).unflatten(1, (-1, self.grid.rows, self.grid.columns))
        hidden = self.ordered(cells)
        chains: list[list[nn.Module]] = [list(blocks) for blocks in self.blocks]  # type: ignore[call-overload]
        flat = [block for chain in chains for block in chain]
        modulations = iter(block_modulations(flat, condition))
        for number, chain in enumerate(chains, start=1):
            for block in chain:
                hidden = block_output(self, block, hidden, condition, next(modulations))
            hidden = attended(self, number, hidden)
        return self.output.activated(self.norm.activated(hidden), "tanh")

    def latent_weights(self) -> list[Tensor]:
        """The first layer's weights of z, then those of each resolution's blocks."""
        parts = [weight_of(self.input)]
        for blocks in self.blocks:
            weights = [block.condition_weight() for block in blocks]  # type: ignore[attr-defined]
            parts.append(torch.cat(weights))
        return [part[:, self.shared.embedding_dim :] for part in parts]


class DeepBackboneBlock(nn.Module):
    """ReLU-1x1, ReLU-3x3, ReLU-3x3, ReLU-(average)-1x1, plus a shortcut.

    Where the width grows, the shortcut is x joined with a 1x1 convolution of it (``"drop"``). With
    ``"learned"`` it is a 1x1 convolution wherever width or size change, and the average comes before
    the last ReLU. ``preactivated_shortcut`` feeds it ReLU(x) instead of x, as an in-place ReLU does.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        down: bool,
        shortcut: Shortcut,
        spectral: bool,
        preactivated_shortcut: bool,
    ) -> None:
        super().__init__()
        self.kernels = False
        self.down = down
        self.joined = shortcut == "drop"
        self.preactivated_shortcut = preactivated_shortcut
        hidden = max(out_channels // RATIO, 1)
        early: Resample = "down" if down and not self.joined else "none"
        self.conv1 = conv1x1(in_channels, hidden, spectral=spectral)
        self.conv2 = conv3x3(hidden, hidden, spectral=spectral)
        self.conv3 = conv3x3(hidden, hidden, spectral=spectral, resample=early)
        self.conv4 = conv1x1(hidden, out_channels, spectral=spectral)
        added = out_channels - in_channels if self.joined else out_channels
        wanted = in_channels != out_channels or (down and not self.joined)
        self.shortcut = conv1x1(in_channels, added, spectral=spectral) if wanted else None

    def forward(self, images: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C', H/2, W/2] or the same size; C' >= C where joined."""
        active, kept = self._entered(images)
        hidden = self.conv2.activated(self.conv1.activated(active, "relu"), "relu")
        hidden = self.conv3.activated(hidden, "relu")
        if self.down and self.joined:
            hidden = F.avg_pool2d(hidden, 2)
        bias = None
        if self.shortcut is not None and self.joined:
            kept = torch.cat([kept, self.shortcut(kept)], dim=1)
        elif self.shortcut is not None and self.kernels:
            kept, bias = self.shortcut.without_bias(kept), self.shortcut.bias
        elif self.shortcut is not None:
            kept = self.shortcut(kept)
        if self.kernels:
            return residual_sum(self.conv4.without_bias(hidden), kept, self.conv4.bias, bias)
        return self.conv4(hidden) + kept

    def _entered(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What the first convolution takes, and the shortcut."""
        even = images.shape[2] % 2 == 0 == images.shape[3] % 2
        if self.kernels and (even or not self.down):
            kept_active = self.preactivated_shortcut
            return relu_and_kept(images, kept_active=kept_active, halved=self.down)
        active = F.relu(images)
        kept = active if self.preactivated_shortcut else images
        return active, F.avg_pool2d(kept, 2) if self.down else kept


class BigGANDeepBackbone(Backbone):
    """Images to features: 3x3 convolution, many thin blocks, ReLU, sum over space.

    Args:
        resolution: side of a square or (height, width), shorter side 8 to 1023 pixels.
        channels: image channels.
        width: base number of channels ("c" of BigGAN's table).
        depth: blocks of each stage; the first of them halves the size and changes the width.
        shortcut: where width or size change, ``"drop"`` joins x with a convolution of it, ``"learned"``
            convolves it.
        attention_after: self-attention after these stages, counted from 1.
        spectral_norm: normalise the convolutions, and the head that follows.
        preactivated_shortcut: shortcuts take ReLU(x) instead of x, as in-place ReLUs of published runs
            had it.
    """

    def __init__(
        self,
        *,
        resolution: Resolution,
        channels: int,
        width: Width = 128,
        depth: Depth = 2,
        shortcut: Shortcut = "drop",
        attention_after: tuple[int, ...] = (),
        spectral_norm: bool = True,
        preactivated_shortcut: bool = False,
    ) -> None:
        super().__init__()
        self.recompute = False
        self.kernels = False
        entry, multiples, halvings = stages_of(BACKBONE_STAGES, grid_of(resolution), resolution)
        stages = [
            width * entry[shortcut == "learned"],
            *(width * multiple for multiple in multiples),
        ]
        self.head_layers = SPECTRAL_LAYERS if spectral_norm else PLAIN_LAYERS
        self.out_features = stages[-1]
        self.input = conv3x3(channels, stages[0], spectral=spectral_norm)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                *(
                    DeepBackboneBlock(
                        before if index == 0 else after,
                        after,
                        down=index == 0 and stage < halvings,
                        shortcut=shortcut,
                        spectral=spectral_norm,
                        preactivated_shortcut=preactivated_shortcut,
                    )
                    for index in range(depth)
                )
            )
            for stage, (before, after) in enumerate(zip(stages, stages[1:], strict=False))
        )
        self.attention = attention_layers(
            attention_after, tuple(stages[1:]), spectral=spectral_norm, where="model.backbone"
        )
        initialise_orthogonal(self)

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, channels, H, W] -> features [N, out_features]."""
        hidden = self.input(images)
        for number, blocks in enumerate(self.blocks, start=1):
            hidden = chain_output(self, blocks, hidden)  # type: ignore[arg-type]
            hidden = attended(self, number, hidden)
        return relu_sum(hidden) if self.kernels else F.relu(hidden).sum((2, 3))

    def stages(self) -> Sequence[nn.Module]:
        """The first convolution, then the stages, each with the attention after it."""
        return [self.input, *stages_with(self.attention, self.blocks)]
