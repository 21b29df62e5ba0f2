"""A discriminator is a backbone, which knows no labels, and a head, which knows no images."""

from __future__ import annotations

from torch import Tensor, nn

from reacgan.heads import Head, HeadOutput


class Discriminator(nn.Module):
    """Backbone (images -> features) followed by a head (features, labels -> :class:`HeadOutput`)."""

    def __init__(self, backbone: nn.Module, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, images: Tensor, labels: Tensor) -> HeadOutput:
        """Images [N, C, H, W] in [-1, 1], labels [N] int64; real and fake may share one call."""
        return self.head(self.backbone(images), labels)
