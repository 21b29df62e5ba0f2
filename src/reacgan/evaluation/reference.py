"""The real images that a score is measured against, opened by name or path.

A reference keeps its own size and channels, whatever the images to score have.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from reacgan.config import ConfigError, DataConfig, size_of, with_home
from reacgan.data import (
    DataError,
    ImageData,
    MissingSplitError,
    OwnShape,
    find_dataset,
    open_dataset,
    own_shape,
)
from reacgan.data.listing import is_flat
from reacgan.data.scan import MAX_REFUSED
from reacgan.evaluation.image_files import (
    holds_statistics,
    is_sample_file,
    many_sizes,
    open_images,
)
from reacgan.extractors import Extractor
from reacgan.extractors.fitting import RULE, Shape
from reacgan.metrics.moments import Moments

logger = logging.getLogger("reacgan.evaluation")

HALVES = ("every second image from the first", "every second image from the second")
"""Parts of a reference, where states are chosen on one half and reported on the other."""

_RGB, _RGBA = 3, 4
_KINDS = {1: "grey", _RGB: "RGB", _RGBA: "RGBA"}


@dataclass(frozen=True, eq=False)
class Reference:
    """Real images (or their moments alone), which part of the data they are, and the other splits.

    Args:
        data: the images; None for a file of statistics.
        known_moments: of a file of statistics.
        facts: for the protocol, besides counts and digest: name, split, part.
        config: of training and held-out images, opened when a metric needs them.
        known_training: training images that are open already; ``known_held_out`` likewise.
        labelled: whether the images have classes.
        warnings: of conversions, or of unknown properties.
    """

    data: ImageData | None
    known_moments: Moments | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    config: DataConfig | None = None
    known_training: ImageData | None = None
    known_held_out: ImageData | None = None
    labelled: bool = True
    warnings: tuple[str, ...] = ()

    @cached_property
    def training(self) -> ImageData | None:
        """The training split, where there is one."""
        if self.known_training is not None or self.config is None:
            return self.known_training
        return open_dataset(self.config, "train").excerpt

    @cached_property
    def held_out(self) -> ImageData | None:
        """The held-out split, where there is one."""
        if self.known_held_out is not None or self.config is None:
            return self.known_held_out
        return open_held_out(self.config)

    @property
    def shape(self) -> Shape | None:
        """(channels, height, width) of the images; None for statistics."""
        return None if self.data is None else (self.data.channels, *self.data.size)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Empty without classes."""
        return self.data.class_names if self.data is not None and self.labelled else ()

    def describe(self) -> dict[str, Any]:
        """For a protocol: count, digest, and which part of the data it is."""
        if self.data is not None:
            facts: dict[str, Any] = {
                "images": len(self.data),
                "digest": self.data.digest[:16],
                "size": list(self.data.size),
                "channels": self.data.channels,
            }
            if self.labelled:
                facts["classes"] = self.data.num_classes
            facts |= self.facts
            if self.data.part:  # of a set that is too large to look at as a whole
                parts = (self.facts.get("part"), self.data.part)
                facts["part"] = " of ".join(part for part in parts if part and part != "whole")
            return facts
        moments = self.known_moments
        if moments is None:
            raise ConfigError("a reference needs images or moments")
        digest = hashlib.sha256(
            moments.mean.numpy().tobytes() + moments.covariance.numpy().tobytes()
        )
        return {"images": moments.count or None, "digest": digest.hexdigest()[:16], **self.facts}

    def part(self, name: str, indices: np.ndarray[Any, Any]) -> Reference:
        """Some of its images as a reference of their own; ``name`` enters the protocol."""
        if self.data is None:
            raise ConfigError("a file of statistics cannot be divided; name the images instead")
        facts = {**self.facts, "part": name}
        return replace(self, data=self.data.subset(indices), facts=facts)

    def half(self, number: int) -> Reference:
        """Every second image of each class: half 0 begins with the first, half 1 with the second."""
        labels = np.zeros(0, dtype=np.int64) if self.data is None else self.data.labels
        order = np.argsort(labels, kind="stable")
        counts = np.bincount(labels)
        ranks = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
        return self.part(HALVES[number], np.sort(order[ranks % 2 == number]))


def open_held_out(config: DataConfig) -> ImageData | None:
    """The test split, or None where the set has none; logs a warning where it cannot be used."""
    held_out, warning = _find_held_out(config)
    if warning:
        logger.warning("%s", warning)
    return held_out


def _find_held_out(config: DataConfig) -> tuple[ImageData | None, str]:
    """The test split, or the reason why it cannot be used."""
    try:
        return open_dataset(config, "test").excerpt, ""
    except MissingSplitError:
        return None, ""
    except DataError as error:
        return None, f"no held-out images are used: {error}"


