"""What every augmentation is."""

from __future__ import annotations

from torch import Tensor, nn

from reacgan.randomness import Draws


class Augment(nn.Module):
    """Images to changed images of the same shape and type, differentiable.

    It is put before D on real and fake images alike. All its randomness comes from the draws it is
    given, one draw an image, so that a process sees its slice of what one process would see.
    """

    def forward(self, images: Tensor, draws: Draws) -> Tensor:
        """Change ``images [N, C, H, W]``, floating point, made for the range [-1, 1]."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")
