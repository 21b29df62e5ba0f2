"""GPU queue, first entry: correctness, speed beside the textbook step, kernels by kind, a run, an evaluation.

    python benchmarks/gpu/first.py --out $OUT --data CIFAR10 [--stages correct ways kernels run evaluation]

Each stage ends up in first.json as soon as it is done, and is not made again by a later call. What a stage
cannot finish in its share of the time, it says. Ways are measured in processes of their own, on random
pictures at the published size (batch 128, 5 D steps a cycle).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
Record = dict[str, Any]
# Experiment, batch, changes; None is the textbook step, with TF32 in its convolutions as PyTorch's default has.
WAYS: dict[str, tuple[str | None, int, Record]] = {
    "textbook, TF32": (None, 128, {}),
    "textbook, float16 autocast": (None, 128, {"half": True}),
    "ours, by default": ("cifar10/reacgan", 128, {}),
    "ours, without kernels": ("cifar10/reacgan", 128, {"speed.kernels": False}),
    "ours, kernels not recorded": ("cifar10/reacgan", 128, {"speed.cuda_graphs": False}),
    "ours, float32 with TF32": ("cifar10/reacgan", 128, {"training.precision": "float32"}),
    "ours, full float32": (
        "cifar10/reacgan",
        128,
        {"training.precision": "float32", "speed.tf32": False},
    ),
    "imagenet/reacgan-256, by default": ("imagenet/reacgan-256", 128, {}),
    "cifar10/stylegan2, by default": ("cifar10/stylegan2", 64, {}),
}
TARGETS = {"ours, by default": 33.0}
KINDS = (  # of kernels, by what their names hold; the first that fits
    ("reacgan (Triton)", r"_kernel_reacgan|triton"),
    ("convolutions", r"conv|xmma|cudnn|dgrad|wgrad|fprop|implicit_gemm"),
    ("matrix products", r"gemm|gemv|nvjet|cutlass|cublas|dot_kernel|reduce_1Block"),
    ("attention", r"fmha|flash|softmax"),
    ("norms", r"batch_norm"),
    ("optimiser, average", r"multi_tensor"),
    ("pooling", r"pool"),
    ("reductions", r"reduce"),
    ("copies", r"memcpy|memset|copy|Cat"),
    ("elementwise", r"elementwise|vectorized|unrolled"),
)
LIMITS = {
    "correct": 80.0,
    "ways": 130.0,
    "kernels": 30.0,
    "run": 130.0,
    "evaluation": 70.0,
    "sampling": 20.0,
    "start": 60.0,
}


# -- one way, in a process of its own


def cycle_of(name: str, device: str, changes: Record) -> tuple[Callable[[], None], Any]:
    """One cycle of a way, waited for; and the trainer of ours."""
    import torch

    base, batch, own = WAYS[name]
    if base is None:
        from benchmarks.textbook.step import Textbook

        width = int(changes.get("model.generator.width", 96))
        book = Textbook(width, device=device, d_steps=5, half=bool(own.get("half")))
        images = (torch.rand(batch, 3, 32, 32) * 2 - 1).to(device)
        labels = (torch.arange(batch) % 10).to(device)
        return (
            lambda: book.cycle(images, labels) and None,
            None,
        )  # it reads its losses: no other wait
    from benchmarks.workloads import cycle_of as waited
    from benchmarks.workloads import trainer_of

    import reacgan

    classes = {"imagenet": 1000}.get(base.partition("/")[0], 10)
    asked = {"training.batch": batch, "training.accumulate": 1, **own, **changes}
    if device != "cuda":
        asked = {key: value for key, value in asked.items() if not key.startswith("speed.")}
    trainer = trainer_of(reacgan.experiment(base).replace(**asked), device=device, classes=classes)
    return waited(trainer), trainer


def measure(name: str, device: str, changes: Record, repeats: int) -> Record:
    """Seconds a cycle of one way, in this process."""
    began = time.perf_counter()
    cycle, trainer = cycle_of(name, device, changes)
    warm = 6 if device == "cuda" else 1
    if trainer is not None:  # a lazy term's course is met once a period
        period = max([term.every for term in trainer.steps.objective.terms.values()], default=1)
        warm, repeats = (warm - 2) * period if period > 1 else warm, max(repeats, period)
    cycle()
    first = time.perf_counter() - began
    for _ in range(warm - 1):
        cycle()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        cycle()
        seconds.append(time.perf_counter() - start)
    found = {
        "seconds": statistics.median(seconds),
        "slowest": max(seconds),
        "first_cycle_after": first,
        "warm_up": time.perf_counter() - began - sum(seconds),
    }
    if trainer is not None:
        found |= {
            "precision": trainer.engine.precision,
            "memory_mib": trainer.engine.memory_bytes() / 2**20,
            "replayed": trainer.ways.graphs.replayed if trainer.ways.graphs else 0,
            "off": [
                way.off for way in (trainer.ways.tried, trainer.ways.graphs) if way and way.off
            ],
            "tflop_a_cycle": operations_of(trainer) / 1e12,
        }
    return found


def operations_of(trainer: Any) -> int:
    """Floating-point operations of a plain cycle, by PyTorch's count."""
    from torch.utils.flop_counter import FlopCounterMode

    from reacgan.models import set_switches
    from reacgan.training.journal import Journal

    for network in (trainer.state.generator, trainer.state.discriminator):
        set_switches(network, kernels=False)
    trainer.ways._way = lambda work: work.run()
    with FlopCounterMode(display=False) as counter:
        trainer.cycle(Journal(None, 0))
    return counter.get_total_flops()


