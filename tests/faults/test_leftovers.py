"""What killed processes leave is swept at the next start; what lives, and what a person has, is not."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time
from pathlib import Path

import numpy as np
import pytest

from reacgan import leftovers
from reacgan.data.archive import new_archive
from reacgan.files import replacing, scratch_folder
from reacgan.hub.models import settle
from reacgan.leftovers import DAY, remove, sweep, sweep_below, unfinished

OWN = (
    ".photo.png.1234", ".notes.json.12", "a.part", ".a.12345678.part", ".writing-poems", ".old-poems",
    "x.reacgan", ".x.1-2-3.reacgan", ".a.99-0123456-0.reacgan", "best.1-01234567-1.reacgan.png",
)  # fmt: skip


def killed(work) -> int:
    """A child that does this and is killed; its number."""
    child = os.fork()
    if child == 0:
        work()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    return child


def begins(path: Path) -> None:
    """Something that is being written when its process ends."""
    with unfinished(path) as hidden:
        if path.suffix:
            hidden.write_bytes(b"half")
        else:
            hidden.mkdir()
            (hidden / "inner").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("name", ["a.json", "folder", "\u732b" * 80 + ".png"])
def test_what_dead_processes_leave_is_swept(name, tmp_path):
    killed(lambda: begins(tmp_path / name))
    assert len(list(tmp_path.iterdir())) == 1
    assert sweep(tmp_path) == 4
    assert not list(tmp_path.iterdir())


def test_what_lives_is_not_swept(tmp_path):
    with unfinished(tmp_path / "a") as here:
        here.write_bytes(b"of this process")
        assert sweep(tmp_path) == 0 and here.exists()
    assert sweep(tmp_path) > 0, "of this process's number, by a process before it"
    child = os.fork()
    if child == 0:
        with unfinished(tmp_path / "b") as there:
            there.write_bytes(b"of another")
            (tmp_path / "ready").touch()
            time.sleep(60)
        os._exit(0)
    while not (tmp_path / "ready").exists():
        time.sleep(0.01)
    assert sweep(tmp_path) == 0
    os.kill(child, signal.SIGKILL)
    while leftovers._lives(child, tmp_path):  # dead, though nobody has asked for its end yet
        time.sleep(0.01)
    assert sweep(tmp_path) > 0
    os.waitpid(child, 0)


def test_of_another_machine_after_a_day(tmp_path, monkeypatch):
    dead = killed(lambda: None)
    with monkeypatch.context() as elsewhere:
        leftovers._machine.cache_clear()
        elsewhere.setattr(socket, "gethostname", lambda: "elsewhere")
        with unfinished(tmp_path / "a") as there:
            path = there.with_name(there.name.replace(f".{os.getpid()}-", f".{dead}-"))
            path.write_bytes(b"half")
    leftovers._machine.cache_clear()
    assert sweep(tmp_path) == 0 and path.exists()
    now = time.time()
    os.utime(path, (now - 1.1 * DAY,) * 2)
    assert sweep(tmp_path) == 4


def test_a_persons_own_files_stay(tmp_path):
    for name in OWN:
        (tmp_path / name).write_text("mine")
        os.utime(tmp_path / name, (1, 1))
    sweep(tmp_path)
    with replacing(tmp_path / "new.json") as temporary:
        temporary.write_text("{}")
    with scratch_folder(tmp_path / "new", ".exporting-"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {*OWN, "new.json"}


def test_what_earlier_versions_left_in_a_folder_of_ours(tmp_path):
    dead = killed(lambda: None)
    gone = [
        tmp_path / f".experiment.json.{dead}",
        tmp_path / "packs" / ".0123.safetensors.ab12_xyz.part",
        tmp_path / "downloads" / "set.tar.part",
    ]
    stay = [tmp_path / f".journal.jsonl.{os.getppid()}", tmp_path / "downloads" / "new.tar.part"]
    for path in (*gone, *stay):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    for path in gone[1:]:
        os.utime(path, (1, 1))
    assert sweep_below(tmp_path, partial=".part") == 12
    assert [path.exists() for path in (*gone, *stay)] == [False] * 3 + [True] * 2


def pack(path: Path, number: int = 4) -> None:
    with new_archive(path, shape=(1, 8, 8), capacity=4, class_names=("a",), metadata={}) as writer:
        for at in range(4):
            writer.add(np.zeros((1, 1, 8, 8), np.uint8), np.zeros(1, np.int64))
            if at == number:
                os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_packing_leaves_nothing_after_the_next(tmp_path):
    killed(lambda: pack(tmp_path / "a.safetensors", 2))
    assert len(list(tmp_path.iterdir())) == 1
    pack(tmp_path / "b.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["b.safetensors"]


def test_the_command_clears_the_cache_of_them(tmp_path, monkeypatch, reacgan):
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path))
    (tmp_path / "packs").mkdir()
    killed(lambda: begins(tmp_path / "packs" / "a.safetensors"))
    code, said, _ = reacgan("cache", "clear")
    assert code == 0 and "left by processes that were killed" in said
    assert not list((tmp_path / "packs").iterdir())
    code, said, _ = reacgan("cache", "clear")
    assert "killed" not in said


def test_a_deletion_that_is_cut_off_is_whole_or_not_there(tmp_path, monkeypatch):
    state = tmp_path / "000000000016"
    state.mkdir()
    for name in "abc":
        (state / name).write_text(name)

    def half(folder, **options):
        (folder / "a").unlink()
        os.kill(os.getpid(), signal.SIGKILL)

    def work():
        monkeypatch.setattr(shutil, "rmtree", half)
        remove(state)

    killed(work)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".0000") and len(list(left.iterdir())) == 2
    sweep(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("there", [True, False])
def test_a_model_that_was_set_aside_comes_back(there, tmp_path):
    for name in ("old", "writing"):
        (tmp_path / f".{name}-model").mkdir()
        (tmp_path / f".{name}-model" / "file").write_text(name)
    if there:
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "file").write_text("new")
    settle(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model" / "file").read_text() == ("new" if there else "old")


def test_a_torn_state_is_left_out_of_all(run_folder, tmp_path, reacgan):
    run = shutil.copytree(run_folder, tmp_path / "run")
    (whole,) = (run / "checkpoints").iterdir()
    torn = shutil.copytree(whole, whole.with_name(f"{128:012d}"))
    (torn / "state.json").unlink()
    words = ("--extractor", "domain", "--metrics", "fid", "--num", "20", "--checkpoint", "all")
    own = ("--set", "extractor.epochs=0.1", "extractor.width=2")
    with pytest.warns(
        UserWarning, match="at 128 images is damaged; take another; this state is left"
    ):
        code, _, err = reacgan("evaluate", run, *words, *own)
    assert code == 0, err
    shutil.rmtree(whole)
    code, _, err = reacgan("evaluate", run, *words, *own)
    assert code == 1 and "its state at 128 images is damaged" in err
