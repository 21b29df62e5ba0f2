"""Which metrics are measured, and which features and images each of them needs."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from reacgan.config import ConfigError, DataConfig, check_options, lookup
from reacgan.config.sections import named_options
from reacgan.data import DataError, ImageData, open_dataset
from reacgan.evaluation.reference import Reference, open_held_out
from reacgan.extractors.fitting import Shape, fitted_data
from reacgan.metrics import METRICS, Metric
from reacgan.metrics.base import Need
from reacgan.sampling import class_folders

STANDARD = ("fid", "kid", "is", "prdc", "ifid", "per_class", "accuracy", "memorisation")
"""Measured where no metric is named: these need one pass over the images."""


class Origin:
    """The training images of a generator or classifier, and held-out real images.

    Args:
        training: returns the images, or None; called on first use.
        held_out: likewise.
        named: whether the user named the training images.
    """

    def __init__(
        self,
        training: Callable[[], ImageData | None],
        held_out: Callable[[], ImageData | None],
        *,
        named: bool = False,
    ) -> None:
        self._training = training
        self._held_out = held_out
        self.named = named

    @cached_property
    def training(self) -> ImageData | None:
        """What it learned from."""
        return self._training()

    @cached_property
    def held_out(self) -> ImageData | None:
        """Real images of the same kind that are not training images."""
        return self._held_out()

    def in_shape(self, shape: Shape | None) -> Origin:
        """The same images in the shape of the reference, in which all sets are compared."""

        def fitted(data: ImageData | None) -> ImageData | None:
            return data if data is None or shape is None else fitted_data(data, shape)

        return Origin(lambda: fitted(self.training), lambda: fitted(self.held_out))


def origin_of(
    reference: Reference,
    *,
    training: ImageData | None = None,
    held_out: ImageData | None = None,
) -> Origin:
    """The named sets; for those not named, the splits of the reference's data set."""
    return Origin(
        lambda: training if training is not None else reference.training,
        lambda: held_out if held_out is not None else reference.held_out,
        named=training is not None,
    )


def own_origin(config: DataConfig, reference: Reference) -> Origin:
    """A run's own images; where they cannot be opened, the splits of the reference's data set."""

    def own_training() -> ImageData | None:
        try:
            return open_dataset(config, "train").excerpt
        except DataError:
            return None

    own = Origin(own_training, lambda: open_held_out(config))
    return Origin(
        lambda: own.training if own.training is not None else reference.training,
        lambda: own.held_out if own.training is not None else reference.held_out,
    )


@dataclass(eq=False)
class Plan:
    """The metrics of an evaluation, and what is needed for them.

    Args:
        reference: the real images.
        metrics: by name; those that cannot be measured are removed.
        explicit: whether the user named each of them, so that leaving one out is an error.
        origin: the generator's training and held-out images.
    """

    reference: Reference
    metrics: Mapping[str, Metric]
    explicit: bool
    origin: Origin
    skipped: dict[str, str] = field(default_factory=dict)
    """Metrics that cannot be measured, and why."""

    @cached_property
    def generator_data(self) -> Origin:
        """The generator's training and held-out images, in the shape of the reference."""
        return self.origin.in_shape(self.reference.shape)

    @cached_property
    def classifier_data(self) -> Origin:
        """Training and held-out images for a classifier of the reference's classes, likewise.

        The images that the user named; else the splits of the reference's data set; else the generator's.
        """
        own = self.origin.named or self.reference.training is None
        origin = self.origin if own else origin_of(self.reference)
        return origin.in_shape(self.reference.shape)

    @property
    def classifier_held_out(self) -> ImageData | None:
        """Images to test a classifier on: of its classes, and not its training images."""
        learned, held_out = self.classifier_data.training, self.classifier_data.held_out
        if learned is None or held_out is None:
            return None
        alike = learned.class_names == held_out.class_names
        alike = alike and learned.images.shape[1:] == held_out.images.shape[1:]
        same = len(learned) == len(held_out) and learned.digest == held_out.digest
        return held_out if alike and not same else None

    @property
    def needs(self) -> frozenset[Need]:
        """The needs of all metrics."""
        return frozenset().union(*(metric.needs for metric in self.metrics.values()))

    def related(self) -> dict[Need, ImageData]:
        """Real sets other than the reference whose features metrics need or want."""
        uses = self.needs.union(*(metric.wants for metric in self.metrics.values()))
        data = self.generator_data
        sets: dict[Need, ImageData | None] = {
            "training": data.training if "training" in uses else None,
            "held out": data.held_out if "held out" in uses else None,
        }
        return {need: images for need, images in sets.items() if images is not None}

    def matched(self, names: Sequence[str]) -> tuple[list[int] | None, str]:
        """The reference's label for each class of the images, or the reason for there being none."""
        reference = self.reference.class_names
        if not reference:
            return None, "the reference has no classes"
        alike = {name: label for label, name in enumerate(class_folders(reference))}
        return match_classes(names, reference, alike=alike)

    def missing(self, classes_differ: str) -> dict[Need, str]:
        """Needs that are known to be unmet before any feature is computed, with reasons."""
        missing: dict[Need, str] = {}
        if self.reference.data is None:
            missing["real features"] = (
                "the reference is a file of statistics, which serves fid alone"
            )
        if classes_differ:
            missing["labels"] = missing["classifier"] = classes_differ
        remedy = "give --training or a reference with a train split"
        if "training" in self.needs and self.generator_data.training is None:
            missing["training"] = f"no training images are known; {remedy}"
        if "classifier" in self.needs and not classes_differ:
            learned = self.classifier_data.training
            if learned is None:
                missing["classifier"] = f"no training images are known; {remedy}"
            elif learned.num_classes < 2:
                missing["classifier"] = "there is one class only"
            elif learned.class_names != self.reference.class_names:
                missing["classifier"] = "the training images have other classes than the reference"
        if "held out" in self.needs and self.generator_data.held_out is None:
            missing["held out"] = (
                "no held-out real images are known; give --held-out, or a reference with a test split"
            )
        return missing

    def leave_out(self, missing: Mapping[Need, str]) -> None:
        """Remove the metrics whose needs are not met.

        Raises:
            ConfigError: the user named one of them, or none is left.
        """
        skipped = {}
        for name, metric in self.metrics.items():
            reasons = [missing[need] for need in sorted(metric.needs) if need in missing]
            if reasons:
                skipped[name] = "; ".join(dict.fromkeys(reasons))
        self.metrics = {n: metric for n, metric in self.metrics.items() if n not in skipped}
        if skipped and (self.explicit or not self.metrics):
            raise ConfigError(cannot_measure(skipped))
        self.skipped.update(skipped)