def profile(device: str, changes: Record) -> Record:
    """Kernels of two cycles of the default way, by kind, and the slowest of them."""
    import torch
    from torch.profiler import ProfilerActivity

    cycle, _ = cycle_of("ours, by default", device, changes)
    for _ in range(8 if device == "cuda" else 1):
        cycle()
    cuda = device == "cuda"
    activity = ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU
    cycles = 2 if cuda else 1
    began = time.perf_counter()
    with torch.profiler.profile(activities=[activity]) as profiler:
        for _ in range(cycles):
            cycle()
    wall = time.perf_counter() - began
    times, launches, single = Counter[str](), Counter[str](), []
    for event in profiler.key_averages():
        micro = event.self_device_time_total if cuda else event.self_cpu_time_total
        kind = next(
            (kind for kind, names in KINDS if re.search(names, event.key, re.IGNORECASE)), "others"
        )
        times[kind] += micro / cycles
        launches[kind] += event.count / cycles
        single.append((micro / cycles, event.count / cycles, event.key[:120]))
    return {
        "wall_ms": wall * 1e3 / cycles,
        "kinds": {
            kind: {"ms": micro / 1e3, "launches": launches[kind]}
            for kind, micro in times.most_common()
        },
        "slowest": [
            {"ms": micro / 1e3, "launches": count, "kernel": name}
            for micro, count, name in sorted(single, reverse=True)[:25]
        ],
    }


# -- stages


def correct(given: argparse.Namespace, left: float) -> Record:
    """The tests that need a GPU: of kernels first."""
    groups = ["tests/kernels", "tests/training", "tests/models"]
    outcomes: Record = {}
    until = time.monotonic() + left
    for group in groups:
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-m",
            "gpu",
            group,
            "-p",
            "no:cacheprovider",
        ]
        if (
            subprocess.run(
                [sys.executable, "-c", "import xdist"], check=False, capture_output=True
            ).returncode
            == 0
        ):
            command += ["-n", "8" if given.device == "cuda" else "0"]
        outcomes[group] = _said_by(command, max(until - time.monotonic(), 1.0))
    return outcomes


def _said_by(command: list[str], limit: float) -> Record:
    began = time.monotonic()
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=limit, cwd=ROOT
        )
    except subprocess.TimeoutExpired:
        return {"end": f"ran past {limit:.0f} s"}
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    failed = [line[:200] for line in lines if line.startswith(("FAILED", "ERROR"))]
    counts = next(
        (
            line
            for line in reversed(lines)
            if re.search(r"\d+ (passed|failed|skipped|deselected)", line)
        ),
        "",
    )
    return {
        "end": counts or (lines or ["nothing"])[-1],
        "failed": failed,
        "seconds": time.monotonic() - began,
    }


