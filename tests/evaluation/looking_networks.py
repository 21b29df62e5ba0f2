"""Small extractors for tests: features that can be worked out by hand."""

from __future__ import annotations

import torch

from reacgan.extractors import Extracted, Extractor


class Pixels(Extractor):
    """Means of blocks of 2 x 2 pixels as features; counts its calls."""

    name = "pixels"
    digest = "0123456789abcdef"

    def __init__(self, width: int = 16, *, classes: int = 0) -> None:
        self.features_dim = width
        self.classes = classes
        self.calls = 0
        self.sizes: set[int] = set()

    def to(self, device: torch.device) -> None:
        self.device = device

    def __call__(self, images: torch.Tensor) -> Extracted:
        self.calls += 1
        self.sizes.add(len(images))
        pooled = torch.nn.functional.avg_pool2d(images.float().mean(1, keepdim=True), 2)
        features = pooled.flatten(1)[:, : self.features_dim] / 255
        return Extracted(features, features[:, : self.classes] * 10 if self.classes else None)

    def describe(self):
        return {"name": self.name, "weights": self.digest, "width": self.features_dim}


class Broken(Pixels):
    """Gives NaN."""

    name = "broken"

    def __call__(self, images: torch.Tensor) -> Extracted:
        seen = super().__call__(images)
        return Extracted(seen.features * torch.nan)
