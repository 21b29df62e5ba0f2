"""What happens before the first step: who waits says so, what is packed is packed once, four begin."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from commands import TINY
from reacgan import cli
from reacgan.data.pack import cache_folder, packed_once
from reacgan.files import cache_root
from reacgan.training.progress import told_if_long

OPEN = """
import sys
from reacgan.data import find_dataset, open_dataset
config = find_dataset(sys.argv[1]).model_copy(update={"resolution": 8, "channels": 3})
print(len(open_dataset(config)))
"""


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """A folder of two classes, and a cache that nobody else has."""
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path / "cache"))
    generator = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(8):
            pixels = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{number}.png")
    return tmp_path / "pictures"


def opened_elsewhere(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OPEN, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_who_waits_for_a_lock_says_for_what(pictures):
    process = opened_elsewhere(pictures)
    assert process.communicate()[0].strip() == "16"
    (packed,) = cache_folder().glob("*.safetensors")
    (lock,) = (cache_root() / "locks").glob("*.lock")
    packed.unlink()
    with FileLock(lock):
        waiting = opened_elsewhere(pictures)
        assert waiting.stderr is not None
        line = waiting.stderr.readline()
        said = time.monotonic()
        time.sleep(1)
    out, rest = waiting.communicate()
    assert out.strip() == "16" and time.monotonic() - said < 60
    assert str(lock) in line and f"packs the images of {pictures} (train)" in line
    assert "stop it: this one then does the same" in line and "waited" in rest


def test_a_free_lock_says_nothing(pictures):
    process = opened_elsewhere(pictures)
    assert process.communicate() == ("16\n", "")


def test_of_four_that_start_together_one_packs(tmp_path, monkeypatch):
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path))
    packed: list[str] = []

    def make() -> str:
        time.sleep(0.3)
        packed.append("made")
        return packed[0]

    def read() -> str | None:
        return packed[0] if packed else None

    with ThreadPoolExecutor(4) as pool:
        waits = [pool.submit(packed_once, "key", "images", read, make) for _ in range(4)]  # type: ignore[arg-type]
        assert [wait.result() for wait in waits] == ["made"] * 4
    assert packed == ["made"]


def test_a_cache_without_locks_packs_all_the_same(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path / "file"))
    assert packed_once("key", "images", lambda: None, lambda: "made") == "made"  # type: ignore[arg-type, return-value]


@pytest.mark.slow
def test_four_runs_started_at_once_all_begin(pictures, tmp_path):
    command = [sys.executable, "-m", "reacgan", "train", "--data", str(pictures), "--images", "64"]
    changes = [*TINY, "data.resolution=8"]
    runs = [
        subprocess.Popen(
            [*command, "--out", str(tmp_path / f"run{number}"), *changes],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "2"},
        )
        for number in range(4)
    ]
    lines = [run.communicate(timeout=300)[1].splitlines() for run in runs]
    assert [run.returncode for run in runs] == [0] * 4, lines
    for number, line in enumerate(lines):
        assert line[0].startswith("reacgan ") and f"starting {pictures}" in line[0]
        assert (tmp_path / f"run{number}" / "journal.jsonl").exists()
    assert len(list(cache_folder().glob("*.safetensors"))) == 1


def test_the_first_line_comes_before_torch_is_loaded(pictures, tmp_path):
    """Where torch cannot be loaded the line is there all the same."""
    (tmp_path / "torch.py").write_text("raise SystemExit(7)")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "reacgan", "train", "digits/reacgan", "--out", str(tmp_path / "r")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert "starting digits/reacgan" in done.stderr and done.returncode != 0


def test_threads_do_not_spin_unless_the_environment_says_so(monkeypatch):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert os.environ["GOMP_SPINCOUNT"] == "1000"
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert "GOMP_SPINCOUNT" not in os.environ


def test_what_takes_long_is_told_and_what_is_quick_is_not(monkeypatch, capsys):
    monkeypatch.setattr("reacgan.training.progress.PATIENCE", 0.05)
    before = threading.active_count()
    with told_if_long("opening the images", quiet=False):
        time.sleep(0.5)
    assert "opening the images" in capsys.readouterr().err
    with told_if_long("opening the images", quiet=False):
        pass
    with told_if_long("opening the images", quiet=True):
        time.sleep(0.5)
    assert capsys.readouterr().err == "" and threading.active_count() <= before
