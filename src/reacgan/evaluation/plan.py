"""From images and a reference to the comparison that metrics look at: each set is seen once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from reacgan import distributed
from reacgan.config import ConfigError
from reacgan.data import ImageData
from reacgan.evaluation.cache import FeatureCache
from reacgan.evaluation.choosing import match_classes, needs_of, place_labels, sort_out, uses_of
from reacgan.evaluation.compared import Compared, beside_of, differing, judgement_of, set_of
from reacgan.evaluation.features import Look, Looked, Progress, look, seen_as
from reacgan.evaluation.origins import (
    Brought,
    Origin,
    judging,
    known_by_heart,
    usable_held_out,
)
from reacgan.evaluation.reference import Reference
from reacgan.evaluation.scores import is_digest
from reacgan.evaluation.sources import Images
from reacgan.evaluation.together import agreed, kept_together
from reacgan.extractors import Extractor, build_extractor
from reacgan.extractors.fitting import RULE, Shape
from reacgan.metrics import Comparison, FeatureSet, Metric
from reacgan.metrics.base import Need
from reacgan.sampling import class_folders


@dataclass(eq=False)
class Plan:
    """Which sets are needed, and looking at them."""

    reference: Reference
    metrics: Mapping[str, Metric]
    all_wanted: bool
    origin: Origin
    """Where the generator learned from."""
    shape: Shape
    """Of the images to score."""
    device: torch.device
    cache: FeatureCache
    say: Callable[[str], None]
    skipped: dict[str, str] = field(default_factory=dict)
    _seen: dict[str, FeatureSet | None] = field(default_factory=dict)

    @cached_property
    def beside(self) -> Origin:
        """The same in the shape of the reference; opened when first asked for."""
        return Brought(self.origin, self.reference.shape)

    @cached_property
    def judged_by(self) -> Origin:
        """What a classifier of the reference's classes learns from, likewise."""
        return Brought(judging(self.origin, self.reference), self.reference.shape)

    @property
    def training_data(self) -> ImageData | None:
        """What the generator learned from."""
        return self.beside.training

    @property
    def held_out_data(self) -> ImageData | None:
        """Real images that it did not learn from."""
        return self.beside.held_out

    def build(self, name: str, options: Mapping[str, Any]) -> Extractor:
        """The extractor of a name or file; ``domain`` learns from real images now."""
        learns = name == "domain"
        if learns:
            self.say("training a classifier of the real images, or reading it from the cache")
        return build_extractor(
            name,
            options,
            train=self.judged_by.training if learns else None,
            held_out=self._tried_on() if learns else None,
            device=self.device,
        )

    def compare(
        self,
        images: Images,
        network: Extractor,
        *,
        num: int | None,
        class_names: tuple[str, ...],
        progress: Progress | None,
    ) -> Compared | None:
        """Look at everything that the metrics need.

        Returns:
            On the main process; None on others.
        """
        names = class_names or getattr(images, "class_names", ()) or self._reference_names()
        remap, differ = self._matched(names)
        lacking = self._lacking(differ)
        self._leave_out(lacking)
        real = self.real_set(network)
        if self.reference.data is not None and real is not None and real.logits is None:
            lacking["logits"] = f"the extractor {network.name} gives no class scores"
        self._leave_out(agreed(lacking, self.device))
        needs = needs_of(self.metrics)
        judge = self._judge(network) if "judge" in needs else None
        beside = judge if judge is not None and judge is not network else None
        self.say("looking at the images to score")
        looked = look(
            images,
            [network, *([beside] if beside is not None else [])],
            device=self.device,
            keep_images="images" in needs,
            limit=num,
            class_names=names,
            shape=self.reference.shape,
            progress=progress,
        )
        others = self._others(network, uses_of(self.metrics))
        compared, problem = None, ""
        if looked is not None and real is not None:
            try:
                compared = self._compared(
                    looked, real, others, network=network, judge=judge, remap=remap
                )
            except ConfigError as error:
                problem = str(error)
        if problem := distributed.share_text(problem, self.device):
            raise ConfigError(problem)
        return compared

    def _compared(
        self,
        looked: Looked,
        real: FeatureSet,
        others: Mapping[Need, FeatureSet],
        *,
        network: Extractor,
        judge: Any,
        remap: list[int] | None,
    ) -> Compared:
        labels, notes = place_labels(looked.labels, remap, self._reference_names())
        if labels is None:
            self._leave_out(
                {"labels": "the images have no labels", "judge": "the images have no labels"}
            )
        fake = set_of(looked.looks[0], labels, self._reference_names(), None)
        if fake.logits is None:
            self._leave_out({"logits": f"the extractor {network.name} gives no class scores"})
        own = self.reference.shape
        differs, warnings = differing(self.shape, own, seen_as(network, own), network)
        known = replace(looked, labels=labels, class_names=self._reference_names())
        return Compared(
            Comparison(
                fake=fake,
                real=real,
                training=others.get("training"),
                held_out=others.get("held out"),
                judgement=judgement_of(judge, looked.looks[-1]) if judge is not None else None,
                fake_data=known.data("generated images"),
                real_data=self.reference.data,
                training_data=self.training_data if "training" in others else None,
                held_out_data=self.held_out_data if "held out" in others else None,
            ),
            metrics=self.metrics,
            extractor=network.describe(),
            reference=self.reference.describe(),
            beside=beside_of(
                others, judge, training=self.training_data, held_out=self.held_out_data
            ),
            fake=differs,
            warnings=(*self.reference.warnings, *warnings),
            notes=(
                *notes,
                *getattr(network, "notes", ()),
                *known_by_heart(network, self.judged_by.training, self.reference.data),
            ),
            device=self.device,
        )

    def _reference_names(self) -> tuple[str, ...]:
        data = self.reference.data
        return data.class_names if data is not None and self.reference.labelled else ()

    def _matched(self, names: tuple[str, ...]) -> tuple[list[int] | None, str]:
        reference = self._reference_names()
        if not reference:
            return None, "the reference has no classes"
        alike = {name: label for label, name in enumerate(class_folders(reference))}
        return match_classes(names, reference, alike=alike)

    def _lacking(self, classes_differ: str) -> dict[Need, str]:
        """Needs that are not met, as far as that is known before any image is looked at."""
        lacking: dict[Need, str] = {}
        if self.reference.data is None:
            lacking["real features"] = (
                "the reference is a file of statistics, which serves fid alone"
            )
        if classes_differ:
            lacking["labels"] = lacking["judge"] = classes_differ
        needs = needs_of(self.metrics)
        remedy = "give --training or a reference with a train split"
        if "training" in needs and self.training_data is None:
            lacking["training"] = f"no training images are known; {remedy}"
        if "judge" in needs and not classes_differ:
            learned = self.judged_by.training
            if learned is None:
                lacking["judge"] = f"no training images are known; {remedy}"
            elif learned.num_classes < 2:
                lacking["judge"] = "there is one class only"
            elif learned.class_names != self._reference_names():
                lacking["judge"] = "the training images have other classes than the reference"
        if "held out" in needs and self.held_out_data is None:
            lacking["held out"] = (
                "no held-out real images are known; give --held-out, or a reference with a test split"
            )
        return lacking

    def _leave_out(self, lacking: Mapping[Need, str]) -> None:
        self.metrics, skipped = sort_out(self.metrics, lacking, all_wanted=self.all_wanted)
        self.skipped.update(skipped)

    def _tried_on(self) -> ImageData | None:
        return usable_held_out(self.judged_by.training, self.judged_by.held_out)

    def _judge(self, network: Extractor) -> Any:
        """A classifier of the reference's classes: the extractor itself where it is one."""
        learned = self.judged_by.training
        if learned is None:
            raise ConfigError("a judge needs training images")
        if network.name == "domain" and getattr(network, "data_digest", None) == learned.digest:
            return network
        judge = self.build("domain", {})
        judge.to(self.device)
        return judge

    def real_set(self, network: Extractor) -> FeatureSet | None:
        """The reference as the extractor sees it; None on processes other than the main one."""
        if self.reference.data is None:
            moments = self.reference.known_moments
            width = moments.mean.shape[0] if moments is not None else 0
            if width != network.features_dim:
                raise ConfigError(
                    f"the statistics are of {width} features, the extractor {network.name} gives "
                    f"{network.features_dim}; they were made with another extractor"
                )
            return FeatureSet(None, known_moments=moments)
        return self._look_once(self.reference.data, network, "the reference")

    def _others(self, network: Extractor, uses: frozenset[Need]) -> dict[Need, FeatureSet]:
        found: dict[Need, FeatureSet] = {}
        wanted: tuple[tuple[Need, ImageData | None], ...] = (
            ("training", self.training_data if "training" in uses else None),
            ("held out", self.held_out_data if "held out" in uses else None),
        )
        for need, data in wanted:
            if data is not None:
                seen = self._look_once(data, network, f"the {need} images")
                if seen is not None:
                    found[need] = seen
        return found

    def _look_once(self, data: ImageData, network: Extractor, named: str) -> FeatureSet | None:
        """Features of real images, from the cache or made now by all processes together."""
        if data.digest not in self._seen:
            self.say(f"looking at {named}: {len(data):,} images")
            said = network.describe()
            shape = seen_as(network, self.reference.shape)
            differs = shape is not None and data.images.shape[1:] != shape
            brought = {"brought_to": f"{shape}: {RULE}"} if differs else {}
            keep = (
                self.cache.keep({"images": data.digest, **brought, "extractor": said}, data.source)
                if is_digest(said.get("weights"))
                else None
            )

            def make() -> dict[str, Tensor]:
                looked = look(data, [network], device=self.device, shape=self.reference.shape)
                return looked.looks[0].tensors() if looked is not None else {}

            tensors = kept_together(keep, "features", make, self.device)
            if tensors is None:  # another process has them
                self._seen[data.digest] = None
                return None
            labelled = data is not self.reference.data or self.reference.labelled
            labels = torch.tensor(data.labels) if labelled else None
            seen = Look(tensors["features"], tensors.get("logits"))
            self._seen[data.digest] = set_of(
                seen, labels, data.class_names if labelled else (), keep
            )
        return self._seen[data.digest]
