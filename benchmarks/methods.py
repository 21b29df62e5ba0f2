"""What each method costs beside BigGAN: time of a training cycle, side by side in one process.

    python benchmarks/methods.py --out benchmarks/results/methods.json

All methods run at the size of cifar10-small on the same random images. Methods take turns of a few
cycles, so that whatever else the machine does falls on all of them; the figure is the median over turns of the
ratio to BigGAN's cycle of the same turn.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reacgan.data import ImageData
from reacgan.experiments import EXPERIMENTS
from reacgan.experiments.methods import METHODS
from reacgan.experiments.small import small
from reacgan.models import complete, count_parameters
from reacgan.training.engine import Engine
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.state import TrainState

BASELINE = "biggan"


def pictures(count: int = 512) -> ImageData:
    """Random images of ten classes: what they show does not change the time."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    return ImageData(pixels, np.arange(count) % 10, tuple("0123456789"), "random pictures")


def trainer_of(method: str, data: ImageData, device: str, precision: str) -> Trainer:
    """A trainer of ``cifar10-small/METHOD``, or of the published one at the small size."""
    named = small(EXPERIMENTS[f"cifar10/{method}"])
    experiment = complete(named.replace(**{"training.precision": precision}))
    engine = Engine(device, experiment.training.precision)
    return Trainer(experiment, TrainState.build(experiment, 10, engine), data, engine)


def seconds_of(trainer: Trainer, journal: Journal, cycles: int) -> float:
    """Mean time of a cycle."""
    synchronise(trainer)
    began = time.perf_counter()
    for _ in range(cycles):
        trainer.cycle(journal)
    synchronise(trainer)
    return (time.perf_counter() - began) / cycles


def turn_of(trainer: Trainer, cycles: int) -> int:
    """Cycles of a turn: at least as many as hold each lazily applied term once."""
    return max(cycles, *(term.every for term in trainer.objective.terms.values()), 1)


def synchronise(trainer: Trainer) -> None:
    """Wait for the device."""
    if trainer.engine.device.type == "cuda":
        torch.cuda.synchronize()


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Ratios to the baseline by method, with sizes."""
    data = pictures()
    trainers = {
        name: trainer_of(name, data, given.device, given.precision)
        for name in (BASELINE, *(held for held in given.methods if held != BASELINE))
    }
    journals = {name: Journal(None, 0) for name in trainers}
    for name, trainer in trainers.items():  # warm up
        seconds_of(trainer, journals[name], 2)
    found: dict[str, list[float]] = {name: [] for name in trainers}
    for turn in range(given.turns):
        for name, trainer in trainers.items():
            found[name].append(seconds_of(trainer, journals[name], turn_of(trainer, given.cycles)))
        print(f"turn {turn + 1} of {given.turns}", flush=True)
    base = found[BASELINE]
    return {
        name: {
            "ratio": round(statistics.median(t / b for t, b in zip(times, base, strict=True)), 3),
            "seconds": round(statistics.median(times), 4),
            "generator": count_parameters(trainers[name].state.generator),
            "discriminator": count_parameters(trainers[name].state.discriminator),
        }
        for name, times in found.items()
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--methods", nargs="+", default=[held.experiment.partition("/")[2] for held in METHODS]
    )
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--cycles", type=int, default=4)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    methods = measure(given)
    record = {
        "what": "time of a cycle (one D step, one G step, EMA), batch 64, relative to BigGAN's",
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "device": given.device,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "precision": given.precision,
        "turns": given.turns,
        "cycles": given.cycles,
        "methods": methods,
    }
    for name, held in sorted(methods.items(), key=lambda item: item[1]["ratio"]):
        print(f"{name:28} {held['ratio']:6.2f} x  {1000 * held['seconds']:8.1f} ms")
    if given.out:
        given.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
