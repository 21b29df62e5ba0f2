"""One run from first to last: open the data, take up the state, train, leave something to open."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError

from reacgan import distributed, hub
from reacgan.config import ConfigError, Device, Experiment
from reacgan.data import DataError, ImageData, open_dataset
from reacgan.models import complete, count_parameters
from reacgan.models.trained import TrainedGenerator
from reacgan.sampling import class_sheet, save_png, sheet
from reacgan.sampling.grids import rows_for
from reacgan.training.checkpoint import (
    CheckpointError,
    list_checkpoints,
    load_latest,
    save_checkpoint,
)
from reacgan.training.engine import Engine
from reacgan.training.journal import Journal, NonFiniteError
from reacgan.training.loop import Due, Trainer, run
from reacgan.training.progress import Progress
from reacgan.training.run_folder import RunFolder
from reacgan.training.signals import Interrupted, StopRequest
from reacgan.training.state import TrainState
from reacgan.training.transfer import take_up

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
    engine = Engine(device, experiment.training.precision)
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
    _introduce(progress, experiment, state, data, engine, resumed)
    for line in told:
        progress.say(line)
    journal = Journal(folder.journal if distributed.is_main() else None, state.images_seen)
    trainer = Trainer(experiment, state, data, engine)
    tasks = _Tasks(trainer, journal, progress, folder, data, facts)
    if distributed.is_main() and resumed is None:
        save_png(_real_sheet(data), folder.samples / "real.png")
    try:
        done = run(trainer, journal, tasks.due(), stop=lambda: request.set, seconds=seconds)
    finally:
        progress.close()
        trainer.loader.close()
    if distributed.is_main():
        tasks.samples()
    if done:
        progress.say(f"samples     {folder.samples}/{state.images_seen:012d}.png")
        progress.say(f"generator   {folder.model}")
    if not done:
        progress.say(f"stopped at {state.images_seen:,} images; the same command resumes")
    return RunResult(folder.path, state.images_seen, done, None if done else request.number)


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
        # What a resumed state was read from stays as it is.
        self.saved_at: int | None = trainer.state.images_seen or None

    def due(self) -> Due:
        return Due(self.report, self.samples, self.checkpoint)

    def report(self) -> None:
        seen = self.trainer.state.images_seen
        if seen == self.journal.read_at:
            return
        means = self.journal.read(seen)
        memory = self.trainer.engine.memory_bytes()
        self.progress.report(self.journal.write(seen, means, memory_bytes=memory))

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
                raise NonFiniteError(wrong[:3], f"by {state.images_seen:,}")
            if distributed.is_main():
                self._save()
            self.saved_at = state.images_seen
            distributed.barrier()

    def _save(self) -> None:
        state = self.trainer.state
        try:
            if self.saved_at != state.images_seen:
                keep = self.trainer.experiment.report.keep_checkpoints
                save_checkpoint(state, self.folder.checkpoints, keep=keep, facts=self.facts)
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


def _introduce(
    progress: Progress,
    experiment: Experiment,
    state: TrainState,
    data: ImageData,
    engine: Engine,
    resumed: Path | None,
) -> None:
    training = experiment.training
    progress.say(
        f"{experiment.name}: {len(data):,} images of {data.num_classes} classes, "
        f"{data.size[0]} x {data.size[1]} x {data.channels}, from {data.source}"
    )
    progress.say(
        f"G {count_parameters(state.generator):,} and D {count_parameters(state.discriminator):,} "
        f"parameters, {engine.device.type}, {engine.precision}, {engine.world} process(es), "
        f"batch {training.batch} x {training.d_steps}, {training.images:,} images to see"
    )
    for warning in _warnings(experiment, state, data):
        progress.say(f"note: {warning}")
    if resumed is not None:
        progress.say(f"resuming at {state.images_seen:,} images from {resumed}")
    if state.images_seen + experiment.cycle_images > training.images:
        progress.say("nothing is left to train; a larger --images goes on")


def _warnings(experiment: Experiment, state: TrainState, data: ImageData) -> Iterator[str]:
    """What can be trained, but is hardly meant."""
    training, head = experiment.training, experiment.model.head.name
    if training.freeze_d and training.start_from is None:
        yield "training.freeze_d keeps random weights as they are without training.start_from"
    alone = "one class" if data.num_classes == 1 else "batch 1" if training.batch == 1 else ""
    if alone and state.discriminator.head.couples_samples:
        yield f"with {alone} the head {head} has nothing to compare, and its loss is constant"


def _real_sheet(data: ImageData, columns: int = 10) -> Any:
    rows = rows_for(data.num_classes)
    picked = []
    for label in rows:
        members = (data.labels == label).nonzero()[0]
        picked.append([members[column % len(members)] for column in range(columns)])
    images = torch.stack(
        [torch.stack([torch.tensor(data.images[index]) for index in row]) for row in picked]
    )
    return sheet(images, [data.class_names[label] for label in rows])
