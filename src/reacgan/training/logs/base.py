"""A log that mirrors a run: each report, sheet and score once, whatever was resumed or went back."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import re
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from reacgan.config import ConfigError, Experiment
from reacgan.evaluation import Score, read_scores
from reacgan.files import write_text
from reacgan.history import JOURNAL, flat, read_records
from reacgan.records import read_json
from reacgan.training.callbacks import Callback

_MARKS = ".logged.json"
_SHEET = re.compile(r"(\d{12})\.png")


class Log(Callback):
    """Writes what happens into ``<run>/logs/<name>/``, and what it has missed from the run's own files.

    The run's folder is the truth: the log knows what it holds, drops what the run has taken back, and
    fills in what was reported while it was not there. So a run may be resumed, also at an earlier
    state, and a log may be added to a run at any time.
    """

    name: ClassVar[str]
    """Of the log and its folder."""
    package: ClassVar[str | None] = None
    """The library it needs, which is also the name of the extra."""

    def __init__(self) -> None:
        if self.package is not None and importlib.util.find_spec(self.package) is None:
            raise ConfigError(
                f"the log {self.name} needs {self.package}, which is not installed: "
                f"pip install 'reacgan[{self.package}]'"
            )
        self.last = -1
        """Images seen at the last report that the log holds."""
        self.facts: dict[str, Any] = {}
        """What a log keeps of itself, plain JSON."""
        self._sheets: set[int] = set()
        self._scores: dict[str, int] = {}

    @abstractmethod
    def open(self, until: int, *, anew: bool) -> int:
        """Make ready for what comes after a moment, and drop what the log holds of later ones.

        Args:
            until: images seen; the log holds all reports up to here.
            anew: whether it holds later ones, which the run has taken back.

        Returns:
            The same, or -1 for a log that holds nothing now.
        """

    @abstractmethod
    def scalars(self, values: dict[str, float], images_seen: int) -> None:
        """Log a report's numbers by name."""

    @abstractmethod
    def image(self, tag: str, path: Path, images_seen: int) -> None:
        """Log a picture."""

    @abstractmethod
    def score(self, tag: str, score: Score, images_seen: int) -> None:
        """Log a score with its protocol."""

    def filled(self) -> None:
        """All that happened before is in the log now."""

    def on_begin(self, experiment: Experiment, folder: Path, images_seen: int) -> None:
        """Open the log of the run's folder, and fill in what it lacks."""
        self.experiment, self.run = experiment, folder
        self.folder = folder / "logs" / self.name
        self.folder.mkdir(parents=True, exist_ok=True)
        self._recall()
        self._continue_at(images_seen)

    def catch_up(self, experiment: Experiment, folder: Path) -> None:
        """Fill in what the run's files have beyond the log; nothing is opened where that is nothing."""
        self.experiment, self.run = experiment, folder
        self.folder = folder / "logs" / self.name
        self._recall()
        scores = read_scores(folder / "scores.jsonl")
        new = [score for score in scores if _digest(score) not in self._scores]
        if self.last >= 0 and any((score.images_seen or 0) <= self.last for score in new):
            self._continue_at(self.last)

    def on_back(self, images_seen: int) -> None:
        """Drop what the run has taken back."""
        self._continue_at(images_seen)

    def on_report(self, record: dict[str, Any]) -> None:
        """Log its numbers."""
        numbers = {
            name: value
            for name, value in flat(record).items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        self.last = int(numbers.pop("images_seen"))
        self.scalars({key: float(number) for key, number in numbers.items()}, self.last)
        self._remember()

    def on_sheet(self, path: Path, images_seen: int) -> None:
        """Log the picture."""
        self.image("samples", path, images_seen)
        self._sheets.add(images_seen)
        self._remember()

    def on_score(self, score: Score) -> None:
        """Log the number and its protocol."""
        seen = max(self.last, 0) if score.images_seen is None else score.images_seen
        self.score(tag_of(score), score, seen)
        self._scores[_digest(score)] = seen
        self._remember()

    def _continue_at(self, images_seen: int) -> None:
        until = min(self.last, images_seen)
        self.last = self.open(until, anew=self.last > images_seen)
        self._sheets = {seen for seen in self._sheets if seen <= self.last}
        self._scores = {key: seen for key, seen in self._scores.items() if seen <= self.last}
        self._fill(images_seen)
        self.filled()
        self._remember()

    def _fill(self, until: int) -> None:
        if self.last < 0 and (real := self.run / "samples" / "real.png").is_file():
            self.image("real", real, 0)
        for record in read_records(self.run / JOURNAL):
            if self.last < record["images_seen"] <= until and "event" not in record:
                self.on_report(record)
        for path in sorted((self.run / "samples").glob("*.png")):
            named = _SHEET.fullmatch(path.name)
            if named and int(named[1]) <= until and int(named[1]) not in self._sheets:
                self.on_sheet(path, int(named[1]))
        for score in read_scores(self.run / "scores.jsonl"):
            if (score.images_seen or 0) <= until and _digest(score) not in self._scores:
                self.on_score(score)

    def _recall(self) -> None:
        try:
            marks = read_json(self.folder / _MARKS)
            self.last, self.facts = int(marks["last"]), dict(marks["facts"])
            self._sheets, self._scores = set(marks["sheets"]), dict(marks["scores"])
        except (OSError, ValueError, KeyError, TypeError):
            self.last = -1  # nothing is known of what is there: it is made anew

    def _remember(self) -> None:
        marks = {
            "last": self.last,
            "facts": self.facts,
            "sheets": sorted(self._sheets),
            "scores": self._scores,
        }
        write_text(self.folder / _MARKS, json.dumps(marks))


def tag_of(score: Score) -> str:
    """``score/fid`` of a state on the way, ``best/fid`` of the best one; one tag has one protocol."""
    selection = score.protocol.get("selection")
    selection = selection if isinstance(selection, dict) else {}
    if selection.get("during") == "training":
        return f"score/{score.metric}"
    return f"{'best' if selection.get('checkpoint') == 'best' else 'evaluated'}/{score.metric}"


def numbers_of(score: Score) -> dict[str, float]:
    """Value and interval, those that are there."""
    values = {"value": score.value, "low": score.low, "high": score.high}
    return {
        name: value for name, value in values.items() if value is not None and math.isfinite(value)
    }


def _digest(score: Score) -> str:
    return hashlib.sha256(score.to_line().encode()).hexdigest()[:16]
