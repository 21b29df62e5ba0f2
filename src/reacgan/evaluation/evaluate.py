"""Scores of any images against any reference: one pass, every metric, each score with its protocol."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from reacgan import distributed
from reacgan.config import ConfigError, DataConfig, Device
from reacgan.data import ImageData
from reacgan.devices import find_device
from reacgan.evaluation.cache import FeatureCache
from reacgan.evaluation.choosing import build_metrics
from reacgan.evaluation.compared import Compared
from reacgan.evaluation.features import Progress
from reacgan.evaluation.origins import Named, Origin
from reacgan.evaluation.plan import Plan
from reacgan.evaluation.reference import Reference, open_reference
from reacgan.evaluation.scores import Score
from reacgan.evaluation.software import describe_software
from reacgan.evaluation.sources import Images, peek
from reacgan.extractors import Extractor
from reacgan.metrics import Comparison, Metric, Value

Say = Callable[[str], None]


@dataclass(frozen=True)
class Evaluation:
    """The scores of one subject."""

    scores: tuple[Score, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Metrics that could not be measured, and why."""
    comparison: Comparison | None = field(default=None, repr=False)
    """What was compared, for pictures; on the main process only."""

    def __getitem__(self, metric: str) -> float:
        """The value of a metric by its name, such as ``fid`` or ``recall``."""
        for score in self.scores:
            if score.metric == metric:
                return score.value
        known = ", ".join(score.metric for score in self.scores)
        raise KeyError(f"{metric!r} was not measured; there are: {known}")


@dataclass(frozen=True)
class Facts:
    """What the caller knows of the images: part of the protocol of every score."""

    subject: str = ""
    images_seen: int | None = None
    generator: Mapping[str, Any] | None = None
    selection: Mapping[str, Any] | None = None
    labels: str = "as given"
    seed: int | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    """What must be known before a value is read."""


def evaluate(
    images: Images,
    reference: str | Path | ImageData | DataConfig | Reference,
    *,
    metrics: Any = None,
    extractor: str | Extractor = "inception",
    extractor_options: Mapping[str, Any] | None = None,
    training: ImageData | None = None,
    held_out: ImageData | None = None,
    num: int | None = None,
    resolution: Any = None,
    channels: int | None = None,
    class_names: Sequence[str] = (),
    facts: Facts | None = None,
    origin: Origin | None = None,
    device: Device = "auto",
    cache: FeatureCache | None = None,
    progress: Progress | None = None,
    say: Say | None = None,
) -> Evaluation:
    """Score images against a reference.

    Args:
        images: an iterable of uint8 batches ``[N, C, H, W]`` (alone, or as pairs with int64 labels
            ``[N]``), a data set, or a source by place. Under several processes each gives the same.
        reference: real images: a data set, a folder, a file of images, a registered name, or an .npz file
            of statistics. It keeps its own size and channels, whatever the images have; both sides are
            brought to what the extractor takes, and a difference is a warning of each score.
        metrics: names, ``all``, or names with options, such as ``{"prdc": {"k": 3}}``. None measures
            the standard ones that can be measured here.
        extractor: a name of :data:`reacgan.extractors.EXTRACTORS`, a file, or an extractor.
        extractor_options: of its constructor, such as ``{"resizer": "legacy"}``.
        training: what the generator learned from; by default the reference's training split. The
            extractor ``domain`` learns from it, too.
        held_out: real images that it did not learn from; by default the reference's test split.
        num: only the first so many images.
        resolution: side, or (height, width), that a folder or registered name is cropped and resized to;
            needed where its images are of many sizes.
        channels: that it is brought to.
        class_names: of the labels in ``images``; by default the reference's.
        facts: what else is known of the images.
        origin: where training and held-out images are, instead of these two.
        device: ``auto`` takes CUDA, then MPS, then the CPU.
        cache: of what depends on real images alone; by default the one of the package.
        progress: called with (images done, images in all or None).
        say: called with each stage in words.

    Returns:
        The scores, on every process; what was compared, on the main process.

    Raises:
        ConfigError: images or a reference that cannot be used, a metric that a person named and that
            cannot be measured here; the message says why and what to do.
    """
    _check(images, num)
    place = find_device(device)
    shape, images = peek(images)
    found = open_reference(reference, resolution=resolution, channels=channels, like=shape)
    if origin is None and (training, held_out) != (None, None):
        origin = Named(found, training=training, held_out=held_out)
    plan = Plan(
        reference=found,
        metrics=build_metrics(metrics),
        all_wanted=metrics is not None and metrics != "all",
        origin=origin or found,
        shape=shape,
        device=place,
        cache=cache if cache is not None else FeatureCache(),
        say=say or (lambda text: None),
    )
    network = extractor
    if isinstance(network, str):
        network = plan.build(network, extractor_options or {})
    network.to(place)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # G's too
        compared = plan.compare(
            images, network, num=num, class_names=tuple(class_names), progress=progress
        )
        scores, failed = _measure(compared, facts or Facts(), plan)
    return Evaluation(
        scores, {**plan.skipped, **failed}, compared.comparison if compared is not None else None
    )