@dataclass(frozen=True)
class ShapeWish:
    """Requested size and channels of a reference; see :func:`open_reference`."""

    resolution: Any = None
    channels: int | None = None
    like: Shape | None = None
    crop: Any = None

    def applied(self, config: DataConfig, split: str | None) -> tuple[DataConfig, tuple[str, ...]]:
        """The configuration to open a set with, and warnings about conversions.

        Raises:
            ConfigError: images of many sizes.
        """
        own = _own_shape(config, split)
        if own is None:
            resolution, channels, warnings = self._unknown(config)
        else:
            resolution, sized = self._resolution(config, own)
            channels, coloured = self._channels(own)
            warnings = (*sized, *coloured)
        update = {"resolution": resolution, "channels": channels}
        return config.model_copy(update=update), warnings

    def _unknown(self, config: DataConfig) -> tuple[Any, int, tuple[str, ...]]:
        """For a set of unknown shape: the size of the images to score, in colour."""
        channels, height, width = self.like or (_RGB, *size_of(config.resolution))
        channels = self.channels or (_RGB if channels == 1 else channels)
        if self.resolution:
            return self.resolution, channels, ()
        warning = (
            f"the reference {config.name} has images of unknown size; it was opened at "
            f"{width} x {height}, the size of the images to score"
        )
        return _resolution_of(height, width), channels, (warning,)

    def _resolution(self, config: DataConfig, own: OwnShape) -> tuple[Any, tuple[str, ...]]:
        if self.resolution is not None:
            return self.resolution, ()
        if len(own.sizes) == 1:
            return _resolution_of(*own.sizes[0]), ()
        if not own.sizes:
            return (_resolution_of(*self.like[1:]) if self.like else config.resolution), ()
        if self.crop is None:
            raise ConfigError(f"the reference {many_sizes(config.path or config.name, own.sizes)}")
        height, width = size_of(self.crop)
        return self.crop, (
            f"the reference has images of {len(own.sizes):,} sizes; they were cropped and resized to "
            f"{width} x {height}, as those that the generator learned from",
        )

    def _channels(self, own: OwnShape) -> tuple[int, tuple[str, ...]]:
        if self.channels is None:
            opaque = self.like is not None and self.like[0] == _RGBA and own.channels in (1, _RGB)
            return (_RGBA if opaque else own.channels), ()
        if self.channels == 1 and own.channels == _RGB:
            return 1, ("the reference is in colour and was turned grey, as channels=1 asks for",)
        return self.channels, ()


def _own_shape(config: DataConfig, split: str | None) -> OwnShape | None:
    if split is not None:
        return own_shape(config, split)
    try:
        return own_shape(config, "test")
    except DataError:
        return own_shape(config, "train")


def _resolution_of(height: int, width: int) -> Any:
    return height if height == width else (height, width)


def open_reference(
    named: str | Path | ImageData | DataConfig | Reference,
    *,
    split: str | None = None,
    resolution: Any = None,
    channels: int | None = None,
    like: Shape | None = None,
    crop: Any = None,
    options: Mapping[str, Any] | None = None,
) -> Reference:
    """Open a reference by name or path, with its own size and channels.

    Args:
        named: open images; a configuration, whose size and channels are taken; a
            folder of class folders (with train and test, or without); a folder of loose images; a file
            of images; a registered set as NAME or NAME:PATH; or statistics as an .npz file with ``mu``
            and ``sigma``.
        split: train or test; None takes test where there is one.
        resolution: to which images are cropped and resized; None: unchanged.
        channels: likewise.
        like: channels, height and width of the images to score: for a set without a size of its own,
            such as one that is drawn at any size. Colour images get a fourth channel where these have one.
        crop: the size for a set of many sizes, with a warning; None refuses such a set.
        options: ``data.options`` of a set that is named, such as the columns of a table.

    Raises:
        ConfigError: nothing usable there, or images of many sizes without ``resolution``.
    """
    if isinstance(named, Reference):
        return named
    if isinstance(named, ImageData):
        return Reference(named, facts={"split": split or "as given", "part": "whole"})
    if isinstance(named, DataConfig):
        return _open_configured(named, split)
    named = with_home(str(named))
    path = Path(named)
    if path.suffix.lower() == ".npz" and (holds_statistics(path) or not path.is_file()):
        facts = {"split": "statistics", "part": "whole"}
        return Reference(None, Moments.read_npz(path), facts=facts, labelled=False)
    if is_flat(path) or (path.is_file() and is_sample_file(path)):
        return _open_loose(path, split, resolution, channels)
    wish = ShapeWish(resolution, channels, like, crop)
    return open_named(find_dataset(named, options=options), split, wish)


