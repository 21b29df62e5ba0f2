"""What every augmentation is."""

from __future__ import annotations

from torch import Tensor, nn

from reacgan.randomness import Draws


class Augment(nn.Module):
    """Images to changed images of the same shape and type, differentiable.

    It is put before D on real and fake images alike. All its randomness comes from the draws it is
    given, one draw an image, so that a process sees its slice of what one process would see.
    """

    @property
    def probability(self) -> Tensor | None:
        """Strength of the moment, for the journal; None for members that do not adapt."""
        return None

    def forward(self, images: Tensor, draws: Draws) -> Tensor:
        """Change ``images [N, C, H, W]``, floating point, made for the range [-1, 1]."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def observe(self, real_scores: Tensor, *, batch: int) -> None:
        """Look at D's scores of this process's real images, after each of D's steps.

        An adaptive member keeps what it learns from them in buffers, which are part of the run's
        state, averages over processes, and waits for no device.

        Args:
            real_scores: ``[N]``, without gradient.
            batch: real images of this step over all processes.
        """