def _check(images: Any, num: int | None) -> None:
    if isinstance(images, str | Path | Mapping):
        raise ConfigError(
            f"images are {images!r:.60}; needed: batches, a data set or a source. Folders and runs are "
            "scored by `reacgan evaluate`, or reacgan.evaluation.scoring.score"
        )
    if num is not None and num < 1:
        raise ConfigError(f"num is {num}; allowed: 1 or more")


def _measure(
    compared: Compared | None, facts: Facts, plan: Plan
) -> tuple[tuple[Score, ...], dict[str, str]]:
    """On the main process; the others are told the scores, and what could not be measured."""
    scores, failed = _scores(compared, facts, plan.say) if compared is not None else ([], {})
    if distributed.world_size() > 1:
        text = json.dumps([failed, [score.to_line() for score in scores]])
        failed, lines = json.loads(distributed.share_text(text, plan.device))
        scores = [Score.from_line(line) for line in lines]
    if failed and not scores:
        told = "\n".join(f"  {name}: {reason}" for name, reason in failed.items())
        raise ConfigError(f"cannot be measured here:\n{told}")
    return tuple(scores), failed


def _scores(compared: Compared, facts: Facts, say: Say) -> tuple[list[Score], dict[str, str]]:
    """What each metric gives; the pass is made, so one that fails does not cost the others."""
    scores: list[Score] = []
    failed: dict[str, str] = {}
    for name, metric in compared.metrics.items():
        say(f"measuring {name}")
        try:
            values = metric.measure(compared.comparison)
        except ConfigError as error:
            failed[name] = str(error)
            continue
        scores += [_score(one, metric, compared, facts) for one in values]
    return scores, failed


def _score(value: Value, metric: Metric, compared: Compared, facts: Facts) -> Score:
    """A value with all that it depends on."""
    fake: dict[str, Any] = {
        "images": len(compared.comparison.fake),
        "labels": facts.labels,
        **compared.fake,
    }
    if facts.seed is not None:
        fake["seed"] = facts.seed
    protocol = {
        "extractor": compared.extractor,
        "fake": fake,
        "reference": compared.reference,
        **({"generator": dict(facts.generator)} if facts.generator else {}),
        **({"selection": dict(facts.selection)} if facts.selection else {}),
        "metric": {**compared.settings_for(metric), **value.settings},
        "software": describe_software(compared.device),
    }
    return Score(
        metric=value.name,
        value=value.value,
        better=value.better,
        protocol=protocol,
        low=value.low,
        high=value.high,
        details=value.details,
        notes=(*facts.notes, *compared.notes, *value.notes),
        warnings=(*facts.warnings, *compared.warnings),
        subject=facts.subject,
        images_seen=facts.images_seen,
        time=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
