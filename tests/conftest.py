"""Settings that every test shares."""

from __future__ import annotations

import gc
import os
import signal
import sys

import pytest
import torch

from commands import TINY
from reacgan.cli import main as reacgan_main

# Of the processes that tests start: others run beside them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Else each process that a test starts compiles the package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
torch.manual_seed(0)  # what is drawn while tests are collected
# A shell that starts the tests in the background lets them ignore Ctrl-C, and whatever they start too.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Whatever ``--dist`` says."""
    from spreading import ByFile

    return ByFile(config, log)


def pytest_collection_finish():
    """What was collected stays; nobody need look through it for what can go."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _same_draws() -> None:
    """A test draws the same values whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Tests run beside each other; more threads than cores slow all of them."""
    torch.set_num_threads(1)


@pytest.fixture
def reacgan(capsys):
    """Runs a command here; gives its exit code, output and errors."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            reacgan_main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """A tiny trained run."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    with pytest.raises(SystemExit) as ended:
        reacgan_main(
            ["train", "digits/reacgan", "--images", "256", "--out", str(folder), "--quiet", *TINY]
        )
    assert not ended.value.code
    return folder
