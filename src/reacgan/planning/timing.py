"""How fast this machine trains: measured on the very steps of a run, which leaves nothing behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from reacgan.assembly import complete
from reacgan.config import Device, Experiment
from reacgan.data import ImageData
from reacgan.outlook import seen_in, stages
from reacgan.progress import rough_duration
from reacgan.training.engine import Engine
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.memory.advice import memory_explained
from reacgan.training.state import TrainState
from reacgan.training.transfer import take_up

_WARM_UP = 4
"""Cycles before the clock starts: they try ways of making steps, record and compile them."""


@dataclass(frozen=True)
class Timing:
    """Real images that training sees in a second."""

    images_per_second: float
    seconds: float
    """How long was measured."""
    device: str

    def lines(
        self, experiment: Experiment, *, side: int, images: int, classes: int
    ) -> Iterator[str]:
        """The stages of a training by the clock; an estimate.

        Args:
            experiment: the plan.
            side: shorter side of its images, pixels.
            images: how many the set has.
            classes: of how many classes.
        """
        yield (
            f"on this machine ({self.device}) about {self.images_per_second:,.0f} images a second: an "
            f"estimate from {self.seconds:.0f} s of the same steps"
        )
        planned = experiment.training.images
        ahead = stages(side, images, classes)
        width = max(len(stage.name) for stage in ahead)
        for stage in ahead:
            pictures = seen_in(stage.pictures, experiment.data.channels)
            yield f"  {stage.name:{width}}  {self._after(stage.images_seen)}  {pictures}"
        reached = [stage.name for stage in ahead if stage.images_seen <= planned]
        yield (
            f"  {'this plan':{width}}  {self._after(planned)}  "
            + (f"reaches: {reached[-1]}" if reached else "no shapes yet: train longer")
        )

    def _after(self, images_seen: int) -> str:
        return (
            f"{images_seen:>11,} images  {rough_duration(images_seen / self.images_per_second):>8}"
        )


def time_steps(
    experiment: Experiment, data: ImageData, *, device: Device = "auto", seconds: float = 20.0
) -> Timing:
    """Train for so many seconds, after an untimed warm-up, and forget it.

    Args:
        experiment: what would be trained.
        data: its images.
        device: as in :func:`reacgan.train`.
        seconds: of the measurement; whole cycles, one at least.

    Raises:
        ConfigError: as :func:`reacgan.train`; also where memory does not suffice.
    """
    experiment = complete(experiment)
    engine = Engine.of(experiment, device)
    experiment = experiment.replace(**{"training.precision": engine.precision})
    state = TrainState.build(experiment, data.num_classes, engine)
    take_up(state, experiment.training.start_from, None)
    trainer = Trainer(experiment, state, data, engine)
    journal = Journal(None, 0)
    try:
        with memory_explained(experiment, state, data, engine):
            _cycles(trainer, journal, lambda cycles, spent: cycles < _WARM_UP)
            before, began = state.images_seen, time.perf_counter()
            _cycles(trainer, journal, lambda cycles, spent: not cycles or spent < seconds)
    finally:
        trainer.steps.loader.close()
    spent = time.perf_counter() - began
    return Timing((state.images_seen - before) / spent, spent, engine.device.type)


def _cycles(trainer: Trainer, journal: Journal, more: Callable[[int, float], bool]) -> None:
    """Cycles while ``more`` of (cycles made, seconds) says so; the device has done them at the end."""
    cycles, began = 0, time.perf_counter()
    while more(cycles, time.perf_counter() - began):
        trainer.cycle(journal)
        cycles += 1
        if trainer.engine.device.type == "cuda":
            torch.cuda.synchronize(trainer.engine.device)
        elif trainer.engine.device.type == "mps":
            torch.mps.synchronize()
