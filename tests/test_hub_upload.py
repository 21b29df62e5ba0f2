"""Fetching from a hub and putting there: the real huggingface_hub against a server of our own."""

from __future__ import annotations

import shutil
import socket

import pytest
import torch

import reacgan
from hub_server import TOKEN, serving
from reacgan import hub
from reacgan.config import ConfigError
from test_hub import images_of, make


@pytest.fixture
def server(monkeypatch, tmp_path):
    with serving() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
        yield running


def files_of(folder):
    return {one.name: one.read_bytes() for one in folder.iterdir()}


def test_what_was_put_there_comes_back(server, tmp_path):
    model = make()
    folder = hub.save(
        model, tmp_path / "kept", dtype="bfloat16", beside={"samples.png": b"\x89PNG"}
    )
    (folder / "notes.pkl").write_bytes(b"never shared")
    address = hub.push_to_hub(folder, "me/digits", private=True, token=TOKEN)
    held = server.repositories["me/digits"]
    assert held["private"] and address.endswith(held["refs"]["main"])
    assert "notes.pkl" not in held["commits"][held["refs"]["main"]]
    fetched = hub.locate("hub:me/digits")
    expected = files_of(folder)
    del expected["notes.pkl"]
    assert files_of(fetched) == expected
    for loaded in (
        reacgan.from_pretrained("me/digits", device="cpu"),
        hub.load("hub:me/digits", device="cpu"),
        hub.load(f"hub:me/digits@{held['refs']['main']}", device="cpu"),
    ):
        assert torch.equal(images_of(loaded), images_of(hub.load(folder, device="cpu")))


def test_a_model_in_memory_goes_to_a_branch(server):
    model = make()
    hub.push_to_hub(make(seed=1), "me/two", token=TOKEN)
    hub.push_to_hub(model, "me/two", token=TOKEN, revision="better")
    better = reacgan.from_pretrained("me/two", revision="better", device="cpu")
    assert torch.equal(images_of(better), images_of(model))
    main = reacgan.from_pretrained("me/two", device="cpu")
    assert not torch.equal(images_of(main), images_of(model))


def test_only_tensors_and_text_are_fetched(server, tmp_path):
    files = files_of(hub.save(make(), tmp_path / "kept"))
    server.commit("other/one", {**files, "pytorch_model.bin": b"code", "modeling.py": b"code"})
    assert files_of(hub.locate("other/one", ids=True)) == files
    assert not any("modeling.py" in one or ".bin" in one for one in server.asked)


def test_a_damaged_folder_does_not_leave(server, tmp_path):
    folder = hub.save(make(), tmp_path / "kept")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x00")
    with pytest.raises(ConfigError, match=r"model.safetensors: checksum mismatch .its SHA-256"):
        hub.push_to_hub(folder, "me/damaged", token=TOKEN)
    assert not server.asked and not server.repositories


def test_damage_on_the_way_is_seen(server, tmp_path):
    files = files_of(hub.save(make(), tmp_path / "kept"))
    files["model.safetensors"] = files["model.safetensors"][:-1] + b"\x00"
    server.commit("other/one", files)
    with pytest.raises(ConfigError, match=r"model.safetensors: checksum mismatch .its SHA-256"):
        reacgan.from_pretrained("other/one")


def test_refusals_say_what_to_do(server, tmp_path):
    folder = hub.save(make(), tmp_path / "kept")
    with pytest.raises(ConfigError, match=r"me/no: upload .* failed .*may write there"):
        hub.push_to_hub(folder, "me/no", token="hf_wrong")
    with pytest.raises(ConfigError, match=r"other/none: download .* failed .*check the name"):
        reacgan.from_pretrained("other/none")
    server.commit("other/one", files_of(folder))
    with pytest.raises(ConfigError, match=r"other/one at old: download .* failed"):
        reacgan.from_pretrained("other/one", revision="old")
    with pytest.raises(ConfigError, match=r"a/b/c: download .* failed"):
        hub.load("hub:a/b/c")


def test_without_a_network_what_was_fetched_is_there(server, tmp_path, monkeypatch):
    server.commit("other/one", files_of(hub.save(make(), tmp_path / "kept")))
    first = reacgan.from_pretrained("other/one", device="cpu")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{unused.getsockname()[1]}")
        again = reacgan.from_pretrained("other/one", device="cpu")
        assert torch.equal(images_of(again), images_of(first))
        shutil.rmtree(tmp_path / "cache")
        with pytest.raises(ConfigError, match=r"download .* failed.*network.*give the folder"):
            reacgan.from_pretrained("other/one")


def test_a_missing_path_asks_nobody(server, tmp_path, monkeypatch):
    """A mistyped folder is not looked for on the hub, unless a model is asked for by its id."""
    monkeypatch.chdir(tmp_path)
    for named in ("runs/photos", "./x/y", str(tmp_path / "no")):
        with pytest.raises(ConfigError, match="no such folder; give a run's folder"):
            hub.load(named)
    assert not server.asked
