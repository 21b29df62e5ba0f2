"""Deep convolutional networks without shortcuts (DCGAN, Radford et al. 2016; Miyato et al. 2018).

The generator is a chain of 4x4 transposed convolutions of stride 2, the backbone one of pairs of a
3x3 and a 4x4 convolution of stride 2. Widths are eight times the base on the smallest grid and
halve with each doubling, down to the base; sizes above 32 repeat the widest, smaller ones end early.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from reacgan.config import Grid, Resolution, UnitFloat, Width, grid_of
from reacgan.heads import PLAIN_LAYERS
from reacgan.models.base import Backbone, Generator
from reacgan.models.layers import SPECTRAL_LAYERS, conv3x3, conv4x4, initialise_orthogonal, linear
from reacgan.models.norms import BatchNorm, ConditionalBatchNorm
from reacgan.models.recompute import block_output, recomputed
from reacgan.models.residual import Norm, normalised_convolution
from reacgan.models.spectral import weight_of
from reacgan.randomness import Draws

WIDEST = 8


def multiples_of(grid: Grid) -> list[int]:
    """Channels on each grid from the smallest on, in multiples of the base: 8, 4, 2, 1 at 32."""
    repeated = max(grid.doublings - 3, 0)
    return [max(WIDEST >> max(level - repeated, 0), 1) for level in range(grid.doublings + 1)]


class DCGANGenerator(Generator):
    """Latent and label to image: linear, then for each doubling 4x4 transposed convolution-BN-ReLU.

    The first layer is not normalised, as in the published re-implementations; DCGAN's own was.

    Args:
        resolution: side of a square or (height, width), shorter side 8 to 1024 pixels.
        channels: image channels.
        num_classes: labels run from 0 to num_classes - 1.
        width: channels of the last stages; eight times as many on the smallest grid.
        latent_dim: length of z.
        conditional: the label enters batch norm as a one-hot vector. Without it (DCGAN) batch norm
            has plain gains and biases, and labels change nothing.
        spectral_norm: normalise convolutions and linear layers.
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
        spectral_norm: bool = False,
    ) -> None:
        super().__init__(num_classes)
        self.recompute = False
        self.grid = grid_of(resolution)
        self.latent_dim = latent_dim
        self.conditional = conditional
        stages = [width * multiple for multiple in multiples_of(self.grid)]
        cells = self.grid.rows * self.grid.columns
        self.input = linear(latent_dim, stages[0] * cells, spectral=spectral_norm)
        self.convolutions = nn.ModuleList(
            conv4x4(before, after, spectral=spectral_norm, resample="up")
            for before, after in zip(stages, stages[1:], strict=False)
        )
        condition_dim = num_classes if conditional else 0
        self.norms = nn.ModuleList(
            ConditionalBatchNorm(after, condition_dim, spectral=spectral_norm)
            for after in stages[1:]
        )
        self.output = conv3x3(stages[-1], channels, spectral=spectral_norm)
        initialise_orthogonal(self)

    def forward(self, z: Tensor, labels: Tensor, draws: Draws | None = None) -> Tensor:
        """Latent z [N, latent_dim] and labels -> images [N, channels, H, W] in [-1, 1]."""
        condition = self.class_weights(labels, z.dtype) if self.conditional else None
        hidden = self.ordered(self.input(z).unflatten(1, (-1, self.grid.rows, self.grid.columns)))
        for stage in zip(self.convolutions, self.norms, strict=True):
            hidden = recomputed(self, stage, partial(_doubled, stage), hidden, condition)
        return self.output.activated(hidden, "tanh")

    def latent_weights(self) -> list[Tensor]:
        """The first layer's weight."""
        return [weight_of(self.input)]


def _doubled(
    stage: tuple[nn.Module, nn.Module], images: Tensor, condition: Tensor | None
) -> Tensor:
    convolution, norm = stage
    return normalised_convolution(convolution, norm, images, condition)  # type: ignore[arg-type]


class ConvolutionStage(nn.Module):
    """3x3 and then 4x4 of stride 2 (or only 3x3), each with its norm and a leaky ReLU."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        down: bool,
        norm: Norm,
        leak: float,
        first_norm: bool,
    ) -> None:
        super().__init__()
        self.leak = leak
        spectral = norm == "spectral"
        layers = [conv3x3(in_channels, out_channels, spectral=spectral)]
        if down:
            layers.append(conv4x4(out_channels, out_channels, spectral=spectral, resample="down"))
        self.convolutions = nn.ModuleList(layers)
        self.norms = nn.ModuleList(
            BatchNorm(out_channels, affine=True)
            if norm == "batch" and (first_norm or index > 0)
            else nn.Identity()
            for index in range(len(layers))
        )

    def forward(self, images: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C', H/2, W/2] or the same size."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            if isinstance(norm, BatchNorm):
                images = F.leaky_relu(norm(convolution(images)), self.leak, inplace=True)
            else:
                images = convolution.activated(images, "leaky", self.leak)  # type: ignore[operator]
        return images


class DCGANBackbone(Backbone):
    """Images to features: pairs of convolutions, a last 3x3, sum over space (SNDCGAN).

    Args:
        resolution: side of a square or (height, width), shorter side 8 to 1024 pixels.
        channels: image channels.
        width: channels of the first stage; up to eight times as many before the sum.
        norm: spectral norm of all weights, the head's included; batch norm, with separate passes for
            real and fake images; or none.
        leak: slope of the leaky ReLU. 0.1 is Miyato et al.'s; DCGAN's own was 0.2, and the
            reference package has 0, a plain ReLU.
        first_norm: with batch norm, whether the layer that takes the image has it too. DCGAN has none
            there, the reference package does. As real and fake images take separate passes, it hides a
            batch's colours and contrast from D.
    """

    def __init__(
        self,
        *,
        resolution: Resolution,
        channels: int,
        width: Width = 64,
        norm: Norm = "spectral",
        leak: UnitFloat = 0.1,
        first_norm: bool = False,
    ) -> None:
        super().__init__()
        self.recompute = False
        grid = grid_of(resolution)
        multiples = multiples_of(grid)[:0:-1]  # the generator's stages from the image on
        widths = [channels, *(width * multiple for multiple in (*multiples, WIDEST))]
        self.head_layers = SPECTRAL_LAYERS if norm == "spectral" else PLAIN_LAYERS
        self.couples_samples = norm == "batch"
        self.out_features = widths[-1]
        self.convolutions = nn.ModuleList(
            ConvolutionStage(
                before,
                after,
                down=index < grid.doublings,
                norm=norm,
                leak=leak,
                first_norm=first_norm or index > 0,
            )
            for index, (before, after) in enumerate(zip(widths, widths[1:], strict=False))
        )
        initialise_orthogonal(self)

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, channels, H, W] -> features [N, out_features]."""
        for stage in self.convolutions:
            images = block_output(self, stage, images)
        return images.sum((2, 3))

    def stages(self) -> Sequence[nn.Module]:
        """The pairs of convolutions, then the last one."""
        return list(self.convolutions)
