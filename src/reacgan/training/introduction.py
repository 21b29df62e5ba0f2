"""What is printed before training begins, and the sheet of real images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from PIL import Image

from reacgan.config import Experiment
from reacgan.data import ImageData
from reacgan.models import count_parameters
from reacgan.sampling import sheet
from reacgan.sampling.grids import rows_for
from reacgan.training.engine import Engine
from reacgan.training.progress import LEGEND, Progress
from reacgan.training.state import TrainState


def introduce(
    progress: Progress,
    experiment: Experiment,
    state: TrainState,
    data: ImageData,
    engine: Engine,
    *,
    memory: Iterable[str],
    resumed: Path | None,
) -> None:
    """Print the experiment, the data, the plan, warnings, and where it resumes; networks as details."""
    training, images = experiment.training, len(data)
    classes = "1 class" if data.num_classes == 1 else f"{data.num_classes} classes"
    progress.say(
        f"{experiment.name}: {images:,} images of {classes}, "
        f"{data.size[0]} x {data.size[1]} x {data.channels}, from {data.source}"
    )
    passes = training.images / images
    many = f"{passes:,.0f}" if passes >= 10 else f"{passes:.1f}"
    progress.say(
        f"plan: {training.images:,} images to see ({many} passes over the set) on "
        f"{engine.device.type}, sheets from 1,000 on"
    )
    progress.detail(
        f"G {count_parameters(state.generator):,} and D {count_parameters(state.discriminator):,} "
        f"parameters, {engine.world} process(es), batch {training.batch} x {training.d_steps}"
    )
    progress.say(engine.precision_line())
    for line in memory:  # what does not fit is said to everybody
        (progress.say if line.startswith("note:") else progress.detail)(line)
    progress.say(LEGEND)
    for warning in _warnings(experiment, state, data):
        progress.say(f"note: {warning}")
    if resumed is not None:
        progress.say(f"resuming at {state.images_seen:,} images from {resumed}")
    if state.images_seen + experiment.cycle_images > training.images:
        progress.say("nothing is left to train; a larger --images goes on")


def _warnings(experiment: Experiment, state: TrainState, data: ImageData) -> Iterator[str]:
    """Settings that can be trained, but are hardly meant."""
    training, head = experiment.training, experiment.model.head.name
    if training.freeze_d and training.start_from is None:
        yield "training.freeze_d keeps random weights as they are without training.start_from"
    single = "one class" if data.num_classes == 1 else "batch 1" if training.batch == 1 else ""
    if single and state.discriminator.head.couples_samples:
        yield f"with {single} the head {head} has nothing to compare, and its loss is constant"


def real_sheet(data: ImageData, columns: int = 10) -> Image.Image:
    """A sheet of real images: the classes of :func:`rows_for`, the first of each."""
    data, picked = data.excerpt, []
    rows = [label for label in rows_for(data.num_classes) if data.counts[label]]
    for label in rows:
        members = (data.labels == label).nonzero()[0]
        picked.append([members[column % len(members)] for column in range(columns)])
    images = torch.stack(
        [torch.stack([torch.tensor(data.images[index]) for index in row]) for row in picked]
    )
    return sheet(images, [data.class_names[label] for label in rows])
