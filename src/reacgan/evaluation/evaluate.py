"""Scores of any images against any reference: one pass, every metric, each score with its protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import torch

from reacgan import distributed
from reacgan.config import MOST, ConfigError, DataConfig, Device, check_whole
from reacgan.data import ImageData
from reacgan.devices import describe_software, find_device
from reacgan.evaluation.cache import FeatureCache
from reacgan.evaluation.choice import choose_extractor, say_cost
from reacgan.evaluation.features import Pass, RealFeatures, extract, input_shape
from reacgan.evaluation.plan import (
    Origin,
    Plan,
    build_metrics,
    cannot_measure,
    known_share,
    origin_of,
    translate_labels,
)
from reacgan.evaluation.reference import Reference, compare_shapes, open_reference
from reacgan.evaluation.scores import Score
from reacgan.evaluation.sources import GeneratorSource, Images, Source, with_shape
from reacgan.extractors import Extractor, build_extractor
from reacgan.extractors.fitting import Shape
from reacgan.extractors.in_domain import hold_out
from reacgan.metrics import Classification, Comparison, FeatureSet, Metric, Value
from reacgan.metrics.base import Need
from reacgan.progress import stage

_Related = tuple[ImageData, FeatureSet]

_KNOWN = 0.05  # share of the reference that a classifier may have been trained on without a note


@dataclass(frozen=True)
class Evaluation:
    """The scores of a target."""

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
    """Facts of the images that the caller provides for the protocol."""

    subject: str = ""
    """Name of what is scored: a run, a model, a folder."""
    images_seen: int | None = None
    generator: Mapping[str, Any] | None = None
    selection: Mapping[str, Any] | None = None
    labels: str = "as given"
    seed: int | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    """What matters more than a note, such as sizes that differ from the reference's."""


def evaluate(
    images: Images,
    reference: str | Path | ImageData | DataConfig | Reference,
    *,
    metrics: Any = None,
    extractor: str | Extractor | None = None,
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
) -> Evaluation:
    """Score images against a reference; how far it is, :func:`reacgan.progress.listening` hears.

    Args:
        images: an iterable of uint8 batches ``[N, C, H, W]`` (alone, or as pairs with int64 labels
            ``[N]``), a data set, or a source by index. Under several processes each gives the same.
        reference: real images: a data set, a folder, a file of images, a registered name, or an .npz file
            of statistics. It keeps its own size and channels; both sides are converted to the extractor's
            input, and a difference is a warning of each score.
        metrics: names, ``all``, or names with options, such as ``{"prdc": {"k": 3}}``. None measures
            the standard ones that can be measured here.
        extractor: a name of :data:`reacgan.extractors.EXTRACTORS`, a file, or an extractor. None takes
            ``inception``, or ``domain`` where its weights are not at hand or images are few
            (:func:`reacgan.evaluation.choice.choose_extractor`).
        extractor_options: of its constructor, such as ``{"resizer": "legacy"}``.
        training: images that the generator was trained on; by default the reference's training split. The
            extractor ``domain`` is trained on them, too.
        held_out: real images that it was not trained on; by default the reference's test split.
        num: score the first ``num`` images only.
        resolution: side, or (height, width), that a folder or registered name is cropped and resized to;
            needed where its images are of many sizes.
        channels: likewise.
        class_names: of the labels in ``images``; by default the reference's.
        facts: further facts for the protocol.
        origin: gives training and held-out images, instead of these two.
        device: ``auto`` takes CUDA, then MPS, then the CPU.
        cache: for results that depend on real images alone; by default the package's.

    Returns:
        The scores, on every process; what was compared, on the main process.

    Raises:
        ConfigError: images or a reference that cannot be used, or a named metric that cannot be
            measured here.
    """
    if isinstance(images, str | Path | Mapping):
        raise ConfigError(
            f"images are {images!r:.60}; needed: batches, a data set or a source. Folders and runs are "
            "scored by `reacgan evaluate`, or reacgan.evaluation.scoring.score"
        )
    check_whole("num", num, most=MOST, optional=True)
    measured, computing = build_metrics(metrics), find_device(device)
    shape, images = with_shape(images)
    opened = open_reference(reference, resolution=resolution, channels=channels, like=shape)
    plan = Plan(
        reference=opened,
        metrics=measured,
        explicit=metrics is not None and metrics != "all",
        origin=origin or origin_of(opened, training=training, held_out=held_out),
    )
    work = _Work(plan, shape, computing, cache if cache is not None else FeatureCache())
    network, options = extractor, extractor_options or {}
    count = _count_of(images, num)
    if network is None:
        network = choose_extractor(plan, count, options=options, device=work.device)
    if isinstance(network, str):
        network = work.build(network, options, count)
    network.to(work.device)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # G's too
        compared = work.compare(images, network, num, tuple(class_names))
        scores, failed = work.measure(compared, facts or Facts())
    return Evaluation(
        scores, {**plan.skipped, **failed}, compared.comparison if compared is not None else None
    )


