"""GPU queue: images/s, memory and share of the measured matrix rate over experiments and ways to compute.

    python benchmarks/gpu/step_matrix.py --out $OUT/step_matrix.json            # everything that is missing
    python benchmarks/gpu/step_matrix.py --out ... --minutes 5 --device cuda    # stop in time; call again

Every case runs in a process of its own with a time limit; each result is appended at once, so a second
call goes on where a cut one stopped. A case that failed is tried again with ``--again``. Medians are over
cycles after a warm-up that holds all recording and compiling. Operations are counted by PyTorch (two for a
multiplication and addition), on one plain cycle; the rate is that of a square product in bfloat16 on the
same device, measured first.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

EXPERIMENTS = {
    "cifar10/reacgan": [128, 64],
    "tiny_imagenet/reacgan": [256],
    "imagenet/reacgan-256": [128],
    "cifar10/stylegan2": [64],
}
FULL = {"training.precision": "float32", "speed.tf32": False}
WAYS: dict[str, dict[str, Any]] = {
    "plain": {"speed.mode": "plain", "training.precision": "float32"},
    "default": {},
    "no kernels": {"speed.kernels": False},
    "eager": {"speed.cuda_graphs": False},
    "eager, no kernels": {"speed.cuda_graphs": False, "speed.kernels": False},
    "no channels_last": {"speed.channels_last": False, "speed.kernels": False},
    "no merged": {"speed.merged_convolutions": False},
    "float32": FULL,
    "float32, no kernels": {**FULL, "speed.kernels": False},
    "tf32": {"training.precision": "float32"},
    "compile": {"speed.compile": True, "speed.cuda_graphs": False},
    "graphs compile": {"speed.compile": True},
}
WARM_UP = 6  # cycles: a step is recorded at its third time and proven at its fourth
KEPT = 4_000  # images of random pictures


def trainer_for(name: str, batch: int, changes: dict[str, Any], device: str) -> Any:
    """The experiment on random pictures."""
    import numpy as np

    import reacgan
    from reacgan.assembly import complete
    from reacgan.config import size_of
    from reacgan.data import ImageData
    from reacgan.training.engine import Engine
    from reacgan.training.loop import Trainer
    from reacgan.training.state import TrainState

    asked = {"training.batch": batch, "training.accumulate": 1, **changes}
    experiment = complete(reacgan.experiment(name).replace(**asked))
    classes = {"imagenet": 1000, "tiny_imagenet": 200}.get(name.partition("/")[0], 10)
    shape = (KEPT, experiment.data.channels, *size_of(experiment.data.resolution))
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    labels = np.arange(KEPT) % classes
    data = ImageData(pixels, labels, tuple(map(str, range(classes))), "random pictures")
    engine = Engine.of(experiment, device)  # type: ignore[arg-type]
    state = TrainState.build(experiment, classes, engine)
    return Trainer(experiment, state, data, engine)


def measure(name: str, batch: int, way: str, device: str, repeats: int) -> dict[str, Any]:
    """One case, in this process."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from reacgan.training.journal import Journal

    changes = json.loads(os.environ.get("REACGAN_MATRIX_CHANGES", "{}"))
    trainer = trainer_for(name, batch, {**WAYS[way], **changes}, device)
    engine, journal = trainer.engine, Journal(None, 0)

    def cycle() -> float:
        if engine.device.type == "cuda":
            torch.cuda.synchronize()
        began = time.perf_counter()
        trainer.cycle(journal)
        if engine.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    began = time.perf_counter()
    # A lazy term's course is met once a period; whole periods are timed.
    period = max([term.every for term in trainer.steps.objective.terms.values()], default=1)
    for _ in range(max(WARM_UP, (WARM_UP - 2) * period)):
        cycle()
    start = time.perf_counter() - began
    seconds = [cycle() for _ in range(-(-repeats // period) * period)]
    memory = engine.memory_bytes()
    graphs = trainer.ways.graphs
    told = trainer.ways.news() + [
        held.off for held in (graphs, trainer.ways.tried) if held and held.off
    ]
    trainer.ways._way = lambda work: work.run()  # a plain cycle, to count
    if not trainer.engine.speed.compile:
        with FlopCounterMode(display=False) as counter:
            trainer.cycle(journal)
        operations = counter.get_total_flops()
    else:
        operations = None  # counted in the eager case of the same experiment
    median = statistics.median(seconds) if period == 1 else statistics.fmean(seconds)
    return {
        "cycle_seconds": median,
        "slowest": max(seconds),
        "images_per_second": trainer.experiment.cycle_images / median,
        "g_steps_per_second": 1 / median,
        "d_steps": trainer.experiment.training.d_steps,
        "peak_memory_mib": memory / 2**20,
        "warm_up_seconds": start,
        "operations": operations,
        "replayed": graphs.replayed if graphs is not None else 0,
        "speed": engine.speed.describe(),
        "told": told,
    }


def matrix_rate(device: str, precision: str = "bfloat16") -> dict[str, Any]:
    """Operations a second of a square product on this device."""
    import torch

    from reacgan.devices import describe_machine

    size = 8192 if device == "cuda" else 512
    one = torch.randn(size, size, device=device, dtype=getattr(torch, precision))
    best = float("inf")
    for _ in range(10):
        began = time.perf_counter()
        for _ in range(5):
            one @ one
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - began) / 5)
    return {"operations_per_second": 2 * size**3 / best, "environment": describe_machine()}


def in_a_process(arguments: list[str], limit: float) -> dict[str, Any]:
    """What the last line says that it printed, or why there is none."""
    command = [sys.executable, __file__, *arguments]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"failed": f"took over {limit:.0f} s"}
    if done.returncode:
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
        return {"failed": lines[-1][-300:] if lines else f"ended with {done.returncode}"}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def save(path: Path, held: dict[str, Any]) -> None:
    """Whole or not at all."""
    beside = path.with_suffix(".writing")
    beside.write_text(json.dumps(held, indent=1) + "\n")
    beside.replace(path)


