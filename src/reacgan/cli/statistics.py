"""What commands that make images say of a generator's statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reacgan.models.trained import TrainedGenerator


def tell_statistics(model: TrainedGenerator, asked: str) -> None:
    """Say it where ``auto`` took others than the averages of training."""
    from reacgan.models.settled import statistics_in_words  # noqa: PLC0415

    if asked == "auto" and model.norms is not None and model.norms.kind == "own":
        print(f"note: made with {statistics_in_words(model)}; --statistics moving takes the others")
