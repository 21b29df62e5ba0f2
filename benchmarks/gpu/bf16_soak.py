"""GPU queue: does bfloat16 training stay finite, by every way of computing attention?

    python benchmarks/gpu/bf16_soak.py --out $OUT/bf16_soak.json --device cuda

For each seed and each way a short run of the networks of ``cifar10/reacgan`` at their published width, so
with attention at its published size; batch 32 and one D step a G step, since 3,000 G steps at the
published batch take three minutes each. A run keeps its state, is looked at every so many G steps, and
goes over those that are not finite again, as ``reacgan train`` does: the first tensor is named. Each run
is a process of its own and gets an even share of the time that is left; what it did not reach is told.
``flash`` takes no values wider than queries, so no attention of ours, and is run only when asked.
``cudnn`` is what the package never takes: its run, one seed, shows whether the fault is there to be found.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

WAYS = ("plain", "efficient", "math", "flash", "cudnn")
MOST_FAULTS = 20


def soak(way: str, given: argparse.Namespace) -> dict[str, Any]:
    """One run, in this process."""
    from reacgan.training.journal import Journal, NonFiniteError
    from reacgan.training.recovery.rewind import Recovery

    until = time.monotonic() + given.seconds
    force(way)
    trainer = trainer_of(given)
    told: list[str] = []
    trainer.say = told.append
    journal = Journal(None, 0)
    recovery = Recovery(trainer, journal)
    state, size = trainer.state, trainer.experiment.cycle_images
    began, faults, failed = time.monotonic(), 0, None
    while state.images_seen < given.steps * size and time.monotonic() < until:
        error = None
        try:
            for _ in range(min(given.every, given.steps - state.images_seen // size)):
                trainer.cycle(journal)
            journal.read(state.images_seen)
            if wrong := state.non_finite():
                raise NonFiniteError(wrong[:3], f"by {state.images_seen:,}")
        except NonFiniteError as caught:
            error = caught
        if error is None:
            recovery.keep(now=True)
            continue
        faults += 1
        if not recovery.possible or faults > MOST_FAULTS:
            failed = str(recovery.explained(error))
            break
        recovery.go_back(error)
    seconds = time.monotonic() - began
    return {
        "g_steps": state.images_seen // size,
        "seconds": round(seconds, 1),
        "faults": faults,
        "failed": failed,
        "told": told,
        "speed": trainer.engine.speed.describe(),
    }


def force(way: str) -> None:
    """Attention is computed in this way, whatever its size and the device."""
    from torch.nn.attention import SDPBackend

    from reacgan.models import fused

    kernels = {
        "efficient": SDPBackend.EFFICIENT_ATTENTION,
        "math": SDPBackend.MATH,
        "flash": SDPBackend.FLASH_ATTENTION,
        "cudnn": SDPBackend.CUDNN_ATTENTION,
    }
    fused.keeps_weights = lambda query, key: way == "plain"
    fused.BACKENDS[:] = [kernels[way]] if way in kernels else []


def trainer_of(given: argparse.Namespace) -> Any:
    """Networks of the published width; real images, or rendered signs that are drawn on the spot."""
    import reacgan
    from reacgan.assembly import complete
    from reacgan.config.schema import parse_assignments
    from reacgan.data import open_dataset
    from reacgan.training.engine import Engine
    from reacgan.training.loop import Trainer
    from reacgan.training.state import TrainState

    images = {"data.path": given.data} if given.data else {"data.name": "glyphs", "data.path": "10"}
    changes = {
        **images,
        "training.batch": 32,
        "training.d_steps": 1,
        "training.precision": "bfloat16",
        "training.seed": given.seed,
        **parse_assignments(given.set),
    }
    experiment = complete(reacgan.experiment("cifar10/reacgan").replace(**changes))
    engine = Engine.of(experiment, given.device)
    data = open_dataset(experiment.data)
    return Trainer(experiment, TrainState.build(experiment, data.num_classes, engine), data, engine)


def in_a_process(way: str, seed: int, seconds: float) -> dict[str, Any]:
    """What the last line says that it printed, or why there is none."""
    given = [*sys.argv[1:], "--one", way, "--seed", str(seed), "--seconds", f"{seconds:.1f}"]
    command = [sys.executable, __file__, *given]
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=seconds + 30
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"did not end in {seconds + 30:.0f} s"}
    if done.returncode:
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
        return {"failed": lines[-1][-300:] if lines else f"ended with {done.returncode}"}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    """Every run in turn; then the table. Ends with 1 where a way that the package takes was not finite."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data", default=None, help="CIFAR-10; rendered signs without")
    parser.add_argument("--ways", nargs="+", default=["plain", "efficient", "math", "cudnn"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=3000, help="G steps of a run")
    parser.add_argument("--every", type=int, default=100, help="G steps between two looks")
    parser.add_argument("--limit", type=float, default=290.0, help="seconds in all")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--one", default=None, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=0.0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if unknown := [way for way in given.ways if way not in WAYS]:
        parser.error(f"no way is called {unknown[0]}; choose from {', '.join(WAYS)}")
    if given.one:
        print(json.dumps(soak(given.one, given)))
        return
    until = time.monotonic() + given.limit
    runs = [
        (way, seed)
        for seed in given.seeds
        for way in given.ways
        if way != "cudnn" or seed == given.seeds[0]
    ]
    found: dict[str, dict[str, Any]] = {}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    for index, (way, seed) in enumerate(runs):
        share = (until - time.monotonic()) / (len(runs) - index)
        found[f"{way}|{seed}"] = in_a_process(way, seed, max(share, 1.0))
        given.out.write_text(json.dumps({"asked": given.steps, "runs": found}, indent=1) + "\n")
    sys.exit(show(found, given.steps))


def show(found: dict[str, dict[str, Any]], asked: int) -> int:
    """The table; 1 where a way that the package takes met what is not finite, or made no step."""
    print(
        f"{'attention':10} {'seed':>4} {'G steps':>8} {'of':>6} {'seconds':>8} {'faults':>7}  first"
    )
    bad = False
    for key, held in found.items():
        way, seed = key.split("|")
        bad = bad or (way != "cudnn" and bool(held.get("faults") or held["failed"]))
        first = held["failed"] or next(iter(held["told"]), "")
        print(
            f"{way:10} {seed:>4} {held.get('g_steps', 0):8,} {asked:6,} {held.get('seconds', 0):8.1f} "
            f"{held.get('faults', 0):7}  {first}"
        )
    return int(bad)


if __name__ == "__main__":
    main()
