"""The generator that a command makes images with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reacgan.models.trained import TrainedGenerator
    from reacgan.sampling.statistics import Statistics


def load_generator(model: Path, statistics: Statistics, device: str) -> TrainedGenerator:
    """Load it with the statistics that were asked for."""
    from reacgan.hub import load  # noqa: PLC0415
    from reacgan.sampling import with_statistics  # noqa: PLC0415

    return with_statistics(load(model, device=device, check=False), statistics)


def tell_statistics(model: TrainedGenerator, asked: str) -> None:
    """Say, once the images are made, that ``auto`` took others than the averages of training."""
    from reacgan.models.norm_statistics import statistics_in_words  # noqa: PLC0415

    if asked == "auto" and model.norms is not None and model.norms.kind == "own":
        note = f"note: made with {statistics_in_words(model)}; --statistics moving takes the others"
        print(note, file=sys.stderr)