def _child(given: argparse.Namespace, arguments: list[str], limit: float) -> Record:
    """What a process of this file prints last."""
    command = [
        sys.executable,
        __file__,
        "--out",
        str(given.out),
        "--device",
        given.device,
        *arguments,
    ]
    if given.set:
        command += ["--set", *given.set]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"failed": f"took over {limit:.0f} s"}
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        return {"failed": lines[-1][-300:] if lines else f"ended with {done.returncode}"}
    answer: Record = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def ways(given: argparse.Namespace, left: float) -> Record:
    """G steps a second of each way."""
    until, measured = time.monotonic() + left, {}
    for name in WAYS:
        if given.ways and name not in given.ways:
            continue
        rest = until - time.monotonic()
        measured[name] = (
            _child(given, ["--one", name], min(rest, 60.0))
            if rest > 5
            else {"failed": "no time left"}
        )
        print(f"  {name}: {_speed(measured[name])}", flush=True)
    return measured


def kernels(given: argparse.Namespace, left: float) -> Record:
    """The profile."""
    return _child(given, ["--profile"], left)


def run(given: argparse.Namespace, left: float) -> Record:
    """Train in the default precision, as long as 3,000 G steps take if there is time; the same run goes on."""
    folder = given.out / "run"
    command = [
        *(sys.executable, "-m", "reacgan", "train", given.experiment, "--data", str(given.data)),
        *("--out", str(folder), "--device", given.device, "--minutes", f"{left / 60:.3f}"),
        *("--images", str(given.steps * 640), "--set", "report.journal_every=64000"),
        *("report.checkpoint_every=640000", "report.keep_checkpoints=4", *given.set),
    ]
    began = time.monotonic()
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    (given.out / "run.txt").write_text(done.stdout + done.stderr)
    journal = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    rates = [line["images_per_second"] for line in journal if line.get("images_per_second")]
    notes = [line["event"]["message"] for line in journal if "message" in line.get("event", {})]
    return {
        "ended_with": done.returncode,
        "seconds": time.monotonic() - began,
        "images_seen": journal[-1].get("images_seen", 0),
        "images_per_second": statistics.median(rates) if rates else None,
        "finite": done.returncode == 0 and not any("not finite" in note for note in notes),
        "notes": notes,
    }


def evaluation(given: argparse.Namespace, left: float) -> Record:
    """Every metric of one pass on 50,000 fakes, the first checkpoint beside the last, by the in-domain classifier."""
    folder, until, outcomes = given.out / "run", time.monotonic() + left, {}
    states = sorted(path.name for path in (folder / "checkpoints").iterdir())
    requests = [
        ("last", str(given.num)),
        ("last", str(given.num)),
    ]  # the first one also trains the classifier
    if len(states) > 1:
        requests.append((str(int(states[0])), str(given.num)))
    for index, (state, num) in enumerate(requests):
        command = [
            *(sys.executable, "-m", "reacgan", "evaluate", str(folder), "--extractor", "domain"),
            *("--reference", f"cifar10:{given.data}", "--device", given.device, "--num", num),
            *("--checkpoint", state, "--out", str(given.out / f"scores-{index}")),
        ]
        began = time.monotonic()
        try:
            done = subprocess.run(
                command, check=False, capture_output=True, text=True, timeout=max(until - began, 1)
            )
        except subprocess.TimeoutExpired:
            outcomes[f"{index} {state}"] = {"failed": "no time left"}
            break
        scores = given.out / f"scores-{index}" / "scores.jsonl"
        values = {}
        if scores.exists():
            lines = map(json.loads, scores.read_text().splitlines())
            values = {line["metric"]: line["value"] for line in lines}
        outcomes[f"{index} {state}"] = {
            "seconds": time.monotonic() - began,
            "values": values,
            **(
                {}
                if done.returncode == 0
                else {"failed": (done.stderr.strip().splitlines() or ["?"])[-1]}
            ),
        }
    return outcomes


