"""Memorisation: distances of fakes to training images, compared with those of held-out images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.data import ImageData
from reacgan.metrics.base import Comparison, FeatureSet, Metric, Value, share_of
from reacgan.metrics.neighbours import Neighbours, nearest
from reacgan.metrics.order import digests

_THIRD = 1 / 3


@dataclass(frozen=True, eq=False)
class Scale:
    """Distances of held-out images to the training set."""

    distances: Tensor
    """To the nearest training image, float64 ``[N]``."""
    near: Tensor
    """Divided by the distance of the second nearest, float64 ``[N]``."""
    source: str


@dataclass(kw_only=True, eq=False)
class Memorisation(Metric):
    """Distance of every fake to its nearest training image, compared with held-out real images.

    Both are measured against the same training set, so its size affects both alike. A generator that
    does not memorise has ``memorised_share`` at chance and ``memorisation_ratio`` near 1; one that
    repeats its training images approaches 1 and 0. Distances depend on the features.
    ``duplicates`` compares pixels.

    Args:
        percentile: of the held-out distances; a closer fake counts as memorised.
        pairs: number of closest pairs to list.
    """

    needs = frozenset({"training", "images"})
    wants = frozenset({"held out"})

    percentile: Annotated[float, Field(gt=0, lt=50)] = 1.0
    pairs: Annotated[int, Field(ge=0, le=1000)] = 32

    def measure(self, comparison: Comparison) -> list[Value]:
        """``memorised_share``, ``memorisation_ratio``, and ``duplicates`` where pixels are known.

        Without held-out images each training image is compared with the others.

        Raises:
            ConfigError: no training images, too few, or over half of the held-out images are copies.
        """
        if comparison.training is None:
            raise ConfigError("memorisation needs the generator's training images: name its data")
        training = comparison.training.all_features()
        if len(training) < 3:
            raise ConfigError(f"{len(training)} training images; needed: 3 or more")
        neighbours = nearest(comparison.fake.all_features().to(training.device), training, k=2)
        scale = _scale(comparison, comparison.training)
        values = self._values(neighbours, scale, len(training))
        pixels = _duplicates(comparison)
        return [*values, pixels] if pixels is not None else values

    def _values(self, neighbours: Neighbours, scale: Scale, training: int) -> list[Value]:
        distances, near = neighbours.squared[:, 0].sqrt(), _nearness(neighbours.squared)
        held_out = len(scale.distances)
        # P(a further distance <= the m-th of n) = m / (n + 1).
        rank = min(held_out, max(1, round(self.percentile / 100 * (held_out + 1))))
        limit = float(scale.distances.kthvalue(rank).values)
        middle = _median(scale.distances)
        if middle == 0:
            raise ConfigError(
                f"more than half of the {scale.source} are copies of training images, so the distance "
                "of unseen images is unknown; remove the copies"
            )
        settings = {"training": training, "fake": len(distances), "calibration": scale.source}
        settings["calibrated_on"] = held_out
        chance = rank / (held_out + 1)
        details = {
            "pairs": closest_pairs(distances, neighbours.index[:, 0], near, self.pairs),
            "limit": limit,
            "held_out_share": share_of(scale.distances <= limit),
            # Nearest under a third of the second nearest, as for diffusion models.
            "far_nearer_than_second": {
                "fake": share_of(near < _THIRD),
                "held_out": share_of(scale.near < _THIRD),
            },
        }
        return [
            Value(
                "memorised_share",
                share_of(distances <= limit),
                "lower",
                settings={**settings, "percentile": self.percentile, "chance": chance},
                details=details,
                notes=self._notes(scale, chance),
            ),
            Value(
                "memorisation_ratio",
                _median(distances) / middle,
                "neither",
                settings=settings,
                details={"median": _median(distances), "held_out_median": middle},
                notes=self._notes(scale, None),
            ),
        ]

    def _notes(self, scale: Scale, chance: float | None) -> tuple[str, ...]:
        notes = []
        if scale.source != "held-out images":
            notes.append("no held-out images: calibrated on each training image against the others")
        copies = int((scale.distances == 0).count_nonzero())
        if copies:
            notes.append(
                f"the data contain duplicates: {copies} of {len(scale.distances)} {scale.source} equal a "
                "training image in their features, which lowers the threshold for fakes"
            )
        if chance is not None and chance > 1.5 * self.percentile / 100:
            notes.append(
                f"{len(scale.distances)} {scale.source} are few for percentile {self.percentile:g}: "
                f"chance is {chance:.3g}"
            )
        return tuple(notes)


def closest_pairs(
    distances: Tensor, index: Tensor, near: Tensor, count: int
) -> list[dict[str, float | int]]:
    """The closest fakes with their training images: first one for each training image, then the rest.

    Args:
        distances: of each fake to its nearest training image, ``[N]``.
        index: which, ``[N]``.
        near: divided by the distance of the second nearest, ``[N]``.
        count: how many pairs.
    """
    order = sorted(range(len(distances)), key=distances.tolist().__getitem__)
    seen: set[int] = set()
    first: list[int] = []
    later: list[int] = []
    for fake, training in zip(order, index[order].tolist(), strict=True):
        (later if training in seen else first).append(fake)
        seen.add(training)
    return [
        {
            "fake": fake,
            "training": int(index[fake]),
            "distance": float(distances[fake]),
            "ratio": float(near[fake]),
        }
        for fake in (first + later)[:count]
    ]


def count_duplicates(
    images: npt.NDArray[np.uint8], others: npt.NDArray[np.uint8]
) -> tuple[int, int]:
    """Number of images that equal one of the others, and number that do only when mirrored.

    Args:
        images: uint8 ``[N, C, H, W]``.
        others: uint8 ``[M, C, H, W]``; may be memory-mapped.
    """
    known = set(digests(others))
    same = mirrored = 0
    for image, flipped in zip(digests(images), digests(images[..., ::-1]), strict=True):
        same += image in known
        mirrored += image not in known and flipped in known
    return same, mirrored


def _scale(comparison: Comparison, training: FeatureSet) -> Scale:
    held_out, data = comparison.held_out, comparison.training_data
    features = training.all_features()

    def squared(neighbours: Neighbours) -> Mapping[str, Tensor]:
        return {"squared": neighbours.squared}

    if held_out is None:
        made = training.keep("nearest two others", lambda: squared(nearest(features, k=2)))
        source = "training images"
    else:
        theirs = held_out.all_features().to(features.device)

        def make() -> Mapping[str, Tensor]:
            return squared(nearest(theirs, features, k=2))

        # Kept only where a digest identifies the other set.
        made = make() if data is None else held_out.keep(f"nearest two in {data.digest}", make)
        source = "held-out images"
    distances = made["squared"].double()
    return Scale(distances[:, 0].sqrt(), _nearness(distances), source)


def _nearness(squared: Tensor) -> Tensor:
    """Nearest over second nearest, in 0 .. 1; 1 where both are at distance 0."""
    return torch.where(squared[:, 1] > 0, squared[:, 0] / squared[:, 1], 1.0).sqrt()


def _median(values: Tensor) -> float:
    """The middle, or the mean of the two middle ones."""
    ordered = values.sort().values
    return float((ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) / 2)


def _duplicates(comparison: Comparison) -> Value | None:
    fake, training = comparison.fake_data, comparison.training_data
    if fake is None or training is None or fake.images.shape[1:] != training.images.shape[1:]:
        return None
    same, mirrored = count_duplicates(fake.images, training.images)
    details: dict[str, Any] = {"same": same, "mirrored_only": mirrored}
    return Value(
        "duplicates",
        same / len(fake),
        "lower",
        settings={"training": len(training), "fake": len(fake), "of": "pixels"},
        details=details,
        notes=_duplicates_in_data(comparison.held_out_data, training),
    )


def _duplicates_in_data(held_out: ImageData | None, training: ImageData) -> tuple[str, ...]:
    if held_out is None or held_out.images.shape[1:] != training.images.shape[1:]:
        return ()
    same, _ = count_duplicates(held_out.images, training.images)
    if not same:
        return ()
    return (
        f"the data contain duplicates: {same} of {len(held_out)} held-out images are in training",
    )
