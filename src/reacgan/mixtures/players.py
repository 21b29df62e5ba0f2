"""G and D of points: two small multi-layer perceptrons, D's under one of the package's heads."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reacgan.config import Component
from reacgan.heads import Head, HeadOutput, build_head
from reacgan.mixtures.targets import Mixture


@dataclass(frozen=True)
class Players:
    """Sizes and optimisers of G and D: the same for every method that is compared."""

    latent_dim: int = 4
    """Numbers of z ~ N(0, I)."""
    width: int = 64
    """Units of each hidden layer of G and of D's backbone, and numbers of a feature."""
    hidden: int = 3
    """Hidden layers of each."""
    learning_rate: float = 1e-3
    """Adam's, of both, at the start."""
    betas: tuple[float, float] = (0.0, 0.99)
    """Adam's, of both."""
    cooling: float = 0.5
    """Share of the steps, at the end, over which both learning rates fall to zero on a line."""
    ema: float = 0.998
    """Decay a step of the average of G's weights; the average is what is judged."""


PLAYERS = Players()


class PointGenerator(nn.Module):
    """z ``[N, Z]`` and labels ``[N]`` to points ``[N, D]``: the label enters as one of K numbers."""

    middle: Tensor
    scale: Tensor

    def __init__(self, target: Mixture, players: Players) -> None:
        super().__init__()
        self.num_classes = target.num_classes
        self.latent_dim = players.latent_dim
        self.body = _layers(players.latent_dim + target.num_classes, players)
        self.out = nn.Linear(players.width, target.dimensions)
        middle, scale = target.moments()
        self.register_buffer("middle", middle)
        self.register_buffer("scale", torch.tensor(scale))

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Points in the target's own units."""
        given = torch.cat([z, F.one_hot(labels, self.num_classes).to(z.dtype)], dim=1)
        moved: Tensor = self.out(self.body(given)) * self.scale + self.middle
        return moved


class PointDiscriminator(nn.Module):
    """Points ``[N, D]`` and labels to what a head says of an MLP's features ``[N, width]``."""

    middle: Tensor
    scale: Tensor

    def __init__(self, target: Mixture, head: Component, players: Players) -> None:
        super().__init__()
        self.body = _layers(target.dimensions, players)
        self.head: Head = build_head(
            head, in_features=players.width, num_classes=target.num_classes
        )
        middle, scale = target.moments()
        self.register_buffer("middle", middle)
        self.register_buffer("scale", torch.tensor(scale))

    def forward(self, points: Tensor, labels: Tensor) -> HeadOutput:
        """The head's word on each point under its label."""
        output: HeadOutput = self.head(self.body((points - self.middle) / self.scale), labels)
        return output


def _layers(inputs: int, players: Players) -> nn.Sequential:
    widths = [inputs, *[players.width] * players.hidden]
    layers: list[nn.Module] = []
    for before, after in zip(widths[:-1], widths[1:], strict=True):
        layers += [nn.Linear(before, after), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers)
