"""Speed and memory of a training cycle: images/s, peak memory, and where the time goes.

    python benchmarks/train_step.py                           # CIFAR10 ReACGAN, full width, batch 32 and 64
    python benchmarks/train_step.py --experiment cifar10-small/reacgan --batch 64 --repeats 9

A cycle is ``d_steps`` discriminator steps and one generator step; images/s counts the real images that
D sees. Every case runs in a process of its own, so that its peak memory is its own. Medians are over
``--repeats`` cycles after one that warms up. The parts are measured in a second pass, with the device
waited for around each of them, so they add up to a little more than the cycle.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import harness


def measure(
    name: str, batch: int, device: str, precision: str, repeats: int, d_steps: int
) -> dict[str, Any]:
    """One case, in this process."""
    from benchmarks.workloads import cycle_of, synchronise, trainer_of

    import reacgan
    from reacgan.devices import describe_machine

    changes: dict[str, Any] = {"training.batch": batch, "training.precision": precision}
    if d_steps:
        changes["training.d_steps"] = d_steps
    experiment = reacgan.experiment(name).replace(**changes)
    trainer = trainer_of(experiment, device=device)
    seconds = harness.timed(cycle_of(trainer), repeats, warm=2)["seconds"]
    median = statistics.median(seconds)
    memory = trainer.engine.memory_bytes()
    kind = trainer.engine.device.type
    if kind == "cuda":  # a recorded step has no parts to time
        trainer = trainer_of(experiment.replace(**{"speed.cuda_graphs": False}), device=device)
        cycle_of(trainer)()
    parts = time_parts(
        trainer,
        lambda: synchronise(trainer.engine.device),
        cycle_of(trainer),
        repeats=min(repeats, 3),
    )
    return {
        "experiment": name,
        "device": kind,
        "precision": precision,
        "batch": batch,
        "d_steps": experiment.training.d_steps,
        "cycle_seconds": round(median, 4),
        "cycle_seconds_all": [round(value, 4) for value in seconds],
        "images_per_second": round(experiment.cycle_images / median, 1),
        "peak_memory_mib": round(memory / 2**20),
        "parts_seconds": parts,
        "environment": describe_machine(),
    }


def time_parts(
    trainer: Any, wait: Callable[[], None], cycle: Callable[[], None], *, repeats: int
) -> dict[str, float]:
    """Seconds a cycle by room: data, generator, augment, backbone, head, backward, Adam, average."""
    import torch

    from reacgan.training import loop

    spent: dict[str, float] = defaultdict(float)

    def timed(part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **keywords: Any) -> Any:
            wait()
            began = time.perf_counter()
            result = call(*arguments, **keywords)
            wait()
            spent[part] += time.perf_counter() - began
            return result

        return wrapper

    state = trainer.state
    trainer.steps.loader.at = timed("data", trainer.steps.loader.at)
    trainer.steps.latents = timed("latents", trainer.steps.latents)
    state.generator.forward = timed("generator forward", state.generator.forward)
    trainer.steps.objective.augment.forward = timed(
        "augment", trainer.steps.objective.augment.forward
    )
    state.discriminator.backbone.forward = timed(
        "backbone forward", state.discriminator.backbone.forward
    )
    state.discriminator.head.forward = timed("head forward", state.discriminator.head.forward)
    state.g_optimizer.step = timed("Adam", state.g_optimizer.step)
    state.d_optimizer.step = timed("Adam", state.d_optimizer.step)
    original = loop.update_average
    backward = torch.Tensor.backward
    loop.update_average = timed("average", original)
    torch.Tensor.backward = timed("backward", backward)  # type: ignore[method-assign]
    try:
        wait()
        began = time.perf_counter()
        for _ in range(repeats):
            cycle()
        wait()
        whole = time.perf_counter() - began
    finally:
        loop.update_average = original
        torch.Tensor.backward = backward  # type: ignore[method-assign]
    spent["losses and the rest"] = whole - sum(spent.values())
    return {part: round(value / repeats, 4) for part, value in spent.items()}


def main() -> None:
    """Run every case in a process of its own; write JSON and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--experiment", default="cifar10/reacgan")
    parser.add_argument("--batch", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--device", nargs="+", default=["auto"])
    parser.add_argument("--precision", nargs="+", default=["float32"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--d-steps", type=int, default=1, help="0 keeps the experiment's own")
    parser.add_argument(
        "--out", type=Path, default=None, help="JSON; benchmarks/results by default"
    )
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        case = measure(
            given.experiment,
            given.batch[0],
            given.device[0],
            given.precision[0],
            given.repeats,
            given.d_steps,
        )
        print(json.dumps(case))
        return
    cases = []
    for device in given.device:
        for precision in given.precision:
            for batch in given.batch:
                command = [
                    sys.executable, __file__, "--one", "--experiment", given.experiment,
                    "--batch", str(batch), "--device", device, "--precision", precision,
                    "--repeats", str(given.repeats), "--d-steps", str(given.d_steps),
                ]  # fmt: skip
                done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
                if done.returncode:  # out of memory, say: the other cases still count
                    print(f"failed: {device} {precision} batch {batch}", file=sys.stderr)
                    continue
                cases.append(json.loads(done.stdout.splitlines()[-1]))
    if not cases:
        sys.exit("no case could be measured; the reasons are above")
    found = cases[0]["device"]
    out = (
        given.out
        or harness.RESULTS / f"train_step-{found}-{given.experiment.replace('/', '-')}.json"
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"date": date.today().isoformat(), "cases": cases}, indent=1) + "\n")
    show(cases)
    print(f"\n{out}")


def show(cases: list[dict[str, Any]]) -> None:
    """The table."""
    print(
        f"{'experiment':24} {'device':6} {'precision':9} {'batch':>5} {'D':>2} {'s/cycle':>8} {'img/s':>8} {'MiB':>7}"
    )
    for case in cases:
        print(
            f"{case['experiment']:24} {case['device']:6} {case['precision']:9} {case['batch']:5} "
            f"{case['d_steps']:2} {case['cycle_seconds']:8.3f} {case['images_per_second']:8.1f} "
            f"{case['peak_memory_mib']:7,}"
        )
    for case in cases:
        whole = sum(case["parts_seconds"].values())
        shares = ", ".join(
            f"{part} {value / whole:.0%}"
            for part, value in sorted(case["parts_seconds"].items(), key=lambda item: -item[1])
        )
        print(f"batch {case['batch']}: {shares}")


if __name__ == "__main__":
    main()
