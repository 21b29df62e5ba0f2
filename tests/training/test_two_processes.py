"""Two processes on half batches are one process on the whole batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from two_processes import cases, end_state

HERE = Path(__file__).parent


def torchrun(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, sys.path)]),
    }
    return subprocess.run(
        [*command, "--nproc-per-node", "2", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture(scope="module")
def half_batches(tmp_path_factory):
    out = tmp_path_factory.mktemp("two")
    done = torchrun(str(HERE / "two_processes.py"), str(out), cwd=out)
    assert done.returncode == 0, done.stderr[-3000:]
    return out


@pytest.mark.parametrize("case", cases())
def test_half_batches_equal_the_whole_batch(case, half_batches):
    """For every member of every family."""
    failed = half_batches / f"{case}-0.txt"
    assert not failed.exists(), failed.read_text()
    whole = end_state(cases()[case])
    mine, other = (load_file(half_batches / f"{case}-{rank}.safetensors") for rank in (0, 1))
    assert whole.keys() == mine.keys()
    for name, tensor in whole.items():
        # What a diagnosis says may be large.
        near = 1e-6 if name.startswith("diagnosis/") else 0
        torch.testing.assert_close(mine[name], tensor, rtol=near, atol=1e-6, msg=name)
        assert torch.equal(mine[name], other[name]), f"ranks differ in {name}"


def test_the_command_line_under_torchrun(tmp_path):
    settings = ["training.batch=16", "model.generator.width=4", "model.backbone.width=4"]
    arguments = ["train", "digits/reacgan", "--images", "320", "--device", "cpu", "--out", "run"]
    arguments += ["--verbose"]
    command = ["-m", "reacgan", *arguments, "--set", *settings]
    done = torchrun(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "2 process(es)" in done.stderr
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()
    again = torchrun(*command, cwd=tmp_path)
    assert "resuming at 320 images" in again.stderr
