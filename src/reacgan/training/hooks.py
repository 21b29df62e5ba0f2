"""What a run does beside its steps: reports, sheets, checkpoints, scores, and what is done about errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from safetensors import SafetensorError
from torch import Tensor

from reacgan import distributed, hub
from reacgan.evaluation import Score
from reacgan.models.norm_statistics import FEW, fit_statistics, statistics_in_words
from reacgan.models.trained import TrainedGenerator
from reacgan.progress import stepped
from reacgan.sampling import NonFiniteImageError, save_png
from reacgan.sampling.grids import class_images, draw_classes
from reacgan.training.background import Copier, Saveable, Writer
from reacgan.training.checkpoint import CheckpointError, retire, save_checkpoint
from reacgan.training.context import RunContext
from reacgan.training.journal import NonFiniteError
from reacgan.training.loop import Hook, Hooks, Trainer
from reacgan.training.monitor.diagnosis import diagnose
from reacgan.training.monitor.monitor import Monitor
from reacgan.training.monitor.periodic_scores import (
    PeriodicScores,
    best_in_words,
    periodic_scores,
    values_in_words,
)
from reacgan.training.progress import ScoreStages
from reacgan.training.recovery.rewind import Rewind
from reacgan.training.schedules import due, sheet_due, snapshot_due
from reacgan.training.timetable import ScoringStoppedError, Timetable


class RunHooks(Hooks):
    """The hooks of a run, on every process.

    Args:
        run: with the state loaded.
        trainer: of the run.
    """

    def __init__(self, run: RunContext, trainer: Trainer) -> None:
        self.run = run
        self.steps = trainer.steps
        self.writer = Writer(beside=run.engine.speed.background)
        self.copier = Copier()
        self.monitor = Monitor(run, finish_writing=self.writer.finish)
        self.rewind = Rewind(run, trainer.careful)
        self.scores = periodic_scores(run)
        self.timetable = Timetable(run, self.scores, run.progress.stopping, self.save_here)
        self.stages = ScoreStages(run.progress)
        self.diagnosis: dict[str, float] = {}
        """For the next line."""
        self._explained = False
        self._trained: TrainedGenerator | None = None
        self._statistics: str | None = "moving"
        # The checkpoint that a resumed state was read from stays as it is.
        self.saved_at: int | None = run.images_seen or None

    def scheduled(self) -> Sequence[Hook]:
        """By images seen, in their order within a cycle."""
        experiment = self.run.experiment
        report, images = experiment.report, experiment.training.images

        def every(count: int | None, call: Callable[[], None]) -> Hook:
            return Hook(partial(due, count), call)

        return (
            every(experiment.scores.every, self.score),
            every(report.diagnose_every, self.diagnose),
            Hook(
                lambda before, now: snapshot_due(experiment.watch.every, before, now, images),
                self.snapshot,
            ),
            every(report.diagnose_every, self.report),
            every(report.journal_every, self.report),
            Hook(partial(sheet_due, report.samples_every), self.samples),
            every(report.checkpoint_every, self.checkpoint),
        )

    def diagnose(self) -> None:
        """What the conditioning loss does at the head, for the line of this moment."""
        with self.run.journal.paused(), self.run.clock.measuring("diagnosis"):
            values = diagnose(self.steps)
        self.diagnosis = {name: float(f"{value:.6g}") for name, value in values.items()}

    def score(self) -> None:
        """Score the averaged generator, and keep it if it is the best."""
        if self.scores is None:
            return
        with self.run.journal.paused(), self._images_are_finite():
            try:
                scores = self._measured()
            except ScoringStoppedError:  # it is measured when the run goes on
                return
        if self.monitor.error is not None:
            self.resolve()
            return
        self.monitor.scored(scores)
        self._tell_scores(scores)
        self.run.progress.scored(self.run.images_seen, values_in_words(scores))
        if not self._explained and (line := self.scores.explained()):
            self.run.progress.say(line)
        self._explained = True

    def _measured(self) -> tuple[Score, ...]:
        scores, clock = self.scores, self.run.clock
        if scores is None:
            return ()
        with self.timetable.scoring(self.stages):
            if not clock.knows("score"):  # what only the first needs says nothing of the others
                scores.prepare()
            with clock.measuring("score"):
                return scores.measure(self.trained())

    def prepare(self) -> None:
        """Before the first step: a score that a signal has ended, and what the first one needs."""
        if self.scores is None:
            return
        with self.run.journal.paused(), self._images_are_finite():
            self.timetable.prepare_scores(self.trained, self.stages)
        seen, experiment = self.run.images_seen, self.run.experiment
        was_due = due(experiment.scores.every, seen - experiment.cycle_images, seen)
        if seen and was_due and self.scores.lacks(seen):
            self.score()

    def late(self, cycles: int) -> bool:
        """Whether the minutes of this call are needed for its end."""
        return self.timetable.late(cycles)

    def final_scores(self) -> None:
        """Score the best state on the images that are reported, after a run that is complete."""
        if self.scores is None:
            return
        if not self.timetable.have_time_for_scores():
            self.run.progress.say(
                "note: the last state is not scored, which would take longer than the minutes; "
                f"reacgan evaluate {self.run.folder.path} scores it"
            )
            return
        try:
            self._final_scores(self.scores)
        except ScoringStoppedError:
            self.run.progress.say("the last scores are left out; reacgan evaluate measures them")

    def _final_scores(self, periodic: PeriodicScores) -> None:
        if periodic.lacks(self.run.images_seen):
            self.score()
        # A process that was ended in the middle has left the report undone.
        if periodic.best() is None or periodic.reported():
            return
        with self.timetable.scoring(self.stages), self.run.clock.measuring("report"):
            scores = periodic.final()
        self._tell_scores(scores)
        for line in best_in_words(scores, periodic):
            self.run.progress.say(line)

    def _tell_scores(self, scores: Sequence[Score]) -> None:
        with self.run.journal.paused():
            for score in scores:
                self.run.callbacks.tell("on_score", score)

    def snapshot(self) -> None:
        """Take a snapshot for the monitor, report, and act on it."""
        with (
            self.run.journal.paused(),
            self._images_are_finite(),
            self.run.clock.measuring("snapshot"),
        ):
            self.monitor.snapshot(self.trained_roughly if distributed.is_main() else None)
        self.report()
        self.resolve()

    def check(self) -> None:
        """See that losses and state are finite; else goes back, or raises."""
        seen = self.run.images_seen
        try:
            self.run.journal.check(seen)
            if wrong := self.run.state.non_finite():
                raise NonFiniteError(wrong[:3], f"by {seen:,}")
        except NonFiniteError as error:
            self.monitor.error = error
        self.resolve()

    def after(self) -> None:
        """Copy the state to come back to; all of it is finite."""
        self._copy_state(now=False)

    def _copy_state(self, *, now: bool) -> None:
        if (line := self.rewind.keep(now=now)) is not None:
            self.run.progress.say(f"note: {line}")

    def tick(self) -> None:
        """Move the line of a terminal."""
        stepped()
        self.run.clock.lap()
        self.run.progress.tick(self.run.images_seen)

    def fail(self, error: NonFiniteError) -> None:
        """A step cannot be made in any way: the monitor decides."""
        self.monitor.error = self.rewind.explained(error)
        self.resolve()

    def resolve(self) -> None:
        """Raise errors of writing; go back where something is not finite or the monitor wants it."""
        self.writer.check()
        with self.run.journal.paused():
            self.run.callbacks.deliver(self.run.images_seen)
        if self._rewound():
            return
        if self.monitor.resolve():
            self.saved_at = self.run.images_seen
            self._forget_what_was_shown()
            self.rewind.begin_anew()
            if self.scores is not None:
                self.scores.back_to(self.run.images_seen)

    def _rewound(self) -> bool:
        """Whether the run went back to the copy of the state, to check the steps since."""
        error, device = self.monitor.error, self.run.engine.device
        of_a_step = error is not None and error.of_a_step
        if not distributed.any_process(of_a_step, device) or not self.rewind.possible:
            return False
        seen = self.run.images_seen
        error = error or NonFiniteError(["a loss of another process"], f"by {seen:,}")
        since = self.rewind.go_back(error)
        self._forget_what_was_shown()
        self.monitor.recall()
        if self.scores is not None:
            self.scores.back_to(since)
        self.run.progress.say(
            f"note: {', '.join(error.names)} became non-finite {error.when} images seen; going over the "
            f"steps since {since:,} images again"
        )
        return True

    def report(self) -> None:
        """A line of the journal."""
        run, seen = self.run, self.run.images_seen
        if seen == run.journal.read_at:
            return
        if (means := self.monitor.read(seen)) is None:
            return
        diagnosis, self.diagnosis = self.diagnosis, {}
        line = run.journal.write(
            seen,
            means,
            memory_bytes=run.engine.memory_bytes(),
            **self.monitor.numbers(),
            **({"diagnosis": diagnosis} if diagnosis else {}),
        )
        run.progress.report(line)
        with run.journal.paused():
            run.callbacks.tell("on_report", line)
        self.monitor.take(line)

    def samples(self) -> None:
        """A sheet of the averaged generator's images: made now, drawn and written by the writer."""
        self._sheet()
        self.resolve()

    def last_sheet(self) -> None:
        """The sheet of a run that has ended: there is nothing to go back to."""
        self._sheet()
        if self.monitor.error is not None:
            raise self.monitor.error

    def _sheet(self) -> None:
        if not distributed.is_main():
            return
        with (
            self.run.journal.paused(),
            self._images_are_finite(),
            self.run.clock.measuring("sheet"),
        ):
            model = self.trained()
            images = class_images(model.generator, self.run.data.class_names)
            path = self.run.folder.samples / f"{model.images_seen:012d}.png"
            caption = f"{model.images_seen:,} images, {statistics_in_words(model)}"
            self.writer.do(partial(self._draw, images, caption, path, model.images_seen))

    @contextmanager
    def _images_are_finite(self) -> Iterator[None]:
        """Images that are not finite are an error of the run, like a loss that is not finite."""
        try:
            yield
        except NonFiniteImageError as error:
            wrong = NonFiniteError(
                [f"images of the averaged generator ({error.which})"],
                f"by {self.run.images_seen:,}",
            )
            wrong.of_a_step = False
            self.monitor.error = wrong

    def _draw(self, images: Tensor, caption: str, path: Path, images_seen: int) -> None:
        try:
            with self.run.clock.measuring("drawing"):
                save_png(draw_classes(images, self.run.data.class_names, caption), path)
            self.run.callbacks.drawn(path, images_seen)
        except OSError as error:  # no sheet is worth a run
            self.run.progress.say(f"note: {path} cannot be written ({error}); training goes on")
            return
        self.run.progress.sheet(images_seen, path)

    def checkpoint(self) -> None:
        """Save the state and the averaged generator, unless a number in them is not finite."""
        self.check()  # a state with a non-finite loss behind it is never saved
        self.report()
        with self.run.journal.paused(), self.run.clock.measuring("saving"):
            self.resolve()
            if distributed.is_main():
                self._save()
            self.saved_at = self.run.images_seen
            if not self.writer.beside:
                distributed.barrier()
            self._copy_state(now=True)

    def save_here(self) -> None:
        """Save in the middle of a score, without the other processes; the state is finite there."""
        if distributed.is_main() and self.saved_at != self.run.images_seen:
            self.report()
            with self.run.clock.measuring("saving"):
                self._save()
            self.saved_at = self.run.images_seen

    def finish(self) -> None:
        """Wait until all is written, on every process."""
        self.writer.finish()
        distributed.barrier()

    def _save(self) -> None:
        state: Saveable = self.run.state
        if self.writer.beside:
            self.writer.finish()  # there is memory for one copy
            state = self.copier.copy(state)
        new = self.saved_at != state.images_seen
        self.writer.do(partial(self._write, state, self.trained(), new=new, good=self.monitor.good))

    def _write(
        self, state: Saveable, model: TrainedGenerator, *, new: bool, good: int | None
    ) -> None:
        folder, facts = self.run.folder, self.run.facts
        try:
            with self.run.clock.measuring("writing"):
                keep = self.run.experiment.report.keep_checkpoints
                if new:
                    save_checkpoint(state, folder.checkpoints, keep=keep, facts=facts, good=good)
                else:  # the process that saved it may have been killed before it removed older ones
                    retire(folder.checkpoints, state.images_seen, keep=keep, good=good)
                hub.save(model, folder.model)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(
                f"{folder.path}: the state at {state.images_seen:,} images cannot be written "
                f"({error}); what was saved before is whole. Make room, and resume."
            ) from error

    def trained(self) -> TrainedGenerator:
        """A copy of the averaged generator at this moment, with statistics that fit it."""
        if self._trained is None or self._trained.images_seen != self.run.images_seen:
            self._trained = fit_statistics(self._average())
            kind = self._trained.norms.kind if self._trained.norms is not None else None
            if kind != self._statistics:
                self._statistics = kind
                self.run.journal.mark("statistics", kind)
                self.run.progress.detail(
                    f"statistics  of the averaged generator: {statistics_in_words(self._trained)}"
                )
        return self._trained

    def trained_roughly(self) -> TrainedGenerator:
        """The same, good enough for a snapshot: statistics of fewer images."""
        if self._trained is not None:
            if self._trained.images_seen == self.run.images_seen:
                return self._trained
        return fit_statistics(self._average(), images=FEW)

    def _average(self) -> TrainedGenerator:
        run = self.run
        return TrainedGenerator(
            run.state.average,
            run.experiment,
            run.data.class_names,
            run.images_seen,
            white=run.data.white,
        )

    def _forget_what_was_shown(self) -> None:
        """The run has gone back: the same moment may be another one, and lines were dropped."""
        self._trained = None
        self._statistics = "moving"
        self.run.journal.mark("speed", self.run.engine.speed.describe())
        with self.run.journal.paused():
            self.run.callbacks.back(self.run.images_seen)
