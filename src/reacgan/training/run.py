"""One run from first to last: open the data, take up the state, train, leave something to open."""

from __future__ import annotations

import math
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from reacgan import distributed, hub
from reacgan.config import ConfigError, Device, Experiment
from reacgan.data import DataError, ImageData, open_dataset
from reacgan.models import complete
from reacgan.models.trained import TrainedGenerator
from reacgan.sampling import class_sheet, save_png
from reacgan.training.checkpoint import (
    CheckpointError,
    list_checkpoints,
    load_latest,
    save_checkpoint,
)
from reacgan.training.engine import Engine
from reacgan.training.introduction import introduce, real_sheet
from reacgan.training.journal import Journal, NonFiniteError
from reacgan.training.loop import Due, Trainer, run
from reacgan.training.progress import Progress
from reacgan.training.run_folder import RunFolder
from reacgan.training.scores import periodic_scores
from reacgan.training.signals import Interrupted, StopRequest
from reacgan.training.state import TrainState
from reacgan.training.transfer import take_up
from reacgan.training.watch import Watch

# Seconds in which a launcher's copy of a signal is not taken for a second one.
_GRACE = 2.0


@dataclass(frozen=True)
class RunResult:
    """How a call of :func:`train` ended."""

    folder: Path
    images_seen: int
    complete: bool
    """False when a signal stopped it; the same call resumes."""
    signal: int | None
    """The signal that stopped it, or None."""
    stopped_by: str | None = None
    """What the watch saw, where it stopped the run (``watch.action``); the same call goes on."""


def train(
    experiment: Experiment,
    out: str | Path,
    *,
    device: Device = "auto",
    minutes: float | None = None,
    data: ImageData | None = None,
    quiet: bool = False,
) -> RunResult:
    """Train, or take up again, the run in ``out``.

    The same call on the same folder resumes; the result has the same bits as an uninterrupted run.

    Args:
        experiment: what to train; see :func:`reacgan.experiment` and
            :func:`reacgan.derive_experiment`.
        out: the run's folder; made if need be.
        device: ``auto`` takes CUDA, then MPS, then the CPU.
        minutes: stop after this many minutes of training in this call even if images are left.
        data: the images, where they are already open; else the experiment says where they are.
        quiet: print nothing.

    Raises:
        ConfigError: a value that cannot be used, or a folder that holds another run.
        DataError: images that cannot be used.
        NonFiniteError: a loss became infinite or NaN.
    """
    if minutes is not None and not 0 < minutes < math.inf:
        raise ConfigError(f"minutes is {minutes:g}; allowed: a positive number")
    engine = Engine(device, experiment.training.precision, experiment.speed)
    experiment = complete(experiment)
    folder = RunFolder(Path(out))
    main = distributed.is_main()
    with (
        StopRequest(grace=_GRACE if engine.world > 1 else 0.0) as request,
        folder.held() if main else nullcontext(),
    ):
        try:
            # Several processes stop together, in the loop.
            with request.interrupting() if engine.world == 1 else nullcontext():
                data = _open_once(experiment) if data is None else data
        except Interrupted:
            saved = [int(path.name) for path in list_checkpoints(folder.checkpoints)]
            return RunResult(folder.path, max(saved, default=0), False, request.number)
        return _train_held(
            experiment, folder, engine, request, minutes=minutes, data=data, quiet=quiet or not main
        )


def _train_held(
    experiment: Experiment,
    folder: RunFolder,
    engine: Engine,
    request: StopRequest,
    *,
    minutes: float | None,
    data: ImageData,
    quiet: bool,
) -> RunResult:
    _check_classes(data)
    state = TrainState.build(experiment, data.num_classes, engine)
    facts = {"images": len(data), "num_classes": data.num_classes, "data_digest": data.digest}
    if distributed.is_main():
        folder.check(experiment)
    distributed.barrier()
    resumed = load_latest(state, folder.checkpoints, facts=facts)
    origin, told = take_up(state, experiment.training.start_from, resumed)
    facts |= origin
    if distributed.is_main():
        folder.record(experiment, sys.argv, {**engine.describe(), **origin})
    seconds = minutes * 60 if minutes is not None else None
    progress = Progress(
        experiment.training.images, state.images_seen, deadline=seconds, quiet=quiet
    )
    introduce(progress, experiment, state, data, engine, resumed)
    for line in told:
        progress.say(line)
    journal = Journal(folder.journal if distributed.is_main() else None, state.images_seen)
    trainer = Trainer(experiment, state, data, engine)
    tasks = _Tasks(trainer, journal, progress, folder, data, facts)
    if distributed.is_main() and resumed is None:
        save_png(real_sheet(data), folder.samples / "real.png")
    try:
        done = run(
            trainer,
            journal,
            tasks.due(),
            stop=lambda: request.set or tasks.watch.stops,
            seconds=seconds,
        )
    finally:
        progress.close()
        trainer.loader.close()
    return _conclude(tasks, request, done=done)


