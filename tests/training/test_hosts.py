"""Hosts that are network namespaces of this machine: they equal one process, and none waits for ever."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from host_training import SECONDS
from safetensors.torch import load_file
from two_processes import cases, end_state

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.hosts import Hosts, why_not

HERE = Path(__file__).parent
HEADS = [name for name in cases() if name.startswith("head-")]
ENDLESS = 1_000_000
# From the moment that a host is gone to the end of the last process, with what a loaded machine adds.
PATIENCE = SECONDS + 30

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(why_not() is not None, reason=why_not() or ""),
]


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), *filter(None, sys.path)]))


def started(hosts, *arguments):
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    command = [sys.executable, *map(str, arguments)]
    return [hosts.start(number, command, **streams) for number in range(len(hosts.names))]


def finished(processes, seconds=400):
    until = time.monotonic() + seconds
    try:
        said = [p.communicate(timeout=max(until - time.monotonic(), 1))[0] for p in processes]
    finally:
        for process in processes:
            process.kill()
    return said


@pytest.mark.parametrize("count", [2, 4])
def test_hosts_are_one_process(count, tmp_path):
    """For every head, over links of 1 Gbit/s that lose a packet in a thousand."""
    with Hosts(count, rate="1gbit", loss=0.1) as hosts:
        processes = started(hosts, HERE / "two_processes.py", tmp_path, "head-")
        said = finished(processes)
    assert [process.returncode for process in processes] == [0] * count, said
    for case in HEADS:
        failed = tmp_path / f"{case}-0.txt"
        assert not failed.exists(), failed.read_text()
        whole = end_state(cases()[case])
        first, *others = (
            load_file(tmp_path / f"{case}-{rank}.safetensors") for rank in range(count)
        )
        for name, tensor in whole.items():
            near = 1e-6 if name.startswith("diagnosis/") else 0
            torch.testing.assert_close(first[name], tensor, rtol=near, atol=1e-6, msg=name)
            assert all(torch.equal(first[name], other[name]) for other in others), (case, name)


@pytest.mark.parametrize("fault", ["cut", "killed", "lost"])
def test_a_lost_host_ends_the_job(fault, tmp_path):
    """A link that is cut, a process that is killed, and a machine that is gone without a word."""
    with Hosts(2) as hosts:
        processes = started(hosts, HERE / "host_training.py", tmp_path, ENDLESS)
        for process in processes:
            while "cycle 3" not in (line := process.stdout.readline()):
                assert line, "ended before it had begun"
        if fault in ("cut", "lost"):
            hosts.cut(1)
        if fault in ("killed", "lost"):
            processes[1].kill()
        began = time.monotonic()
        said = finished(processes, PATIENCE)
        assert time.monotonic() - began < PATIENCE
    codes = [process.returncode for process in processes]
    assert codes[0] not in (0, None)
    assert codes[1] not in (0, None)
    # The one that is left says what it waited for.
    assert "RuntimeError" in said[0] or "DistBackendError" in said[0], said[0]
    assert not list(tmp_path.iterdir())


def test_a_slow_disk_changes_nothing(tmp_path):
    states = []
    for way in ("", "slow"):
        out = tmp_path / f"disk-{way}"
        out.mkdir()
        with Hosts(2) as hosts:
            processes = started(hosts, HERE / "host_training.py", out, 6, way)
            said = finished(processes)
        assert [process.returncode for process in processes] == [0, 0], said
        states.append([load_file(out / f"{rank}.safetensors") for rank in range(2)])
    (first, second), slow = states
    for name, tensor in first.items():
        assert all(torch.equal(tensor, other[name]) for other in (second, *slow)), name
