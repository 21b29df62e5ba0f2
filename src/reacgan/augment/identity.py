"""No augmentation."""

from __future__ import annotations

from torch import Tensor

from reacgan.augment.base import Augment
from reacgan.randomness import Draws


class Identity(Augment):
    """Images as they are; nothing is drawn."""

    def __init__(self) -> None:
        super().__init__()

    def forward(self, images: Tensor, draws: Draws) -> Tensor:
        """Return ``images``."""
        return images
