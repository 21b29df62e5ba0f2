"""The real images that a score is measured against, opened from what a person names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from reacgan.config import ConfigError, DataConfig
from reacgan.data import DataError, ImageData, find_dataset, open_dataset
from reacgan.data.flat import is_flat, list_flat
from reacgan.data.pack import open_listings
from reacgan.metrics.moments import Moments


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
    """

    data: ImageData | None
    known_moments: Moments | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    config: DataConfig | None = None
    known_training: ImageData | None = None
    known_held_out: ImageData | None = None
    labelled: bool = True

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
    """The test split, or None where the set has none."""
    try:
        return open_dataset(config, "test")
    except DataError:
        return None


def open_reference(
    named: str | Path | ImageData | DataConfig | Reference,
    *,
    split: str | None = None,
    resolution: Any = None,
    channels: int | None = None,
) -> Reference:
    """Open what a person names.

    Args:
        named: images that are open already; a configuration; a folder of class folders (with train
            and test, or without); a folder of loose images; a packed file; a registered set as NAME or
            NAME:PATH; or statistics as an .npz file with ``mu`` and ``sigma``.
        split: train or test; None takes test where there is one.
        resolution: what images are brought to; None as a packed file or array has it.
        channels: likewise.

    Raises:
        DataError: nothing usable there.
    """
    if isinstance(named, Reference):
        return named
    if isinstance(named, ImageData):
        return Reference(named, facts={"split": split or "as given", "part": "whole"})
    if isinstance(named, DataConfig):
        return _of_config(named, split)
    if str(named).endswith(".npz"):
        facts = {"split": "statistics", "part": "whole"}
        return Reference(None, Moments.read_npz(Path(named)), facts=facts, labelled=False)
    if is_flat(named):
        if split == "test":
            raise DataError(f"{named}: a folder of loose images has no test split")
        data = open_listings(
            [list_flat(named)], resolution=resolution or 32, channels=channels or 3
        )
        return Reference(data, facts={"split": "all", "part": "whole"}, labelled=False)
    config = find_dataset(str(named))
    changes = {"resolution": resolution, "channels": channels}
    known = {key: value for key, value in changes.items() if value is not None}
    return _of_config(config.model_copy(update=known), split)


def _of_config(config: DataConfig, split: str | None) -> Reference:
    if split not in (None, "train", "test"):
        raise ConfigError(f"split is {split!r}; allowed: train, test")
    held_out = open_held_out(config) if split is None else None
    data = held_out if held_out is not None else open_dataset(config, split or "train")
    found = split or ("test" if held_out is not None else "train")
    facts = {"name": config.name, "split": found, "part": "whole"}
    return Reference(data, facts=facts, config=config)


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
    )
