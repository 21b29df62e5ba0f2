"""What the loop calls when its time has come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reacgan import distributed
from reacgan.config import Experiment
from reacgan.training.journal import NonFiniteError
from reacgan.training.schedules import due, look_due
from reacgan.training.state import TrainState


def _nothing() -> None:
    """Not asked for."""


def _raised(error: NonFiniteError) -> None:
    raise error


@dataclass(frozen=True)
class Due:
    """What the loop calls when its time has come; each gets nothing and returns nothing."""

    report: Callable[[], None]
    samples: Callable[[], None]
    checkpoint: Callable[[], None]
    look: Callable[[], None] = _nothing
    """Work out what the watch looks at, and report."""
    score: Callable[[], None] = _nothing
    """Measure the averaged generator (``scores.every``)."""
    diagnose: Callable[[], None] = _nothing
    """Measure what the conditioning loss does at the head (``report.diagnose_every``)."""
    settle: Callable[[], None] = _nothing
    """Act on what was found; may take the state back to an earlier moment."""
    check: Callable[[], None] = _nothing
    """See that all is finite, before anything is made of it; may take the state back."""
    keep: Callable[[], None] = _nothing
    """All that was due is done, and all is finite: the state may be kept to come back to."""
    fail: Callable[[NonFiniteError], None] = _raised
    """A step that was looked at cannot be made: takes the state back, or raises."""


def call_what_is_due(
    experiment: Experiment, state: TrainState, tasks: Due, before: int, *, said: bool
) -> None:
    """What the images seen since ``before`` make due; ``said``: it is time for a line in any case."""
    report, now = experiment.report, state.images_seen
    looks = look_due(experiment.watch.every, before, now, experiment.training.images)
    diagnoses = due(report.diagnose_every, before, now)
    by_images = [
        call
        for is_due, call in (
            (due(experiment.scores.every, before, now), tasks.score),
            (diagnoses, tasks.diagnose),
            (looks, tasks.look),
            (diagnoses, tasks.report),
            (due(report.journal_every, before, now), tasks.report),
            (due(report.samples_every, before, now), tasks.samples),
            (due(report.checkpoint_every, before, now), tasks.checkpoint),
        )
        if is_due
    ]
    calls = [*by_images, *([tasks.report] if said else [])]
    # Each process has its own clock; what is due by images, all of them call together.
    together = bool(by_images) or (said and distributed.world_size() == 1)
    for call in (tasks.check, *calls, tasks.keep) if together else calls:
        call()
        if state.images_seen != now:  # the run has gone back
            return
