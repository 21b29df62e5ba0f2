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
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.harness import timed
from benchmarks.workloads import cycle_of, pictures, trainer_of

from reacgan.data import ImageData
from reacgan.experiments import EXPERIMENTS
from reacgan.experiments.methods import METHODS
from reacgan.experiments.small import small
from reacgan.models import count_parameters
from reacgan.training.loop import Trainer

BASELINE = "biggan"


def trainer_for(method: str, data: ImageData, device: str, precision: str) -> Trainer:
    """A trainer of ``cifar10-small/METHOD``, or of the published one at the small size."""
    named = small(EXPERIMENTS[f"cifar10/{method}"])
    return trainer_of(named.replace(**{"training.precision": precision}), data, device=device)


def seconds_of(cycle: Callable[[], None], cycles: int) -> float:
    """Mean time of a cycle."""
    return statistics.mean(timed(cycle, cycles, warm=0)["seconds"])


def turn_of(trainer: Trainer, cycles: int) -> int:
    """Cycles of a turn: at least as many as hold each lazily applied term once."""
    return max(cycles, *(term.every for term in trainer.steps.objective.terms.values()), 1)


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Ratios to the baseline by method, with sizes."""
    data = pictures()
    trainers = {
        name: trainer_for(name, data, given.device, given.precision)
        for name in (BASELINE, *(held for held in given.methods if held != BASELINE))
    }
    cycles = {name: cycle_of(trainer) for name, trainer in trainers.items()}
    for cycle in cycles.values():  # warm up
        seconds_of(cycle, 2)
    found: dict[str, list[float]] = {name: [] for name in trainers}
    for turn in range(given.turns):
        for name, trainer in trainers.items():
            found[name].append(seconds_of(cycles[name], turn_of(trainer, given.cycles)))
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
