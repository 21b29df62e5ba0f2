"""Where scores go: lines of ``scores.jsonl``, and pictures beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from reacgan.config import ConfigError
from reacgan.data import ImageData
from reacgan.evaluation.evaluate import Evaluation
from reacgan.evaluation.scores import Score, append_scores
from reacgan.files import replacing
from reacgan.metrics import Comparison
from reacgan.reports.plots import have_plots, pictures_of
from reacgan.sampling import save_png, sheet

SCORES = "scores.jsonl"
PICTURES = "scores"
_PAIRS = 16


def folder_for(subject: str | Path, out: Path | None) -> Path:
    """The folder of a run or what a person says; ``evaluations/<name>`` for what is no run."""
    if out is not None:
        return out
    place = Path(subject)
    if (place / "experiment.json").exists():
        return place
    if place.name == "model" and (place.parent / "experiment.json").exists():
        return place.parent
    if place.name == "best" and (place.parent / "experiment.json").exists():
        return place.parent
    return Path("evaluations") / _slug(str(subject))


class Output:
    """Writes what an evaluation found."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def check(self) -> None:
        """See that scores can be written, before they are worked out; changes no file.

        Raises:
            ConfigError: they cannot.
        """
        there = next(one for one in (self.folder, *self.folder.resolve().parents) if one.exists())
        target = self.folder / SCORES
        place = target if target.exists() else there
        if not there.is_dir() or not os.access(place, os.W_OK):
            raise ConfigError(f"{self.folder}: cannot be written to; choose another --out")

    def write(self, result: Evaluation, name: str) -> None:
        """Append the scores, and draw what can be drawn."""
        append_scores(self.folder / SCORES, result.scores)
        stem = _stem(name, result.scores)
        if result.comparison is not None:
            pairs = next((s.details["pairs"] for s in result.scores if "pairs" in s.details), None)
            picture = pairs_sheet(result.comparison, pairs) if pairs else None
            if picture is not None:
                save_png(picture, self.folder / PICTURES / f"pairs-{stem}.png")
        if have_plots():
            for score in result.scores:
                for caption, png in pictures_of(score).items():
                    path = self.folder / PICTURES / f"{_slug(caption)}-{stem}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with replacing(path) as temporary:
                        temporary.write_bytes(png)


def pairs_sheet(comparison: Comparison, pairs: list[Any]) -> Any:
    """Generated images (upper rows) above their nearest training images, the closest first."""
    fake, training = comparison.fake_data, comparison.training_data
    if fake is None or training is None:
        return None
    chosen = pairs[:_PAIRS]
    columns = (len(chosen) + 1) // 2
    rows, names = [], []
    for start in range(0, len(chosen), columns):
        part = chosen[start : start + columns]
        rows += [_images(fake, part, "fake", columns), _images(training, part, "training", columns)]
        names += ["generated", "training"]
    return sheet(torch.stack(rows), names)


def _images(data: ImageData, pairs: list[Any], key: str, columns: int) -> torch.Tensor:
    places = [int(pair[key]) for pair in pairs]
    images = [torch.tensor(data.images[place]) for place in places]
    blank = torch.full_like(images[0], 255)
    return torch.stack(images + [blank] * (columns - len(images)))


def _stem(name: str, scores: tuple[Score, ...]) -> str:
    seen = next((score.images_seen for score in scores if score.images_seen is not None), None)
    return _slug(name) if seen is None else f"{_slug(name)}-{seen:012d}"


def _slug(text: str) -> str:
    """As part of a file's name."""
    marks = "".join(mark if mark.isalnum() or mark in "-_." else " " for mark in text)
    return "-".join(marks.split())[:80]
