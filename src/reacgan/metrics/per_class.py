"""Precision, recall and coverage within each class: a mean over all images hides a class that failed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.metrics.base import Comparison, FeatureSet, Metric, Value
from reacgan.metrics.neighbours import squared_radii
from reacgan.metrics.prdc import prdc
from reacgan.progress import counted

_MEASURES = ("precision", "recall", "coverage")
_WORST = 5


@dataclass(kw_only=True, eq=False)
class PerClass(Metric):
    """Means over classes of precision, recall and coverage within the class, and each class by name.

    The fakes of a class are compared with the real images of that class alone (see
    :func:`reacgan.metrics.prdc`), so a class that lacks diversity, or shows another class, stands out.
    Every class has the same weight.

    Args:
        k: hyperspheres reach to the k-th neighbour. A class with k images or fewer on either side is
            left out.
    """

    needs = frozenset({"real features", "labels"})

    k: Annotated[int, Field(ge=1)] = 5

    def measure(self, comparison: Comparison) -> list[Value]:
        """``class_precision``, ``class_recall``, ``class_coverage``.

        Raises:
            ConfigError: no labels, other class names, or no class with over k images on both sides.
        """
        real, fake = comparison.real, comparison.fake
        names = _class_names(real, fake)
        ours, theirs = _members(real, len(names)), _members(fake, len(names))
        counts = zip(map(len, ours), map(len, theirs), strict=True)
        used = [label for label, pair in enumerate(counts) if min(pair) > self.k]
        if not used:
            raise ConfigError(
                f"no class has over k = {self.k} images, real and fake; generate more images, or lower k"
            )
        radii = self._radii(real, ours)
        shares = {}
        for label in counted(used, "neighbours within classes", len(used), "classes"):
            within = prdc(
                real.all_features()[ours[label]].to(real.works_on),
                fake.all_features()[theirs[label]].to(real.works_on),
                k=self.k,
                real_radii=radii[ours[label].cpu()].to(real.works_on),
            )
            shares[names[label]] = {name: getattr(within, name) for name in _MEASURES}
        return self._values(shares, names, ours, theirs)

    def _values(
        self,
        shares: Mapping[str, Mapping[str, float]],
        names: tuple[str, ...],
        ours: list[Tensor],
        theirs: list[Tensor],
    ) -> list[Value]:
        counts = {
            name: {"real": len(mine), "fake": len(other)}
            for name, mine, other in zip(names, ours, theirs, strict=True)
        }
        settings = {
            "k": self.k,
            "classes": len(shares),
            "real": sum(counts[name]["real"] for name in shares),
            "fake": sum(counts[name]["fake"] for name in shares),
        }
        values = []
        for measure in _MEASURES:
            by_class = {name: measures[measure] for name, measures in shares.items()}
            worst = sorted(by_class, key=lambda name: (by_class[name], name))[:_WORST]
            details: dict[str, Any] = {"classes": by_class, "worst": worst, "counts": counts}
            mean = math.fsum(by_class.values()) / len(by_class)
            values.append(
                Value(
                    f"class_{measure}",
                    mean,
                    "higher",
                    settings=settings,
                    details=details,
                    notes=self._notes(shares, counts),
                )
            )
        return values

    def _notes(
        self, used: Mapping[str, object], counts: Mapping[str, Mapping[str, int]]
    ) -> tuple[str, ...]:
        notes = []
        left_out = [name for name in counts if name not in used]
        if left_out:
            shown = ", ".join(left_out[:_WORST]) + (", ..." if len(left_out) > _WORST else "")
            notes.append(
                f"left out, with {self.k} images or fewer, real or fake: {len(left_out)} of "
                f"{len(counts)} classes ({shown})"
            )
        real, fake = (sum(counts[name][kind] for name in used) for kind in ("real", "fake"))
        if any(counts[name]["real"] != counts[name]["fake"] for name in used):
            notes.append(
                f"classes have different numbers of real and fake images ({real:,} and {fake:,} in all); "
                "recall and coverage shift with the counts"
            )
        return tuple(notes)

    def _radii(self, real: FeatureSet, members: list[Tensor]) -> Tensor:
        """The radius of each real image within its class, kept with the set; NaN in small classes."""

        def make() -> dict[str, Tensor]:
            features = real.all_features()
            radii = torch.full((len(features),), float("nan"), dtype=torch.float64)
            for rows in counted(members, "radii within classes", len(members), "classes"):
                if len(rows) > self.k:
                    within = squared_radii(features[rows].to(real.works_on), self.k)
                    radii[rows.cpu()] = within.cpu()
            return {"squared": radii}

        squared = real.keep(f"radii within classes k={self.k}", make)["squared"]
        return squared.double()


def _class_names(real: FeatureSet, fake: FeatureSet) -> tuple[str, ...]:
    if real.labels is None or fake.labels is None:
        raise ConfigError("per_class needs the class of every image, real and fake")
    if real.class_names != fake.class_names:
        raise ConfigError(
            f"the reference has classes {_few(real.class_names)} and the fakes "
            f"{_few(fake.class_names)}; needed: the same, in the same order"
        )
    return real.class_names


def _members(images: FeatureSet, classes: int) -> list[Tensor]:
    labels = images.labels
    assert labels is not None
    device = images.all_features().device
    return [(labels == label).nonzero().squeeze(1).to(device) for label in range(classes)]


def _few(names: tuple[str, ...]) -> str:
    return f"{len(names)} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
