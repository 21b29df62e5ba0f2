"""What every part of a run may know of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from reacgan.config import Experiment
from reacgan.data import ImageData
from reacgan.training.callbacks import Callbacks
from reacgan.training.clock import WallClock
from reacgan.training.engine import Engine
from reacgan.training.journal import Journal
from reacgan.training.progress import Progress
from reacgan.training.run_folder import RunFolder
from reacgan.training.signals import StopRequest
from reacgan.training.state import TrainState


@dataclass(frozen=True)
class RunContext:
    """A run: what is trained on what, its state, where it computes, and where it writes."""

    experiment: Experiment
    state: TrainState
    data: ImageData
    engine: Engine
    folder: RunFolder
    journal: Journal
    progress: Progress
    facts: dict[str, Any]
    """Plain values that must be equal when the run is resumed."""
    callbacks: Callbacks = field(default_factory=Callbacks)
    """Of the main process; none elsewhere."""
    clock: WallClock = field(default_factory=WallClock)
    """Of this process, for when to stop; images seen are the clock of everything else."""

    signals: StopRequest = field(default_factory=StopRequest)
    """Whether the run was asked to stop, or to save."""

    @property
    def images_seen(self) -> int:
        """The clock."""
        return self.state.images_seen
