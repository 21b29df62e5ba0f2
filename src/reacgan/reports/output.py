"""Write scores: lines of ``scores.jsonl``, and pictures beside it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.data import ImageData
from reacgan.evaluation.evaluate import Evaluation
from reacgan.evaluation.scores import append_scores
from reacgan.files import replacing
from reacgan.metrics import Comparison
from reacgan.progress import stage
from reacgan.reports.plots import have_plots, pictures_of
from reacgan.sampling import save_png, sheet
from reacgan.text import file_stem

SCORES = "scores.jsonl"
PICTURES = "scores"
_PAIRS = 16


def folder_for(subject: str | Path, out: Path | None) -> Path:
    """``out``, the folder of a run, or else ``evaluations/<name>``."""
    if out is not None:
        return out
    path = Path(subject)
    candidates = [path, path.parent] if path.name in ("model", "best") else [path]
    runs = [folder for folder in candidates if (folder / "experiment.json").exists()]
    return runs[0] if runs else Path("evaluations") / file_stem(str(subject))


class Output:
    """Writes the scores of an evaluation, and their pictures."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def check(self) -> None:
        """Check that scores can be written, before they are computed; changes no file.

        Raises:
            ConfigError: the folder cannot be written.
        """
        parents = (self.folder, *self.folder.resolve().parents)
        existing = next(path for path in parents if path.exists())
        target = self.folder / SCORES
        target = target if target.exists() else existing
        if not existing.is_dir() or not os.access(target, os.W_OK):
            raise ConfigError(f"{self.folder}: cannot be written to; choose another --out")

    def write(self, result: Evaluation, name: str) -> None:
        """Append the scores, and draw the pictures that their details allow."""
        append_scores(self.folder / SCORES, result.scores)
        with stage("drawing pictures of the scores"):
            self._draw(result, name)

    def _draw(self, result: Evaluation, name: str) -> None:
        folder = self.folder / PICTURES
        seen = [score.images_seen for score in result.scores if score.images_seen is not None]
        stem = "-".join([file_stem(name), *(f"{count:012d}" for count in seen[:1])])
        if result.comparison is not None:
            pairs = next((s.details["pairs"] for s in result.scores if "pairs" in s.details), None)
            picture = pairs_sheet(result.comparison, pairs) if pairs else None
            if picture is not None:
                save_png(picture, folder / f"pairs-{stem}.png")
        if have_plots():
            for score in result.scores:
                for caption, png in pictures_of(score).items():
                    folder.mkdir(parents=True, exist_ok=True)
                    drawn = file_stem(f"{score.metric}: {caption}")
                    with replacing(folder / f"{drawn}-{stem}.png") as temporary:
                        temporary.write_bytes(png)


def pairs_sheet(comparison: Comparison, pairs: Sequence[Any]) -> Any:
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


def _images(data: ImageData, pairs: Sequence[Any], key: str, columns: int) -> Tensor:
    images = [torch.tensor(data.images[int(pair[key])]) for pair in pairs]
    blank = torch.full_like(images[0], 255)
    return torch.stack(images + [blank] * (columns - len(images)))
