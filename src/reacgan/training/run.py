"""One run from first to last: open the data, take up the state, train, leave something to open."""

from __future__ import annotations

import math
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from reacgan import distributed, hub
from reacgan.config import ConfigError, Device, Experiment
from reacgan.data import ImageData, open_dataset
from reacgan.models import complete, count_parameters
from reacgan.models.trained import TrainedGenerator
from reacgan.sampling import class_sheet, save_png, sheet
from reacgan.sampling.grids import rows_for
from reacgan.training.checkpoint import load_latest, save_checkpoint
from reacgan.training.engine import Engine
from reacgan.training.journal import Journal
from reacgan.training.loop import Due, Trainer, run
from reacgan.training.progress import Progress
from reacgan.training.run_folder import RunFolder
from reacgan.training.signals import StopRequest
from reacgan.training.state import TrainState


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
        minutes: stop after this many minutes of this process even if images are left.
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
    with StopRequest() as request:
        main = distributed.is_main()
        with folder.held() if main else nullcontext():
            return _train_held(
                experiment,
                folder,
                engine,
                request,
                minutes=minutes,
                data=data,
                quiet=quiet or not main,
            )


def _train_held(
    experiment: Experiment,
    folder: RunFolder,
    engine: Engine,
    request: StopRequest,
    *,
    minutes: float | None,
    data: ImageData | None,
    quiet: bool,
) -> RunResult:
    data = _open_once(experiment) if data is None else data
    state = TrainState.build(experiment, data.num_classes, engine)
    facts = {"data_digest": data.digest, "num_classes": data.num_classes}
    if distributed.is_main():
        folder.settle(experiment, sys.argv, {"precision": engine.precision, "world": engine.world})
    distributed.barrier()
    resumed = load_latest(state, folder.checkpoints, facts=facts)
    seconds = minutes * 60 if minutes is not None else None
    progress = Progress(
        experiment.training.images, state.images_seen, deadline=seconds, quiet=quiet
    )
    _introduce(progress, experiment, state, data, engine, resumed)
    journal = Journal(folder.journal if distributed.is_main() else None, state.images_seen)
    trainer = Trainer(experiment, state, data, engine)
    tasks = _Tasks(trainer, journal, progress, folder, data, facts)
    if distributed.is_main() and resumed is None:
        save_png(_real_sheet(data), folder.samples / "real.png")
    try:
        done = run(trainer, journal, tasks.due(), stop=lambda: request.set, seconds=seconds)
    finally:
        progress.close()
    if distributed.is_main() and done:
        tasks.samples()
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
        if distributed.is_main():
            state = self.trainer.state
            picture = class_sheet(state.average, self.data.class_names)
            save_png(picture, self.folder.samples / f"{state.images_seen:012d}.png")

    def checkpoint(self) -> None:
        state = self.trainer.state
        self.report()  # a state with a non-finite loss behind it is never saved
        if distributed.is_main():
            if self.saved_at != state.images_seen:
                keep = self.trainer.experiment.report.keep_checkpoints
                save_checkpoint(state, self.folder.checkpoints, keep=keep, facts=self.facts)
            hub.save(self.trained(), self.folder.model)
        self.saved_at = state.images_seen
        distributed.barrier()

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
        f"{data.resolution} x {data.resolution} x {data.channels}, from {data.source}"
    )
    progress.say(
        f"G {count_parameters(state.generator):,} and D {count_parameters(state.discriminator):,} "
        f"parameters, {engine.device.type}, {engine.precision}, {engine.world} process(es), "
        f"batch {training.batch} x {training.d_steps}, {training.images:,} images to see"
    )
    if resumed is not None:
        progress.say(f"resuming at {state.images_seen:,} images from {resumed}")


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
