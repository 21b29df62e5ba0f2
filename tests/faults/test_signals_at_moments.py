"""Every signal at every moment of a run: what was asked for happens, and no bit is lost."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs import HERE, Job

sys.path.insert(0, str(HERE / "training"))

from test_resume import assert_same_bits, state_of
from tiny import experiment, images

import reacgan
from reacgan.evaluation import read_scores
from reacgan.history import read_records
from reacgan.training import checkpoint as checkpoint_module
from reacgan.training import hooks as hooks_module
from reacgan.training.checkpoint import list_checkpoints
from reacgan.training.loop import Trainer
from reacgan.training.monitor.periodic_scores import PeriodicScores
from reacgan.training.state import TrainState

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SIGNALS = (*STOPS, signal.SIGUSR1)
SETTINGS = {
    "training.images": 160,
    "report.samples_every": 64,
    "report.checkpoint_every": 64,
    "report.keep_checkpoints": 100,
    "scores.every": 64,
    "scores.metrics": "fid",
    "scores.by": "fid",
    "scores.num": 16,
    "scores.extractor": {"name": "domain", "epochs": 0.5, "width": 4},
}
# Where the signal comes: the function that is reached (for the second time, at 128 images or so).
MOMENTS: dict[str, tuple[object, str, int]] = {
    "start-up": (TrainState, "build", 1),
    "step": (Trainer, "cycle", 6),
    "score": (PeriodicScores, "_evaluate", 2),
    "save": (checkpoint_module, "_write", 2),
    "sheet": (hooks_module, "class_images", 2),
    "end": (PeriodicScores, "final", 1),
}


def train(out: Path) -> reacgan.RunResult:
    settings = experiment(**SETTINGS)
    return reacgan.train(settings, out, device="cpu", data=images(), quiet=True)


def signalled(number: signal.Signals, moment: str) -> Callable[[], None]:
    """The process sends the signal to itself at the moment."""
    owner, name, time = MOMENTS[moment]

    def prepare() -> None:
        descriptor = vars(owner)[name]
        whole, calls = getattr(owner, name), []

        def reached(*given: object, **named: object) -> object:
            calls.append(name)
            if len(calls) == time:
                os.kill(os.getpid(), number)
            return whole(*given, **named)

        setattr(owner, name, staticmethod(reached) if _bound(descriptor) else reached)

    return prepare


def _bound(descriptor: object) -> bool:
    return isinstance(descriptor, classmethod | staticmethod)


def code_of(work: Callable[[], object], prepare: Callable[[], None] = lambda: None) -> int:
    """The exit code of a process that does the work."""
    child = os.fork()
    if child == 0:
        try:
            for number in STOPS:
                signal.signal(number, signal.default_int_handler)
            prepare()
            result = work()
            os._exit(128 + result.signal if result.signal else 0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def states(out: Path) -> list[int]:
    return [int(path.name) for path in list_checkpoints(out / "checkpoints")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    assert code_of(lambda: train(out)) == 0
    return out


def _slow_but(number, moment):
    quick = (number, moment) == (signal.SIGTERM, "score")
    return pytest.param(number, moment, marks=[] if quick else pytest.mark.slow)


@pytest.mark.parametrize(
    ("number", "moment"), [_slow_but(number, moment) for number in SIGNALS for moment in MOMENTS]
)
def test_each_signal_at_each_moment(number, moment, whole, tmp_path):
    out = tmp_path / "run"
    code = code_of(lambda: train(out), signalled(number, moment))
    ended = number in STOPS and moment != "end"
    assert code == (128 + number if ended else 0)
    assert states(out), "nothing was saved"
    if ended:
        assert states(out)[-1] < 160
    if number == signal.SIGUSR1 and moment == "step":
        assert 96 in states(out) and 96 not in states(whole)
    assert code_of(lambda: train(out)) == 0
    assert_same_bits(state_of(whole), state_of(out))
    assert scores_of(out) == scores_of(whole)
    assert {path.name for path in (whole / "samples").iterdir()} <= {
        path.name for path in (out / "samples").iterdir()
    }


def scores_of(out: Path) -> list[tuple[str, float]]:
    return [(score.metric, score.value) for score in read_scores(out / "scores.jsonl")]


TWO = {"training.images": 10**6, "report.checkpoint_every": 10**6}


@pytest.mark.slow
@pytest.mark.parametrize("number", STOPS)
def test_a_signal_to_any_process_ends_all_of_them_with_a_state(number, tmp_path):
    with Job(tmp_path / "run", 2, **TWO) as job:
        job.until(" 64 images ")
        os.kill(job.ranks()[1], number)
        job.ends(60)
    assert job.said.count("ended at ") == 2
    assert f"exitcode  : {128 + number} " in job.said
    (saved,) = states(tmp_path / "run")
    assert f"ended at {saved}" in job.said and saved >= 64


@pytest.mark.slow
def test_any_process_may_be_asked_for_a_state(tmp_path):
    settings = {**TWO, "pause": 0.1, "report.every_process": True}
    with Job(tmp_path / "run", 2, **settings) as job:
        job.until(" 64 images ")
        os.kill(job.ranks()[1], signal.SIGUSR1)
        job.until("SIGUSR1: saves with this step and goes on")
        while not states(tmp_path / "run"):
            assert job.process.poll() is None
        seen = states(tmp_path / "run")[0]
        job.until(f" {seen + 64:,} images ")
        for pid in job.ranks().values():
            os.kill(pid, signal.SIGTERM)
        job.ends(60)
    assert "ended at " in job.said
    journals = [tmp_path / "run" / name for name in ("journal.jsonl", "journal-1.jsonl")]
    first, second = (read_records(path)[0] for path in journals)
    assert first["images_seen"] == second["images_seen"]
    assert first["d/adversarial"] != second["d/adversarial"]  # of its own share


@pytest.mark.slow
def test_terminating_torchrun_saves(tmp_path):
    """torchrun passes SIGTERM on to its processes, and kills after 30 s."""
    with Job(tmp_path / "run", 2, **TWO) as job:
        job.until(" 64 images ")
        job.process.terminate()
        assert job.ends(60) != 0
    assert job.said.count("ended at ") == 2 and states(tmp_path / "run")


@pytest.mark.slow
def test_a_grace_that_is_too_short_is_said(tmp_path):
    with Job(tmp_path / "run", **{**TWO, "training.grace": 0.1, "pause": 0.3}) as job:
        job.until(" 64 images ")
        job.process.terminate()
        assert job.ends(60) == 143
    assert "a kill is expected after 0 s (training.grace)" in job.said
    names = [path.stem for path in (tmp_path / "run" / "samples").glob("0*.png")]
    (saved,) = states(tmp_path / "run")
    assert f"{saved:012d}" not in names  # a sheet had no time
