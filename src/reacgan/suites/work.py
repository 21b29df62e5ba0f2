"""The work of trials: train and score a generator, score or draw its run again, score real images."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from reacgan.config import ConfigError, DataConfig, Experiment, flatten
from reacgan.config.sections import named_options
from reacgan.data import ImageData, open_dataset
from reacgan.devices import find_device
from reacgan.evaluation.evaluate import Evaluation, Facts, evaluate
from reacgan.evaluation.scores import append_scores, comparable
from reacgan.evaluation.scoring import Request, score
from reacgan.history import read_records
from reacgan.hub import find_states
from reacgan.pictures import pictures
from reacgan.suites.base import Context, Outcome, Trial
from reacgan.training import train
from reacgan.training.run import RunResult
from reacgan.training.speed import choose_precision

STANDARD = "fid, prdc, ifid, accuracy"


class StoppedError(Exception):
    """A signal or the monitor stopped a run; the same command resumes it."""

    def __init__(self, folder: Path, images_seen: int, result: RunResult) -> None:
        self.signal = result.signal
        by = f"signal {result.signal}" if result.signal else f"the monitor ({result.stopped_by})"
        super().__init__(f"{folder}: stopped at {images_seen:,} images by {by}")


@dataclass(frozen=True)
class Run:
    """Train an experiment and score its averaged generator."""

    experiment: Experiment
    metrics: Any = STANDARD
    """Names, or names with options."""
    num: int | None = None
    """Generated images; None for as many as the reference has."""
    extractor: str = "domain"
    extractor_options: Mapping[str, Any] = field(default_factory=dict)
    protocol: str | None = None
    """A named protocol (``paper``, ``benchmark``), which sets the extractor."""

    def resolved(self, seed: int, context: Context) -> Experiment:
        """The experiment with seed, context and the device's precision applied."""
        changes: dict[str, Any] = {"training.seed": seed, **context.changes}
        if self.experiment.data.name in context.data:
            changes["data.path"] = context.data[self.experiment.data.name]
        experiment = self.experiment.replace(**changes)
        asked, device = experiment.training.precision, find_device(context.device)
        # Results of one suite come from several machines: on every CPU they are of one precision.
        on_a_cpu = asked == "auto" and device.type == "cpu"
        precision = "float32" if on_a_cpu else choose_precision(asked, device)
        return experiment.replace(**{"training.precision": precision})

    def settings(self, seed: int, context: Context) -> dict[str, Any]:
        """The experiment without the path of its data, and its scoring."""
        experiment = self.resolved(seed, context).model_dump(mode="json")
        if self.experiment.data.name in context.data:
            experiment["data"]["path"] = None
        protocol = self._protocol(context)
        by: dict[str, Any] = {"protocol": protocol}
        if not protocol:
            by = {"extractor": self.extractor, "options": dict(self.extractor_options)}
        return {"experiment": experiment, "metrics": self.metrics, "num": self.num, **by}

    def _protocol(self, context: Context) -> str | None:
        return None if context.by_domain else self.protocol

    def trained(self, folder: Path, seed: int, context: Context) -> int:
        """Train or resume; returns images seen at the end. Raises StoppedError."""
        experiment = self.resolved(seed, context)
        result = train(experiment, folder, device=context.device, quiet=context.quiet)
        if not result.complete:
            raise StoppedError(folder, result.images_seen, result)
        return result.images_seen

    def run(self, folder: Path, seed: int, context: Context) -> Outcome:
        """Train or resume, then score. Raises StoppedError."""
        seen = self.trained(folder, seed, context)
        began = time.perf_counter()
        evaluations = self._evaluated(folder, context)
        lines = read_records(folder / "journal.jsonl")
        cost = {**_cost(lines), "evaluation_seconds": round(time.perf_counter() - began, 1)}
        return replace(
            _outcome(evaluations, cost),
            series=_series(lines),
            pictures=(f"samples/{seen:012d}.png",),
        )

    def _evaluated(self, folder: Path, context: Context) -> list[Evaluation]:
        """Score the run in a folder, and append the scores to its ``scores.jsonl``."""
        protocol = self._protocol(context)
        request = Request(
            metrics=self.metrics,
            extractor=None if protocol else self.extractor,
            extractor_options={} if protocol else self.extractor_options,
            num=self.num,
            protocol=protocol,
            device=context.device,
        )
        evaluations = [
            evaluation for _, evaluation in score(folder, request, find_states=find_states)
        ]
        scores = list(chain.from_iterable(evaluation.scores for evaluation in evaluations))
        append_scores(folder / "scores.jsonl", scores)
        return evaluations

    def command(self, folder: Path, seed: int, context: Context) -> str:
        """From the configuration in the run's folder."""
        path = shlex.quote(str(folder))
        protocol = self._protocol(context)
        scoring = f"--protocol {protocol}" if protocol else f"--extractor {self.extractor}"
        count = f" --num {self.num}" if self.num else ""
        names = ",".join(named_options(self.metrics))
        return (
            f"reacgan train {path}/experiment.json --out {path} && "
            f"reacgan evaluate {path} {scoring} --metrics {names}{count}"
        )


