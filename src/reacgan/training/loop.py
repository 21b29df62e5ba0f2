"""The loop: fetch, step, count, and call the hooks that are due. It holds no formula."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from reacgan import distributed
from reacgan.config import Experiment, OptimizerConfig
from reacgan.data import ImageData
from reacgan.progress import heartbeat
from reacgan.training.alarm import Alarm
from reacgan.training.ema import ema_decay, update_average
from reacgan.training.engine import Engine
from reacgan.training.execution.ways import Ways
from reacgan.training.journal import Journal, NonFiniteError
from reacgan.training.recovery.careful import Careful
from reacgan.training.schedules import condition_strength, learning_rate
from reacgan.training.state import TrainState
from reacgan.training.step.averaging import GradientAverage
from reacgan.training.step.builder import StepBuilder
from reacgan.training.step.work import Result, Work

# Processes agree on stopping only every so many cycles or seconds, since asking waits for the device.
_CYCLES_BETWEEN_QUESTIONS = 16
_SECONDS_BETWEEN_QUESTIONS = 2.0
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
        self.steps = StepBuilder(experiment, state, data, engine)
        self.say: Callable[[str], None] = lambda line: None
        """Gets what a person should know of how steps are made."""
        networks = state.generator, state.discriminator
        self.ways = Ways(
            engine.speed,
            networks,
            (*networks, state.adaptive),
            engine.precision,
            [state.average],
        )
        named = {"generator": networks[0], "discriminator": networks[1], "": state.adaptive}
        self.careful = Careful(self.ways.run, named, engine)

    def wait(self, stop: Callable[[], bool]) -> bool:
        """Wait for the images of a cycle where they are fetched; False once ``stop`` says so before.

        Of several processes each waits within its step: they decide together after it.
        """
        d_steps = self.experiment.training.d_steps
        alone, loader = self.engine.world == 1, self.steps.loader
        return not alone or loader.wait(self.state.images_seen, d_steps, stop)

    def cycle(self, journal: Journal) -> None:
        """``d_steps`` discriminator steps, one generator step, the average.

        Raises:
            NonFiniteError: of steps that are checked (:class:`Careful`); others are not.
        """
        self.careful.on = self.state.images_seen < self.careful.until
        for _ in range(self.experiment.training.d_steps):
            self.discriminator_step(journal)
        self.generator_step(journal)
        decay = ema_decay(self.experiment.ema, self.state.images_seen, self.experiment.cycle_images)
        fused = self.engine.speed.fused_optimizer
        update_average(self.state.average, self.state.generator, decay, fused=fused)
        for line in self.ways.news():
            journal.note({"kind": "speed", "message": line})
            self.say(f"note: {line}")
        if self.careful.on:
            for event in self.careful.take_events():
                journal.note(event, at=event["at"])
                self.say(f"note: {event['message']}")
            self.careful.check(self.state)

    def discriminator_step(self, journal: Journal) -> None:
        """Show D one batch; moves the clock."""
        state, batch = self.state, self.experiment.training.batch
        self._set_strength()
        parts, real_scores = self._gradients(self.steps.discriminator())
        self._update(state.d_optimizer, self.experiment.d_optimizer, self.steps.d_average)
        objective = self.steps.objective
        for term in objective.terms.values():
            term.after_d_step(state.discriminator)
        for name, adaptive in (("augment", objective.augment), ("apa", objective.apa)):
            if adaptive is not None:
                adaptive.observe(real_scores, batch=batch)
                if adaptive.probability is not None:
                    parts[f"d/{name}_probability"] = adaptive.probability.clone()
        state.images_seen += batch
        journal.add(parts)

    def generator_step(self, journal: Journal) -> None:
        """Improve G against D as it is."""
        self._set_strength()
        parts, _ = self._gradients(self.steps.generator())
        self._update(self.state.g_optimizer, self.experiment.g_optimizer, self.steps.g_average)
        journal.add(parts)

    def _gradients(self, work: Work) -> Result:
        if self.careful.on:
            return self.careful.run(work, self.state.images_seen)
        return self.ways.run(work)

    def _update(
        self,
        optimizer: torch.optim.Optimizer,
        config: OptimizerConfig,
        average: GradientAverage,
    ) -> None:
        average.finish()
        rate = learning_rate(config, self.state.images_seen, self.state.lr_scale)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        heartbeat()

    def _set_strength(self) -> None:
        transition = self.experiment.loss.transition
        if transition is None:
            return
        strength = condition_strength(transition, self.state.images_seen)
        self.state.generator.condition_strength.fill_(strength)
        self.state.discriminator.head.condition_strength.fill_(strength)


@dataclass(frozen=True)
class Hook:
    """A call that the loop makes when it is due."""

    due: Callable[[int, int], bool]
    """Whether it is due, of the images seen one cycle ago and now."""
    call: Callable[[], None]


class Hooks:
    """What the loop calls; this base does nothing. All of it may take the state back."""

    def scheduled(self) -> Sequence[Hook]:
        """Calls by images seen, in their order within a cycle."""
        return ()

    def tick(self) -> None:
        """After every cycle; must be cheap."""

    def late(self, cycles: int) -> bool:
        """Whether so many more cycles, what is due within them, and the end have no time left."""
        return False

    def check(self) -> None:
        """Before hooks: see that losses and state are finite."""

    def after(self) -> None:
        """After hooks, when all is finite."""

    def report(self) -> None:
        """A line of the journal; also by the clock."""

    def checkpoint(self) -> None:
        """Save the state; also by the clock, and when the loop ends."""

    def resolve(self) -> None:
        """Act on errors and findings."""

    def fail(self, error: NonFiniteError) -> None:
        """A step cannot be made in any way."""
        raise error


def run(
    trainer: Trainer,
    journal: Journal,
    hooks: Hooks,
    *,
    stop: Callable[[], bool],
    save_now: Callable[[], bool] = lambda: False,
    first_save: float | None = None,
) -> bool:
    """Cycle until the images are seen, the hooks are late, or ``stop`` says so.

    A checkpoint is written at the end in any case.

    Args:
        trainer: makes the cycles.
        journal: gets what they report.
        hooks: are called when they are due.
        stop: whether to save and end after this cycle.
        save_now: whether to save after this cycle, and go on.
        first_save: seconds until the first checkpoint by the clock, if that is sooner than usual.

    Returns:
        Whether the run is complete: all images seen, or the allotted time used up.
    """
    state, report = trainer.state, trainer.experiment.report
    last = trainer.experiment.training.images - trainer.experiment.cycle_images
    journal.start_clock()
    line = Alarm(_FIRST_LINE, _SECONDS_BETWEEN_LINES)
    usual = 60 * report.checkpoint_minutes
    save = Alarm(usual if first_save is None else min(first_save, usual), usual)
    questions, scheduled = _Questions(trainer.engine), hooks.scheduled()
    stopped = timed_out = False
    while True:
        while state.images_seen <= last:
            before = state.images_seen
            if not trainer.wait(stop):
                stopped = True
                break
            try:
                trainer.cycle(journal)
            except NonFiniteError as error:
                hooks.fail(error)
                continue
            hooks.tick()
            due = [hook.call for hook in scheduled if hook.due(before, state.images_seen)]
            _call(hooks, due, state, by_clock=line.rings())
            if questions.due():
                hooks.resolve()
                # The end of the plan is no matter of time: all of it is ahead anyway.
                late = state.images_seen <= last and hooks.late(questions.ahead)
                stopped, saves, timed_out = questions.ask(stop(), save.rings() | save_now(), late)
                if saves and not stopped:
                    hooks.checkpoint()
            if stopped or timed_out:
                break
        hooks.checkpoint()  # which may find that the run must go back
        if stopped or timed_out or state.images_seen > last:
            return not stopped or state.images_seen > last


class _Questions:
    """What the processes of a run decide together, at the same cycles."""

    def __init__(self, engine: Engine) -> None:
        self.ahead = 1
        """Cycles until the next question."""
        self._engine = engine
        self._cycles = 0
        self._asked = time.monotonic()

    def due(self) -> bool:
        """Whether to ask after this cycle; counts it."""
        self._cycles += 1
        return self._cycles >= self.ahead

    def ask(self, *flags: bool) -> list[bool]:
        """Whether each flag is set on any process; the slowest says how many cycles come next."""
        if self._engine.world == 1:
            self._cycles = 0
            return list(flags)
        took = (time.monotonic() - self._asked) / self._cycles
        *answers, slowest = distributed.largest([*map(float, flags), took], self._engine.device)
        fitting = _SECONDS_BETWEEN_QUESTIONS / max(slowest, 1e-3)
        self.ahead = max(min(int(fitting), _CYCLES_BETWEEN_QUESTIONS), 1)
        self._cycles, self._asked = 0, time.monotonic()
        return [bool(answer) for answer in answers]


def _call(
    hooks: Hooks, due: list[Callable[[], None]], state: TrainState, *, by_clock: bool
) -> None:
    """Call what is due by images seen; ``by_clock``: it is time for a line in any case."""
    now = state.images_seen
    calls = [*due, *([hooks.report] if by_clock else [])]
    # Each process has its own clock; what is due by images, all of them call together.
    together = bool(due) or (by_clock and distributed.world_size() == 1)
    for call in (hooks.check, *calls, hooks.after) if together else calls:
        call()
        if state.images_seen != now:  # the run has gone back
            return
