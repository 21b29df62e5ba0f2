"""Damaged files of every binary kind: refused by name or harmless, in little time and memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import readers

pytest.importorskip("resource")
pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")

SCRIPT = Path(__file__).with_name("fuzz.py")


def fuzzed(run, count, seed):
    """What came of each kind, damaged so many times, in a process of its own."""
    words = [sys.executable, str(SCRIPT), str(run), "--count", str(count), "--seed", str(seed)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return {line["kind"]: line for line in map(json.loads, done.stdout.splitlines())}


def check(results, count):
    assert set(results) == set(readers.KINDS)
    wrong = {kind: result["wrong"][:5] for kind, result in results.items() if result["wrong"]}
    assert not wrong
    assert all(result["cases"] == count for result in results.values())
    refused = sum(result["refused"] for result in results.values())
    assert refused > count * len(results) / 3  # the damages reach what is read


def test_damaged_files_are_refused_or_harmless(run_folder):
    check(fuzzed(run_folder, 10, 0), 10)


@pytest.mark.slow
def test_five_thousand_damages(run_folder):
    check(fuzzed(run_folder, 250, 1), 250)
