"""The best state of a run so far, and which lines of its scores are periodic ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reacgan.config import ConfigError
from reacgan.evaluation import Score


@dataclass(frozen=True)
class Best:
    """The best state so far, as ``best/selection.json`` has it."""

    images_seen: int
    value: float
    better: str

    def beaten_by(self, score: Score) -> bool:
        """Whether a score is strictly better; the earlier of equal ones stays."""
        sign = 1 if self.better == "higher" else -1
        return sign * score.value > sign * self.value


def is_later(line: str, images_seen: int) -> bool:
    """Whether a line of scores is a periodic one of a later moment."""
    try:
        score = Score.from_line(line)
    except ConfigError:
        return False
    return is_periodic(score) and (score.images_seen or 0) > images_seen


def selection_of(score: Score) -> dict[str, Any]:
    """How the state of a score was chosen."""
    held = score.protocol.get("selection")
    return dict(held) if isinstance(held, dict) else {}


def is_periodic(score: Score) -> bool:
    """Whether it was measured while the run went on."""
    return selection_of(score).get("during") == "training"