def _open_loose(path: Path, split: str | None, resolution: Any, channels: int | None) -> Reference:
    if split == "test":
        raise DataError(f"{path}: loose images have no test split")
    opened = open_images(path, resolution=resolution, channels=channels, most_refused=MAX_REFUSED)
    facts = {"split": "all", "part": "whole"}
    return Reference(opened.images, facts=facts, labelled=opened.labelled, warnings=opened.warnings)


def open_named(config: DataConfig, split: str | None, wish: ShapeWish) -> Reference:
    """A set with the size and channels of its own images, unless others are asked for."""
    _check_split(split)
    config, warnings = wish.applied(config, split)
    return _open_configured(config, split, warnings)


def _open_configured(
    config: DataConfig, split: str | None, warnings: tuple[str, ...] = ()
) -> Reference:
    """A set with the size and channels of its configuration."""
    _check_split(split)
    held_out, unused = _find_held_out(config) if split is None else (None, "")
    data = held_out if held_out is not None else open_dataset(config, split or "train").excerpt
    part = split or ("test" if held_out is not None else "train")
    facts = {"name": config.name, "split": part, "part": "whole"}
    lost = tuple(f"the reference: {note}" for note in data.lost)
    warnings = (*warnings, *((unused,) if unused else ()), *lost)
    return Reference(data, facts=facts, config=config, warnings=warnings)


def _check_split(split: str | None) -> None:
    if split not in (None, "train", "test"):
        raise ConfigError(f"split is {split!r}; allowed: train, test")


def compare_whites(reference: Reference, own: DataConfig | None) -> Reference:
    """The reference, with a warning where the data of a run has another white.

    Images of more than 8 bits are divided by the white value of their set.

    Args:
        reference: used instead of the run's own data.
        own: the configuration of the run's data.
    """
    if own is None or reference.data is None or reference.data.whites is None:
        return reference
    try:
        training: ImageData | None = open_dataset(own, "train")
    except ConfigError:
        training = None
    warning = _white_warning(reference.data, training)
    return replace(reference, warnings=(*reference.warnings, warning)) if warning else reference


def _white_warning(data: ImageData, training: ImageData | None) -> str:
    whites = data.whites or (None, None)
    if training is None:
        values = " and ".join(f"{white:,g}" for white in whites if white is not None)
        return (
            f"the reference has more than 8 bits, and {values} is white in it; the run's data cannot be "
            "opened to compare"
        )
    own = training.whites or (None, None)
    for kind, white, other in zip(("integers", "floats"), whites, own, strict=True):
        if white is not None and other is not None and white != other:
            return (
                f"of the {kind} {white:,g} is white in the reference, {other:,g} in the run's data: the "
                "same value is of another brightness in each, and scores measure that, too. Bring both "
                "to one scale, or train with a white that holds both (data.options.white)"
            )
    return ""


def compare_shapes(
    shape: Shape, reference: Shape | None, input_shape: Shape | None, extractor: Extractor
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Describe where images to score differ from the reference in channels or size.

    Args:
        shape: of the images.
        reference: of the reference; None for statistics.
        input_shape: to which both are converted; None where the extractor does so itself.
        extractor: of the features.

    Returns:
        Facts for the protocol, and warnings; both empty where the shapes are equal.
    """
    if reference is None or shape == reference:
        return {}, ()
    facts: dict[str, Any] = {"size": list(shape[1:]), "channels": shape[0]}
    if input_shape is not None:
        facts["brought_to"] = f"{list(input_shape)}: {RULE}"
    warnings = []
    if shape[0] != reference[0]:
        grey = input_shape is not None and shape[0] > input_shape[0] == 1
        kind = _KINDS.get(input_shape[0], "alike") if input_shape is not None else "RGB"
        warnings.append(
            f"the images to score have {_channels(shape[0])}, the reference {_channels(reference[0])}; "
            f"for {extractor.name} {'each is' if input_shape is None else 'both are'} made {kind}"
            + ("; colours are ignored" if grey else "")
        )
    if shape[1:] != reference[1:]:
        side = str(shape[1]) if shape[1] == shape[2] else f"{shape[1]}x{shape[2]}"
        warnings.append(
            f"the images to score are {shape[2]} x {shape[1]}, the reference {reference[2]} x "
            f"{reference[1]}: scores include that difference. --resolution {side} crops and resizes "
            "the reference, where that is what should be compared"
        )
    return facts, tuple(warnings)


def _channels(count: int) -> str:
    kind = f" ({_KINDS[count]})" if count in _KINDS else ""
    return f"{count} channel{'' if count == 1 else 's'}{kind}"