def sampling(given: argparse.Namespace, left: float) -> Record:
    """50,000 images of the run's generator."""
    return _child(given, ["--sampling", "--num", str(given.num)], left)


def sampled(given: argparse.Namespace) -> Record:
    """Seconds for so many images, in this process; and whether passes were recorded."""
    import torch

    import reacgan
    from reacgan.sampling.passes import Passes
    from reacgan.sampling.sample import images_of
    from reacgan.sampling.settings import SamplingSettings

    model = reacgan.load(given.out / "run" / "model", device=given.device)
    settings = SamplingSettings(precision="auto")
    passes, step = Passes(model.generator, settings), 1024
    labels = torch.arange(given.num) % 10
    began = time.perf_counter()
    for start in range(0, given.num, step):
        seeds = range(start, min(start + step, given.num))
        images_of(model, labels[start : start + step], seeds, settings, passes)
    seconds = time.perf_counter() - began
    facts = {"images": given.num, "pass": passes.size, "replayed": passes.replayed}
    return {"seconds": seconds, **facts, "off": passes.off}


def start(given: argparse.Namespace, left: float) -> Record:
    """Seconds from the command to the first line of the journal: of one run, and of the last of four at once."""
    until, outcomes = time.monotonic() + left, {}
    for name, count in (("one", 1), ("four", 4)):
        with tempfile.TemporaryDirectory() as scratch:
            outcomes[name] = _begun(given, Path(scratch), count, until)
    return outcomes


