"""How every benchmark here measures: processes that take turns, medians, ratios, JSON.

Two ways to compare A with B, both by turns, so that whatever else the machine does falls on both:

- :func:`interleave`: in one process, for things that leave nothing behind;
- :func:`alternate`: each turn in a fresh process (A, B, A, B, ...). Each warms up, works, and prints one
  line of JSON. A training process of ours keeps the memory that it frees (``speed.keep_memory``), which
  would also help a peer in the same process; peaks of memory are a process's own too.

A ratio is the median over turns of the ratio within a turn. Nothing heavy is imported here: peers run
this file with an interpreter of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
Record = dict[str, Any]


# -- one process


def peak_mib() -> float:
    """Peak memory of this program so far.

    Linux counts it from the program's start; getrusage would go on from what its parent held.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def timed(call: Callable[[], Any], repeats: int, *, warm: int = 1) -> Record:
    """Seconds by the clock and of the processor, each of ``repeats`` calls after ``warm`` others."""
    for _ in range(warm):
        call()
    wall, busy = [], []
    for _ in range(repeats):
        began, worked = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - began)
        busy.append(time.process_time() - worked)
    return {"seconds": wall, "processor_seconds": busy}


def measured_alone(
    build: Callable[[], Callable[[], Any]], repeats: int, *, warm: int = 1
) -> Record:
    """:func:`timed`, of the function that ``build`` gives, with the peak memory of building and calling.

    ``peak_beyond_imports_mib`` leaves out what the program held before: import first.
    """
    before = peak_mib()
    step = build()
    found = timed(step, repeats, warm=warm)
    return {**found, "peak_mib": peak_mib(), "peak_beyond_imports_mib": peak_mib() - before}


def interleave(
    ways: Mapping[str, Callable[[], Any]], turns: int, *, warm: int = 1
) -> dict[str, list[float]]:
    """Seconds of each way in each turn, in this process."""
    for call in ways.values():
        for _ in range(warm):
            call()
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, call in ways.items():
            found[name] += timed(call, 1, warm=0)["seconds"]
    return found


# -- processes that take turns


def run_child(script: Path, spec: Record, *, python: str = sys.executable) -> Record:
    """Run ``script --child SPEC`` and read the last line that it prints.

    Raises:
        RuntimeError: it failed; the message ends with what it said.
    """
    command = [python, str(script), "--child", json.dumps(spec)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    if done.returncode:
        raise RuntimeError(f"{script.name} {spec}: {done.stderr.strip()[-2000:]}")
    found: Record = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def answer(found: Record) -> None:
    """A child's last word: one line of JSON."""
    print(json.dumps(found), flush=True)


def alternate(ways: Mapping[str, Callable[[], Record]], turns: int) -> dict[str, list[Record]]:
    """What each way's process measured in each turn, one process at a time."""
    found: dict[str, list[Record]] = {name: [] for name in ways}
    for turn in range(turns):
        for name, call in ways.items():
            found[name].append(call())
            seconds = statistics.median(found[name][-1]["seconds"])
            print(f"  turn {turn + 1} of {turns}: {name:24} {seconds:8.3f} s", flush=True)
    return found


def summarise(found: Mapping[str, Sequence[Record]], base: str) -> Record:
    """By way: median seconds and memory, and how many times as fast as ``base`` it is.

    ``times`` above 1: faster than the base. ``memory``: peak beyond imports over the base's.
    """
    seconds = {
        name: [statistics.median(t["seconds"]) for t in turns] for name, turns in found.items()
    }
    table: dict[str, Record] = {}
    for name, turns in found.items():
        ratios = [theirs / ours for theirs, ours in zip(seconds[base], seconds[name], strict=True)]
        table[name] = {
            "seconds": round(statistics.median(seconds[name]), 5),
            "seconds_of_turns": [round(value, 5) for value in seconds[name]],
            "times": round(statistics.median(ratios), 3),
            "times_of_turns": [round(value, 3) for value in ratios],
        }
        for key in ("peak_mib", "peak_beyond_imports_mib"):
            if key in turns[0]:
                table[name][key] = round(statistics.median(t[key] for t in turns), 1)
        table[name].update(turns[0].get("facts", {}))
    key = "peak_beyond_imports_mib"
    for held in table.values():
        if key in held and key in table[base]:
            held["memory"] = round(held[key] / table[base][key], 3)
    return table


# -- records


def environment() -> Record:
    """Versions, machine, threads and date, as they bear on times."""
    from reacgan.devices import describe_machine

    return {
        **describe_machine(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "date": datetime.now(timezone.utc).date().isoformat(),
    }


def processor() -> str:
    """The model's name, where the system tells it."""
    held = Path("/proc/cpuinfo")
    if held.exists():
        for line in held.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def write(name: str, record: Record, out: Path | None = None) -> Path:
    """Write ``benchmarks/results/NAME.json``, or ``out``, with the environment."""
    path = out or RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    held = {"name": name, "environment": environment(), **record}
    path.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
    print(f"\n{path}")
    return path


def read(name: str, folder: Path = RESULTS) -> Record:
    """``NAME.json`` of a folder of results; empty where there is none."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def options(text: str | None) -> argparse.ArgumentParser:
    """What every script understands: ``--quick``, ``--turns``, ``--out``, and ``--child`` for itself."""
    parser = argparse.ArgumentParser(description=(text or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="fewer cases and turns")
    parser.add_argument("--turns", type=int, help="5 by default, 2 with --quick")
    parser.add_argument("--out", type=Path, help="JSON; benchmarks/results by default")
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    return parser


def turns_of(given: argparse.Namespace) -> int:
    """How many turns were asked for."""
    return given.turns or (2 if given.quick else 5)
