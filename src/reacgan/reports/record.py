"""Read the folder of a run or of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from typing import Any

from reacgan.config import ConfigError
from reacgan.evaluation.scores import Score, read_scores
from reacgan.history import JOURNAL, read_records
from reacgan.outlook import hardly_begun
from reacgan.records import read_mapping

PICTURE_NUMBERS = "pictures.json"
"""In the folder of a run's pictures: their settings and numbers."""
_MOST_POINTS = 1000

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class RunRecord:
    """The contents of a run's folder."""

    path: Path
    name: str
    experiment: Mapping[str, Any]
    environment: Mapping[str, Any]
    journal: Sequence[Mapping[str, Any]]
    scores: Sequence[Score]
    class_names: Sequence[str] = ()
    """Of the generator in the run's folder; empty where there is none yet."""

    @property
    def images_seen(self) -> int:
        """Images seen at the last line of the journal."""
        return max((line["images_seen"] for line in self.journal), default=0)

    @property
    def side(self) -> int | None:
        """Shorter side of its images in pixels, where the experiment says it."""
        size = section(self.experiment, "data").get("resolution")
        sides = size if isinstance(size, list | tuple) else [size]
        return min(sides) if sides and all(isinstance(side, int) for side in sides) else None

    @property
    def images_to_learn(self) -> int | None:
        """How many images it learns from, where a score was taken against them."""
        for score in self.scores:
            reference = section(score.protocol, "reference")
            count = reference.get("images")
            whole = (reference.get("split"), reference.get("part")) == ("train", "whole")
            if whole and isinstance(count, int):
                return count
        return None

    def is_early(self, images_seen: int) -> bool:
        """Whether pictures after so many images seen are before their first shapes."""
        learnt = self.images_to_learn, len(self.class_names)
        return self.side is not None and hardly_begun(images_seen, self.side, *learnt)

    def series(self) -> dict[str, Points]:
        """Finite numbers of the journal over the images seen, by name; at most 1000 evenly spaced lines."""
        series: dict[str, list[tuple[float, float]]] = {}
        step = math.ceil(len(self.journal) / _MOST_POINTS) or 1
        for line in self.journal[::-1][::step][::-1]:
            for key, value in line.items():
                if isinstance(value, int | float) and math.isfinite(value):
                    series.setdefault(key, []).append((line["images_seen"], value))
        return {**series}


def read_run(path: Path) -> RunRecord:
    """Read the folder of a run or an evaluation, with experiment.json or scores.jsonl.

    Raises:
        ConfigError: no such folder, or not that of a run.
    """
    if not path.is_dir():
        raise ConfigError(f"{path}: no such folder; needed: the folder of a run")
    file, scored = path / "experiment.json", path / "scores.jsonl"
    if not file.is_file() and not scored.is_file():
        raise ConfigError(
            f"{path}: not the folder of a run or an evaluation, it has no experiment.json and no "
            "scores.jsonl; needed: a folder written by `reacgan train` or `reacgan evaluate`"
        )
    experiment = read_mapping(file) if file.is_file() else {}
    if experiment is None:
        raise ConfigError(f"{file}: damaged; restore it from model/config.json")
    environment = read_mapping(path / "environment.json") or {}
    name = path.name or path.resolve().name
    scores = [
        score if score.subject else replace(score, subject=name) for score in read_scores(scored)
    ]
    names = (read_mapping(path / "model" / "config.json") or {}).get("class_names")
    named = tuple(map(str, names)) if isinstance(names, list) else ()
    journal = read_records(path / JOURNAL)
    return RunRecord(path, name, experiment, environment, journal, scores, named)


def chance_of(score: Score) -> float | None:
    """The value that guessing gives; None where none is known."""
    settings = section(score.protocol, "metric")
    chance, classes = settings.get("chance"), settings.get("classes")
    if isinstance(chance, int | float) and not isinstance(chance, bool):
        return chance
    guesses = _GUESSES.get(score.metric)
    if guesses is None or not isinstance(classes, int) or classes < 1:
        return None
    return min(guesses / classes, 1.0)


_GUESSES = {"top1": 1, "top5": 5}


def data_in_words(run: RunRecord) -> str | None:
    """The name of the data set; of a packed set its file's, of a folder no path, which may be private."""
    data = section(run.experiment, "data")
    name, path = data.get("name"), data.get("path")
    if name == "archive" and isinstance(path, str):
        return PureWindowsPath(path).name or name
    return None if name is None else str(name)


def section(tree: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The mapping under a name; empty where it is missing or no mapping."""
    value = tree.get(name)
    return value if isinstance(value, Mapping) else {}
