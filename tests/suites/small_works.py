"""Works of milliseconds, to see what the runner makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reacgan.suites.base import Claim, Context, Figure, Outcome, Suite, Trial
from reacgan.training.run_folder import BusyError


@dataclass(frozen=True)
class Counted:
    """Gives its values, fails while ``broken`` is there, and notes each time it is called."""

    values: Mapping[str, float] = field(default_factory=lambda: {"fid": 1.0})
    series: Mapping[str, Any] = field(default_factory=dict)
    broken: Path | None = None
    calls: list[str] = field(default_factory=list)
    told: Mapping[str, Any] = field(default_factory=lambda: {"model": {"width": 4, "depth": 2}})

    def settings(self, seed: int, context: Context) -> dict[str, Any]:
        return {**self.told, "seed": seed, "changes": dict(context.changes)}

    def run(self, folder: Path, seed: int, context: Context) -> Outcome:
        self.calls.append(folder.name)
        if self.broken is not None and self.broken.exists():
            raise RuntimeError("the disk is full")
        return Outcome(self.values, {"fid": "lower"}, {"images": 10}, series=self.series)

    def command(self, folder: Path, seed: int, context: Context) -> str:
        return f"true {folder} {seed}"


def suite_of(*trials: Trial, claims: tuple[Claim, ...] = (), figures: tuple[Figure, ...] = ()):
    """A suite of these trials at every scale."""
    return Suite("made", (), "Made up", "", lambda scale: trials, ("fid",), claims, figures)


@dataclass(frozen=True)
class Busy(Counted):
    """Is held by another process for a moment."""

    def run(self, folder: Path, seed: int, context: Context) -> Outcome:
        if len(self.calls) < 3:
            self.calls.append(folder.name)
            raise BusyError("another process is training in this folder")
        return super().run(folder, seed, context)
