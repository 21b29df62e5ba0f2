"""The number of processes may change on the way: by a person, or as machines are lost."""

from __future__ import annotations

import os
import signal
import time

import pytest
import torch
from safetensors.torch import load_file

from jobs import Job, free_port
from reacgan.config import ConfigError, Experiment
from reacgan.training.elastic import usable_processes

SETTINGS = {
    "training.precision": "float64",
    "training.batch": 12,
    "training.images": 480,
    "report.checkpoint_every": 48,
    "report.keep_checkpoints": 100,
}
NEAR = 1e-6
"""Largest difference of any number of the state to that of an uninterrupted run of one process."""


def state_of(out):
    newest = max((out / "checkpoints").iterdir())
    return newest.name, {
        f"{path.stem}/{name}": tensor
        for path in newest.glob("*.safetensors")
        for name, tensor in load_file(path).items()
    }


def assert_near(left, right):
    (moment, expected), (reached, actual) = state_of(left), state_of(right)
    assert (moment, expected.keys()) == (reached, actual.keys())
    for name, tensor in expected.items():
        torch.testing.assert_close(actual[name], tensor, rtol=0, atol=NEAR, msg=name)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    with Job(out, **SETTINGS) as job:
        assert job.ends(120) == 0, job.said
    return out


@pytest.mark.slow
def test_a_state_is_taken_up_by_any_number_of_processes(whole, tmp_path):
    out = tmp_path / "run"
    for processes, images in ((1, 120), (2, 240), (4, 360), (1, 480)):
        with Job(out, processes, **{**SETTINGS, "training.images": images}) as job:
            assert job.ends(120) == 0, job.said
        if images > 120:
            assert f"resuming at {images - 120} images" in job.said
    assert_near(whole, out)


def nodes(least, most, port, **conf):
    options = {
        "last_call_timeout": 3,
        "keep_alive_interval": 1,
        "keep_alive_max_attempt": 3,
        **conf,
    }
    written = ",".join(f"{name}={value}" for name, value in options.items())
    return (
        "--nnodes", f"{least}:{most}", "--max-restarts", "3", "--rdzv-backend", "c10d",
        "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "job", "--rdzv-conf", written,
    )  # fmt: skip


def kill_node(job):
    """All at once, as a machine that is gone: the launcher, then its processes."""
    for pid in (job.process.pid, *job.ranks().values()):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second", "left"), [(1, 1, 1), (3, 1, 3)])
def test_a_lost_machine_costs_the_steps_since_the_last_state(first, second, left, whole, tmp_path):
    """Of 12 images a step: two processes, then one; four processes, then three."""
    out, port = tmp_path / "run", free_port()
    settings = {**SETTINGS, "training.timeout": 0.5, "pause": 0.1}
    with Job(out, first, launcher=nodes(1, 2, port), **settings) as stays:
        time.sleep(2)  # the first hosts the meeting of the machines
        with Job(out, second, launcher=nodes(1, 2, port), **settings) as goes:
            stays.until(" 96 images ", 120)
            kill_node(goes)
            assert stays.ends(200) == 0, stays.said
    assert "resuming at " in stays.said
    assert_near(whole, out)


@pytest.mark.slow
def test_a_process_too_many_waits(whole, tmp_path):
    """Five processes after a restart: four share a batch of 12, the fifth waits for their end."""
    out = tmp_path / "run"
    with Job(out, 1, **{**SETTINGS, "training.images": 240}) as job:
        assert job.ends(120) == 0, job.said
    with Job(
        out, 5, launcher=("--standalone", "--max-restarts", "1"), restart=True, **SETTINGS
    ) as job:
        assert job.ends(200) == 0, job.said
    assert "process 4 of 5 waits: a batch of 12 is shared by 4 evenly" in job.said
    assert_near(whole, out)


@pytest.mark.slow
def test_processes_that_see_different_folders_are_refused(tmp_path):
    with Job(tmp_path / "run", **{**SETTINGS, "training.images": 96}) as job:
        assert job.ends(60) == 0, job.said
    with Job(tmp_path / "run", 2, **SETTINGS, elsewhere=str(tmp_path / "other")) as job:
        assert job.ends(60) == 1
    assert "processes found different states (process 0 at 96, process 1 at 0 images)" in job.said


@pytest.mark.parametrize(
    ("batch", "parts", "processes", "used"),
    [(64, 1, 4, 4), (64, 1, 3, 2), (12, 1, 5, 4), (12, 2, 5, 3), (12, 5, 2, 0), (7, 1, 3, 1)],
)
def test_as_many_processes_as_can_share_a_batch(batch, parts, processes, used):
    assert usable_processes(batch, parts, processes) == used


@pytest.mark.parametrize(
    ("processes", "most", "parts"),
    [(4, None, 2), (4, 16, 2), (4, 8, 2), (2, 8, 4), (1, 8, 8), (1, 9, 8), (1, 1, 64), (64, 1, 2)],
)
def test_a_share_is_worked_off_in_parts_that_fit(processes, most, parts):
    settings = {"training.accumulate": 2, "training.per_process": most, "training.batch": 64}
    training = Experiment(name="parts").replace(**settings).training
    assert training.parts(processes) == parts


def test_parts_and_moved_latents_exclude_each_other():
    moved = Experiment(name="moved").replace(**{"loss.latent_optimisation.rate": 0.5})
    with pytest.raises(ConfigError, match=r"training\.per_process: each move of z"):
        moved.replace(**{"training.per_process": 8})
