"""The small residual network of the in-domain classifier."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

LARGEST_SIDE = 48
"""Pixels. The stem halves larger images until the longer side is at most this."""


class Classifier(nn.Module):
    """Images [N, C, H, W] in [-1, 1] to class scores [N, K]: stem, three residual stages, mean.

    Args:
        channels: of the images.
        num_classes: K.
        width: channels of the stem and the first stage; features have four times as many.
        size: (height, width) in pixels. Where the longer side is over 48 pixels the stem has
            further convolutions of stride 2 until it is 48 or below, so that an image of 256 pixels
            costs about as much as one of 64.
    """

    def __init__(
        self, *, channels: int, num_classes: int, width: int = 32, size: tuple[int, int]
    ) -> None:
        super().__init__()
        self.channels, self.num_classes, self.width, self.size = channels, num_classes, width, size
        stages = (width, 2 * width, 4 * width)
        halvings = stem_halvings(size)
        stem: list[nn.Module] = []
        for number in range(max(1, halvings)):
            stem += [
                nn.Conv2d(
                    width if number else channels,
                    width,
                    3,
                    stride=2 if halvings else 1,
                    padding=1,
                    bias=False,
                ),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
        self.stem = nn.Sequential(*stem)
        self.stages = nn.ModuleList(
            _Stage(before, after) for before, after in zip((width, *stages), stages, strict=False)
        )
        self.scores = nn.Linear(stages[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Class scores; `features` before them."""
        return self.scores(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """[N, 4 x width]: the features for distances."""
        hidden = self.stem(images)
        for stage in self.stages:
            hidden = stage(hidden)
        return hidden.mean((2, 3))


class _Stage(nn.Module):
    """3x3 with stride 2, 3x3, both normalised, and a 1x1 shortcut from every second row and column.

    The shortcut slices before its convolution: for a 1x1 convolution of stride 2 with fewer than 8
    input channels in the innermost dimension, oneDNN 3.12 writes beyond its workspace on processors with
    AVX2 and no AVX-512, and the gradient of the weight is wrong (oneDNN issue 6035).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        hidden = F.relu(self.norm1(self.conv1(images)))
        return F.relu(self.norm2(self.conv2(hidden)) + self.shortcut(images[:, :, ::2, ::2]))


def stem_halvings(size: tuple[int, int]) -> int:
    """Number of halvings of images of (height, width) in the stem."""
    side, halvings = max(size), 0
    while side > LARGEST_SIDE:
        side, halvings = (side + 1) // 2, halvings + 1
    return halvings
