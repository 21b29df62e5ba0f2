"""Every benchmark one after another, then the tables and pictures of docs/performance.md.

    make bench                                          # or: python benchmarks/all.py
    python benchmarks/all.py --quick --only textbook roofline
    python benchmarks/all.py --only methods metrics     # half an hour each: only when named

Leave the machine alone meanwhile. Peers need an environment of their own (`make bench-peers`); without
it they are left out. A benchmark that fails is named at the end, and the others still count.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.peers.compare import peers_python

from benchmarks import harness

STEP = ["train_step.py", "--precision", "float32", "bfloat16"]
COMMANDS: dict[str, list[str]] = {
    "textbook": ["textbook_step.py"],
    "peers": ["peers/compare.py"],
    "roofline": ["roofline.py"],
    "scaling": ["scaling.py"],
    "step": [*STEP, "--experiment", "cifar10/reacgan"],
    "step-small": [*STEP, "--experiment", "cifar10-small/reacgan"],
    "data": ["data.py"],
    "overhead": ["overhead.py", "--turns", "3", "--threads", "2"],
    "methods": ["methods.py", "--out", str(harness.RESULTS / "methods.json")],
    "metrics": ["metrics.py", "--out", str(harness.RESULTS / "metrics.json")],
}
WHEN_NAMED = ("methods", "metrics")
QUICK = {
    "overhead": ["--quick", "--turns", "1"],
    "step": ["--repeats", "2", "--batch", "32"],
    "step-small": ["--repeats", "2", "--batch", "32"],
    "methods": ["--turns", "1", "--cycles", "1"],
    "metrics": ["--count", "2000", "--large", "0"],
}


def command_of(name: str, *, quick: bool) -> list[str] | None:
    """What to run, or None where something it needs is not here."""
    script, *options = COMMANDS[name]
    path = harness.ROOT / "benchmarks" / script
    if not path.exists() or (name == "peers" and peers_python() is None):
        return None
    further = QUICK.get(name, ["--quick"]) if quick else []
    return [sys.executable, str(path), *options, *further]


def main() -> None:
    """Run, then write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    usual = [name for name in COMMANDS if name not in WHEN_NAMED]
    parser.add_argument("--only", nargs="+", choices=list(COMMANDS), default=usual)
    parser.add_argument("--quick", action="store_true", help="fewer cases and turns: five minutes")
    given = parser.parse_args()
    left, took = [], {}
    for name in given.only:
        command = command_of(name, quick=given.quick)
        if command is None:
            left.append(f"{name}: left out, what it needs is not here")
            continue
        print(f"\n== {name}", flush=True)
        began = time.monotonic()
        done = subprocess.run(command, cwd=harness.ROOT, check=False)
        took[name] = time.monotonic() - began
        if done.returncode:
            left.append(f"{name}: failed with exit code {done.returncode}")
    for script in ("page.py", "plots.py"):
        subprocess.run([sys.executable, f"benchmarks/{script}"], cwd=harness.ROOT, check=True)
    print("\n" + "\n".join(f"{name:12}{seconds:7.0f} s" for name, seconds in took.items()))
    print("\n".join(left))
    if any("failed" in line for line in left):
        sys.exit(1)


if __name__ == "__main__":
    main()
