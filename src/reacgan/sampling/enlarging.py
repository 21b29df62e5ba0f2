"""Images made larger for people and for programs that need a size; pixels stay as they are by default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from reacgan.config import ConfigError

Resample: TypeAlias = Literal["nearest", "bicubic", "lanczos"]

LARGEST = 16384
"""Pixels of a side."""

_WORDS = {
    "nearest": "nearest neighbour: the same pixels, larger",
    "bicubic": "bicubic",
    "lanczos": "Lanczos",
}


@dataclass(frozen=True)
class Enlarging:
    """How images are made larger.

    Args:
        scale: a whole factor.
        side: pixels of the longer side, instead of the factor.
        resample: ``nearest`` repeats pixels and adds nothing; ``bicubic`` and ``lanczos`` are smooth.

    Raises:
        ConfigError: a value out of range, or both.
    """

    scale: int | None = None
    side: int | None = None
    resample: Resample = "nearest"

    def __post_init__(self) -> None:
        if self.scale is not None and self.side is not None:
            raise ConfigError(f"scale is {self.scale} and side is {self.side}; give one of them")
        for name, value in (("scale", self.scale), ("side", self.side)):
            if value is not None and not 1 <= value <= LARGEST:
                raise ConfigError(f"{name} is {value}; allowed: 1 to {LARGEST}")
        if self.resample not in get_args(Resample):
            raise ConfigError(
                f"resample is {self.resample!r}; allowed: {', '.join(get_args(Resample))}"
            )

    def size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of an image of this size afterwards.

        Raises:
            ConfigError: it would be smaller than it is, or have more pixels a side than allowed.
        """
        if self.side is None:
            factor = float(self.scale or 1)
        elif self.side < max(height, width):
            raise ConfigError(
                f"side is {self.side}, and the images are {width} x {height}; allowed: "
                f"{max(height, width)} or more, since images are only made larger"
            )
        else:
            factor = self.side / max(height, width)
        size = round(height * factor), round(width * factor)
        if max(size) > LARGEST:
            raise ConfigError(
                f"scale is {self.scale}, which gives {size[1]} x {size[0]} pixels; allowed: sides of "
                f"{LARGEST} at most"
            )
        return size

    def apply(self, image: Tensor) -> Tensor:
        """A uint8 image [C, H, W], larger; each channel by itself."""
        height, width = image.shape[1:]
        size = self.size(height, width)
        if size == (height, width):
            return image
        method = Image.Resampling[self.resample.upper()]
        planes = [
            np.asarray(Image.fromarray(plane).resize(size[::-1], method))
            for plane in np.ascontiguousarray(image.numpy())
        ]
        return torch.from_numpy(np.stack(planes))

    def describe(self, height: int, width: int) -> str:
        """In words; empty where nothing changes."""
        size = self.size(height, width)
        if size == (height, width):
            return ""
        text = f"enlarged from {width} x {height} to {size[1]} x {size[0]}, {_WORDS[self.resample]}"
        if self.resample == "nearest" and (size[0] % height or size[1] % width):
            text = f"{text} (of unequal sizes, since the factor is not whole; bicubic is smooth)"
        return text
