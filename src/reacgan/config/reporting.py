"""The sections of an experiment for what a run reports, and what it is monitored for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from reacgan.config.sections import (
    Component,
    Components,
    PositiveFloat,
    PositiveInt,
    Schema,
    named_options,
)


class ReportConfig(Schema):
    """What is written while a run goes on, in images seen."""

    journal_every: PositiveInt = 10_000
    """A line of losses and speed."""
    diagnose_every: PositiveInt | None = None
    """A line of what the conditioning loss does at the head: its gradient, the length of the features,
    the probability of the true class (the paper's figure 2); None for none. A step of D without its
    backbone's backward pass."""
    samples_every: PositiveInt = 100_000
    """A sheet of generated images; below this number also at 1,000, 2,000, 5,000, 10,000, ... images."""
    checkpoint_every: PositiveInt = 100_000
    """A resumable state."""
    checkpoint_minutes: PositiveFloat = 10
    """A state at least this often, by the clock, so that a crash of a slow run costs little."""
    keep_checkpoints: PositiveInt = 2
    """How many of the latest states stay on disk."""
    every_process: bool = False
    """Each further process keeps a journal of its own, ``journal-1.jsonl`` and so on: its share of the
    losses, its speed and memory. All other files are the main process's."""


class WatchConfig(Schema):
    """Collapse and divergence: how often a run is checked, and what follows from a finding."""

    every: PositiveInt | None = None
    """Images seen between two checks, which come earlier at first: at 500, 1,000, 2,000, ... images. None
    for 10,000, or a 500th of the training where that is more."""
    action: Literal["warn", "stop", "roll_back", "off"] = "warn"
    """warn reports a finding; stop also saves and ends the run; roll_back goes back to the last state
    from before it and goes on with lower learning rates, also after a loss that is not finite."""
    patience: PositiveInt = 2
    """Checks in a row that must find it."""
    lr_factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Each time it goes back both learning rates are multiplied by this."""
    most_rollbacks: PositiveInt = 3
    """How often a run goes back before it stops instead."""
    recover: bool = True
    """What becomes NaN or infinite is traced to the operation that made it, and the step is made again by
    plain operations if it is finite then; for this main memory holds one more copy of the state."""


class ScoresConfig(Schema):
    """Scores while a run goes on, in images seen, and the best state by one of them."""

    every: PositiveInt | None = None
    """Images seen between two scores of the averaged generator; None for none."""
    metrics: Components = Field(default_factory=lambda: named_options("fid, prdc"))
    """What is measured; see docs/evaluation.md."""
    by: str = "fid"
    """The score that the best state is chosen by: fid, ifid, recall, top1, ..."""
    extractor: Component = Component(name="domain")
    """Extractor of the features that images are compared in: domain, inception, ..."""
    num: PositiveInt | None = None
    """Generated images of each score; None for as many as the reference has, 10,000 at most."""
    statistics: Literal["auto", "own", "moving", "batch", "standing"] = "auto"
    """Of batch norms, while images are made for a score: those that fit the averaged generator, what its
    own weights have, the averages of training, those of each batch, or standing ones."""
    selection: Literal["split", "published"] = "split"
    """split chooses on other images than are reported; published on the same ones, and says so."""

    @property
    def wished_extractor(self) -> Component | None:
        """The extractor where it is another than the default, or has options; else None."""
        usual = type(self).model_fields["extractor"].default
        return None if self.extractor == usual else self.extractor
