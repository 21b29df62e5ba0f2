"""Further works: judging or drawing the run of another trial, mixtures of Gaussians, known images."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from reacgan.config import ConfigError, DataConfig
from reacgan.data import ImageData, open_dataset
from reacgan.evaluation.evaluate import Facts, evaluate
from reacgan.evaluation.protocols import flatten
from reacgan.evaluation.scores import append_scores
from reacgan.mixtures.results import COLUMNS
from reacgan.mixtures.study import run_trial
from reacgan.pictures import pictures
from reacgan.suites.base import Better, Context, Outcome, Trial
from reacgan.suites.work import Run, protocol_of


def _of_base(base: Trial, folder: Path) -> Path:
    """The folder of another trial with the same seed."""
    return folder.parents[1] / base.name.replace("/", "-") / folder.name


@dataclass(frozen=True)
class Judged:
    """Score the run of another trial (training it if need be) in another way."""

    base: Trial
    run_of: Run
    """The base's run with the other metrics."""

    def settings(self, seed: int, context: Context) -> dict[str, Any]:
        """Those of the run, with its other scoring."""
        return self.run_of.settings(seed, context)

    def run(self, folder: Path, seed: int, context: Context) -> Outcome:
        """In the base's folder; the scores are kept in this one."""
        outcome = self.run_of.run(_of_base(self.base, folder), seed, context)
        return replace(outcome, pictures=())

    def command(self, folder: Path, seed: int, context: Context) -> str:
        """The base's, with the other metrics."""
        return self.run_of.command(_of_base(self.base, folder), seed, context)


@dataclass(frozen=True)
class Drawn:
    """Draw the pictures of the run of another trial (training it if need be)."""

    base: Trial
    num: int = 2000

    @property
    def _run(self) -> Run:
        run: Any = self.base.work
        return run

    def settings(self, seed: int, context: Context) -> dict[str, Any]:
        """The base's experiment, and how many images are looked at."""
        return {
            "experiment": self._run.settings(seed, context)["experiment"],
            "num": self.num,
        }

    def run(self, folder: Path, seed: int, context: Context) -> Outcome:
        """Train, then draw everything that can be drawn."""
        place = _of_base(self.base, folder)
        self._run.trained(place, seed, context)
        held = pictures(place, folder, num=self.num, device=context.device)
        lacking = [why for why in held["skipped"].values() if "pip install" in why]
        if lacking:  # a trial without them would count as complete for ever
            raise ConfigError(lacking[0])
        values = {
            f"{name}/{key}": float(value)
            for name, picture in held["pictures"].items()
            for key, value in flatten(picture["numbers"]).items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        return Outcome(
            values=values,
            better={},
            protocol={"images": self.num, "of": str(held.get("images", ""))},
            pictures=tuple(picture["file"] for picture in held["pictures"].values()),
            notes=tuple(f"{name}: {why}" for name, why in held["skipped"].items()),
        )

    def command(self, folder: Path, seed: int, context: Context) -> str:
        """Of the run's page."""
        return f"reacgan report {shlex.quote(str(_of_base(self.base, folder)))} --pictures"


@dataclass(frozen=True)
class OfMixture:
    """Fit a mixture of Gaussians with one conditioning loss (:mod:`reacgan.mixtures`)."""

    method: str
    target: str
    steps: int
    judged: int = 10_000

    def settings(self, seed: int, context: Context) -> dict[str, Any]:
        """Method, target, length."""
        return {
            "method": self.method,
            "target": self.target,
            "steps": self.steps,
            "judged": self.judged,
            "seed": seed,
        }

    def run(self, folder: Path, seed: int, context: Context) -> Outcome:
        """Train and measure; what the trial's file says is kept beside it."""
        held = run_trial(
            folder, self.method, self.target, seed=seed, steps=self.steps, judged=self.judged
        )
        values = {name: _measured(held, name) for name in COLUMNS}
        values["bayes"] = float(held["measures"]["bayes_accuracy"])
        lower: Better = "lower"
        names = ("wasserstein", "variation", "mmd", "overall")
        return Outcome(
            values=values,
            better={**dict.fromkeys(names, lower), "covered": "higher"},
            protocol={
                "target": self.target,
                "points": f"{self.judged} of each class",
                "steps": self.steps,
                "values": "means over classes; overall: all classes together",
            },
            cost={"train_seconds": float(held["seconds"])},
        )

    def command(self, folder: Path, seed: int, context: Context) -> str:
        """In Python, since it is no image experiment."""
        return (
            f'python -c "from pathlib import Path; from reacgan.mixtures import run_trial; '
            f"run_trial(Path('.'), '{self.method}', '{self.target}', seed={seed}, steps={self.steps})\""
        )


def _measured(held: Any, name: str) -> float:
    """Mean over classes of a measure, or that of all classes together."""
    where, key, _ = COLUMNS[name]
    part = held["measures"][where]
    if isinstance(part, dict):
        value = part[key]
        return float(np.mean(value)) if isinstance(value, list) else float(value)
    return float(np.mean([one[key] for one in part]))


Making = Callable[[ImageData, np.random.Generator], ImageData]


@dataclass(frozen=True)
class OfImages:
    """Score images that are no generator's, whose faults are known, to see what metrics say."""

    kind: str
    make: Making = field(compare=False)
    data: DataConfig
    num: int | None
    metrics: Any
    extractor_options: Any = field(default_factory=dict)

    def _config(self, context: Context) -> DataConfig:
        place = context.data.get(self.data.name)
        return self.data if place is None else self.data.model_copy(update={"path": place})

    def settings(self, seed: int, context: Context) -> dict[str, Any]:
        """What is made of which images, and how it is scored."""
        return {
            "kind": self.kind,
            "data": {**self.data.model_dump(mode="json"), "path": None},
            "num": self.num,
            "metrics": self.metrics,
            "options": dict(self.extractor_options),
            "seed": seed,
        }

    def run(self, folder: Path, seed: int, context: Context) -> Outcome:
        """Make them of the training images and score them against the held-out ones."""
        began = time.perf_counter()
        training = open_dataset(self._config(context))
        held_out = open_dataset(self._config(context), "test")
        chance = np.random.Generator(np.random.PCG64(seed))
        count = min(self.num or len(held_out), len(training))
        base = training.subset(np.sort(chance.permutation(len(training))[:count]))
        found = evaluate(
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
        append_scores(folder / "scores.jsonl", found.scores)
        better: Any = {one.metric: one.better for one in found.scores}
        return Outcome(
            values={one.metric: one.value for one in found.scores},
            better=better,
            protocol=protocol_of(found.scores),
            cost={"evaluation_seconds": round(time.perf_counter() - began, 1)},
            notes=tuple(f"{name}: {why}" for name, why in found.skipped.items()),
        )

    def command(self, folder: Path, seed: int, context: Context) -> str:
        """Of the scores alone; the images are made in :mod:`reacgan.suites.studies`."""
        return f"reacgan evaluate IMAGES --reference {self.data.name} --extractor domain  # {self.kind}"
