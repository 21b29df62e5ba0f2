"""A generator whose first entries of z hold codes (InfoGAN)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan.config import CodesConfig, ConfigError
from reacgan.heads import coded_entries, read_codes
from reacgan.models.base import Generator
from reacgan.randomness import Draws

_TAKE_Z = ("mapping", "styles")
_SWITCHES = ("inner", "track", "iterate")


class CodedGenerator(Generator):
    """Any generator, with codes in its z (Chen et al., NeurIPS 2016).

    z stays standard normal, so code that draws, stores or mixes latents needs no change. The first
    entries are read as codes (:func:`reacgan.heads.read_codes`). In their place the inner generator
    gets, for a discrete code of c values, a one-hot row, shifted and scaled to mean 0 and variance 1
    like the rest of z; for a continuous code, uniform on [-1, 1], sqrt 3 times its value. To choose a
    discrete code, make its entry the largest; to choose a continuous one, set its entry to sqrt 2
    erfinv(code).

    The paper appends codes to z; here they are part of ``latent_dim``. Where a generator mixes styles
    in training, the second style has a z without codes; StyleGAN2's ``mixing=0`` avoids it.

    Args:
        inner: the generator.
        codes: sizes of the codes in z.

    Raises:
        ConfigError: z has no entry beside the codes.
    """

    inner: Generator

    def __init__(self, inner: Generator, codes: CodesConfig) -> None:
        super().__init__(inner.num_classes)
        del self.condition_strength  # the inner generator has it
        self.entries = coded_entries(codes)
        if self.entries >= inner.latent_dim:
            raise ConfigError(
                f"model.codes take {self.entries} entries of z, which has {inner.latent_dim}; set "
                "model.generator.latent_dim to more, or use fewer codes"
            )
        self.inner = inner
        self.codes = codes
        self.latent_dim = inner.latent_dim

    def __getattr__(self, name: str) -> Any:
        """The inner generator's attributes (strength, styles); methods that take z get it with codes."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("_") or name in _SWITCHES:
                raise
        attribute: Any = getattr(self.inner, name)
        if name in _TAKE_Z:
            return lambda z, *others: attribute(self.coded(z), *others)
        return attribute

    def coded(self, z: Tensor) -> Tensor:
        """``z [N, latent_dim]`` with its codes as the inner generator takes them; same shape."""
        discrete, continuous = read_codes(self.codes, z)
        parts = []
        for values, count in zip(discrete, self.codes.discrete, strict=True):
            one_hot = values[:, None] == self.numbers(count, z.device)
            parts.append((count * one_hot.to(z.dtype) - 1) / math.sqrt(count - 1))
        return torch.cat([*parts, math.sqrt(3) * continuous, z[:, self.entries :]], dim=1)

    def forward(self, z: Tensor, labels: Tensor, draws: Draws | None = None) -> Tensor:
        """Make images ``[N, C, H, W]``; see :meth:`Generator.forward`."""
        images: Tensor = self.inner(self.coded(z), labels, draws)
        return images

    def truncated(
        self, z: Tensor, labels: Tensor, *, psi: float, layers: int | None = None
    ) -> Tensor:
        """Make images from truncated w, where the inner generator can; codes stay as they are."""
        return self.inner.truncated(self.coded(z), labels, psi=psi, layers=layers)

    def latent_weights(self) -> list[Tensor]:
        """The inner generator's, with zeros for the entries of codes."""
        kept = [matrix[:, self.entries :] for matrix in self.inner.latent_weights()]
        return [F.pad(matrix, (self.entries, 0)) for matrix in kept]
