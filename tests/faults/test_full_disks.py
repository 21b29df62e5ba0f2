"""Full and read-only disks: of the cache they end nothing, of a run they end it with the file's name.

``python tests/faults/test_full_disks.py`` fills twelve disks (needs the right to mount), and fails the
cache at every operation; ``--count 20`` at so many.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import operations
import pytest
import torch
import works
from test_killed_at_operations import Undisturbed, fresh, spread, undisturbed

pytestmark = [
    pytest.mark.kernels,
    pytest.mark.skipif(sys.platform != "linux", reason="needs tmpfs and /proc"),
]

SIZES = ("4k", "20k", "40k", "80k", "120k", "160k")
ROOM = "64m"
LAST = 20
"""Operations at the end of a cache that are no more than sweeping and closing."""


@contextlib.contextmanager
def disk(folder: Path, options: str) -> Iterator[bool]:
    """A disk of its own in this place; False where this machine does not allow that."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    mounted = subprocess.run(words, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def differences(root: Path, whole: Undisturbed) -> list[str]:
    """What the run has otherwise than undisturbed, but the images that a full cache did not keep."""
    there = {
        name: digest for name, digest in operations.content(root).items() if name[:4] == "run/"
    }
    expected = {name: digest for name, digest in whole.content.items() if name[:4] == "run/"}
    return sorted(name for name, digest in {*there.items()} ^ {*expected.items()} if digest)


def warnings_of(said: str) -> list[str]:
    return re.findall(r"(\S+): cannot be written \(", said)


def cache_fails_at(top: Path, at: int, whole: Undisturbed) -> list[str]:
    """From the n-th operation of the cache on it is full: the run goes on, and says so once a folder."""
    root = fresh(top, "train")
    ended = operations.run(works.train, root, at=at, fault="full", below="cache")
    said = warnings_of(ended.said)
    return [
        *([f"operation {at}: ended by {ended.code}: {ended.said[-600:]}"] if ended.code else []),
        *(f"operation {at}: {name} differs" for name in differences(root, whole)),
        *([f"operation {at}: said {said}"] if len(said) != len(set(said)) or not said else []),
    ]


def full_cache(top: Path, options: str, whole: Undisturbed) -> list[str]:
    """A small or read-only disk for the cache."""
    root = fresh(top, "train")
    with disk(root / "cache", options) as mounted:
        if not mounted:
            pytest.skip("no right to mount")
        ended = operations.run(works.train, root)
    said = warnings_of(ended.said)
    return [
        *([f"{options}: ended by {ended.code}: {ended.said[-600:]}"] if ended.code else []),
        *(f"{options}: {name} differs" for name in differences(root, whole)),
        *([f"{options}: said {said}"] if len(said) != len(set(said)) else []),
    ]


def full_run(top: Path, options: str, whole: Undisturbed) -> list[str]:
    """A small or read-only disk for the run; then it has room, and the same command goes on."""
    root = fresh(top, "train")
    with disk(root / "run", options) as mounted:
        if not mounted:
            pytest.skip("no right to mount")
        first = operations.run(works.train, root)
        remount(root / "run", f"size={ROOM},rw")
        again = operations.run(works.train, root)
        lines = [f"{options}: {name} differs" for name in differences(root, whole)]
    named = re.search(r"Error: \[Errno (28|30)\] .*/run/", first.said)
    return [
        *([f"{options}: ended by {first.code}: {first.said[-600:]}"] if not named else []),
        *([f"{options}: went on to {again.code}: {again.said[-600:]}"] if again.code else []),
        *lines,
    ]


def cache_operations(top: Path) -> int:
    ended = operations.run(works.train, fresh(top, "train"), below="cache")
    assert ended.code == 0, ended.said
    return ended.operations


@pytest.mark.parametrize(
    "count", [1, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(7200)])]
)
def test_a_cache_that_fills_up_at_any_moment_ends_nothing(count, top, whole):
    total = cache_operations(top)
    for at in spread(count, total - LAST):
        assert cache_fails_at(top, at, whole) == []


@pytest.mark.slow
@pytest.mark.parametrize("options", ["size=40k", "ro"])
def test_a_small_or_read_only_disk_for_the_cache(options, top, whole):
    assert full_cache(top, options, whole) == []


@pytest.mark.parametrize("options", ["size=120k"])
def test_a_run_whose_disk_was_full_goes_on(options, top, whole):
    assert full_run(top, options, whole) == []


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("fill", [full_cache, full_run])
def test_twelve_full_disks(fill, size, top, whole):
    assert fill(top, f"size={size}", whole) == []


def main() -> int:
    """Print what was injected and what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=0, help="failing operations; 0: all")
    count = parser.parse_args().count
    torch.set_num_threads(1)
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        whole = undisturbed(top, "train")
        total = cache_operations(top) - LAST
        lines = [
            line for at in spread(count or total, total) for line in cache_fails_at(top, at, whole)
        ]
        print(*lines, sep="\n")
        print(f"cache: {total} operations, {min(count or total, total)} failed, {len(lines)} lines")
        wrong += len(lines)
        for fill in (full_cache, full_run):
            for options in (*(f"size={size}" for size in SIZES), "ro"):
                lines = fill(top, options, whole)
                print(
                    f"{fill.__name__} {options}: {'; '.join(lines) or 'nothing lost'}", flush=True
                )
                wrong += len(lines)
        shutil.rmtree(top / "killed", ignore_errors=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
