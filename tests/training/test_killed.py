"""A run that is killed at random moments, saves included, ends in the bits of an undisturbed one."""

from __future__ import annotations

import os
import random
import signal
import time
import traceback
from pathlib import Path

import pytest
from test_resume import assert_same_bits, state_of
from tiny import experiment, images

import reacgan

# A state every second cycle: about half of the time goes into saving.
OFTEN = {"report.checkpoint_every": 32, "report.samples_every": 64, "training.images": 1600}


def train(out: Path) -> None:
    reacgan.train(experiment(**OFTEN), out, device="cpu", data=images(), quiet=True)


def start(out: Path) -> int:
    """A process that trains, and ends by itself when the run is complete."""
    child = os.fork()
    if child == 0:
        try:
            train(out)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return child


def kill_at_random(out: Path, times: int, chance: random.Random) -> int:
    """Kill ``times`` processes, each a while after it began; returns how many still trained."""
    hit = 0
    for _ in range(times):
        child = start(out)
        time.sleep(chance.uniform(0.02, 0.6))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        hit += os.WIFSIGNALED(status)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return hit


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_runs_end_in_the_same_bits(kills, tmp_path):
    train(tmp_path / "whole")
    hit = kill_at_random(tmp_path / "killed", kills, random.Random(kills))
    assert hit > kills // 3, "the runs ended before they were killed; lengthen them"
    _, status = os.waitpid(start(tmp_path / "killed"), 0)
    assert os.WIFEXITED(status)
    assert os.WEXITSTATUS(status) == 0
    assert_same_bits(state_of(tmp_path / "whole"), state_of(tmp_path / "killed"))
