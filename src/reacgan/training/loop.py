"""The loop: fetch, step, count, and call what is due. It holds no formula."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from reacgan import distributed
from reacgan.augment import build_augment
from reacgan.config import Experiment
from reacgan.data import ImageData
from reacgan.data.loader import Loader
from reacgan.losses import adversarial
from reacgan.randomness import Draws
from reacgan.training.ema import update_average
from reacgan.training.engine import Engine
from reacgan.training.journal import Journal
from reacgan.training.schedules import due, ema_decay, learning_rate
from reacgan.training.state import TrainState
from reacgan.training.steps import Latents, Objective, discriminator_loss, generator_loss

# Processes agree on stopping only every so many cycles, since asking waits for the device.
_CYCLES_BETWEEN_QUESTIONS = 16
# A slow run reports by the clock, so that nobody waits in the dark.
_FIRST_LINE = 5.0
_SECONDS_BETWEEN_LINES = 30.0


class Trainer:
    """Turns the crank: one :meth:`cycle` is ``d_steps`` discriminator steps and a generator step."""

    def __init__(
        self, experiment: Experiment, state: TrainState, data: ImageData, engine: Engine
    ) -> None:
        self.experiment = experiment
        self.state = state
        self.engine = engine
        self.num_classes = data.num_classes
        self.loader = Loader(
            data,
            batch=experiment.training.batch,
            seed=experiment.training.seed,
            device=engine.device,
            rank=engine.rank,
            world=engine.world,
            flip=experiment.data.flip,
            crop=experiment.data.crop,
        )
        self.objective = Objective(
            adversarial(experiment.loss.adversarial),
            experiment.loss.conditioning_weight,
            build_augment(experiment.augment),
        )
        self.g_parameters = list(state.generator.parameters())
        self.d_parameters = list(state.discriminator.parameters())
        self.local_batch = experiment.training.batch // engine.world

    def draws(self, stream: str) -> Draws:
        """Randomness of one purpose at this moment of the run."""
        return Draws(
            self.experiment.training.seed,
            stream,
            self.state.images_seen,
            device=self.engine.device,
            rank=self.engine.rank,
            world=self.engine.world,
        )

    def latents(self, stream: str) -> Latents:
        """Latents and uniformly drawn labels for one step."""
        draws = self.draws(stream)
        length: int = self.state.generator.latent_dim  # type: ignore[assignment]
        z = draws.normal(self.local_batch, length, dtype=self.engine.dtype)
        return Latents(z, draws.integers(self.local_batch, high=self.num_classes))

    def cycle(self, journal: Journal) -> None:
        """``d_steps`` discriminator steps, one generator step, the average."""
        for _ in range(self.experiment.training.d_steps):
            self.discriminator_step(journal)
        self.generator_step(journal)
        decay = ema_decay(self.experiment.ema, self.state.images_seen, self.experiment.cycle_images)
        update_average(self.state.average, self.state.generator, decay)

    def discriminator_step(self, journal: Journal) -> None:
        """Show D one batch; moves the clock."""
        state = self.state
        images, labels = self.loader.at(state.images_seen)
        with self.engine.autocast():
            loss, parts = discriminator_loss(
                state.generator,
                state.discriminator,
                self.objective,
                real=self.engine.scale(images),
                labels=labels,
                latents=self.latents("latents/d"),
                draws=(self.draws("augment/real"), self.draws("augment/fake")),
            )
        self.engine.backward(loss, self.d_parameters)
        rate = learning_rate(self.experiment.d_optimizer, state.images_seen)
        state.d_optimizer.param_groups[0]["lr"] = rate
        state.d_optimizer.step()
        state.images_seen += self.experiment.training.batch
        journal.add(parts)

    def generator_step(self, journal: Journal) -> None:
        """Improve G against D as it is."""
        state = self.state
        with self.engine.autocast():
            loss, parts = generator_loss(
                state.generator,
                state.discriminator,
                self.objective,
                latents=self.latents("latents/g"),
                draws=self.draws("augment/g"),
            )
        self.engine.backward(loss, self.g_parameters)
        rate = learning_rate(self.experiment.g_optimizer, state.images_seen)
        state.g_optimizer.param_groups[0]["lr"] = rate
        state.g_optimizer.step()
        journal.add(parts)


class Alarm:
    """Rings after ``first`` seconds, and then whenever ``every`` seconds have passed."""

    def __init__(self, first: float, every: float) -> None:
        self.every = every
        self._at = time.monotonic() + first

    def rings(self) -> bool:
        """Whether the time has come; sets the next one."""
        now = time.monotonic()
        if now < self._at:
            return False
        self._at = now + self.every
        return True


@dataclass(frozen=True)
class Due:
    """What the loop calls when its time has come; each gets nothing and returns nothing."""

    report: Callable[[], None]
    samples: Callable[[], None]
    checkpoint: Callable[[], None]


def run(
    trainer: Trainer,
    journal: Journal,
    tasks: Due,
    *,
    stop: Callable[[], bool],
    seconds: float | None = None,
) -> bool:
    """Cycle until the images are seen, the time is over, or ``stop`` says so.

    A checkpoint is written at the end in any case.

    Returns:
        Whether the run is complete: all images seen, or the allotted time used up.
    """
    state, report = trainer.state, trainer.experiment.report
    last = trainer.experiment.training.images - trainer.experiment.cycle_images
    journal.start_clock()
    deadline = time.monotonic() + seconds if seconds is not None else None
    line = Alarm(_FIRST_LINE, _SECONDS_BETWEEN_LINES)
    save = Alarm(60 * report.checkpoint_minutes, 60 * report.checkpoint_minutes)
    device, cycles = trainer.engine.device, 0
    stopped = timed_out = False
    while state.images_seen <= last:
        before = state.images_seen
        trainer.cycle(journal)
        cycles += 1
        if line.rings() or due(report.journal_every, before, state.images_seen):
            tasks.report()
        if due(report.samples_every, before, state.images_seen):
            tasks.samples()
        if due(report.checkpoint_every, before, state.images_seen):
            tasks.checkpoint()
        if trainer.engine.world == 1 or cycles % _CYCLES_BETWEEN_QUESTIONS == 0:
            stopped = distributed.any_process(stop(), device)
            late = deadline is not None and time.monotonic() > deadline
            timed_out = distributed.any_process(late, device)
            if distributed.any_process(save.rings(), device):
                tasks.checkpoint()
        if stopped or timed_out:
            break
    tasks.checkpoint()
    return not stopped or state.images_seen > last