def _begun(given: argparse.Namespace, scratch: Path, count: int, until: float) -> float | None:
    folders = [scratch / str(number) for number in range(count)]
    began = time.monotonic()
    processes = [
        subprocess.Popen(
            [
                *(
                    sys.executable,
                    "-m",
                    "reacgan",
                    "train",
                    given.experiment,
                    "--data",
                    str(given.data),
                ),
                *("--out", str(folder), "--device", given.device, "--images", "64000"),
                *("--set", "report.journal_every=1", *given.set),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for folder in folders
    ]
    seconds = None
    while time.monotonic() < until:
        texts = [
            (folder / "journal.jsonl").read_text() if (folder / "journal.jsonl").exists() else ""
            for folder in folders
        ]
        if all("images_per_second" in text for text in texts):
            seconds = time.monotonic() - began
            break
        time.sleep(0.05)
    for process in processes:
        process.kill()
        process.wait()
    return seconds


STAGES: dict[str, Callable[[argparse.Namespace, float], Record]] = {
    "correct": correct,
    "ways": ways,
    "kernels": kernels,
    "run": run,
    "evaluation": evaluation,
    "sampling": sampling,
    "start": start,
}


# -- the page


def _speed(way: Record) -> str:
    if "failed" in way:
        return f"failed: {way['failed'][:90]}"
    text = f"{1 / way['seconds']:7.2f} G steps/s"
    if "tflop_a_cycle" in way:
        text += (
            f", {way['tflop_a_cycle'] / way['seconds']:6.1f} TFLOP/s, {way['memory_mib']:7,.0f} MiB"
        )
        text += f", {way['precision']}, replayed {way['replayed']}"
        text += "".join(f"\n      off: {reason}" for reason in way["off"])
    return f"{text}, first cycle after {way['first_cycle_after']:.1f} s"


def page(record: Record) -> str:
    """All of it, for a person."""
    lines = [f"{record['machine']['device']}, torch {record['machine']['torch']}, {record['date']}"]
    for group, outcome in record.get("correct", {}).items():
        lines += [
            f"{group:16} {outcome['end']}",
            *(f"    {line}" for line in outcome.get("failed", [])),
        ]
    measured = record.get("ways", {})
    base = measured.get("textbook, TF32", {})
    for name, way in measured.items():
        comparable = WAYS[name][0] in (None, "cifar10/reacgan") and "seconds" in base
        ratio = ""
        if comparable and "seconds" in way:
            ratio = f" {base['seconds'] / way['seconds']:6.2f} x"
        target = f" (target {TARGETS[name]:g})" if name in TARGETS else ""
        lines.append(f"{name:34}{ratio} {_speed(way)}{target}")
    profiled = record.get("kernels", {})
    if "kinds" in profiled:
        total = sum(kind["ms"] for kind in profiled["kinds"].values())
        launches = sum(kind["launches"] for kind in profiled["kinds"].values())
        lines.append(
            f"a cycle: {total:.1f} ms on the device of {profiled['wall_ms']:.1f} ms, {launches:,.0f} launches"
        )
        for kind, sums in profiled["kinds"].items():
            lines.append(f"  {kind:22} {sums['ms']:8.2f} ms {sums['launches']:8.0f} launches")
        for one in profiled["slowest"][:8]:
            lines.append(f"    {one['ms']:7.3f} ms {one['launches']:6.0f} x {one['kernel'][:80]}")
    elif profiled:
        lines.append(f"kernels: {profiled}")
    if "run" in record:
        made = record["run"]
        rate = made["images_per_second"] or 0
        lines.append(
            f"run: {made['images_seen']:,} images in {made['seconds']:.0f} s, {rate:,.0f} images/s = "
            f"{rate / 640:.1f} G steps/s, {'finite' if made['finite'] else 'NOT FINITE'}"
        )
        lines += [f"    {note}" for note in made["notes"][:5]]
    for name, outcome in record.get("evaluation", {}).items():
        values = ", ".join(f"{key} {value:.4g}" for key, value in outcome.get("values", {}).items())
        lines.append(
            f"evaluation {name}: {outcome.get('seconds', 0):.1f} s {outcome.get('failed', '')} {values}"
        )
    if "sampling" in record:
        lines.append(f"sampling: {record['sampling']} (target: 5 s for 50,000)")
    if "start" in record:
        lines.append(
            f"start, seconds to the first cycles: {record['start']} (targets: 8, and twice one)"
        )
    return "\n".join(lines)


def save(path: Path, record: Record) -> None:
    """Whole or not at all."""
    beside = path.with_suffix(".writing")
    beside.write_text(json.dumps(record, indent=1) + "\n")
    beside.replace(path)


def options() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=None, help="CIFAR-10")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--experiment", default="cifar10/reacgan")
    parser.add_argument("--minutes", type=float, default=5.5)
    parser.add_argument("--steps", type=int, default=3000, help="G steps of the run")
    parser.add_argument("--num", type=int, default=50_000, help="fakes that are scored")
    parser.add_argument("--stages", nargs="+", choices=list(STAGES), default=list(STAGES))
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=None)
    parser.add_argument("--set", nargs="+", default=[], help="further values, of every experiment")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--one", default=None, help=argparse.SUPPRESS)
    parser.add_argument("--sampling", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--profile", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """The stages that are missing; then the page."""
    given = options()
    changes = {key: json.loads(value) for key, value in (pair.split("=", 1) for pair in given.set)}
    if given.one:
        print(json.dumps(measure(given.one, given.device, changes, given.repeats)))
        return
    if given.sampling:
        print(json.dumps(sampled(given)))
        return
    if given.profile:
        print(json.dumps(profile(given.device, changes)))
        return
    sys.path.insert(0, str(ROOT / "src"))
    from reacgan.devices import describe_machine

    path = given.out / "first.json"
    record: Record = json.loads(path.read_text()) if path.exists() else {}
    record |= {
        "machine": describe_machine(),
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M}",
    }
    until = time.monotonic() + 60 * given.minutes
    for name in given.stages:
        rest = until - time.monotonic()
        if name in record or rest < 10:
            continue
        print(f"{name} ...", flush=True)
        try:
            record[name] = STAGES[name](given, min(rest, LIMITS[name]))
        except Exception as error:  # the other stages are worth having
            print(f"{name} failed: {type(error).__name__}: {error}", flush=True)
            continue
        save(path, record)
    text = page(record)
    (given.out / "first.txt").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", str(ROOT / "src"))
    main()
