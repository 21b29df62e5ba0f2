"""Discriminator driven latent sampling (Che et al., NeurIPS 2020)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from reacgan.config import ConfigError, check_kind, check_real, check_whole
from reacgan.models import Discriminator, Generator
from reacgan.models.norm_statistics import normalises_by_batch
from reacgan.randomness import Draws
from reacgan.sampling.latents import chunk_size


@dataclass(frozen=True)
class Langevin:
    """Options of a chain in the space of z; see :func:`langevin`."""

    discriminator: Discriminator | None = None
    """None until the model is loaded."""
    steps: int = 100
    rate: float = 0.01
    """Step size, epsilon of the paper."""
    noise: float = 1.0
    """Standard deviation of the noise before it is multiplied by sqrt(rate)."""
    decay: float = 1.0
    """Factor of rate and noise ..."""
    decay_every: int | None = None
    """... applied after every this many steps; None: never."""

    def __post_init__(self) -> None:
        if self.discriminator is not None:
            check_kind(
                "langevin: discriminator",
                self.discriminator,
                nn.Module,
                "that of a run, such as reacgan.hub.load_discriminator(RUN)",
            )
        check_whole("langevin: steps", self.steps, least=0)
        check_real("langevin: rate", self.rate, _ALLOWED["rate"], above=0)
        check_real("langevin: noise", self.noise, _ALLOWED["noise"], least=0)
        check_real("langevin: decay", self.decay, _ALLOWED["decay"], above=0, most=1)
        check_whole("langevin: decay_every", self.decay_every, optional=True)

    def facts(self) -> dict[str, Any]:
        """For the protocol of a score."""
        facts = {name: getattr(self, name) for name in ("steps", "rate", "noise", "decay")}
        return facts if self.decay_every is None else {**facts, "decay_every": self.decay_every}

    def move(self, generator: Generator, z: Tensor, labels: Tensor, seeds: Sequence[int]) -> Tensor:
        """The end of the chain from z [N, latent_dim], on the CPU; see :func:`langevin`."""
        if self.discriminator is None:
            raise ConfigError("langevin: no discriminator is given")
        if len(seeds) != len(z):
            raise ConfigError(
                f"langevin: {len(seeds)} seeds for {len(z)} latents; give one for each"
            )
        if normalises_by_batch(generator):
            raise ConfigError(
                "langevin moves samples independently: use moving or standing statistics"
            )
        step = chunk_size(next(generator.parameters()).device)
        moved = []
        # Leaves the inference mode of a caller: its tensors have no gradient.
        with torch.inference_mode(mode=False), torch.enable_grad():
            for start in range(0, len(z), step):
                indices = start + torch.arange(step) % min(step, len(z) - start)
                filled = [seeds[index] for index in indices.tolist()]
                part, classes = z[indices].detach().clone().cpu(), labels[indices].clone()
                part = self._chain(generator, self.discriminator, part, classes, filled)
                moved.append(part[: len(z) - start])
        return torch.cat(moved) if moved else z.cpu()

    def _chain(
        self,
        generator: Generator,
        discriminator: Discriminator,
        z: Tensor,
        labels: Tensor,
        seeds: Sequence[int],
    ) -> Tensor:
        rate, strength = self.rate, self.noise
        for number in range(self.steps):
            drift = z - _score_gradient(generator, discriminator, z, labels)
            drawn = [Draws(seed, "langevin", number).normal(1, z.shape[1]) for seed in seeds]
            shake = math.sqrt(rate) * strength * torch.cat(drawn).to(z.dtype)
            z = z - rate / 2 * drift + shake
            if self.decay_every is not None and (number + 1) % self.decay_every == 0:
                rate, strength = rate * self.decay, strength * self.decay
        return z


_ALLOWED = {
    "steps": "0 or more",
    "rate": "above 0",
    "noise": "0 or more",
    "decay": "above 0 to 1",
    "decay_every": "1 or more, or None",
}


def langevin(
    generator: Generator,
    discriminator: Discriminator,
    z: Tensor,
    labels: Tensor,
    *,
    seeds: Sequence[int],
    **options: Any,
) -> Tensor:
    """Move latents by Langevin dynamics towards images that D scores as real.

    With the energy E(z) = -log p(z) - D(G(z), y), p standard normal and D the score, each step is
    z <- z - rate / 2 grad E(z) + sqrt(rate) noise n, n standard normal (Che et al., algorithm 1).
    For small rates, noise 1 and a D whose score is log p_data - log p_G (an optimal D of the
    non-saturating loss) the distribution of G(z) converges to that of the data; of a hinge score only the
    direction is meaningful, and with noise below 1 the prior also pulls z towards 0. A widespread
    implementation uses its "noise std" s as the variance: that is ``noise=s ** 0.5``.

    The noise of a sample depends on its seed and the step alone, and every pass has the same size: a
    seed gives one image (bit for bit where the device's gradients are deterministic), and more steps
    continue fewer ones. A backbone that couples the samples of a batch breaks this.

    Args:
        generator: in evaluation mode.
        discriminator: in evaluation mode.
        z: ``[N, latent_dim]``, the start of the chains.
        labels: int64 ``[N]``.
        seeds: of each sample.
        options: fields of :class:`Langevin`.

    Returns:
        ``[N, latent_dim]`` on the CPU, in the dtype of ``z``.

    Raises:
        ConfigError: an option out of range, seeds that are not one a sample, or a generator with
            batch statistics.
    """
    chain = Langevin(discriminator, **options)
    return chain.move(generator, z, labels, seeds)


def _score_gradient(
    generator: Generator, discriminator: Discriminator, z: Tensor, labels: Tensor
) -> Tensor:
    """Gradient of the score D(G(z), y) with respect to z, like ``z``."""
    weight = next(generator.parameters())
    leaf = z.to(weight.device, weight.dtype).detach().requires_grad_(True)
    labels = labels.to(weight.device)
    score = discriminator(generator(leaf, labels), labels).score
    (gradient,) = torch.autograd.grad(score.sum(), leaf)
    return gradient.to(z)
