"""Does a generator repeat its training images? Nearest training images, against those of unseen ones."""

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
    """How near images come to the training set that were not copied from it."""

    distances: Tensor
    """Nearest training image, float64 ``[N]``."""
    near: Tensor
    """Over the distance of the second nearest, float64 ``[N]``."""
    source: str


@dataclass(kw_only=True, eq=False)
class Memorisation(Metric):
    """Nearest training image of every fake, against the same of real images held out of training.

    Real images that the generator never saw lie at some distance from the training set; both are
    measured against the same training set, so its size is in both. A generator that is as new as they
    are has ``memorised_share`` at chance and ``memorisation_ratio`` near 1; one that repeats its training
    images goes to 1 and to 0. Features decide what is near, so it is only as good as they are.
    ``duplicates`` compares pixels.

    Args:
        percentile: of the held-out distances; a fake nearer than it counts as memorised.
        pairs: how many of the closest pairs to list.
    """

    needs = frozenset({"training", "images"})
    wants = frozenset({"held out"})

    percentile: Annotated[float, Field(gt=0, lt=50)] = 1.0
    pairs: Annotated[int, Field(ge=0, le=1000)] = 32

    def measure(self, comparison: Comparison) -> list[Value]:
        """``memorised_share``, ``memorisation_ratio``, and ``duplicates`` where pixels are known.

        Without held-out images each training image is held out of the others.

        Raises:
            ConfigError: no training images, too few, or over half of the held-out images are copies.
        """
        if comparison.training is None:
            raise ConfigError("memorisation needs what the generator learned from: name its data")
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
        # Among n held-out distances and one more of their kind, it is up to the m-th with m / (n + 1).
        rank = min(held_out, max(1, round(self.percentile / 100 * (held_out + 1))))
        limit = float(scale.distances.kthvalue(rank).values)
        middle = _median(scale.distances)
        if middle == 0:
            raise ConfigError(
                f"more than half of the {scale.source} are copies of training images, so nothing says "
                "how near unseen images come; take the copies out"
            )
        settings = {"training": training, "fake": len(distances), "calibration": scale.source}
        settings["calibrated_on"] = held_out
        chance = rank / (held_out + 1)
        details = {
            "pairs": closest_pairs(distances, neighbours.index[:, 0], near, self.pairs),
            "limit": limit,
            "held_out_share": share_of(scale.distances <= limit),
            # Nearest under a third of the second nearest, as work on diffusion models has it.
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
                f"the data repeat themselves: {copies} of {len(scale.distances)} {scale.source} equal a "
                "training image in their features, which lowers the bar for fakes"
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
        near: over the distance of the second nearest, ``[N]``.
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
    """How many images equal one of the others; and how many only do so mirrored left to right.

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

        # Kept only where the other set has a name that cannot be mistaken.
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
        f"the data repeat themselves: {same} of {len(held_out)} held-out images are in training",
    )