def main() -> None:
    """Every case that is missing; then the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--experiments", nargs="+", default=list(EXPERIMENTS))
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--batch", type=int, nargs="+", default=None)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for a case")
    parser.add_argument("--minutes", type=float, default=5.0, help="begin no case after these")
    parser.add_argument("--again", action="store_true", help="try failed cases again")
    parser.add_argument("--one", nargs=3, default=None, help=argparse.SUPPRESS)
    parser.add_argument("--rate", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.rate:
        print(json.dumps(matrix_rate(given.device)))
        return
    if given.one:
        name, batch, way = given.one
        print(json.dumps(measure(name, int(batch), way, given.device, given.repeats)))
        return
    until = time.monotonic() + 60 * given.minutes
    given.out.parent.mkdir(parents=True, exist_ok=True)
    held = json.loads(given.out.read_text()) if given.out.exists() else {"cases": {}}
    common = ["--out", str(given.out), "--device", given.device, "--repeats", str(given.repeats)]
    if "rate" not in held or "failed" in held["rate"]:
        held["rate"] = in_a_process([*common, "--rate"], given.limit)
        save(given.out, held)
    for name in given.experiments:
        for batch in given.batch or EXPERIMENTS.get(name, [64]):
            for way in given.ways:
                key = f"{name}|{batch}|{way}"
                done = held["cases"].get(key)
                if done and not (given.again and "failed" in done):
                    continue
                if time.monotonic() > until:
                    show(held)
                    print("time is over; call again to go on")
                    return
                held["cases"][key] = in_a_process(
                    [*common, "--one", name, str(batch), way], given.limit
                )
                save(given.out, held)
                print(f"{key}: {held['cases'][key].get('failed', 'measured')}", flush=True)
    show(held)


def show(held: dict[str, Any]) -> None:
    """The table."""
    rate = held["rate"].get("operations_per_second")
    print(f"\nbfloat16 product: {rate / 1e12:.1f} T operations/s" if rate else held["rate"])
    print(
        f"{'experiment':22} {'batch':>5} {'way':20} {'G steps/s':>9} {'img/s':>9} {'MiB':>8} {'of rate':>8} {'warm-up':>8}"
    )
    counted = {}
    for key, case in held["cases"].items():
        counted.setdefault(key.rpartition("|")[0], None)
        if case.get("operations"):
            counted[key.rpartition("|")[0]] = case["operations"]
    for key, case in held["cases"].items():
        name, batch, way = key.split("|")
        if "failed" in case:
            print(f"{name:22} {batch:>5} {way:20} failed: {case['failed'][:80]}")
            continue
        operations = counted[key.rpartition("|")[0]]
        share = (
            f"{operations / case['cycle_seconds'] / rate:8.1%}"
            if operations and rate
            else "       -"
        )
        print(
            f"{name:22} {batch:>5} {way:20} {case['g_steps_per_second']:9.2f} {case['images_per_second']:9.0f} "
            f"{case['peak_memory_mib']:8,.0f} {share} {case['warm_up_seconds']:7.1f}s"
            + "".join(f"\n    {line}" for line in case["told"])
        )


if __name__ == "__main__":
    main()
