"""What is timed: trainers of ours on random pictures. What pictures show does not change the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from reacgan.assembly import complete
from reacgan.config import Experiment
from reacgan.data import ImageData
from reacgan.training.engine import Engine
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.state import TrainState


def pictures(
    count: int = 512, resolution: int = 32, classes: int = 10, channels: int = 3
) -> ImageData:
    """Random images whose labels go round."""
    generator = np.random.default_rng(0)
    shape = (count, channels, resolution, resolution)
    pixels = generator.integers(0, 256, shape, dtype=np.uint8)
    names = tuple(str(label) for label in range(classes))
    return ImageData(pixels, np.arange(count) % classes, names, "random pictures")


def trainer_of(
    experiment: Experiment,
    data: ImageData | None = None,
    *,
    device: str = "auto",
    classes: int = 10,
) -> Trainer:
    """A new trainer of an experiment; its data section says the pictures' size."""
    experiment = complete(experiment)
    if data is None:
        section = experiment.data
        data = pictures(2_000, section.resolution, classes, section.channels)  # type: ignore[arg-type]
    engine = Engine.of(experiment, device)  # type: ignore[arg-type]
    state = TrainState.build(experiment, data.num_classes, engine)
    return Trainer(experiment, state, data, engine)


def cycle_of(trainer: Trainer) -> Callable[[], None]:
    """One training cycle, with the device waited for at its end."""
    journal = Journal(None, 0)

    def cycle() -> None:
        trainer.cycle(journal)
        synchronise(trainer.engine.device)

    return cycle


def synchronise(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def cifar_reacgan(width: int, batch: int, **changes: Any) -> Experiment:
    """CIFAR10 ReACGAN at another width and batch, one D step a cycle."""
    import reacgan

    return reacgan.experiment("cifar10/reacgan").replace(
        **{
            "model.generator.width": width,
            "model.backbone.width": width,
            "training.batch": batch,
            "training.d_steps": 1,
            "training.precision": "float32",  # as what it is compared with
            **changes,
        }
    )
