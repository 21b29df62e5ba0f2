"""The loop: fetch, step, count, and call what is due. It holds no formula."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from reacgan import distributed
from reacgan.config import ConfigError, Experiment, OptimizerConfig, neighbours
from reacgan.data import ImageData
from reacgan.data.loader import Loader
from reacgan.losses import adversarial
from reacgan.randomness import Draws
from reacgan.training.alarm import Alarm
from reacgan.training.calls import Due, call_what_is_due
from reacgan.training.captured import Work
from reacgan.training.careful import Careful
from reacgan.training.ema import update_average
from reacgan.training.engine import Engine
from reacgan.training.gradients import discriminator_gradients, generator_gradients
from reacgan.training.journal import Journal, NonFiniteError
from reacgan.training.players import Latents, Objective, Players
from reacgan.training.proof import Result
from reacgan.training.schedules import (
    condition_strength,
    ema_decay,
    learning_rate,
    top_share,
)
from reacgan.training.speed import Ways
from reacgan.training.state import TrainState, trained_parameters

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
        engine.settle(experiment)
        self.num_classes = data.num_classes
        training, shares = experiment.training, engine.world * experiment.training.accumulate
        if training.batch % shares:
            raise ConfigError(
                f"training.batch is {training.batch}, which {engine.world} processes x "
                f"training.accumulate ({training.accumulate}) parts cannot share evenly; take a "
                f"multiple of {shares}, such as {neighbours(training.batch, shares)}"
            )
        self.loader = Loader(
            data,
            batch=experiment.training.batch,
            seed=experiment.training.seed,
            device=engine.device,
            rank=engine.rank,
            world=engine.world,
            flip=experiment.data.flip,
            crop=experiment.data.crop,
            balanced=experiment.data.balanced,
            resident_limit_bytes=None if engine.speed.resident else 0,
        )
        self.objective = Objective(
            adversarial(experiment.loss.adversarial),
            experiment.loss.conditioning_weight,
            state.adaptive.augment,
            experiment.loss.g_conditioning_weight,
            dict(state.adaptive.terms),
            state.adaptive.apa,
            experiment.loss.latent_optimisation,
        )
        self.g_parameters = trained_parameters(state.generator)
        self.d_parameters = trained_parameters(state.discriminator)
        self.local_batch = experiment.training.batch // engine.world
        self.parts = experiment.training.accumulate
        self.say: Callable[[str], None] = lambda line: None
        """Told what a person should know of how steps are made."""
        self.lr_scale = 1.0
        """Both learning rates are multiplied by this; below 1 once a run has gone back."""
        self._held: tuple[int, tuple[Tensor, Tensor]] | None = None
        networks = state.generator, state.discriminator
        self.ways = Ways(engine.speed, networks, (*networks, state.adaptive), engine.precision)
        named = {"generator": networks[0], "discriminator": networks[1], "": state.adaptive}
        self.careful = Careful(self.ways, named, engine)
        self._looks = False

    def draws(self, stream: str, part: int = 0) -> Draws:
        """Randomness of one purpose at this moment of the run, for one part of the batch."""
        return Draws(
            self.experiment.training.seed,
            stream,
            self.state.images_seen,
            device=self.engine.device,
            rank=self.engine.rank * self.parts + part,  # a part draws as a process would
            world=self.engine.world * self.parts,
        )

    def latents(self, stream: str) -> list[Latents]:
        """Latents and uniformly drawn labels for one step, for each part of the batch."""
        count, length = self.local_batch // self.parts, self.state.generator.latent_dim
        found = []
        for part in range(self.parts):
            draws = self.draws(stream, part)
            z = draws.normal(count, length, dtype=self.engine.dtype)
            found.append(Latents(z, draws.integers(count, high=self.num_classes)))
        return found

    def players(self, images_a_step: int, *, shown: bool = False) -> list[Players]:
        """Networks and objective at this moment, for each part of the batch.

        ``shown``: the images of this step count as seen already, as they do in G's step.
        """
        loss, seen = self.experiment.loss, self.state.images_seen
        return [
            Players(
                self.state.generator,
                self.state.discriminator,
                self.objective,
                partial(self.draws, part=part),
                index=(seen - shown) // images_a_step,
                strength=condition_strength(loss.transition, seen),
                top_share=top_share(loss.top_k, seen),
            )
            for part in range(self.parts)
        ]

    def real(self) -> tuple[Tensor, Tensor]:
        """Real images in [-1, 1] and labels of this moment; asked for again, the same ones."""
        seen = self.state.images_seen
        if self._held is None or self._held[0] != seen:
            images, labels = self.loader.at(seen)
            self._held = seen, (self.engine.scale(images), labels)
        return self._held[1]

    def cycle(self, journal: Journal) -> None:
        """``d_steps`` discriminator steps, one generator step, the average.

        Raises:
            NonFiniteError: of steps that are looked at (:class:`Careful`); others are not.
        """
        self._looks = self.state.images_seen < self.careful.until
        for _ in range(self.experiment.training.d_steps):
            self.discriminator_step(journal)
        self.generator_step(journal)
        decay = ema_decay(self.experiment.ema, self.state.images_seen, self.experiment.cycle_images)
        fused = self.engine.speed.fused_optimizer
        update_average(self.state.average, self.state.generator, decay, fused=fused)
        for line in self.ways.news():
            journal.note({"kind": "speed", "message": line})
            self.say(f"note: {line}")
        if self._looks:
            self._tell_and_check(journal)

    def _tell_and_check(self, journal: Journal) -> None:
        for event in self.careful.events:
            journal.note(event, at=event["at"])
            self.say(f"note: {event['message']}")
        self.careful.events.clear()
        self._looks = False
        self.careful.check(self.state)

    def _made(self, work: Work) -> Result:
        if self._looks:
            return self.careful.run(work, self.state.images_seen)
        return self.ways.run(work)

    def discriminator_step(self, journal: Journal) -> None:
        """Show D one batch; moves the clock."""
        state, batch = self.state, self.experiment.training.batch
        self._set_strength()
        work = Work(
            discriminator_gradients,
            self.players(batch),
            self.real(),
            self.latents("latents/d"),
            self.d_parameters,
            self.engine.autocast,
        )
        parts, real_scores = self._made(work)
        self._move(state.d_optimizer, self.experiment.d_optimizer, self.d_parameters)
        for term in self.objective.terms.values():
            term.after_d_step(state.discriminator)
        for name, adaptive in (("augment", self.objective.augment), ("apa", self.objective.apa)):
            if adaptive is not None:
                adaptive.observe(real_scores, batch=batch)
                if adaptive.probability is not None:
                    parts[f"d/{name}_probability"] = adaptive.probability.clone()
        state.images_seen += batch
        journal.add(parts)

    def generator_step(self, journal: Journal) -> None:
        """Improve G against D as it is."""
        self._set_strength()
        work = Work(
            generator_gradients,
            self.players(self.experiment.cycle_images, shown=True),
            self.real() if self.objective.g_needs_real else None,
            self.latents("latents/g"),
            self.g_parameters,
            self.engine.autocast,
        )
        parts, _ = self._made(work)
        self._move(self.state.g_optimizer, self.experiment.g_optimizer, self.g_parameters)
        journal.add(parts)

    def _move(
        self,
        optimizer: torch.optim.Optimizer,
        config: OptimizerConfig,
        parameters: list[nn.Parameter],
    ) -> None:
        distributed.average_gradients(parameters)
        rate = learning_rate(config, self.state.images_seen, self.lr_scale)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()

    def _set_strength(self) -> None:
        transition = self.experiment.loss.transition
        if transition is None:
            return
        strength = condition_strength(transition, self.state.images_seen)
        self.state.generator.condition_strength.fill_(strength)
        self.state.discriminator.head.condition_strength.fill_(strength)


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
    while True:
        while state.images_seen <= last:
            before = state.images_seen
            try:
                trainer.cycle(journal)
            except NonFiniteError as error:
                tasks.fail(error)
                continue
            cycles += 1
            call_what_is_due(trainer.experiment, state, tasks, before, said=line.rings())
            if trainer.engine.world == 1 or cycles % _CYCLES_BETWEEN_QUESTIONS == 0:
                tasks.settle()
                stopped = distributed.any_process(stop(), device)
                late = deadline is not None and time.monotonic() > deadline
                timed_out = distributed.any_process(late, device)
                if distributed.any_process(save.rings(), device):
                    tasks.checkpoint()
            if stopped or timed_out:
                break
        tasks.checkpoint()  # which may find that the run must go back
        if stopped or timed_out or state.images_seen > last:
            return not stopped or state.images_seen > last
