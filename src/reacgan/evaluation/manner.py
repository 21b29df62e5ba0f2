"""How a generator is asked for images, which a score depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reacgan.models.settled import BOUND, IMAGES, statistics_in_words
from reacgan.models.trained import TrainedGenerator
from reacgan.sampling import COUPLED_CHUNK, Langevin
from reacgan.sampling.statistics import Statistics

OF_A_GENERATOR = ("labels", "statistics", "truncation", "psi", "layers", "seed")
"""What a person may say of how images are made, see :class:`Manner`."""


@dataclass(frozen=True)
class Manner:
    """How a generator is asked for images; part of a score's protocol."""

    labels: str = "reference"
    """Which classes: as the reference has them, balanced, or uniformly drawn."""
    statistics: Statistics = "auto"
    """Of batch norms; see :func:`reacgan.sampling.with_statistics`."""
    truncation: float | None = None
    psi: float | None = None
    layers: int | None = None
    seed: int = 0
    langevin: Langevin | None = None

    def facts(self, weights: str) -> dict[str, Any]:
        """For a protocol."""
        told: dict[str, Any] = {"weights": weights, "batch_norm": self.statistics}
        if self.statistics == "batch":
            told["batch"] = COUPLED_CHUNK
        if self.statistics == "auto":
            told["auto"] = {"bound": BOUND, "images": IMAGES}
        if self.statistics == "own":
            told["own"] = {"images": IMAGES}
        for name in ("truncation", "psi", "layers"):
            if getattr(self, name) is not None:
                told[name] = getattr(self, name)
        if self.langevin is not None:
            chain = self.langevin
            told["langevin"] = {
                name: getattr(chain, name) for name in ("steps", "rate", "noise", "decay")
            }
        return told


def notes_on(model: TrainedGenerator, statistics: Statistics) -> tuple[str, ...]:
    """What belongs beside a score, where the averages of training did not fit the generator."""
    own = statistics == "auto" and model.norms is not None and model.norms.kind == "own"
    return (f"made with {statistics_in_words(model)}",) if own else ()


def statistics_kind(kind: str) -> str:
    """A kind of statistics as protocols say it."""
    known = {
        "auto": "statistics that fit the generator (its own where the averages of training do not)",
        "own": "the generator's own statistics",
    }
    return known.get(kind, f"{kind} statistics")
