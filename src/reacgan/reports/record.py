"""What the folder of a run or of an evaluation says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reacgan.config import ConfigError
from reacgan.evaluation.scores import Score, read_scores


@dataclass(frozen=True)
class RunRecord:
    """What a run's folder says."""

    path: Path
    name: str
    experiment: Mapping[str, Any]
    environment: Mapping[str, Any]
    journal: Sequence[Mapping[str, Any]]
    scores: Sequence[Score]

    @property
    def images_seen(self) -> int:
        """At the last line of the journal."""
        return max((line["images_seen"] for line in self.journal), default=0)

    @property
    def events(self) -> list[Mapping[str, Any]]:
        """What detectors saw."""
        return [line for line in self.journal if "event" in line]


def read_run(path: Path) -> RunRecord:
    """Read a run's folder, or that of an evaluation; one of experiment.json and scores.jsonl is there.

    Raises:
        ConfigError: no such folder, or not that of a run.
    """
    if not path.is_dir():
        raise ConfigError(f"{path}: no such folder; needed: the folder of a run")
    file, scored = path / "experiment.json", path / "scores.jsonl"
    if not file.is_file() and not scored.is_file():
        raise ConfigError(
            f"{path}: not the folder of a run or an evaluation, it has no experiment.json and no "
            "scores.jsonl; needed: what `reacgan train` or `reacgan evaluate` wrote"
        )
    experiment = read_json(file) if file.is_file() else {}
    if experiment is None:
        raise ConfigError(f"{file}: damaged; write it anew from model/config.json")
    journal = [
        line for line in _lines(path / "journal.jsonl") if isinstance(line.get("images_seen"), int)
    ]
    name = path.name or path.resolve().name
    scores = [
        score if score.subject else replace(score, subject=name) for score in read_scores(scored)
    ]
    return RunRecord(
        path, name, experiment, read_json(path / "environment.json") or {}, journal, scores
    )


def read_json(path: Path) -> dict[str, Any] | None:
    """A mapping from a file; None where there is none, or a damaged one."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return held if isinstance(held, dict) else None


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    for text in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            yield line
