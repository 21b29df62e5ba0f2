"""A run that is killed at random moments, saves included, ends in the bits of an undisturbed one."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from test_resume import assert_same_bits, state_of
from tiny import experiment, images

import reacgan
from reacgan.hub import models as hub_module
from reacgan.training import checkpoint as checkpoint_module

# A state every second cycle: about half of the time goes into saving.
OFTEN = {"report.checkpoint_every": 32, "report.samples_every": 64, "training.images": 960}
SHORT = {"training.images": 96}


def train(out: Path, **changes: object) -> None:
    settings = experiment(**{**OFTEN, **changes})
    reacgan.train(settings, out, device="cpu", data=images(), quiet=True)


def start(out: Path, prepare: Callable[[], None] = lambda: None, **changes: object) -> int:
    """A process that trains, and ends by itself when the run is complete."""
    child = os.fork()
    if child == 0:
        try:
            prepare()
            train(out, **changes)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return child


def kill_at_random(out: Path, times: int, chance: random.Random, **changes: object) -> int:
    """Kill ``times`` processes, each a while after it began; returns how many still trained."""
    hit = 0
    for _ in range(times):
        child = start(out, **changes)
        time.sleep(chance.uniform(0.02, 0.6))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        hit += os.WIFSIGNALED(status)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return hit


@pytest.mark.parametrize(
    ("kills", "background"),
    [
        (3, True),
        pytest.param(20, True, marks=pytest.mark.slow),
        pytest.param(20, False, marks=pytest.mark.slow),
    ],
)
def test_killed_runs_end_in_the_same_bits(kills, background, tmp_path):
    train(tmp_path / "whole")
    hit = kill_at_random(
        tmp_path / "killed", kills, random.Random(kills), **{"speed.background": background}
    )
    assert hit > kills // 3, "the runs ended before they were killed; lengthen them"
    goes_on_to_the_same_bits(tmp_path / "whole", tmp_path / "killed")


def goes_on_to_the_same_bits(whole: Path, killed: Path, **changes: object) -> None:
    _, status = os.waitpid(start(killed, **changes), 0)
    assert os.WIFEXITED(status)
    assert os.WEXITSTATUS(status) == 0
    assert_same_bits(state_of(whole), state_of(killed))
    assert not list(killed.rglob(".writing-*"))


# Where a save is caught: the function that is reached, for which file, and what is on disk by then.
STAGES = {
    "between two parts": (checkpoint_module, "digest_of", "average.safetensors", "torn"),
    "before the disk has it": (checkpoint_module, "flush_folder", f".writing-{64:012d}", "torn"),
    "before it is read back": (checkpoint_module, "read_manifest", f"{64:012d}", "new"),
    "while the model is written": (hub_module, "flush_folder", ".writing-model", "new"),
}


@pytest.fixture(scope="module")
def short_whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    train(out, **SHORT)
    return out


@pytest.mark.parametrize("stage", STAGES)
def test_a_kill_in_the_middle_of_a_save_beside_the_training(stage, short_whole, tmp_path):
    """The writer is held at one point of saving the second state until the process is killed."""
    module, name, where, left = STAGES[stage]
    whole, reached = getattr(module, name), tmp_path / "reached"
    states = tmp_path / "killed" / "checkpoints"

    def held(path: Path) -> object:
        if path.name == where and list(states.glob(f"*{64:012d}")):
            assert threading.current_thread() is not threading.main_thread()
            reached.touch()
            time.sleep(60)
        return whole(path)

    child = start(tmp_path / "killed", prepare=lambda: setattr(module, name, held), **SHORT)
    while not reached.exists():
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    second = f"{64:012d}" if left == "new" else f".writing-{64:012d}"
    assert {path.name for path in states.iterdir()} == {f"{32:012d}", second}
    goes_on_to_the_same_bits(short_whole, tmp_path / "killed", **SHORT)
