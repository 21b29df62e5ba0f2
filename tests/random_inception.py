"""Weights of FID's network drawn at random, such that its features tell images apart; and images."""

from __future__ import annotations

import math

import torch

from reacgan.extractors.inception import layout


def random_weights(seed=0):
    """A state dict: He's scale for convolutions, batch norm near the identity but not at it."""
    generator = torch.Generator().manual_seed(seed)
    held = {}
    for name, shape in layout().items():
        value = torch.empty(shape)
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=generator)
        elif name.endswith("bn.weight"):
            value.uniform_(0.8, 1.2, generator=generator)
        elif len(shape) == 1:
            value.normal_(0, 0.1, generator=generator)
        else:
            value.normal_(0, math.sqrt(2 / math.prod(shape[1:])), generator=generator)
        held[name] = value
    return held


def patterns(count, size=32, seed=0, spread=1.0):
    """uint8 [count, 3, size, size]: stripes and spots of random colour, direction and contrast."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.rand(shape, generator=generator)

    row, column = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    wave = draw(count, 2, 3, 1, 1) * 2
    angle = wave[:, 0] * row / 4 + wave[:, 1] * column / 4 + 6.3 * draw(count, 3, 1, 1)
    base, contrast = draw(count, 3, 1, 1), draw(count, 3, 1, 1)
    noise = (draw(count, 3, size, size) - 0.5) * draw(count, 1, 1, 1)
    image = base + spread * (contrast * angle.sin() / 2 + noise)
    return (image * 255).round().clamp(0, 255).to(torch.uint8)
