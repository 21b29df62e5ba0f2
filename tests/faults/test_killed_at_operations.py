"""A SIGKILL before any file operation: after the next start nothing is lost, and nothing is left.

``python -m pytest tests/faults -m slow`` kills before every operation; ``python
tests/faults/test_killed_at_operations.py --count 40`` before so many, evenly spread, and prints a table.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import operations
import pytest
import torch
import works
from works import WORKS

pytestmark = [
    pytest.mark.kernels,
    pytest.mark.skipif(not hasattr(os, "fork") or sys.platform != "linux", reason="needs /proc"),
]


class Undisturbed(NamedTuple):
    """What a work leaves."""

    count: int
    content: dict[str, str]
    folders: set[str]


def undisturbed(top: Path, name: str) -> Undisturbed:
    """The work without a fault, done in ``top/whole-NAME``."""
    if not (top / "pictures").exists():
        works.pictures(top / "pictures")
    imported(top, name)
    root = fresh(top, name, f"whole-{name}")
    ended = operations.run(WORKS[name], root)
    assert ended.code == 0, ended.said
    if name == "train":
        shutil.copytree(root / "run", top / "run")
    return Undisturbed(ended.operations, operations.content(root), operations.folders(root))


def imported(top: Path, name: str) -> None:
    """Do the work here once, so that no child has to import what it needs."""
    before = os.environ.get("REACGAN_CACHE")
    root = fresh(top, name, "imported")
    os.environ["REACGAN_CACHE"] = str(root / "cache")
    try:
        with Path(os.devnull).open("w") as nothing, contextlib.redirect_stdout(nothing):
            WORKS[name](root)
    finally:
        os.environ.pop("REACGAN_CACHE") if before is None else os.environ.update(
            REACGAN_CACHE=before
        )


def fresh(top: Path, name: str, folder: str = "killed") -> Path:
    """An empty root, or one with a run to use."""
    root = top / folder
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    if name != "train":
        works.ready(root)
    return root


def kill_at(top: Path, name: str, at: int, whole: Undisturbed) -> list[str]:
    """Kill before one operation, start again, and say what differs from the undisturbed work."""
    root = fresh(top, name)
    killed = operations.run(WORKS[name], root, at=at)
    if killed.signal != signal.SIGKILL:
        return [f"operation {at}: was not reached ({killed.code}): {killed.said[-600:]}"]
    again = operations.run(WORKS[name], root)
    if again.code:
        return [f"operation {at}: the next start failed: {again.said[-600:]}"]
    there = operations.content(root)
    return [
        *(f"operation {at}: {path} is left" for path in there.keys() - whole.content.keys()),
        *(f"operation {at}: {path} is lost" for path in whole.content.keys() - there.keys()),
        *(f"operation {at}: {path}/ is left" for path in operations.folders(root) - whole.folders),
        *(
            f"operation {at}: {path} has other bits"
            for path in there.keys() & whole.content.keys()
            if there[path] != whole.content[path]
        ),
    ]


def spread(count: int, of: int) -> list[int]:
    """So many numbers of 1 .. of, evenly."""
    return sorted({1 + (of - 1) * step // max(count - 1, 1) for step in range(min(count, of))})


@pytest.mark.parametrize("at", [0.1, 0.75])
def test_a_kill_in_a_run_loses_nothing(at, top, whole):
    assert kill_at(top, "train", int(at * whole.count), whole) == []


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", WORKS)
def test_a_kill_before_every_operation_loses_nothing(name, top, whole):
    whole = whole if name == "train" else undisturbed(top, name)
    for at in range(1, whole.count + 1):
        assert kill_at(top, name, at, whole) == []


def main() -> int:
    """Print how many kills there were and what was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20, help="kills of each work; 0: all")
    parser.add_argument("--first", type=int, default=1, help="the first operation")
    parser.add_argument("--work", choices=list(WORKS), action="append")
    options = parser.parse_args()
    torch.set_num_threads(1)
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        for work in WORKS:
            whole = undisturbed(top, work)
            if options.work and work not in options.work:
                continue
            numbers = spread(options.count or whole.count, whole.count)
            faults = 0
            for at in (number for number in numbers if number >= options.first):
                lines = kill_at(top, work, at, whole)
                faults += bool(lines)
                for line in lines:
                    print(line, flush=True)
            print(f"{work}: {whole.count} operations, {len(numbers)} kills, {faults} with a fault")
            wrong += faults
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