@dataclass(frozen=True, eq=False)
class _Compared:
    """Two sets of features that are ready to be measured, and their part of the protocol."""

    comparison: Comparison
    extractor: Mapping[str, Any]
    reference: Mapping[str, Any]
    fake: Mapping[str, Any]
    """Size and channels of the scored images where the reference has others, and the conversion."""
    related: Mapping[Need, Mapping[str, Any]]
    """Training and held-out images, for the protocols of metrics that need them."""
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


class _Work:
    """The stages of one evaluation: features of all sets, the comparison, the metrics."""

    def __init__(self, plan: Plan, shape: Shape, device: torch.device, cache: FeatureCache) -> None:
        self.plan = plan
        self.reference = plan.reference
        self.shape = shape
        self.device = device
        self.real_features = RealFeatures(self.reference.shape, device, cache)

    def build(self, name: str, options: Mapping[str, Any], count: int | None = None) -> Extractor:
        """The extractor of a name or file, to score ``count`` images by; ``domain`` is trained now."""
        domain = name == "domain"
        return build_extractor(
            name,
            options,
            train=self.plan.classifier_data.training if domain else None,
            held_out=self.plan.classifier_held_out if domain else None,
            device=self.device,
            expect=partial(say_cost, self.plan, options, count) if domain else None,
        )

    def compare(
        self,
        images: Images,
        network: Extractor,
        num: int | None,
        class_names: tuple[str, ...],
    ) -> _Compared | None:
        """Compute all features that the metrics need; on the main process, None on others."""
        plan = self.plan
        names = class_names or getattr(images, "class_names", ()) or self.reference.class_names
        translation, differ = plan.matched(names)
        missing = plan.missing(differ)
        plan.leave_out(missing)
        real = self._real(network)
        if self.reference.data is not None and real is not None and real.logits is None:
            missing["logits"] = _no_logits(network)
        plan.leave_out(json.loads(distributed.share_text(json.dumps(missing), self.device)))
        classifier = self._classifier(network) if "classifier" in plan.needs else None
        with stage(_work_on(images), _count_of(images, num)) as progress:
            made = extract(
                images,
                [network, *([classifier] if classifier not in (None, network) else [])],
                device=self.device,
                keep_images="images" in plan.needs,
                limit=num,
                class_names=names,
                shape=self.reference.shape,
                progress=progress.at,
            )
        related = self._related(network)
        compared, problem = None, ""
        if made is not None and real is not None:
            try:
                labels, notes = translate_labels(
                    made.labels, translation, self.reference.class_names
                )
                made = replace(made, labels=labels, class_names=self.reference.class_names)
                compared = self._compared(made, real, related, network, classifier, notes)
            except ConfigError as error:
                problem = str(error)
        if problem := distributed.share_text(problem, self.device):
            raise ConfigError(problem)
        return compared

    def _compared(
        self,
        made: Pass,
        real: FeatureSet,
        related: Mapping[Need, _Related],
        network: Extractor,
        classifier: Any,
        notes: tuple[str, ...],
    ) -> _Compared:
        own, features = made.features[0], made.features[-1]
        if made.labels is None:
            self.plan.leave_out(
                dict.fromkeys(("labels", "classifier"), "the images have no labels")
            )
        if own.logits is None:
            self.plan.leave_out({"logits": _no_logits(network)})
        if classifier is not None and features.logits is None:
            raise ConfigError("the classifier gives no class scores")
        seen_as = input_shape(network, self.reference.shape)
        fake, warnings = compare_shapes(self.shape, self.reference.shape, seen_as, network)
        data = {need: images for need, (images, _) in related.items()}
        sets = {need: features for need, (_, features) in related.items()}
        classification = None
        if classifier is not None and features.logits is not None:
            accuracies = classifier.held_out_top1, classifier.held_out_top5
            classification = Classification(features.logits, *accuracies, classifier.describe())
        return _Compared(
            Comparison(
                fake=FeatureSet(
                    own.features, own.logits, made.labels, made.class_names, device=real.device
                ),
                real=real,
                training=sets.get("training"),
                held_out=sets.get("held out"),
                classification=classification,
                fake_data=made.data("generated images"),
                real_data=self.reference.data,
                training_data=data.get("training"),
                held_out_data=data.get("held out"),
            ),
            extractor=network.describe(),
            reference=self.reference.describe(),
            fake=fake,
            related={
                need: {"images": len(images), "digest": images.digest[:16]}
                for need, images in data.items()
            },
            notes=(*notes, *getattr(network, "notes", ()), *self._notes_on(network)),
            warnings=(*self.reference.warnings, *warnings),
        )

    def _real(self, network: Extractor) -> FeatureSet | None:
        """The reference as the extractor sees it; None on processes other than the main one."""
        if self.reference.data is not None:
            labelled = self.reference.labelled
            return self.real_features.of(
                self.reference.data, network, "the reference", labelled=labelled
            )
        moments = self.reference.known_moments
        width = moments.mean.shape[0] if moments is not None else 0
        if width != network.features_dim:
            raise ConfigError(
                f"the statistics are of {width} features, the extractor {network.name} gives "
                f"{network.features_dim}; they were made with another extractor"
            )
        return FeatureSet(None, known_moments=moments)

    def _related(self, network: Extractor) -> dict[Need, _Related]:
        sets: dict[Need, _Related] = {}
        for need, data in self.plan.related().items():
            labelled = data is not self.reference.data or self.reference.labelled
            features = self.real_features.of(data, network, f"the {need} images", labelled=labelled)
            if features is not None:
                sets[need] = data, features
        return sets

    def _classifier(self, network: Extractor) -> Any:
        """A classifier of the reference's classes: the extractor itself where it is one."""
        learned = self.plan.classifier_data.training
        if learned is None:
            raise ConfigError("a classifier needs training images")
        if network.name == "domain" and getattr(network, "data_digest", None) == learned.digest:
            return network
        classifier = self.build("domain", {})
        classifier.to(self.device)
        return classifier

    def _notes_on(self, network: Extractor) -> Iterator[str]:
        """A note where the extractor is a classifier that was trained on the reference."""
        learned, real = self.plan.classifier_data.training, self.reference.data
        if network.name != "domain" or learned is None or real is None:
            return
        own = getattr(network, "data_digest", None)
        if own != learned.digest:  # as on one half: of others only the very same set is known
            share = float(own == real.digest)
        else:
            apart = self.plan.classifier_held_out is None  # it has kept a tenth apart for itself
            share = known_share(hold_out(learned)[0] if apart else learned, real)
        if share >= _KNOWN:
            yield (
                f"the classifier whose features are compared was trained on {share:.0%} of the reference, "
                "and knows those images better than new ones: compare these scores with one another "
                "only. Better: a folder test/ of images that nothing learns from, or --reference"
            )

    def measure(
        self, compared: _Compared | None, facts: Facts
    ) -> tuple[tuple[Score, ...], dict[str, str]]:
        """Run the metrics on the main process; the scores, and what failed, on all."""
        scores, failed = self._scores(compared, facts) if compared is not None else ([], {})
        if distributed.world_size() > 1:
            text = json.dumps([failed, [score.to_line() for score in scores]])
            failed, lines = json.loads(distributed.share_text(text, self.device))
            scores = [Score.from_line(line) for line in lines]
        if failed and not scores:
            raise ConfigError(cannot_measure(failed))
        return tuple(scores), failed

    def _scores(self, compared: _Compared, facts: Facts) -> tuple[list[Score], dict[str, str]]:
        scores: list[Score] = []
        failed: dict[str, str] = {}
        for name, metric in self.plan.metrics.items():
            try:
                with stage(f"measuring {name}"):
                    values = metric.measure(compared.comparison)
            except ConfigError as error:  # the other metrics go on
                failed[name] = str(error)
                continue
            scores += [self._score(value, metric, compared, facts) for value in values]
        return scores, failed

    def _score(self, value: Value, metric: Metric, compared: _Compared, facts: Facts) -> Score:
        """A value with its protocol."""
        seed = {} if facts.seed is None else {"seed": facts.seed}
        count = len(compared.comparison.fake)
        related = {
            need.replace(" ", "_"): dict(compared.related[need])
            for need in sorted(metric.needs | metric.wants)
            if need in compared.related
        }
        protocol = {
            "extractor": compared.extractor,
            "fake": {"images": count, "labels": facts.labels, **compared.fake, **seed},
            "reference": compared.reference,
            **({"generator": dict(facts.generator)} if facts.generator else {}),
            **({"selection": dict(facts.selection)} if facts.selection else {}),
            "metric": {**related, **value.settings},
            "software": describe_software(self.device),
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


def _work_on(images: Images) -> str:
    if isinstance(images, GeneratorSource):
        return "generating the images to score"
    return "features of the images to score"


def _count_of(images: Images, limit: int | None) -> int | None:
    """How many images are scored; None for an iterable of unknown length."""
    if not isinstance(images, Source | ImageData):
        return limit
    return len(images) if limit is None else min(limit, len(images))


def _no_logits(network: Extractor) -> str:
    return f"the extractor {network.name} gives no class scores"
