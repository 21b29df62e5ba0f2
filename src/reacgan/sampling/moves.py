"""Moves of a latent: towards the latents of other seeds, and along the directions of SeFa."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan.config import ConfigError
from reacgan.models import Generator
from reacgan.sampling.latents import check_seed, latents_for


@dataclass(frozen=True)
class Moves:
    """Where a latent goes before an image is made of it: first ``toward`` in order, then ``along``.

    Raises:
        ConfigError: a negative seed, a share outside 0 to 1, a direction below 1 or twice, an amount that
            is not finite.
    """

    toward: tuple[tuple[int, float], ...] = ()
    """(seed, share): this share of the great circle to the latent of that seed, 0 to 1."""
    along: tuple[tuple[int, float], ...] = ()
    """(number, amount): along this direction of SeFa, 1 the strongest, by this many standard deviations
    of z."""

    def __post_init__(self) -> None:
        for seed, share in self.toward:
            check_seed(seed)
            if not 0 <= share <= 1:
                raise ConfigError(f"toward {seed} the share is {share}; allowed: 0 to 1")
        for number, amount in self.along:
            if number < 1:
                raise ConfigError(f"direction is {number}; allowed: 1 or more, 1 is the strongest")
            if not math.isfinite(amount):
                raise ConfigError(
                    f"along {number} the amount is {amount}; allowed: a finite number"
                )
        numbers = [number for number, _ in self.along]
        if len(set(numbers)) < len(numbers):
            raise ConfigError(f"along names direction {max(numbers, key=numbers.count)} twice")

    def move(self, generator: Generator, z: Tensor, truncation: float | None = None) -> Tensor:
        """Move latents ``[N, latent_dim]``, on the CPU; ``truncation`` is that of the other seeds too.

        Raises:
            ConfigError: the generator has not that many directions, or names none.
        """
        for seed, share in self.toward:
            goal = latents_for([seed], generator.latent_dim, truncation)[0]
            z = torch.stack([spherical(row, goal, share) for row in z])
        if self.along:
            most = max(number for number, _ in self.along)
            directions = semantic_directions(generator, most)
            for number, amount in self.along:
                z = z + amount * directions[number - 1]
        return z

    def facts(self) -> dict[str, Any]:
        """The moves as plain JSON."""
        named = {"toward": self.toward, "along": self.along}
        return {name: [list(pair) for pair in pairs] for name, pairs in named.items() if pairs}

    def options(self) -> dict[str, str]:
        """The options of ``reacgan sample`` by name, as :func:`parse_moves` reads them."""
        return {
            name: ",".join(f"{number}:{_exact(amount)}" for number, amount in pairs)
            for name, pairs in self.facts().items()
        }


def semantic_directions(generator: Generator, count: int) -> Tensor:
    """SeFa: the directions of z with the largest effect on the first layers (Shen & Zhou, CVPR 2021).

    With A the stacked weights that are applied to z, these are the eigenvectors of A^T A with the
    largest eigenvalues: n maximises |A n|^2 among the unit vectors orthogonal to the earlier ones.
    For a generator with styles these are directions of z, not of w.

    Args:
        generator: gives the weights by :meth:`Generator.latent_weights`.
        count: number of directions, 1 to latent_dim.

    Returns:
        float32 ``[count, latent_dim]`` on the CPU: unit vectors, largest eigenvalue first, the sign
        such that the entry of the largest absolute value is positive.

    Raises:
        ConfigError: the generator gives no such weights, or ``count`` is out of range.
    """
    weights = generator.latent_weights()
    latent_dim = generator.latent_dim
    if not 1 <= count <= latent_dim:
        raise ConfigError(f"directions is {count}; allowed: 1 to {latent_dim}, the length of z")
    square = torch.zeros(latent_dim, latent_dim, dtype=torch.float64)
    for weight in weights:
        matrix = weight.detach().cpu().double()
        square += matrix.T @ matrix
    directions = torch.linalg.eigh(square).eigenvectors.flip(1).T[:count]  # eigh: smallest first
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    return (directions * largest.sign()).float()


def spherical(start: Tensor, end: Tensor, share: float) -> Tensor:
    """Spherical linear interpolation (White 2016): from ``start`` at share 0 to ``end`` at 1.

    sin((1 - t) a) / sin(a) start + sin(t a) / sin(a) end, a the angle between them. Latents in between
    keep the norm of z; on a straight line they would be shorter. Parallel and opposite vectors have
    no unique great circle and are interpolated linearly.
    """
    wide_start, wide_end = start.double(), end.double()
    cosine = F.cosine_similarity(wide_start, wide_end, dim=0).clamp(-1, 1)
    angle = float(torch.acos(cosine))
    if math.sin(angle) < 1e-6:
        mixed = (1 - share) * wide_start + share * wide_end
    else:
        near, far = math.sin((1 - share) * angle), math.sin(share * angle)
        mixed = (near * wide_start + far * wide_end) / math.sin(angle)
    return mixed.to(start.dtype)


def parse_moves(toward: str | None = None, along: str | None = None) -> Moves | None:
    """The moves that the options of ``reacgan sample`` name, such as ``7:0.25`` and ``1:2,3:-0.5``.

    Raises:
        ConfigError: not of this form, or out of range.
    """
    if toward is None and along is None:
        return None
    return Moves(_pairs("toward", toward), _pairs("along", along))


def _exact(amount: float) -> str:
    """The shortest text that is read as the same number."""
    short = f"{amount:g}"
    return short if float(short) == amount else repr(amount)


def _pairs(name: str, text: str | None) -> tuple[tuple[int, float], ...]:
    pairs = []
    for part in text.split(",") if text is not None else ():
        number, _, amount = part.partition(":")
        try:
            pairs.append((int(number), float(amount)))
        except ValueError:
            raise ConfigError(
                f"{name} is {text!r}; needed: NUMBER:AMOUNT, several separated by commas, such as 7:0.25"
            ) from None
    return tuple(pairs)
