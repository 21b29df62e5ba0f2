"""The scripts and the manifest of docs/clusters.md: their syntax, their options, and what they start."""

from __future__ import annotations

import os
import re
import shlex
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from torch.distributed.run import get_args_parser

from commands import TINY
from jobs import environment, free_port
from reacgan.config import TrainingConfig

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "examples" / "cluster"
PAGE = (ROOT / "docs" / "clusters.md").read_text("utf-8")
TRAIN = ["train", "digits/reacgan", "--images", "320"]


@pytest.mark.parametrize("script", sorted(CLUSTER.glob("*.sh")), ids=lambda path: path.name)
def test_the_shell_can_read_each_script(script):
    subprocess.run(["bash", "-n", script], check=True)
    text = script.read_text("utf-8")
    if "#SBATCH" in text:  # options after the first command are not read
        assert text.rindex("#SBATCH") < text.index("set -euo pipefail")
    assert script.name in PAGE


@pytest.mark.parametrize("name", ["torchrun.sh", "slurm_elastic.sh"])
def test_torchrun_has_the_options(name):
    text = (CLUSTER / name).read_text("utf-8").replace("\\\n", " ")
    words = shlex.split(re.search(r"torchrun\s+(--.*)", text).group(1))
    words = [re.sub(r"\$\{?\w+(:-1)?\}?", "1", word) for word in words]
    parsed = get_args_parser().parse_args(words)
    assert parsed.module and parsed.training_script == "reacgan"
    assert parsed.training_script_args[0] == "train"


def test_the_manifest_is_a_job_that_the_command_line_takes(reacgan, tmp_path):
    job = yaml.safe_load((CLUSTER / "pytorchjob.yaml").read_text("utf-8"))
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "PyTorchJob")
    worker = job["spec"]["pytorchReplicaSpecs"]["Worker"]
    policy = job["spec"]["elasticPolicy"]
    assert policy["minReplicas"] <= worker["replicas"] <= policy["maxReplicas"]
    pod = worker["template"]["spec"]
    (container,) = pod["containers"]
    assert container["name"] == "pytorch"  # the operator looks for this name
    assert str(container["resources"]["limits"]["nvidia.com/gpu"]) == job["spec"]["nprocPerNode"]
    assert {each["name"] for each in container["volumeMounts"]} == {
        each["name"] for each in pod["volumes"]
    }
    assert pod["terminationGracePeriodSeconds"] > TrainingConfig().grace
    launcher, *words = container["command"]
    assert (launcher, words[:2]) == ("torchrun", ["-m", "reacgan"])
    code, out, _ = reacgan(*words[2:], "--dry-run")
    assert code == 0 and '"timeout": 5' in out


def test_the_page_names_only_what_there_is():
    for name in re.findall(r"`(?:examples/cluster/)?([a-z_]+\.(?:sh|yaml))`", PAGE):
        assert (CLUSTER / name).exists(), name
    values = TrainingConfig()
    assert f"`training.timeout` ({values.timeout:g} minutes)" in PAGE
    assert f"`training.grace` ({values.grace:g} s)" in PAGE


def _program(folder, name, text):
    path = folder / name
    path.write_text(f"#!/bin/bash\n{text}\n", "utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def slurm(tmp_path):
    """A machine with SLURM's commands as far as the scripts use them: two tasks, or one node."""
    programs = tmp_path / "bin"
    programs.mkdir()
    _program(programs, "scontrol", "echo 127.0.0.1")
    _program(programs, "reacgan", f'exec {shlex.quote(sys.executable)} -m reacgan "$@"')
    _program(
        programs,
        "torchrun",
        f'exec {shlex.quote(sys.executable)} -m torch.distributed.run "$@"',
    )
    _program(
        programs,
        "srun",
        'while [[ "$1" == --* ]]; do shift; done\n'
        "for task in $(seq 0 $((SLURM_NTASKS - 1))); do\n"
        '  SLURM_PROCID=$task SLURM_LOCALID=$task "$@" & echo $! >> "$PIDS"\n'
        "done\nstatus=0; for task in $(jobs -p); do wait $task || status=$?; done; exit $status",
    )
    return {
        **environment(),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PIDS": str(tmp_path / "pids"),
        "SLURM_JOB_ID": str(free_port() - 20000),
        "SLURM_JOB_NODELIST": "localhost",
    }


@pytest.mark.slow
def test_tasks_of_slurm_are_the_processes_of_a_training(slurm, tmp_path):
    """With SIGUSR1 before the end, as --signal sends it, then SIGTERM."""
    words = ["digits/reacgan", "--out", tmp_path / "run", *TINY, "report.journal_every=64"]
    log = tmp_path / "log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            ["bash", CLUSTER / "slurm.sh", *words],
            env={**slurm, "SLURM_NTASKS": "2"},
            stdout=written,
            stderr=written,
            start_new_session=True,
        )

    def until(text, count=1):
        end = time.monotonic() + 120
        while log.read_text().count(text) < count:
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.1)

    def send(number):
        for pid in (tmp_path / "pids").read_text().split():
            os.kill(int(pid), number)

    try:
        until(" images ", 3)
        send(signal.SIGUSR1)
        until("SIGUSR1: saves with this step and goes on", 2)
        seen = log.read_text().count(" images ")
        until(" images ", seen + 2)
        assert list((tmp_path / "run" / "checkpoints").iterdir())
        send(signal.SIGTERM)
        assert process.wait(120) == 143, log.read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert "the same command resumes" in log.read_text()


@pytest.mark.slow
def test_a_torchrun_on_each_node(slurm, tmp_path):
    # Four processes a node: a batch of 16.
    words = [*TRAIN[1:], "--out", tmp_path / "run", *TINY, "--verbose"]
    done = subprocess.run(
        ["bash", CLUSTER / "slurm_elastic.sh", *words],
        env={**slurm, "SLURM_NTASKS": "1", "SLURM_NNODES": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "4 process(es)" in done.stderr


@pytest.mark.slow
def test_a_job_of_submitit(tmp_path):
    """Two processes on this machine, of a small generator."""
    settings = {"training.images": 320, "training.batch": 16, "model.generator.width": 4}
    text = (CLUSTER / "submitit_train.py").read_text("utf-8")
    text = text.replace("processes: int = 4", "processes: int = 2")
    small = text.replace(
        "reacgan.experiment(name)", f"reacgan.experiment(name).replace(**{settings})"
    )
    script = tmp_path / "submitit_train.py"
    script.write_text(small, "utf-8")
    done = subprocess.run(
        [sys.executable, script, "digits/reacgan", tmp_path / "run", "local"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "images seen by each process: [320, 320]" in done.stdout
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()
