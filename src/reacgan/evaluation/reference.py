"""The real images that a score is measured against, opened from what a person names."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from reacgan.config import ConfigError, DataConfig, with_home
from reacgan.data import DataError, ImageData, MissingSplitError, find_dataset, open_dataset
from reacgan.data.flat import is_flat
from reacgan.data.scan import MAX_REFUSED
from reacgan.evaluation.image_files import holds_statistics, is_sample_file, open_images
from reacgan.evaluation.own_shape import Wish
from reacgan.extractors.fitting import Shape
from reacgan.metrics.moments import Moments

logger = logging.getLogger("reacgan.evaluation")


@dataclass(frozen=True, eq=False)
class Reference:
    """Real images (or their moments alone), which part of the data they are, and what lies beside.

    Args:
        data: the images; None for a file of statistics.
        known_moments: of a file of statistics.
        facts: what a score says of the reference beside counts and digest: name, split, part.
        config: where training and held-out images are, opened when a metric asks for them.
        known_training: training images that are open already; ``known_held_out`` likewise.
        labelled: whether the classes mean anything.
        warnings: what was done to the images, or is not known of them.
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
        """What a generator of this data learns from, where there is such a split."""
        if self.known_training is not None or self.config is None:
            return self.known_training
        return open_dataset(self.config, "train")

    @cached_property
    def held_out(self) -> ImageData | None:
        """Real images that it does not learn from, where there is such a split."""
        if self.known_held_out is not None or self.config is None:
            return self.known_held_out
        return open_held_out(self.config)

    @property
    def shape(self) -> Shape | None:
        """(channels, height, width) of the images; None for statistics."""
        return None if self.data is None else (self.data.channels, *self.data.size)

    def describe(self) -> dict[str, Any]:
        """For a protocol: count, digest, and which part it is."""
        if self.data is not None:
            told: dict[str, Any] = {
                "images": len(self.data),
                "digest": self.data.digest[:16],
                "size": list(self.data.size),
                "channels": self.data.channels,
            }
            if self.labelled:
                told["classes"] = self.data.num_classes
            return {**told, **self.facts}
        moments = self.known_moments
        if moments is None:
            raise ConfigError("a reference needs images or moments")
        digest = hashlib.sha256(
            moments.mean.numpy().tobytes() + moments.covariance.numpy().tobytes()
        )
        return {"images": moments.count or None, "digest": digest.hexdigest()[:16], **self.facts}


def open_held_out(config: DataConfig) -> ImageData | None:
    """The test split, or None where the set has none; one that cannot be used is warned of."""
    held_out, warning = find_held_out(config)
    if warning:
        logger.warning("%s", warning)
    return held_out


def find_held_out(config: DataConfig) -> tuple[ImageData | None, str]:
    """The test split, and why there is none to use though the set may have one."""
    try:
        return open_dataset(config, "test"), ""
    except MissingSplitError:
        return None, ""
    except DataError as error:
        return None, f"no held-out images are used: {error}"


def open_reference(
    named: str | Path | ImageData | DataConfig | Reference,
    *,
    split: str | None = None,
    resolution: Any = None,
    channels: int | None = None,
    like: Shape | None = None,
    crop: Any = None,
) -> Reference:
    """Open what a person names, with the size and channels that it has by itself.

    Args:
        named: images that are open already; a configuration, whose size and channels are taken; a
            folder of class folders (with train and test, or without); a folder of loose images; a file
            of images; a registered set as NAME or NAME:PATH; or statistics as an .npz file with ``mu``
            and ``sigma``.
        split: train or test; None takes test where there is one.
        resolution: what images are brought to; None as they are.
        channels: likewise.
        like: channels, height and width of the images to score: for a set that has no size of its own,
            such as one that is drawn at any. A picture gets a fourth channel where they have one.
        crop: the size for a set of many sizes, which is then said; None refuses one.

    Raises:
        ConfigError: nothing usable there, or images of many sizes and none is asked for.
    """
    if isinstance(named, Reference):
        return named
    if isinstance(named, ImageData):
        return Reference(named, facts={"split": split or "as given", "part": "whole"})
    if isinstance(named, DataConfig):
        return open_configured(named, split)
    named = with_home(str(named))
    path = Path(named)
    if path.suffix.lower() == ".npz" and (holds_statistics(path) or not path.is_file()):
        facts = {"split": "statistics", "part": "whole"}
        return Reference(None, Moments.read_npz(path), facts=facts, labelled=False)
    if is_flat(path) or (path.is_file() and is_sample_file(path)):
        return _loose(path, split, resolution, channels)
    wish = Wish(resolution, channels, like, crop)
    return open_named(find_dataset(named), split, wish)


def _loose(path: Path, split: str | None, resolution: Any, channels: int | None) -> Reference:
    if split == "test":
        raise DataError(f"{path}: loose images have no test split")
    opened = open_images(path, resolution=resolution, channels=channels, most_refused=MAX_REFUSED)
    facts = {"split": "all", "part": "whole"}
    return Reference(opened.images, facts=facts, labelled=opened.labelled, warnings=opened.warnings)


def open_configured(
    config: DataConfig, split: str | None, warnings: tuple[str, ...] = ()
) -> Reference:
    """What a configuration asks for, of the size and channels that it says."""
    _check_split(split)
    held_out, unused = find_held_out(config) if split is None else (None, "")
    data = held_out if held_out is not None else open_dataset(config, split or "train")
    found = split or ("test" if held_out is not None else "train")
    facts = {"name": config.name, "split": found, "part": "whole"}
    said = (*warnings, *((unused,) if unused else ()), *_lost(data))
    return Reference(data, facts=facts, config=config, warnings=said)


def _lost(data: ImageData) -> tuple[str, ...]:
    """What images of more than 8 bits lost when they were opened."""
    return tuple(f"the reference: {note}" for note in data.lost)


def open_named(config: DataConfig, split: str | None, wish: Wish) -> Reference:
    """A set with the size and channels that its own images have, but for what is asked for."""
    _check_split(split)
    changes, warnings = wish.settle(config, split)
    return open_configured(config.model_copy(update=changes), split, warnings)


def _check_split(split: str | None) -> None:
    if split not in (None, "train", "test"):
        raise ConfigError(f"split is {split!r}; allowed: train, test")


def part_of(reference: Reference, part: str, indices: np.ndarray[Any, Any]) -> Reference:
    """Some images of a reference, which is then another one and says so."""
    if reference.data is None:
        raise ConfigError("a file of statistics cannot be divided; name the images instead")
    return Reference(
        reference.data.subset(indices),
        facts={**reference.facts, "part": part},
        config=reference.config,
        known_training=reference.known_training,
        known_held_out=reference.known_held_out,
        labelled=reference.labelled,
        warnings=reference.warnings,
    )
