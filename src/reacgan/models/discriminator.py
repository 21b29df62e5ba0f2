"""A discriminator is a backbone, which knows no labels, and a head, which knows no images."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from reacgan.heads import Head, HeadOutput
from reacgan.models.base import Backbone, Network
from reacgan.models.switches import power_iteration_frozen


class Discriminator(Network):
    """Backbone (images -> features) followed by a head (features, labels -> :class:`HeadOutput`)."""

    def __init__(self, backbone: Backbone, head: Head) -> None:
        super().__init__()
        self.merged_passes = True
        self.backbone = backbone
        self.head = head

    def forward(self, images: Tensor, labels: Tensor) -> HeadOutput:
        """Output for images [N, C, H, W] in [-1, 1] under labels [N] int64."""
        features = self.backbone(images)
        output: HeadOutput = self.head(features, labels)
        return replace(output, features=features)

    def merges(self, real: int, fake: int) -> bool:
        """Whether so many real and fake images may pass together: with the same result as apart."""
        coupled = self.backbone.couples_samples and (real != fake or self.backbone.couples(real))
        return self.merged_passes and not coupled

    def compare(
        self, real: tuple[Tensor, Tensor], fake: tuple[Tensor, Tensor]
    ) -> tuple[HeadOutput, HeadOutput]:
        """Outputs for real and fake (images, labels).

        One pass, or two where the backbone couples samples or ``merged_passes`` is False.
        """
        if not self.merges(len(real[0]), len(fake[0])):
            on_real = self(*real)
            with power_iteration_frozen(self):  # the step's iteration is done
                return on_real, self(*fake)
        images = torch.cat([real[0], fake[0]])
        output: HeadOutput = self(images, torch.cat([real[1], fake[1]]))
        on_real, on_fake = output.split([len(real[0]), len(fake[0])])
        return on_real, on_fake
