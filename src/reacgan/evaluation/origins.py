"""What a generator learned from, and real images that it did not: opened when a metric asks."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Protocol

from reacgan.config import DataConfig
from reacgan.data import DataError, ImageData, open_dataset
from reacgan.evaluation.reference import Reference, open_held_out
from reacgan.extractors import Extractor
from reacgan.extractors.fitting import Shape, fitted_data

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


class Named:
    """What a person named, and for what was not named what lies beside the reference."""

    def __init__(
        self,
        reference: Reference,
        *,
        training: ImageData | None = None,
        held_out: ImageData | None = None,
    ) -> None:
        self.reference = reference
        self._training = training
        self._held_out = held_out

    @property
    def training(self) -> ImageData | None:
        """What it learned from."""
        return self._training if self._training is not None else self.reference.training

    @property
    def held_out(self) -> ImageData | None:
        """Real images that it did not learn from."""
        return self._held_out if self._held_out is not None else self.reference.held_out


class Brought:
    """The same images in the shape of the reference, in which all sets are compared."""

    def __init__(self, origin: Origin, shape: Shape | None) -> None:
        self.origin = origin
        self.shape = shape

    @cached_property
    def training(self) -> ImageData | None:
        """What it learned from."""
        return self._brought(self.origin.training)

    @cached_property
    def held_out(self) -> ImageData | None:
        """Real images that it did not learn from."""
        return self._brought(self.origin.held_out)

    def _brought(self, data: ImageData | None) -> ImageData | None:
        return data if data is None or self.shape is None else fitted_data(data, self.shape)


def judging(origin: Origin, reference: Reference) -> Origin:
    """What a classifier of the reference's classes learns from.

    The images that a person named; else those beside the reference; else the generator's own.
    """
    named = isinstance(origin, Named) and origin.training is not None
    return origin if named or reference.training is None else reference


def usable_held_out(learned: ImageData | None, held_out: ImageData | None) -> ImageData | None:
    """Held-out images on which a classifier can be tried: of its classes, and not what it learned."""
    if learned is None or held_out is None:
        return None
    alike = learned.class_names == held_out.class_names
    alike = alike and learned.images.shape[1:] == held_out.images.shape[1:]
    same = len(learned) == len(held_out) and learned.digest == held_out.digest
    return held_out if alike and not same else None


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
