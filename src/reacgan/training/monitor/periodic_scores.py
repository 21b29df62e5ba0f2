"""Scores during training, and the best state by one of them, selected on separate images.

``scores.selection``:

split       states are chosen on the training images (or, where nothing is held out, on every second
            one of them), and reported on the held-out images (or on the others).
published   as in many published tables: chosen on the reference that is reported, which biases the
            score; its protocol holds that.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from reacgan import distributed, hub
from reacgan.config import ConfigError, Experiment
from reacgan.data import ImageData
from reacgan.evaluation import (
    Evaluation,
    FeatureCache,
    Score,
    append_scores,
    evaluate,
    read_scores,
)
from reacgan.evaluation.reference import Reference, open_held_out
from reacgan.evaluation.scoring import REPORT_SEED
from reacgan.evaluation.targets import GeneratorTarget
from reacgan.extractors import Extractor, build_extractor
from reacgan.files import write_text
from reacgan.hub.selection import BEST, for_protocol, read_selection
from reacgan.models.trained import TrainedGenerator, TrainedState
from reacgan.records import sealed, text_lines
from reacgan.sampling import SamplingSettings
from reacgan.training.context import RunContext

MOST = 10_000
"""Default number of images of a periodic score."""


def periodic_scores(run: RunContext) -> PeriodicScores | None:
    """The periodic scores of ``scores.every``, or None; scores after the current state are removed."""
    if run.experiment.scores.every is None:
        return None
    scores = PeriodicScores(run.experiment, run.data, run.folder.path, run.engine.device)
    scores.back_to(run.images_seen)
    return scores


class PeriodicScores:
    """Scores the averaged generator; every process calls each method.

    Args:
        experiment: with ``scores``: interval, metrics, and selection of states.
        data: the training images.
        folder: of the run, with ``best/`` and ``scores.jsonl``.
        device: of the generator.
    """

    def __init__(self, experiment: Experiment, data: ImageData, folder: Path, device: Any) -> None:
        self.config = experiment.scores
        self.experiment = experiment
        self.data = data.excerpt
        self.folder = folder
        self.device = device
        self.cache = FeatureCache()
        self.measured_at: int | None = None
        """Images seen of the state that this call scored last."""

    @cached_property
    def held_out(self) -> ImageData | None:
        """The test split, where there is one."""
        return open_held_out(self.experiment.data)

    @cached_property
    def report_reference(self) -> Reference:
        """The reference for reported scores."""
        if self.held_out is not None:
            return self._reference(self.held_out, "test")
        whole = self._reference(self.data, "train")
        return whole if self.config.selection == "published" else whole.half(1)

    @cached_property
    def selection_reference(self) -> Reference:
        """The reference for choosing states."""
        if self.config.selection == "published":
            return self.report_reference
        whole = self._reference(self.data, "train")
        if self.held_out is None:
            return whole.half(0)
        count = min(len(self.data), self.config.num or MOST)
        if count == len(self.data):
            return whole
        spread = np.linspace(0, len(self.data) - 1, count).round().astype(np.int64)
        return whole.part(f"{count:,} evenly spaced images", spread)

    @cached_property
    def extractor(self) -> Extractor:
        """Built once a run."""
        named = self.config.extractor
        domain = named.name == "domain"
        # Without held-out images the classifier must not be trained on the reported half.
        learned = self.data if self.held_out is not None else self.selection_reference.data
        return build_extractor(
            named.name,
            named.options,
            train=learned if domain else None,
            held_out=self.held_out if domain else None,
            device=self.device,
        )

    def back_to(self, images_seen: int) -> None:
        """Remove periodic scores of later moments, which will be measured again; others stay."""
        path = self.folder / "scores.jsonl"
        if not distributed.is_main() or not path.exists():
            return
        lines = [line.removesuffix("\n") for line in text_lines(path)]
        kept = [line for line in lines if not is_later(line, images_seen)]
        if len(kept) < len(lines):
            write_text(path, "".join(f"{line}\n" for line in kept))

    @cached_property
    def chosen_by(self) -> str:
        """A digest of what a choice depends on; choices with equal digests are comparable."""
        facts = [
            self.config.model_dump(exclude={"every"}),
            self.extractor.describe(),
            self.selection_reference.describe(),
        ]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

    def measure(self, model: TrainedGenerator) -> tuple[Score, ...]:
        """Score a state on the selection images; record the score, and keep the state if it is the best."""
        reference = self.selection_reference
        how = {"checkpoint": "each", "during": "training", **self._selection_facts()}
        scores = self._evaluate(model, reference, how).scores
        chosen = next((score for score in scores if score.metric == self.config.by), None)
        if chosen is None:
            known = ", ".join(score.metric for score in scores)
            raise ConfigError(
                f"scores.by is {self.config.by!r}, which is not measured; it is: {known}"
            )
        if distributed.is_main():
            best = self.best()
            if best is None or best.beaten_by(chosen):
                self._keep(model, chosen)
            self._count_states({*self._states(), model.images_seen})
            # Last: a process that is killed before measures again, and comes to the same choice.
            append_scores(self.folder / "scores.jsonl", scores)
        self.measured_at = model.images_seen
        return scores

    def lacks(self, images_seen: int) -> bool:
        """Whether the state of this moment has no periodic score on record; the same on every process."""
        missing = distributed.is_main() and images_seen not in self._states()
        return distributed.any_process(missing, self.device)

    def prepare(self) -> None:
        """Make the extractor: a classifier is trained, or read from the cache."""
        _ = self.extractor

    def rehearse(self, model: TrainedGenerator) -> Evaluation:
        """Score a state as :meth:`measure` does, and record nothing."""
        return self._evaluate(model, self.selection_reference, {})

    @property
    def report_share(self) -> float:
        """Images of the report to those of a score on the way."""
        counts = [
            self.config.num or min(len(reference.data), MOST)
            for reference in (self.report_reference, self.selection_reference)
            if reference.data is not None
        ]
        return counts[0] / counts[-1]

    def best(self) -> Best | None:
        """The best state so far; None where there is none."""
        if not (self.folder / BEST).is_dir():
            return None
        try:
            selection = read_selection(self.folder)
            if selection["chosen_by"] != self.chosen_by:
                return None  # chosen by another score or on other images: not comparable
            return Best(selection["images_seen"], selection["value"], selection["better"])
        except (ConfigError, KeyError) as error:
            warnings.warn(f"{error}; the best state is chosen anew from here on", stacklevel=2)
            return None

    def explained(self) -> str:
        """Why scores on the way and reported ones differ; empty where nothing is remarkable."""
        if self.config.selection == "published":
            return ""
        where = self.selection_reference.describe()
        images = f"{where['images']:,} {where['split']} images"
        if self.config.extractor.name != "domain":
            return f"note: scores on the way are against {images}, to choose the best state by"
        return (
            f"note: scores on the way are against {images} that the classifier behind them has "
            "learned from, and\n  serve to choose the best state; the report at the end is on images "
            "new to it, where numbers are others"
        )

    def reported(self) -> bool:
        """Whether the best state was scored on the reference for reported scores."""
        best = self.best()
        digest = self.report_reference.describe()["digest"]
        return best is not None and any(
            selection_of(score).get("checkpoint") == "best"
            and score.images_seen == best.images_seen
            and score.protocol["reference"].get("digest") == digest
            for score in read_scores(self.folder / "scores.jsonl")
        )

    def final(self) -> tuple[Score, ...]:
        """Score the best state on the reference for reported scores."""
        model = hub.load(self.folder / BEST, device=self.device.type)
        chosen, notes = for_protocol(read_selection(self.folder))
        scores = self._evaluate(
            model, self.report_reference, chosen, seed=REPORT_SEED, notes=notes
        ).scores
        if distributed.is_main():
            append_scores(self.folder / "scores.jsonl", scores)
        return scores

    def _evaluate(
        self,
        model: TrainedGenerator,
        reference: Reference,
        selection: dict[str, Any],
        *,
        seed: int = 0,
        notes: tuple[str, ...] = (),
    ) -> Evaluation:
        data = reference.data
        if data is None:
            raise ConfigError("periodic scores need images")
        count = self.config.num or min(len(data), MOST)
        target = GeneratorTarget(TrainedState(self.folder.resolve().name, model, selection, notes))
        settings = SamplingSettings(statistics=self.config.statistics, seed=seed)
        source, facts = target.resolved(settings, count, reference)
        return evaluate(
            source,
            reference,
            metrics=self.config.metrics,
            extractor=self.extractor,
            facts=facts,
            device=self.device.type,
            cache=self.cache,
        )

    def _keep(self, model: TrainedGenerator, chosen: Score) -> None:
        facts = {
            "checkpoint": "best",
            **self._selection_facts(),
            "metric": chosen.metric,
            "value": chosen.value,
            "better": chosen.better,
            "images_seen": model.images_seen,
            "states": 1,
            "chosen_by": self.chosen_by,
        }
        beside = {"selection.json": json.dumps(sealed(facts), indent=2) + "\n"}
        hub.save(model, self.folder / BEST, beside=beside)

    def _count_states(self, states: Collection[int]) -> None:
        """Store the number of states of which the best was chosen."""
        facts = {**read_selection(self.folder), "states": len(states)}
        text = json.dumps(sealed(facts), indent=2) + "\n"
        write_text(self.folder / BEST / "selection.json", text)

    def _selection_facts(self) -> dict[str, Any]:
        """For protocols: the selection reference and rule."""
        reference = self.selection_reference.describe()
        same = self.config.selection == "published"
        return {
            "rule": "published: chosen on the reference that is reported" if same else "split",
            "selected_on": {key: reference[key] for key in ("split", "part", "images", "digest")},
        }

    def _states(self) -> set[int]:
        """States scored so far."""
        return {
            score.images_seen
            for score in read_scores(self.folder / "scores.jsonl")
            if score.images_seen is not None and is_periodic(score)
        }

    def _reference(self, data: ImageData, split: str) -> Reference:
        return Reference(
            data,
            facts={"name": self.experiment.data.name, "split": split, "part": "whole"},
            known_training=self.data,
            known_held_out=self.held_out,
        )


@dataclass(frozen=True)
class Best:
    """The best state so far, from ``best/selection.json``."""

    images_seen: int
    value: float
    better: str

    def beaten_by(self, score: Score) -> bool:
        """Whether a score is strictly better; of equal ones the earlier stays."""
        sign = 1 if self.better == "higher" else -1
        return sign * score.value > sign * self.value


def values_in_words(scores: Sequence[Score]) -> str:
    """``fid 12.91  precision 0.875``."""
    return "  ".join(f"{score.metric} {score.value:.4g}" for score in scores)


def best_in_words(scores: Sequence[Score], periodic: PeriodicScores) -> Iterator[str]:
    """The report of the best state, and what it must not be compared with."""
    if not scores:
        return
    best = scores[0].images_seen or 0
    where = periodic.report_reference.describe()
    yield f"best state  of {best:,} images seen, chosen by {periodic.config.by}: {values_in_words(scores)}"
    kind = "held-out" if periodic.held_out is not None else "training"
    if periodic.config.selection == "published":
        yield "            on the images that it was chosen by, which flatters it"
        return
    yield (
        f"            on {where['images']:,} {kind} images that it was not chosen by; compare these "
        "numbers with other reports, not with scores on the way"
    )


def is_later(line: str, images_seen: int) -> bool:
    """Whether a line of scores is a periodic one of a later moment."""
    try:
        score = Score.from_line(line)
    except ConfigError:
        return False
    return is_periodic(score) and (score.images_seen or 0) > images_seen


def selection_of(score: Score) -> dict[str, Any]:
    """How the state of a score was chosen."""
    selection = score.protocol.get("selection")
    return dict(selection) if isinstance(selection, dict) else {}


def is_periodic(score: Score) -> bool:
    """Whether it was measured during training."""
    return selection_of(score).get("during") == "training"
