"""The interface of feature extractors: uint8 images in, features (and class scores) out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Extracted:
    """The output of a network for a batch."""

    features: Tensor
    """float32 ``[N, D]``."""
    logits: Tensor | None = None
    """float32 ``[N, K]``: class scores, where the network is a classifier."""


class Extractor(ABC):
    """A frozen network and its preprocessing.

    Members are classes in :data:`reacgan.extractors.EXTRACTORS`; their options are the keyword-only
    parameters of the constructor, which loads the weights; if they are missing, its error says what
    to put where.
    """

    name: str
    """As the table has it."""
    features_dim: int
    shape: tuple[int, int, int] | None = None
    """[C, H, W] of its input, to which images are converted first; None for any shape."""
    any_size: bool = False
    """Whether it resizes grey, RGB and RGBA images itself; other extractors get images of the
    reference's shape."""
    class_names: tuple[str, ...] | None = None
    """Names of the classes of the logits, if known."""

    def __init__(self) -> None:  # noqa: B027 - a signature to read options from
        """No options, unless an extractor has some."""

    @abstractmethod
    def to(self, device: torch.device) -> None:
        """Move the network."""

    @abstractmethod
    def __call__(self, images: Tensor) -> Extracted:
        """Features of uint8 images [N, C, H, W], on the device of the network; no gradient.

        One call is one forward pass: callers use a fixed batch size.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Everything that features depend on, as plain JSON: part of every protocol, and a cache key.

        At least ``name`` and ``weights``: a digest of 16 hexadecimal digits or more, which changes
        whenever features do; without one nothing is cached. Also the resizer, the scale of pixels,
        the dtype, the mapping of channels, and the held-out accuracy if measured.
        """
