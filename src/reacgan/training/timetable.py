"""What a run has still to do beside its steps, how long that takes, and when a call must end for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from reacgan import distributed
from reacgan.evaluation import Evaluation
from reacgan.models.trained import TrainedGenerator
from reacgan.progress import Listener, Task, listening, rough_duration
from reacgan.training.clock import MARGIN
from reacgan.training.context import RunContext
from reacgan.training.monitor.periodic_scores import PeriodicScores
from reacgan.training.schedules import due, sheet_due, snapshot_due

_ENDING = ("saving", "writing", "sheet", "drawing")
_SHARE_FOR_SCORES = 0.5
"""Of the minutes that are left: preparing scores may take so much of them."""
_SURE_AFTER = 2.0
"""Seconds after which the length of a stage is estimated from its share that is done."""


class TooLongError(Exception):
    """Work would take more seconds than it may."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class ScoringStoppedError(Exception):
    """A signal came while scores were measured."""


class Timetable:
    """The work ahead of a run, in seconds by its wall clock.

    Args:
        run: with its clock.
        scores: its periodic scores, where it has them.
        stopping: whether a signal has come.
        save_here: saves the state in the middle of a score.
    """

    def __init__(
        self,
        run: RunContext,
        scores: PeriodicScores | None,
        stopping: Callable[[], bool],
        save_here: Callable[[], None] = lambda: None,
    ) -> None:
        self.run = run
        self.clock = run.clock
        self.scores = scores
        self.stopping = stopping
        self.save_here = save_here

    def late(self, cycles: int) -> bool:
        """Whether the minutes do not suffice for so many more cycles, what is due in them, and the end."""
        left = self.clock.left()
        if left is None:
            return False
        before = self.run.images_seen
        now = before + cycles * self.run.experiment.cycle_images
        # A state may be saved by the clock at any time, too.
        between = self.clock.costs(*self._due(before, now), "saving")
        return left < cycles * self.clock.cost("cycle") + between + self.ending(now)

    def _due(self, before: int, now: int) -> Iterator[str]:
        experiment = self.run.experiment
        report, images = experiment.report, experiment.training.images
        if self.scores is not None and due(experiment.scores.every, before, now):
            yield "score"
        if snapshot_due(experiment.watch.every, before, now, images):
            yield "snapshot"
        if due(report.diagnose_every, before, now):
            yield "diagnosis"
        if sheet_due(report.samples_every, before, now):
            yield "sheet"

    def ending(self, images_seen: int) -> float:
        """Seconds from the last step at a moment to the end of the call."""
        return self.clock.costs(*_ENDING) + self._last_scores(images_seen)

    def saving(self) -> float:
        """Seconds from now until the state is saved, where the run is asked to stop."""
        several = self.run.engine.world > 1
        return self.clock.costs("cycle", "saving", "writing", *(["score"] if several else []))

    def sheet_fits(self, seconds: float) -> bool:
        """Whether a sheet can be made in so many seconds."""
        return self.clock.costs("sheet", "drawing") <= seconds

    def named(self) -> str:
        """What comes after the last step, in words."""
        scores = self.scores is not None and self.scores_fit()
        return "saving, the last sheet and scores" if scores else "saving and the last sheet"

    def _last_scores(self, images_seen: int) -> float:
        if self.scores is None or not self.scores_fit():
            return 0.0
        measured = self.scores.measured_at == images_seen
        return self.clock.cost("report") + (0.0 if measured else self.clock.cost("score"))

    def scores_fit(self) -> bool:
        """Whether the last scores are measured: without a limit, or in what the call may take at all."""
        whole = self.clock.seconds
        return whole is None or not self.clock.knows("too long")

    def have_time_for_scores(self) -> bool:
        """Whether the last scores fit in what is left now; every process gets the same answer."""
        left = self.clock.left()
        # Without the margin, which was for what has happened by now.
        needed = self._last_scores(-1) / MARGIN
        no = not self.scores_fit() or (left is not None and left < needed)
        return not distributed.any_process(no, self.run.engine.device)

    def ahead(self, images_seen: int) -> tuple[float, bool]:
        """Seconds of scores and of the end until the plan is seen, and whether all of it is known.

        Sheets, snapshots and checkpoints on the way are part of the measured speed.
        """
        every, total = self.run.experiment.scores.every, self.run.experiment.training.images
        seconds = self.clock.costs(*_ENDING)
        if every is None or self.scores is None:
            return seconds, True
        last = total - total % self.run.experiment.cycle_images
        many = last // every - images_seen // every + (last % every > 0)
        seconds += many * self.clock.cost("score") + self.clock.cost("report")
        if not self.clock.knows("report"):
            seconds += self.clock.cost("score")
        return seconds, many == 0 or self.clock.knows("score")

    @contextmanager
    def scoring(self, listener: Listener) -> Iterator[None]:
        """A block that measures scores: its stages are shown, and a signal ends it.

        Raises:
            ScoringStoppedError: a signal came. Several processes finish together, and save before.
        """
        alone = self.run.engine.world == 1
        stop = self.stopping if alone else lambda: False
        with listening(_Watch(listener, stop, meanwhile=self._save_if_asked)):
            yield

    def _save_if_asked(self) -> None:
        """A score of several processes goes on to its end, which may come after the kill."""
        signals = self.run.signals
        if signals.take_save() or signals.set:
            self.save_here()

    def prepare_scores(self, model: Callable[[], TrainedGenerator], listener: Listener) -> None:
        """Where the call is limited: make what the first score needs, and see how long a score takes."""
        left, scores = self.clock.left(), self.scores
        if left is None or scores is None:
            return
        self.run.progress.say(
            "scores: what the first one needs is made now, so that all of them fit into the minutes"
        )
        alone = self.run.engine.world == 1
        most = _SHARE_FOR_SCORES * left if alone else float("inf")
        try:
            with listening(_Watch(listener, self.stopping if alone else lambda: False, most)):
                self._learn_saving(model)
                took = self._rehearse(scores, model())
        except ScoringStoppedError:
            return
        except TooLongError as error:
            took = error.seconds
        if took > most:
            self._say_too_long(took)
        self._say_if_late()

    def _learn_saving(self, model: Callable[[], TrainedGenerator]) -> None:
        """What a saved state costs before it is written: statistics that fit its generator."""
        try:
            with self.clock.measuring("saving"):
                model()
        except TooLongError as error:
            self.clock.learn("saving", error.seconds)
            raise

    def _say_if_late(self) -> None:
        left, ending = self.clock.left(), self.ending(self.run.images_seen)
        if left is not None and left < ending:
            self.run.progress.say(
                f"note: {self.named()} take about {rough_duration(ending)} here, and of the minutes "
                f"{rough_duration(max(left, 0))} are left: one cycle is made, and this call takes longer "
                "than asked for"
            )

    def _rehearse(self, scores: PeriodicScores, model: TrainedGenerator) -> float:
        """Measure a score that nobody keeps; the seconds that all of it took."""
        began = time.monotonic()
        scores.prepare()
        with self.clock.measuring("score"):
            compared: Evaluation = scores.rehearse(model)
        del compared
        self.clock.learn("report", self.clock.cost("score") / MARGIN * scores.report_share)
        return time.monotonic() - began

    def _say_too_long(self, seconds: float) -> None:
        """The minutes are too few for scores: told before the first step."""
        every, seen = self.run.experiment.scores.every or 0, self.run.images_seen
        self.clock.learn("too long", seconds)
        self.clock.learn("score", seconds)
        minutes = f"{(self.clock.seconds or 0) / 60:g}"
        coming = (seen // every + 1) * every
        soon = coming - seen <= self.run.experiment.cycle_images
        then = (
            f"The score due at {coming:,} images comes next, so this call takes longer than that"
            if soon
            else f"This call measures none, and ends before the one due at {coming:,} images; "
            f"reacgan evaluate {self.run.folder.path} measures one"
        )
        self.run.progress.say(
            f"note: a first score takes about {rough_duration(seconds)} here, too much of --minutes "
            f"{minutes}. {then}"
        )


class _Watch:
    """Hears the stages of scores, passes them on, and ends them by an exception.

    Args:
        listener: hears them, too.
        stop: whether they should end.
        most: seconds that all of it may take.
        meanwhile: is called as they move.
    """

    def __init__(
        self,
        listener: Listener,
        stop: Callable[[], bool],
        most: float = float("inf"),
        *,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        self._listener = listener
        self._stop = stop
        self._most = most
        self._meanwhile = meanwhile
        self._began = time.monotonic()
        self._stages: dict[Task, float] = {}

    def say(self, text: str) -> None:
        self._listener.say(text)

    def changed(self, stage: Task) -> None:
        self._listener.changed(stage)
        if stage.ended:
            self._stages.pop(stage, None)
            return
        if self._stop():
            raise ScoringStoppedError
        self._meanwhile()
        now = time.monotonic()
        began = self._stages.setdefault(stage, now)
        if now - began < _SURE_AFTER or not stage.total or stage.done <= stage.start:
            return
        share = (stage.done - stage.start) / (stage.total - stage.start)
        whole = began - self._began + (now - began) / share
        if whole > self._most:
            raise TooLongError(whole)
