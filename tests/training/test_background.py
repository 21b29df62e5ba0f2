"""Files written beside the next steps: the same files, in order, and nothing that fails is lost."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch
from filelock import FileLock, Timeout
from safetensors.torch import load_file, save_file
from test_resume import assert_same_bits, state_of
from test_run import at_clock, saved, train
from tiny import experiment, images

import reacgan
from reacgan.assembly import complete
from reacgan.history import read_records
from reacgan.hub import models as hub_module
from reacgan.training import checkpoint as checkpoint_module
from reacgan.training.background import _MOST_WAITING, Copier, Writer
from reacgan.training.checkpoint import CheckpointError, save_checkpoint
from reacgan.training.engine import Engine
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.state import TrainState, sums_not_finite

PLAIN = {"speed.background": False}
BESIDE = {"speed.background": True}


@pytest.fixture(scope="module")
def data():
    return images()


@pytest.fixture
def state(data):
    settings = complete(experiment())
    engine = Engine("cpu")
    made = TrainState.build(settings, data.num_classes, engine)
    Trainer(settings, made, data, engine).cycle(Journal(None, 0))
    return made


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# -- the writer


@pytest.mark.parametrize("beside", [True, False])
def test_tasks_are_done_in_order_by_another_thread_or_at_once(beside):
    done: list[tuple[int, int]] = []
    with Writer(beside=beside) as writer:
        for number in range(20):
            writer.do(lambda number=number: done.append((number, threading.get_ident())))
            assert beside or len(done) == number + 1
    assert [number for number, _ in done] == list(range(20))
    assert {thread for _, thread in done} == {done[0][1]}
    assert (done[0][1] != threading.get_ident()) is beside
    assert "writer" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("told_by", ["do", "check", "finish", "leaving"])
def test_what_fails_is_raised_once_and_later_tasks_are_dropped(told_by):
    class FullError(Exception):
        pass

    def fail():
        assert began.wait(5)
        raise FullError

    began, later = threading.Event(), []
    with pytest.raises(FullError), Writer(beside=True) as writer:
        writer.do(fail)
        writer.do(lambda: later.append(1))
        began.set()
        if told_by == "finish":
            writer.finish()
        for _ in range(2000 if told_by in ("do", "check") else 0):
            time.sleep(0.001)
            writer.check() if told_by == "check" else writer.do(lambda: None)
    assert later == []


def test_another_exception_stays_the_one_that_is_raised():
    def full():
        raise OSError("no room")

    with (
        pytest.warns(UserWarning, match="no room"),
        pytest.raises(ZeroDivisionError),
        Writer(beside=True) as writer,
    ):
        writer.do(full)
        raise ZeroDivisionError


def test_leaving_waits_and_too_much_waiting_makes_the_caller_wait():
    gate, done = threading.Event(), []
    with Writer(beside=True) as writer:
        writer.do(lambda: gate.wait(10))
        for number in range(_MOST_WAITING):
            writer.do(lambda number=number: done.append(number))
        threading.Timer(0.1, gate.set).start()
        assert not gate.is_set()
        writer.do(lambda: done.append(-1))  # one too many
        assert gate.is_set()
    assert done == [*range(_MOST_WAITING), -1]


# -- copies


def test_a_copy_stays_as_it_was_and_its_memory_is_kept(state):
    copier, expected = (
        Copier(),
        {
            part: {name: value.detach().clone() for name, value in tensors.items()}
            for part, tensors in state.tensors().items()
        },
    )
    copy = copier.copy(state)
    with torch.no_grad():
        for tensors in state.tensors().values():
            for value in tensors.values():
                value.add_(1)
    held = copy.tensors()
    assert held.keys() == expected.keys()
    for part, tensors in expected.items():
        assert held[part].keys() == tensors.keys()
        for name, value in tensors.items():
            assert torch.equal(held[part][name], value)
            assert held[part][name].dtype == value.dtype
            assert held[part][name].is_contiguous()
            assert not held[part][name].requires_grad
    again = copier.copy(state).tensors()
    assert again["average"]["input.weight"].data_ptr() == held["average"]["input.weight"].data_ptr()
    assert torch.equal(again["average"]["input.weight"], expected["average"]["input.weight"] + 1)


def test_a_checkpoint_of_a_copy_has_the_same_bytes(state, tmp_path):
    assert any(not value.is_contiguous() for value in state.tensors()["discriminator"].values()), (
        "channels last is what is to be undone"
    )
    for name, what in (("state", state), ("copy", Copier().copy(state))):
        save_checkpoint(what, tmp_path / name, keep=1, facts={"images": 1})
    assert tree(tmp_path / "state") == tree(tmp_path / "copy")


# -- what is not finite


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_sums_tell_what_is_not_finite(dtype):
    largest = torch.finfo(dtype).max
    values = [[1, 2], [1, float("nan")], [float("inf"), -float("inf")], [largest] * 4, [], [-1]]
    tensors = [torch.tensor(value, dtype=dtype) for value in values]
    assert sums_not_finite(tensors) == [False, True, True, True, False, False]


def test_names_of_what_is_not_finite_and_only_those(state):
    with torch.no_grad():
        state.generator.input.weight[0, 0] = float("nan")
        state.average.input.weight[0, 1] = float("-inf")
        state.discriminator.head.score.weight.fill_(3e38)  # the sum overflows, no weight does
        state.d_optimizer.state_dict()["state"][0]["exp_avg"][..., -1] = float("inf")
    assert state.non_finite() == [
        "generator/input.weight",
        "average/input.weight",
        "d_optimizer/0/exp_avg",
    ]


# -- runs


def held_until(monkeypatch, images_seen, at=80):
    """The state at one moment is written only when the run has come to a later one."""
    come, whole = threading.Event(), checkpoint_module.save_file

    def slow(tensors, file):
        if file.parent.name == f".writing-{at:012d}":
            assert come.wait(20)
        whole(tensors, file)

    monkeypatch.setattr(checkpoint_module, "save_file", slow)
    at_clock(monkeypatch, images_seen, lambda trainer: come.set())
    return come


def test_the_files_are_those_of_a_run_that_waits(data, tmp_path):
    often = {
        "report.checkpoint_every": 32,
        "report.samples_every": 32,
        "report.keep_checkpoints": 9,
    }
    train(tmp_path / "waits", data, **PLAIN, **often)
    train(tmp_path / "beside", data, **BESIDE, **often)
    for part in ("checkpoints", "samples"):
        left, right = (tree(tmp_path / name / part) for name in ("waits", "beside"))
        assert left.keys() == right.keys()
        assert {name: left[name] == right[name] for name in left} == dict.fromkeys(left, True)
    weights = [
        (tmp_path / name / "model" / "model.safetensors").read_bytes()
        for name in ("waits", "beside")
    ]
    assert weights[0] == weights[1]


def test_training_goes_on_while_a_state_is_written(data, tmp_path, monkeypatch):
    """The state at 80 images is written once those up to 144 are seen, and is that of 80."""
    changes = {"report.checkpoint_every": 80, "report.samples_every": 80}
    train(tmp_path / "whole", data, **PLAIN, **{**changes, "training.images": 80})
    shared: list[dict[str, torch.Tensor]] = []

    def save_model(tensors, file):
        shared.append({name: value.clone() for name, value in tensors.items()})
        save_file(tensors, file)

    with monkeypatch.context() as patch:
        come = held_until(patch, 144)
        patch.setattr(hub_module, "write_tensors", save_model)
        train(tmp_path / "run", data, **BESIDE, **changes)
    assert come.is_set()
    for name, value in load_file(tmp_path / "whole" / "model" / "model.safetensors").items():
        assert torch.equal(shared[0][name], value)
    first = [tree(tmp_path / name / "checkpoints" / f"{80:012d}") for name in ("whole", "run")]
    assert first[0] == first[1]
    assert saved(tmp_path / "run") == [80, 160]


def test_a_second_state_waits_for_the_first(data, tmp_path, monkeypatch):
    """Else its copy would overwrite what is being written."""
    whole_copy, whole_save = Copier.copy, checkpoint_module.save_file
    writing, taken = threading.Event(), []

    def copy(self, state):
        assert not writing.is_set()
        taken.append(state.images_seen)
        return whole_copy(self, state)

    def save(tensors, file):
        writing.set()
        time.sleep(0.002)
        whole_save(tensors, file)
        if file.name.startswith("d_optimizer"):  # the last part
            writing.clear()

    monkeypatch.setattr(Copier, "copy", copy)
    monkeypatch.setattr(checkpoint_module, "save_file", save)
    alone = {"report.checkpoint_every": 16, "watch.recover": False}  # which copies elsewhere
    train(tmp_path, data, **BESIDE, **alone)
    assert taken == [*range(16, 161, 16), 160]
    assert saved(tmp_path) == [144, 160]


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), PermissionError(13, "no")]
)
def test_a_failure_stops_the_run_soon_and_leaves_no_half_state(error, data, tmp_path, monkeypatch):
    seen = []

    def full(path):
        failed.set()
        raise error

    failed = threading.Event()
    monkeypatch.setattr(checkpoint_module, "flush_folder", full)
    whole = Trainer.cycle

    def cycle(self, journal):
        whole(self, journal)
        seen.append(self.state.images_seen)
        if self.state.images_seen > 64:
            assert failed.wait(5)
            time.sleep(0.02)

    monkeypatch.setattr(Trainer, "cycle", cycle)
    with pytest.raises(CheckpointError, match="the state at 64 images cannot be written"):
        train(tmp_path, data, **BESIDE, **{"report.checkpoint_every": 64})
    assert max(seen) <= 96
    assert saved(tmp_path) == []
    assert not list((tmp_path / "checkpoints").glob(".*"))
    assert not (tmp_path / "model").exists()


def test_what_was_begun_is_ended_when_a_step_fails(data, tmp_path, monkeypatch):
    whole = checkpoint_module.flush_folder
    monkeypatch.setattr(
        checkpoint_module, "flush_folder", lambda path: time.sleep(0.3) or whole(path)
    )
    at_clock(monkeypatch, 96, lambda trainer: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(tmp_path, data, **BESIDE, **{"report.checkpoint_every": 80})
    assert saved(tmp_path) == [80]
    assert reacgan.load(tmp_path).images_seen == 80


def test_the_folder_is_held_until_all_is_written(data, tmp_path, monkeypatch, capsys):
    whole, found = checkpoint_module.flush_folder, []

    def look(path):
        time.sleep(0.2)
        try:
            with FileLock(tmp_path / ".lock", is_singleton=False).acquire(timeout=0):
                found.append("free")
        except Timeout:
            found.append("held")
        found.append("stopped" in capsys.readouterr().err)
        whole(path)

    monkeypatch.setattr(checkpoint_module, "flush_folder", look)
    at_clock(monkeypatch, 80, lambda trainer: signal.raise_signal(signal.SIGTERM))
    result = train(tmp_path, data, quiet=False, **BESIDE)
    assert (result.images_seen, result.complete) == (80, False)
    assert found == ["held", False]
    assert saved(tmp_path) == [80]
    assert "stopped at 80 images" in capsys.readouterr().err


def test_going_back_waits_for_what_is_being_written(data, tmp_path, monkeypatch):
    """The state to go back to is being written while the trouble is found."""
    whole = checkpoint_module.flush_folder
    monkeypatch.setattr(
        checkpoint_module, "flush_folder", lambda path: time.sleep(0.3) or whole(path)
    )

    def poison(trainer):
        if trainer.state.lr_scale == 1:
            poisoned.append(trainer.state.images_seen)
            with torch.no_grad():
                trainer.state.generator.input.weight.fill_(float("nan"))

    poisoned: list[int] = []
    at_clock(monkeypatch, 96, poison)
    changes = {"report.checkpoint_every": 80, "report.journal_every": 16}
    assert train(tmp_path, data, **BESIDE, **changes, **{"watch.action": "roll_back"}).complete
    assert poisoned == [96, 96]  # the steps were gone over first
    assert saved(tmp_path) == [80, 160]
    (event,) = [
        line["event"] for line in read_records(tmp_path / "journal.jsonl") if "event" in line
    ]
    assert event["action"] == "roll_back"


def test_a_second_signal_ends_it_at_once_and_what_was_saved_is_whole(data, tmp_path):
    changes = {**BESIDE, "report.checkpoint_every": 80}
    train(tmp_path / "whole", data, **changes)
    child = os.fork()
    if child == 0:
        whole = checkpoint_module.flush_folder

        def stuck(path):
            if path.name.endswith(f"{160:012d}"):
                (tmp_path / "begun").touch()
                time.sleep(60)
            whole(path)

        checkpoint_module.flush_folder = stuck
        train(tmp_path / "run", data, **changes)
        os._exit(0)
    while not (tmp_path / "begun").exists():
        time.sleep(0.01)
    began = time.monotonic()
    os.kill(child, signal.SIGTERM)
    time.sleep(0.1)
    os.kill(child, signal.SIGTERM)
    _, status = os.waitpid(child, 0)
    assert time.monotonic() - began < 5
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGTERM
    assert saved(tmp_path / "run") == [80]
    assert train(tmp_path / "run", data, **changes).complete
    assert_same_bits(state_of(tmp_path / "whole"), state_of(tmp_path / "run"))


def test_without_a_further_thread_it_writes_at_once(monkeypatch):
    """As where a limit of processes is reached."""

    def refused(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    done = []
    with Writer(beside=True) as writer:
        for number in range(3):
            writer.do(lambda number=number: done.append(number))
    assert done == [0, 1, 2]
    assert not writer.beside


def test_a_sheet_that_cannot_be_written_ends_no_run(data, tmp_path, capsys):
    folder = tmp_path / "run"
    folder.mkdir()
    settings = experiment(**{"training.images": 64, "report.samples_every": 32})
    reacgan.train(settings, folder, data=data, device="cpu", quiet=True)
    for sheet in (folder / "samples").iterdir():
        sheet.unlink()
    (folder / "samples").rmdir()
    (folder / "samples").write_text("in the way")
    longer = settings.replace(**{"training.images": 128})
    result = reacgan.train(longer, folder, data=data, device="cpu")
    assert result.images_seen == 128
    assert "cannot be written" in capsys.readouterr().err
