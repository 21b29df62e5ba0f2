"""Training from shards: taken up in the middle of one with the same bits, from a folder or an address."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from test_two_processes import torchrun
from tiny import experiment

from reacgan import train
from reacgan.config import ConfigError

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from shards import make_shards
from test_data_shards_fetched import serving


@pytest.fixture
def shards(tmp_path, monkeypatch):
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path / "cache"))
    return make_shards(tmp_path, resolution=8)


def of(address, **changes):
    """96 images in batches of 8, two for each step of G, from shards of 4 or 5 images."""
    options = {"window": 2, **changes.pop("options", {})}
    data = {"data.name": "shards", "data.path": str(address), "data.options": options}
    return experiment(**{**data, "training.images": 96, **changes})


def weights(run):
    folder = sorted((run / "checkpoints").iterdir())[-1]
    parts = {file.stem: load_file(file) for file in folder.glob("*.safetensors")}
    return {f"{part}/{name}": t.clone() for part in parts for name, t in parts[part].items()}


def test_resumed_within_a_shard_is_uninterrupted(tmp_path, shards):
    whole = train(of(shards), tmp_path / "whole", device="cpu", quiet=True)
    for images in (48, 96):
        train(
            of(shards, **{"training.images": images}), tmp_path / "parts", device="cpu", quiet=True
        )
    assert (whole.folder / "samples" / "real.png").is_file()
    straight, resumed = weights(whole.folder), weights(tmp_path / "parts")
    assert straight.keys() == resumed.keys() and len(straight) > 50
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)


def test_a_signal_ends_the_wait_for_a_slow_server(tmp_path, shards):
    """Once while a shard of training is waited for, and once before there is anything to save."""
    with serving(shards) as server:
        names = [name for name in server.files if name.endswith(".tar")]
        excerpt = {"excerpt": 1, "window": 1}
        half = {"training.images": 16, "options": excerpt}
        train(of(server.address, **half), tmp_path / "run", device="cpu", quiet=True)
        for tar in (tmp_path / "cache" / "shards").glob("*/*.tar"):
            tar.unlink()
        server.slow = set(names)
        sender = threading.Thread(target=_term_once, args=(server.dripping,))
        sender.start()
        result = train(
            of(server.address, options=excerpt), tmp_path / "run", device="cpu", quiet=True
        )
        sender.join()
        assert result.signal == signal.SIGTERM and not server.dripped
        assert result.images_seen == 16
        assert (tmp_path / "run" / "checkpoints" / f"{result.images_seen:012d}").is_dir()
        shutil.rmtree(tmp_path / "cache")
        server.dripping.clear()
        sender = threading.Thread(target=_term_once, args=(server.dripping,))
        sender.start()
        result = train(of(server.address), tmp_path / "new", device="cpu", quiet=True)
        sender.join()
        assert result.signal == signal.SIGTERM and not server.dripped and result.images_seen == 0


def _term_once(event):
    assert event.wait(30)
    time.sleep(0.3)  # until what has come before is used up
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.slow
def test_a_run_moves_between_a_folder_and_a_server(tmp_path, shards):
    train(of(shards), tmp_path / "here", device="cpu", quiet=True)
    half = {"training.images": 48}
    train(of(shards, **half), tmp_path / "moved", device="cpu", quiet=True)
    with serving(shards) as server:
        options = {"workers": 1, "excerpt": 10}  # neither changes what is learned
        train(of(server.address, options=options), tmp_path / "moved", device="cpu", quiet=True)
    here, moved = weights(tmp_path / "here"), weights(tmp_path / "moved")
    assert all(torch.equal(here[name], moved[name]) for name in here)


def test_another_window_is_another_run(tmp_path, shards):
    half = {"training.images": 48}
    train(of(shards, **half), tmp_path / "run", device="cpu", quiet=True)
    with pytest.raises(ConfigError, match=r"data.options.window"):
        train(of(shards, options={"window": 3}), tmp_path / "run", device="cpu", quiet=True)


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(tmp_path, shards, reacgan):
    settings = ["training.images=128", "training.batch=16", "training.precision=float64",
                "model.generator.width=4", "model.backbone.width=4", "augment.name=identity",
                "data.options.window=2"]  # fmt: skip
    command = [
        "-m",
        "reacgan",
        "train",
        "digits/reacgan",
        "--data",
        str(shards),
        "--set",
        *settings,
    ]
    shape = ["data.resolution=8", "data.channels=3", "report.checkpoint_every=128"]
    two = torchrun(*command, *shape, "--out", str(tmp_path / "two"), cwd=tmp_path)
    assert two.returncode == 0, two.stderr[-2000:]
    reacgan(*command[2:], *shape, "--out", tmp_path / "one")
    single, double = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, tensor in single.items():
        torch.testing.assert_close(double[name], tensor, rtol=1e-6, atol=1e-9, msg=name)
