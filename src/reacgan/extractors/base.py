"""The networks that images are looked at with: uint8 images in, features (and class scores) out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Extracted:
    """What a network says of a batch."""

    features: Tensor
    """float32 ``[N, D]``."""
    logits: Tensor | None = None
    """float32 ``[N, K]``: scores of the classes that the network knows, where it is a classifier."""


class Extractor(ABC):
    """A frozen network and how images reach it.

    Members are classes in :data:`reacgan.extractors.EXTRACTORS`; their options are the keyword-only
    parameters of the constructor. They look for weights when they are built, and say what to put
    where if there are none.
    """

    name: str
    """As the table has it."""
    features_dim: int
    shape: tuple[int, int, int] | None = None
    """[C, H, W] of the only images that it knows, to which others are brought before it sees them."""
    any_size: bool = False
    """Whether it brings pictures of any size, grey, RGB or RGBA, to its own; others are given images of
    the reference's shape."""
    class_names: tuple[str, ...] | None = None
    """The classes of the logits, where they have names that a data set may share."""

    def __init__(self) -> None:  # noqa: B027 - a signature to read options from
        """No options, unless an extractor has some."""

    @abstractmethod
    def to(self, device: torch.device) -> None:
        """Move the network."""

    @abstractmethod
    def __call__(self, images: Tensor) -> Extracted:
        """Look at uint8 images [N, C, H, W], on the device of the network; no gradient.

        One call is one forward pass: who calls gives batches of one size.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What features depend on, as plain JSON: it is part of every score and keys the cache.

        At least ``name`` and ``weights``: a digest of 16 hexadecimal digits or more, which changes
        whenever features do. Without one nothing is kept, and real images are looked at anew each
        time. Also the resizer, the scale of pixels, the type of numbers, how channels were mapped,
        and how well it knows the data where that is measured.
        """
