"""What a generator learned from, and real images that it did not: opened when a metric asks."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Protocol

from reacgan.config import DataConfig
from reacgan.data import DataError, ImageData, open_dataset
from reacgan.evaluation.reference import Reference, open_held_out
from reacgan.extractors import Extractor

_KNOWN = 0.05  # share of the reference that a classifier may have learned without a word


class Origin(Protocol):
    """Where images come from: what a generator or classifier learned from, and what it did not."""

    @property
    def training(self) -> ImageData | None:
        """What it learned from; opened when asked for."""
        ...

    @property
    def held_out(self) -> ImageData | None:
        """Real images of the same kind that it did not."""
        ...


class OwnData:
    """A run's own images; where they are not to be found any more, what lies beside the reference."""

    def __init__(self, config: DataConfig, reference: Reference) -> None:
        self.config = config
        self.reference = reference

    @cached_property
    def _found(self) -> ImageData | None:
        try:
            return open_dataset(self.config, "train")
        except DataError:
            return None

    @property
    def training(self) -> ImageData | None:
        """What it learned from."""
        return self._found if self._found is not None else self.reference.training

    @cached_property
    def held_out(self) -> ImageData | None:
        """Its test split."""
        return open_held_out(self.config) if self._found is not None else self.reference.held_out


def known_share(learned: ImageData, images: ImageData) -> float:
    """Share of images whose pixels are among those that something learned from."""
    known = {hashlib.blake2b(image.tobytes()).digest() for image in learned.images}
    return sum(hashlib.blake2b(image.tobytes()).digest() in known for image in images.images) / len(
        images
    )


def known_by_heart(
    network: Extractor, learned: ImageData | None, reference: ImageData | None
) -> tuple[str, ...]:
    """What is to be said where a classifier that looks at images was trained on the reference."""
    if network.name != "domain" or learned is None or reference is None:
        return ()
    share = known_share(learned, reference)
    if share < _KNOWN:
        return ()
    return (
        f"the classifier that looks at the images was trained on {share:.0%} of the reference: "
        "to its features those are unlike any new image; take held-out images as reference",
    )
