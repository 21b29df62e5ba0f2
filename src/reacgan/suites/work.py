"""What a trial does: train and score a generator, draw its pictures, fit a mixture, score real images."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reacgan.config import Experiment
from reacgan.config.sections import named_options
from reacgan.evaluation import Score
from reacgan.evaluation.scores import append_scores, comparable
from reacgan.evaluation.scoring import Request, score
from reacgan.hub import find_states
from reacgan.suites.base import Better, Context, Outcome
from reacgan.training import train
from reacgan.training.journal import read_lines
from reacgan.training.run import RunResult

STANDARD = "fid, prdc, ifid, accuracy"


class StoppedError(Exception):
    """A signal, or the watch, ended a run; the same command takes it up again."""

    def __init__(self, folder: Path, images_seen: int, result: RunResult) -> None:
        self.signal = result.signal
        by = f"signal {result.signal}" if result.signal else f"the watch ({result.stopped_by})"
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
    """A named protocol (``paper``, ``benchmark``), which says what the extractor is."""

    def resolved(self, seed: int, context: Context) -> Experiment:
        """The experiment as it is run."""
        changes: dict[str, Any] = {"training.seed": seed, **context.changes}
        place = context.data.get(self.experiment.data.name)
        if place is not None:
            changes["data.path"] = place
        return self.experiment.replace(**changes)

    def settings(self, seed: int, context: Context) -> dict[str, Any]:
        """The experiment but for where its data are, and how it is scored."""
        held = self.resolved(seed, context).model_dump(mode="json")
        if self.experiment.data.name in context.data:
            held["data"]["path"] = None
        return {"experiment": held, **self._scoring(self._named(context))}

    def _named(self, context: Context) -> str | None:
        return None if context.by_domain else self.protocol

    def _scoring(self, protocol: str | None) -> dict[str, Any]:
        named = {"extractor": self.extractor, "options": dict(self.extractor_options)}
        return {
            "metrics": self.metrics,
            "num": self.num,
            **({"protocol": protocol} if protocol else named),
        }

    def trained(self, folder: Path, seed: int, context: Context) -> int:
        """Train, or resume; images seen at the end. Raises StoppedError."""
        experiment = self.resolved(seed, context)
        result = train(experiment, folder, device=context.device, quiet=context.quiet)
        if not result.complete:
            raise StoppedError(folder, result.images_seen, result)
        return result.images_seen

    def run(self, folder: Path, seed: int, context: Context) -> Outcome:
        """Train (or resume), then score; raises StoppedError."""
        seen = self.trained(folder, seed, context)
        began = time.perf_counter()
        scores, notes = self.scored(folder, context)
        lines = read_lines(folder / "journal.jsonl")
        cost = {**_cost(lines), "evaluation_seconds": round(time.perf_counter() - began, 1)}
        return Outcome(
            values={one.metric: one.value for one in scores},
            better={one.metric: _better(one) for one in scores},
            protocol=protocol_of(scores),
            series=_series(lines),
            cost=cost,
            pictures=(f"samples/{seen:012d}.png",),
            notes=tuple(notes),
        )

    def scored(self, folder: Path, context: Context) -> tuple[list[Score], dict[str, None]]:
        """Scores of the run in a folder, kept in its ``scores.jsonl``, and what could not be measured."""
        protocol = self._named(context)
        request = Request(
            metrics=self.metrics,
            extractor=None if protocol else self.extractor,
            extractor_options={} if protocol else self.extractor_options,
            num=self.num,
            protocol=protocol,
            device=context.device,
        )
        scores: list[Score] = []
        notes: dict[str, None] = {}
        for _, evaluation in score(folder, request, find_states=find_states):
            scores += evaluation.scores
            notes.update(
                dict.fromkeys(f"{name}: {why}" for name, why in evaluation.skipped.items())
            )
        append_scores(folder / "scores.jsonl", scores)
        return scores, notes

    def command(self, folder: Path, seed: int, context: Context) -> str:
        """From the configuration that the run's folder keeps."""
        place = shlex.quote(str(folder))
        protocol = self._named(context)
        scoring = f"--protocol {protocol}" if protocol else f"--extractor {self.extractor}"
        count = f" --num {self.num}" if self.num else ""
        names = ",".join(named_options(self.metrics))
        return (
            f"reacgan train {place}/experiment.json --out {place} && "
            f"reacgan evaluate {place} {scoring} --metrics {names}{count}"
        )


def _better(one: Score) -> Better:
    found: Any = one.better
    return found


def protocol_of(scores: Sequence[Score]) -> dict[str, Any]:
    """What all scores share, and the settings of each metric."""
    if not scores:
        return {}
    shared = comparable(scores[0].protocol)
    shared.pop("metric", None)
    metrics = {one.metric: comparable(one.protocol).get("metric", {}) for one in scores}
    held: dict[str, Any] = json.loads(json.dumps({**shared, "metrics": metrics}))
    return held


def _cost(lines: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Of the journal's lines: training alone, without looks, sheets, scores and saving."""
    measured = [line for line in lines if line.get("images_per_second")]
    seconds, seen = 0.0, 0
    for line in measured:
        seconds += (line["images_seen"] - seen) / line["images_per_second"]
        seen = line["images_seen"]
    memory = [line["memory_bytes"] for line in measured if line.get("memory_bytes")]
    held = {"images_seen": float(seen), "train_seconds": round(seconds, 1)}
    if seconds:
        held["images_per_second"] = round(seen / seconds, 2)
    if memory:
        held["memory_mb"] = round(max(memory) / 2**20, 1)
    return held


def _series(lines: Sequence[Mapping[str, Any]]) -> dict[str, list[list[float]]]:
    """Losses by name, ``diagnosis/...`` and ``watch/...``."""
    found: dict[str, list[list[float]]] = {}
    for line in lines:
        named = {name: value for name, value in line.items() if "/" in name}
        for group in ("diagnosis", "watch"):
            named.update({f"{group}/{name}": value for name, value in line.get(group, {}).items()})
        for name, value in named.items():
            found.setdefault(name, []).append([line["images_seen"], value])
    return found