def cannot_measure(reasons: Mapping[str, str]) -> str:
    """The message for metrics that cannot be measured, by name."""
    lines = "\n".join(f"  {name}: {reason}" for name, reason in reasons.items())
    return f"cannot be measured here:\n{lines}"


def build_metrics(wanted: Any) -> dict[str, Metric]:
    """Metrics by name.

    Args:
        wanted: names, ``all``, or a mapping of names to options: ``{"prdc": {"k": 3}}``; None for
            :data:`STANDARD`.

    Raises:
        ConfigError: an unknown metric or option.
    """
    if wanted in ("all", ["all"], ("all",)):
        wanted = list(METRICS)
    try:
        chosen = named_options(list(STANDARD) if wanted is None else wanted)
    except ValueError as error:
        raise ConfigError(f"metrics {error}") from None
    if not chosen:
        raise ConfigError(f"no metric is named; known: {', '.join(METRICS)}, or all")
    built = {}
    for name, options in chosen.items():
        member: Any = lookup("metric", METRICS, name)
        built[name] = member(**check_options(member, options, where=f"metrics.{name}"))
    return built


def match_classes(
    names: Sequence[str], reference: Sequence[str], *, alike: Mapping[str, int] | None = None
) -> tuple[list[int] | None, str]:
    """Match the classes of the generated images with those of the reference.

    Args:
        names: of the generated images.
        reference: of the reference.
        alike: further spellings of the reference's classes, with their labels.

    Returns:
        The reference's label for each of ``names`` (None where a class is not one of the
        reference's), and why there is none.
    """
    known = {**(alike or {}), **{name: label for label, name in enumerate(reference)}}
    composed = {unicodedata.normalize("NFC", name): label for name, label in known.items()}
    labels = [known.get(name, composed.get(unicodedata.normalize("NFC", name))) for name in names]
    foreign = [name for name, label in zip(names, labels, strict=True) if label is None]
    if foreign:
        missing = [name for label, name in enumerate(reference) if label not in labels]
        return None, (
            f"classes differ: the reference has none called {_listed(foreign)}"
            + (f", the generated images none called {_listed(missing)}" if missing else "")
        )
    return [label for label in labels if label is not None], ""


def translate_labels(
    labels: Tensor | None, translation: list[int] | None, names: Sequence[str]
) -> tuple[Tensor | None, tuple[str, ...]]:
    """Labels ``[N]`` as the reference numbers its classes, and notes.

    Args:
        labels: of the images, or None.
        translation: the reference's label for each of theirs, or None where classes do not match.
        names: the reference's classes.

    Raises:
        ConfigError: a label beyond the classes.
    """
    if labels is None or translation is None:
        return None, ()
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= len(translation):
        raise ConfigError(f"labels reach from {low} to {high}; needed: 0 to {len(translation) - 1}")
    translated = torch.tensor(translation)[labels]
    absent = sorted(set(range(len(names))) - set(translated.unique().tolist()))
    if not absent:
        return translated, ()
    shown = ", ".join(names[label] for label in absent[:5])
    more = " ..." if len(absent) > 5 else ""
    return translated, (f"no image of {len(absent)} classes of the reference: {shown}{more}",)


def _listed(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def known_share(learned: ImageData, images: ImageData) -> float:
    """Share of images whose pixels equal those of an image in ``learned``."""
    known = {hashlib.blake2b(image.tobytes()).digest() for image in learned.images}
    repeated = sum(hashlib.blake2b(image.tobytes()).digest() in known for image in images.images)
    return repeated / len(images)