def _conclude(tasks: _Tasks, request: StopRequest, *, done: bool) -> RunResult:
    """Leave a sheet, say where things are, and why it ended."""
    progress, folder, seen = tasks.progress, tasks.folder, tasks.trainer.state.images_seen
    if distributed.is_main():
        tasks.samples()
    if done:
        progress.say(f"samples     {folder.samples}/{seen:012d}.png")
        progress.say(f"generator   {folder.model}")
        tasks.final_scores()
        return RunResult(folder.path, seen, done, None)
    kind = tasks.watch.stopped_by
    why = f" by {kind.replace('_', ' ')}" if kind is not None else ""
    progress.say(f"stopped at {seen:,} images{why}; the same command resumes")
    return RunResult(folder.path, seen, done, request.number, kind)


def _open_once(experiment: Experiment) -> ImageData:
    """The main process packs a folder or downloads; the others then find it done."""
    if distributed.is_main():
        data = open_dataset(experiment.data)
        distributed.barrier()
        return data
    distributed.barrier()
    return open_dataset(experiment.data)


def _check_classes(data: ImageData) -> None:
    counts = np.bincount(data.labels, minlength=data.num_classes)
    empty = [data.class_names[label] for label in (counts == 0).nonzero()[0]]
    if empty:
        raise DataError(
            f"{data.source}: no image of {', '.join(map(repr, empty[:10]))}"
            f"{' ...' if len(empty) > 10 else ''}; leave out classes without images"
        )


class _Tasks:
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
        self.watch = Watch(trainer, journal, progress, folder, data)
        self.scores = periodic_scores(trainer, data, folder.path)
        self.began_at = trainer.state.images_seen
        # What a resumed state was read from stays as it is.
        self.saved_at: int | None = trainer.state.images_seen or None

    def due(self) -> Due:
        return Due(self.report, self.samples, self.checkpoint, self.look, self.score, self.settle)

    def score(self) -> None:
        if self.scores is None:
            return
        with self.journal.paused():
            found = self.scores.measure(self.trained())
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
        self.watch.look()
        self.report()
        self.settle()

    def settle(self) -> None:
        if self.watch.settle(self.facts):
            self.saved_at = self.trainer.state.images_seen
            if self.scores is not None:
                self.scores.back_to(self.trainer.state.images_seen)

    def report(self) -> None:
        seen = self.trainer.state.images_seen
        if seen == self.journal.read_at:
            return
        if (means := self.watch.read(seen)) is None:
            return
        memory = self.trainer.engine.memory_bytes()
        line = self.journal.write(seen, means, memory_bytes=memory, **self.watch.noted())
        self.progress.report(line)
        self.watch.take(line)

    def samples(self) -> None:
        if not distributed.is_main():
            return
        with self.journal.paused():
            state = self.trainer.state
            picture = class_sheet(state.average, self.data.class_names)
            save_png(picture, self.folder.samples / f"{state.images_seen:012d}.png")

    def checkpoint(self) -> None:
        state = self.trainer.state
        self.report()  # a state with a non-finite loss behind it is never saved
        with self.journal.paused():
            if wrong := state.non_finite():  # the losses before the last step were finite
                self.watch.stumble(NonFiniteError(wrong[:3], f"by {state.images_seen:,}"))
            self.settle()
            if distributed.is_main():
                self._save()
            self.saved_at = state.images_seen
            distributed.barrier()

    def _save(self) -> None:
        state = self.trainer.state
        try:
            if self.saved_at != state.images_seen:
                keep = self.trainer.experiment.report.keep_checkpoints
                where, good = self.folder.checkpoints, self.watch.good
                save_checkpoint(state, where, keep=keep, facts=self.facts, good=good)
            hub.save(self.trained(), self.folder.model)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(
                f"{self.folder.path}: the state at {state.images_seen:,} images cannot be written "
                f"({error}); what was saved before is whole. Make room, and resume."
            ) from error

    def trained(self) -> TrainedGenerator:
        state = self.trainer.state
        return TrainedGenerator(
            state.average, self.trainer.experiment, self.data.class_names, state.images_seen
        )
