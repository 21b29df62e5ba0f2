"""Generators small enough to know what they must give."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import nn

from reacgan.config import Experiment
from reacgan.models import Generator
from reacgan.models.trained import TrainedGenerator


class Styled(Generator):
    """w = A z + class; the image shows w at its two halves, each a layer of its own."""

    def __init__(self, num_classes=3, latent_dim=4):
        super().__init__(num_classes)
        self.latent_dim = latent_dim
        random = torch.Generator().manual_seed(5)
        self.first = nn.Parameter(torch.randn(4, latent_dim, generator=random) * 0.3)
        self.second = nn.Parameter(torch.randn(6, latent_dim, generator=random) * 0.3)
        self.table = nn.Embedding(num_classes, 4)
        with torch.no_grad():
            self.table.weight.copy_(torch.randn(num_classes, 4, generator=random) * 0.3)
        self.register_buffer("mean_w", torch.full((4,), 0.25))

    def styles(self, z, labels):
        return z @ self.first.T + self.class_vectors(self.table, labels)

    def draw(self, *layers):
        return torch.cat(layers, dim=1).tanh().view(-1, 1, 2, 4)

    def forward(self, z, labels, draws=None):
        w = self.styles(z, labels)
        return self.draw(w, w)

    def truncated(self, z, labels, *, psi, layers=None):
        w = self.styles(z, labels)
        near = self.mean_w + psi * (w - self.mean_w)
        return self.draw(*([near, near], [w, w], [near, w])[{None: 0, 2: 0, 0: 1, 1: 2}[layers]])

    def latent_weights(self):
        return [self.first, self.second]


class Identity(Generator):
    """The image is z."""

    def __init__(self, latent_dim=2):
        super().__init__(2)
        self.latent_dim = latent_dim
        self.anything = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, z, labels, draws=None):
        return z


class Judge(nn.Module):
    """A discriminator whose score is a function of image and label."""

    def __init__(self, score):
        super().__init__()
        self.score = score

    def forward(self, images, labels):
        return SimpleNamespace(score=self.score(images, labels))


def trained(generator, names=("cat", "dog", "cow")):
    return TrainedGenerator(generator.eval(), Experiment(name="tiny"), tuple(names), 1)
