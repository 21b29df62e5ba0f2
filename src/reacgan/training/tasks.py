"""What the loop calls when it is due: reports, sheets, states, scores, and what is done about trouble."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor

from reacgan import distributed, hub
from reacgan.data import ImageData
from reacgan.models.settled import FEW, settle, statistics_in_words
from reacgan.models.trained import TrainedGenerator
from reacgan.sampling import NonFiniteImageError, save_png
from reacgan.sampling.grids import class_images, draw_classes
from reacgan.training.background import Copier, Saveable, Writer
from reacgan.training.calls import Due
from reacgan.training.checkpoint import CheckpointError, save_checkpoint
from reacgan.training.diagnosis import diagnose
from reacgan.training.journal import Journal, NonFiniteError
from reacgan.training.loop import Trainer
from reacgan.training.progress import Progress
from reacgan.training.recovery import Recovery
from reacgan.training.run_folder import RunFolder
from reacgan.training.scores import periodic_scores
from reacgan.training.watch import Watch


class Tasks:
    """What the loop calls when it is due."""

    def __init__(
        self,
        trainer: Trainer,
        journal: Journal,
        progress: Progress,
        folder: RunFolder,
        data: ImageData,
        facts: dict[str, Any],
    ) -> None:
        self.trainer = trainer
        self.journal = journal
        self.progress = progress
        self.folder = folder
        self.data = data
        self.facts = facts
        self.writer = Writer(beside=trainer.engine.speed.background)
        self.copier = Copier()
        self.watch = Watch(
            trainer, journal, progress, folder, data, finish_writing=self.writer.finish
        )
        self.recovery = Recovery(trainer, journal)
        self.scores = periodic_scores(trainer, data, folder.path)
        self.diagnosis: dict[str, float] = {}
        """For the next line."""
        self._trained: TrainedGenerator | None = None
        self._statistics: str | None = "moving"
        self.began_at = trainer.state.images_seen
        # What a resumed state was read from stays as it is.
        self.saved_at: int | None = trainer.state.images_seen or None

    def due(self) -> Due:
        """For the loop."""
        return Due(
            self.report,
            self.samples,
            self.checkpoint,
            look=self.look,
            score=self.score,
            diagnose=self.diagnose,
            settle=self.settle,
            check=self.check,
            keep=self.keep,
            fail=self.fail,
        )

    def diagnose(self) -> None:
        """What the conditioning loss does at the head, for the line of this moment."""
        with self.journal.paused():
            found = diagnose(self.trainer)
        self.diagnosis = {name: float(f"{value:.6g}") for name, value in found.items()}

    def score(self) -> None:
        """Measure the averaged generator, and keep it if it is the best."""
        if self.scores is None:
            return
        with self.journal.paused(), self._images_are_finite():
            found = self.scores.measure(self.trained())
        if self.watch.error is not None:
            self.settle()
            return
        self.watch.scored(found)
        told = "  ".join(f"{score.metric} {score.value:.4g}" for score in found)
        self.progress.say(f"{self.trainer.state.images_seen:>11,} images scored: {told}")

    def final_scores(self) -> None:
        """The best state on the images that are reported, after a run that went on."""
        seen = self.trainer.state.images_seen
        if self.scores is None:
            return
        if seen not in (self.began_at, self.scores.measured_at):
            self.score()
        # A process that was ended in the middle has left the report undone.
        if self.scores.best() is None or self.scores.reported():
            return
        for score in self.scores.final():
            self.progress.say(f"best state  {score.metric} {score.value:.4g}")

    def look(self) -> None:
        """Work out what the watch looks at, report, and act on it."""
        with self.journal.paused(), self._images_are_finite():
            self.watch.look(self.glimpse if distributed.is_main() else None)
        self.report()
        self.settle()

    def check(self) -> None:
        """See that losses and state are finite; else goes back, or raises."""
        seen = self.trainer.state.images_seen
        try:
            self.journal.check(seen)
            if wrong := self.trainer.state.non_finite():
                raise NonFiniteError(wrong[:3], f"by {seen:,}")
        except NonFiniteError as error:
            self.watch.stumble(error)
        self.settle()

    def keep(self, *, now: bool = False) -> None:
        """Keep the state to come back to; all of it is finite."""
        if (line := self.recovery.keep(now=now)) is not None:
            self.progress.say(f"note: {line}")

    def fail(self, error: NonFiniteError) -> None:
        """A step cannot be made, in no way: the watch decides."""
        self.watch.stumble(self.recovery.explained(error))
        self.settle()

    def settle(self) -> None:
        """Raise what went wrong in writing; go back where something is not finite or the watch wants it."""
        self.writer.check()
        if self._goes_over():
            return
        if self.watch.settle(self.facts):
            self.saved_at = self.trainer.state.images_seen
            self._forget_what_was_shown()
            self.recovery.begin_anew()
            if self.scores is not None:
                self.scores.back_to(self.trainer.state.images_seen)

    def _goes_over(self) -> bool:
        """Whether the run went back to the state that is kept, to go over its last steps carefully."""
        error, device = self.watch.error, self.trainer.engine.device
        of_a_step = error is not None and error.of_a_step
        if not distributed.any_process(of_a_step, device) or not self.recovery.possible:
            return False
        seen = self.trainer.state.images_seen
        error = error or NonFiniteError(["a loss of another process"], f"by {seen:,}")
        since = self.recovery.go_back(error)
        self._forget_what_was_shown()
        self.watch.recall()
        if self.scores is not None:
            self.scores.back_to(since)
        self.progress.say(
            f"note: {', '.join(error.names)} became non-finite {error.when} images seen; going over the "
            f"steps since {since:,} images again"
        )
        return True

    def report(self) -> None:
        """A line of the journal."""
        seen = self.trainer.state.images_seen
        if seen == self.journal.read_at:
            return
        if (means := self.watch.read(seen)) is None:
            return
        memory = self.trainer.engine.memory_bytes()
        line = self.journal.write(seen, means, memory_bytes=memory, **self._noted())
        self.progress.report(line)
        self.watch.take(line)

    def _noted(self) -> dict[str, Any]:
        diagnosis, self.diagnosis = self.diagnosis, {}
        return {**self.watch.noted(), **({"diagnosis": diagnosis} if diagnosis else {})}

    def samples(self) -> None:
        """A sheet of the averaged generator's images: made now, drawn and written by the writer."""
        self._sheet()
        self.settle()

    def last_sheet(self) -> None:
        """The sheet of a run that has ended: there is nothing to go back to."""
        self._sheet()
        if self.watch.error is not None:
            raise self.watch.error

    def _sheet(self) -> None:
        if not distributed.is_main():
            return
        with self.journal.paused(), self._images_are_finite():
            model = self.trained()
            images = class_images(model.generator, self.data.class_names)
            path = self.folder.samples / f"{model.images_seen:012d}.png"
            told = f"{model.images_seen:,} images, {statistics_in_words(model)}"
            self.writer.do(partial(self._draw, images, told, path))

    @contextmanager
    def _images_are_finite(self) -> Iterator[None]:
        """Images without pixels are trouble of the run, like a loss that is not finite."""
        try:
            yield
        except NonFiniteImageError as error:
            wrong = NonFiniteError(
                [f"images of the averaged generator ({error.which})"],
                f"by {self.trainer.state.images_seen:,}",
            )
            wrong.of_a_step = False
            self.watch.stumble(wrong)

    def _draw(self, images: Tensor, caption: str, path: Path) -> None:
        try:
            save_png(draw_classes(images, self.data.class_names, caption), path)
        except OSError as error:  # no sheet is worth a run
            self.progress.say(f"note: {path} cannot be written ({error}); training goes on")

    def checkpoint(self) -> None:
        """Save the state and the averaged generator, unless a number in them is not finite."""
        self.check()  # a state with a non-finite loss behind it is never saved
        self.report()
        state = self.trainer.state
        with self.journal.paused():
            self.settle()
            if distributed.is_main():
                self._save()
            self.saved_at = state.images_seen
            if not self.writer.beside:
                distributed.barrier()
            self.keep(now=True)

    def finish(self) -> None:
        """Wait until all is written, on every process."""
        self.writer.finish()
        distributed.barrier()

    def _save(self) -> None:
        state: Saveable = self.trainer.state
        if self.writer.beside:
            self.writer.finish()  # there is memory for one copy
            state = self.copier.copy(state)
        new = self.saved_at != state.images_seen
        self.writer.do(partial(self._write, state, self.trained(), new=new, good=self.watch.good))

    def _write(
        self, state: Saveable, model: TrainedGenerator, *, new: bool, good: int | None
    ) -> None:
        try:
            if new:
                keep = self.trainer.experiment.report.keep_checkpoints
                save_checkpoint(
                    state, self.folder.checkpoints, keep=keep, facts=self.facts, good=good
                )
            hub.save(model, self.folder.model)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(
                f"{self.folder.path}: the state at {state.images_seen:,} images cannot be written "
                f"({error}); what was saved before is whole. Make room, and resume."
            ) from error

    def trained(self) -> TrainedGenerator:
        """A copy of the averaged generator at this moment, with statistics that fit it."""
        if self._trained is None or self._trained.images_seen != self.trainer.state.images_seen:
            self._trained = settle(self._average())
            kind = self._trained.norms.kind if self._trained.norms is not None else None
            if kind != self._statistics:
                self._statistics = kind
                self.journal.mark("statistics", kind)
                told = statistics_in_words(self._trained)
                self.progress.say(f"statistics  of the averaged generator: {told}")
        return self._trained

    def glimpse(self) -> TrainedGenerator:
        """The same, good enough for a look: statistics of fewer images."""
        if self._trained is not None:
            if self._trained.images_seen == self.trainer.state.images_seen:
                return self._trained
        return settle(self._average(), images=FEW)

    def _average(self) -> TrainedGenerator:
        state = self.trainer.state
        return TrainedGenerator(
            state.average, self.trainer.experiment, self.data.class_names, state.images_seen
        )

    def _forget_what_was_shown(self) -> None:
        """The run has gone back: the same moment may be another one, and lines were dropped."""
        self._trained = None
        self._statistics = "moving"
        self.journal.mark("speed", self.trainer.engine.speed.describe())
