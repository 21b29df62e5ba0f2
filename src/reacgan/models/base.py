"""Base classes of generators and discriminator backbones."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from reacgan.config import ConfigError
from reacgan.heads import Layers
from reacgan.models.layers import AnyModule, initialise_orthogonal
from reacgan.models.spectral import weights_prepared
from reacgan.models.switches import being_recorded, plain_operations
from reacgan.randomness import Draws


class Recordable(nn.Module):
    """What other tools may record: its operations are then plain ones of PyTorch."""

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """One forward pass."""
        if not being_recorded():
            return super().__call__(*inputs, **options)
        with plain_operations(self, ("fused_layers", "kernels")):
            return super().__call__(*inputs, **options)


class Network(Recordable):
    """What is called as a whole; its layers share what they do at the beginning of a pass."""

    kernels: bool = False
    """Whether they do: see :func:`~reacgan.models.spectral.weights_prepared`."""

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """One forward pass."""
        prepares = self.kernels and not being_recorded()
        with weights_prepared(self) if prepares else nullcontext():
            return super().__call__(*inputs, **options)


class Generator(Network):
    """Latents and labels to images.

    A member's constructor takes ``resolution`` (a side or (height, width)), ``channels`` and
    ``num_classes`` beside its own options, sets :attr:`latent_dim`, and defines :meth:`forward`.
    """

    latent_dim: int
    """Length of z, which is standard normal."""
    num_classes: int
    pixels: int | None = None
    """Height times width of its images; set by :func:`reacgan.models.build_generator`."""
    channels_last: bool = True
    """Whether features are in channels-last memory format."""
    condition_strength: Tensor
    """Influence of the class, 0 to 1; below 1 only during an unconditional-to-conditional run."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.register_buffer("condition_strength", torch.ones(()))

    def forward(self, z: Tensor, labels: Tensor, draws: Draws | None = None) -> Tensor:
        """Make images ``[N, C, H, W]`` in [-1, 1].

        Args:
            z: ``[N, latent_dim]``.
            labels: int64 ``[N]``, or weights of classes ``[N, num_classes]``, which mix them.
            draws: randomness of training (noise, mixed styles); None for none of it.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def ordered(self, hidden: Tensor) -> Tensor:
        """``hidden`` [N, C, H, W] in the memory format that the layers after it keep."""
        last = torch.channels_last if self.channels_last else torch.contiguous_format
        return hidden.contiguous(memory_format=last)

    def class_vectors(self, table: nn.Embedding, labels: Tensor) -> Tensor:
        """Rows of ``table`` for labels, or mixtures of rows, times the condition's strength."""
        if labels.dim() == 1:
            return table(labels) * self.condition_strength
        return labels.to(table.weight.dtype) @ table.weight * self.condition_strength

    def numbers(self, count: int, device: torch.device) -> Tensor:
        """0 to count - 1, int64. A file of another tool has them as constants that move with it."""
        return torch.arange(count, device=device)

    def class_weights(self, labels: Tensor, dtype: torch.dtype) -> Tensor:
        """One-hot rows ``[N, num_classes]`` of labels, or their mixtures, times the strength."""
        if labels.dim() == 1:  # one_hot reads the values, which stalls a GPU
            labels = labels[:, None] == self.numbers(self.num_classes, labels.device)
        return labels.to(dtype) * self.condition_strength.to(dtype)

    def truncated(
        self, z: Tensor, labels: Tensor, *, psi: float, layers: int | None = None
    ) -> Tensor:
        """Images from truncated w: mean + psi (w - mean), in the first ``layers``.

        Raises:
            ConfigError: this generator has no styles w.
        """
        raise ConfigError(
            f"{type(self).__name__} has no styles w to truncate; truncate z instead "
            "(--truncation, or truncation=...)"
        )

    def latent_weights(self) -> list[Tensor]:
        """Weights ``[*, latent_dim]`` of the first layers that take z, from which SeFa finds directions.

        Raises:
            ConfigError: this generator does not define them.
        """
        raise ConfigError(f"{type(self).__name__} does not name the layers that z enters")


class Backbone(Recordable):
    """Images to features: a discriminator without its head.

    A member's constructor takes ``resolution`` and ``channels`` beside its own options, and sets:
    """

    out_features: int
    """Width F of the features."""
    couples_samples: bool = False
    """Whether a sample's features depend on the others (batch norm, deviation over a group): then
    real and fake images go through in separate passes, unless :meth:`couples` says no."""
    head_layers: Layers
    """Factories of the linear and embedding layers of the head that follows."""

    def forward(self, images: Tensor) -> Tensor:
        """Images ``[N, C, H, W]`` in [-1, 1] -> features ``[N, F]``."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def couples(self, count: int) -> bool:
        """Whether two batches of ``count`` samples, one behind the other, differ from each by itself."""
        return self.couples_samples

    def initialise(self, module: AnyModule) -> AnyModule:
        """Draw the head's weights as this backbone draws its own."""
        return initialise_orthogonal(module)

    def stages(self) -> Sequence[nn.Module]:
        """Parts in order from the image; FreezeD freezes the first of them."""
        raise ConfigError(f"{type(self).__name__} does not name its stages, which freeze_d needs")