def _outcome(evaluations: Sequence[Evaluation], cost: Mapping[str, float]) -> Outcome:
    """Scores by metric; the protocol is the shared part and the settings of each metric."""
    scores = list(chain.from_iterable(evaluation.scores for evaluation in evaluations))
    protocol: dict[str, Any] = {}
    if scores:
        own = {score.metric: comparable(score.protocol).get("metric", {}) for score in scores}
        shared = comparable(scores[0].protocol)
        shared.pop("metric", None)
        protocol = json.loads(json.dumps({**shared, "metrics": own}))
    better: dict[str, Any] = {score.metric: score.better for score in scores}
    skipped = (item for evaluation in evaluations for item in evaluation.skipped.items())
    return Outcome(
        values={score.metric: score.value for score in scores},
        better=better,
        protocol=protocol,
        cost=cost,
        notes=tuple(dict.fromkeys(f"{name}: {why}" for name, why in skipped)),
    )


def _cost(lines: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Cost from the journal's lines: training only, without monitoring, sheets, scores and saving."""
    measured = [line for line in lines if line.get("images_per_second")]
    seconds, seen = 0.0, 0
    for line in measured:
        seconds += (line["images_seen"] - seen) / line["images_per_second"]
        seen = line["images_seen"]
    memory = [line["memory_bytes"] for line in measured if line.get("memory_bytes")]
    cost = {"images_seen": float(seen), "train_seconds": round(seconds, 1)}
    if seconds:
        cost["images_per_second"] = round(seen / seconds, 2)
    if memory:
        cost["memory_mb"] = round(max(memory) / 2**20, 1)
    return cost


def _series(lines: Sequence[Mapping[str, Any]]) -> dict[str, list[list[float]]]:
    """Losses by name, ``diagnosis/...`` and ``watch/...``."""
    series: dict[str, list[list[float]]] = {}
    for line in lines:
        values = {name: value for name, value in line.items() if "/" in name}
        for group in ("diagnosis", "watch"):
            values.update({f"{group}/{name}": value for name, value in line.get(group, {}).items()})
        for name, value in values.items():
            series.setdefault(name, []).append([line["images_seen"], value])
    return series


# -- the run of another trial, and images of known faults


def _of_base(base: Trial, folder: Path) -> Path:
    """The folder of another trial with the same seed."""
    return folder.parents[1] / base.name.replace("/", "-") / folder.name


@dataclass(frozen=True)
class Rescored:
    """Score the run of another trial (training it if necessary) with other metrics."""

    base: Trial
    run_of: Run
    """The base's run with the other metrics."""

    def settings(self, seed: int, context: Context) -> dict[str, Any]:
        """The run's settings with the other scoring."""
        return self.run_of.settings(seed, context)

    def run(self, folder: Path, seed: int, context: Context) -> Outcome:
        """Train in the base's folder; the scores are stored in ``folder``."""
        outcome = self.run_of.run(_of_base(self.base, folder), seed, context)
        return replace(outcome, pictures=())

    def command(self, folder: Path, seed: int, context: Context) -> str:
        """The base's, with the other metrics."""
        return self.run_of.command(_of_base(self.base, folder), seed, context)


@dataclass(frozen=True)
class Drawn:
    """Draw the pictures of the run of another trial (training it if necessary)."""

    base: Trial
    num: int = 2000

    @property
    def _run(self) -> Run:
        run: Any = self.base.work
        return run

    def settings(self, seed: int, context: Context) -> dict[str, Any]:
        """The base's experiment, and the number of images."""
        return {
            "experiment": self._run.settings(seed, context)["experiment"],
            "num": self.num,
        }

    def run(self, folder: Path, seed: int, context: Context) -> Outcome:
        """Train, then draw all pictures."""
        run_folder = _of_base(self.base, folder)
        self._run.trained(run_folder, seed, context)
        drawn = pictures(run_folder, folder, num=self.num, device=context.device)
        lacking = [why for why in drawn["skipped"].values() if "pip install" in why]
        if lacking:  # a trial without them would count as complete
            raise ConfigError(lacking[0])
        values = {
            f"{name}/{key}": float(value)
            for name, picture in drawn["pictures"].items()
            for key, value in flatten(picture["numbers"]).items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        return Outcome(
            values=values,
            better={},
            protocol={"images": self.num, "of": str(drawn.get("images", ""))},
            pictures=tuple(picture["file"] for picture in drawn["pictures"].values()),
            notes=tuple(f"{name}: {why}" for name, why in drawn["skipped"].items()),
        )

    def command(self, folder: Path, seed: int, context: Context) -> str:
        """Of the run's page."""
        return f"reacgan report {shlex.quote(str(_of_base(self.base, folder)))} --pictures"


Making = Callable[[ImageData, np.random.Generator], ImageData]


@dataclass(frozen=True)
class OfImages:
    """Score real images with a known fault."""

    kind: str
    make: Making = field(compare=False)
    data: DataConfig
    num: int | None
    metrics: Any
    extractor_options: Any = field(default_factory=dict)

    def _config(self, context: Context) -> DataConfig:
        path = context.data.get(self.data.name)
        return self.data if path is None else self.data.model_copy(update={"path": path})

    def settings(self, seed: int, context: Context) -> dict[str, Any]:
        """The fault, the images, and the scoring."""
        return {
            "kind": self.kind,
            "data": {**self.data.model_dump(mode="json"), "path": None},
            "num": self.num,
            "metrics": self.metrics,
            "options": dict(self.extractor_options),
            "seed": seed,
        }

    def run(self, folder: Path, seed: int, context: Context) -> Outcome:
        """Modify the training images and score them against the held-out ones."""
        began = time.perf_counter()
        training = open_dataset(self._config(context))
        held_out = open_dataset(self._config(context), "test")
        chance = np.random.Generator(np.random.PCG64(seed))
        count = min(self.num or len(held_out), len(training))
        base = training.subset(np.sort(chance.permutation(len(training))[:count]))
        evaluation = evaluate(
            self.make(base, chance),
            held_out,
            training=training,
            held_out=held_out,
            metrics=self.metrics,
            extractor="domain",
            extractor_options=self.extractor_options,
            facts=Facts(subject=self.kind),
            device=context.device,
        )
        append_scores(folder / "scores.jsonl", evaluation.scores)
        seconds = round(time.perf_counter() - began, 1)
        return _outcome([evaluation], {"evaluation_seconds": seconds})

    def command(self, folder: Path, seed: int, context: Context) -> str:
        """Scoring only; the images come from :mod:`reacgan.suites.known`."""
        return f"reacgan evaluate IMAGES --reference {self.data.name} --extractor domain  # {self.kind}"
