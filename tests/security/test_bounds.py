"""Giants, pipes and devices: refused at once, before memory or time is taken for them."""

from __future__ import annotations

import io
import json
import os
import shutil
import threading
import zipfile

import numpy as np
import pytest
import torch

import reacgan as package
from reacgan import hub
from reacgan.config import ConfigError
from reacgan.evaluation.image_files import holds_statistics, open_images
from reacgan.files import digest_of, flush_to_disk, replacing
from reacgan.hub.places import known_models
from reacgan.metrics.moments import Moments
from reacgan.tensors import read_tensors

GIANT = 10**12


@pytest.fixture
def model(tmp_path):
    return shutil.copytree(known_models()["digits-reacgan"], tmp_path / "model")


def rewrite(folder, change):
    config = json.loads((folder / "config.json").read_text())
    config.pop("seal", None)
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    "options",
    [
        {"name": "biggan", "width": 10**6},
        {"name": "biggan", "latent_dim": 10**6},
        {"name": "biggan", "shared_dim": 10**6},
        {"name": "biggan", "width": GIANT},
        {"name": "biggan_deep", "depth": 1000},
        {"name": "biggan_deep", "depth": 10**7},
        {"name": "stylegan2", "mapping_layers": 1000},
        {"name": "stylegan2", "channel_base": 10**6, "channel_max": 10**6},
        {"name": "r3gan", "blocks": 1000},
        {"name": "dcgan", "width": 10**6, "latent_dim": 10**6},
        {"name": "biggan", "width": 10**400},
    ],
    ids=lambda options: " ".join(f"{key}={str(value)[:12]}" for key, value in options.items()),
)
def test_a_network_larger_than_its_file_is_not_built(model, options, monkeypatch):
    rewrite(model, lambda config: config["experiment"]["model"].update(generator=options))
    made = []
    register = torch.nn.Module.register_parameter
    monkeypatch.setattr(
        torch.nn.Module,
        "register_parameter",
        lambda self, name, value: (made.append(name), register(self, name, value))[1],
    )
    with pytest.raises(
        ConfigError, match=r"model/config\.json: .*(larger network|less than|built|digits)"
    ):
        hub.load(model, device="cpu")
    assert len(made) < 1000  # of the millions that are asked for


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "discriminator.safetensors"])
@pytest.mark.parametrize("instead", ["pipe", "device", "folder"])
def test_what_is_no_ordinary_file_is_refused_at_once(model, file, instead):
    (model / file).unlink()
    if instead == "pipe":
        os.mkfifo(model / file)
    elif instead == "device":
        (model / file).symlink_to("/dev/zero")
    else:
        (model / file).mkdir()
    with pytest.raises(ConfigError, match=r"model"):
        hub.load_discriminator(model, device="cpu")
        hub.load(model, device="cpu")


def test_a_header_that_claims_more_than_the_file(tmp_path):
    header = {"a": {"dtype": "F32", "shape": [2 * 10**11], "data_offsets": [0, 8 * 10**11]}}
    text = json.dumps(header).encode()
    file = tmp_path / "a.safetensors"
    file.write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(Exception, match=r"bytes, its header describes 8000000000\d\d"):
        read_tensors(file)
    with file.open("wb") as opened:
        opened.truncate(2**42)  # takes no room
    with pytest.raises(OSError, match=r"this machine has .* of memory"):
        read_tensors(file)


def array(shape, descr="<f8", values=b""):
    file = io.BytesIO()
    about = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, about)
    return file.getvalue() + values


def packed(path, **arrays):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in arrays.items():
            file.writestr(f"{name}.npy", content)
    return path


MEAN = array((8,), values=bytes(64))
BOMB = array((3000, 3000), values=bytes(72_000_000))


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"mu": MEAN, "sigma": array((10**6, 10**6))}, "sigma is said to have 8,000,000,000,000"),
        ({"mu": MEAN, "sigma": BOMB}, "more than 100 times as many"),
        ({"mu": MEAN, "sigma": array((8, 8), "|O", bytes(512))}, "Python objects"),
        ({"mu": MEAN, "sigma": array((8, 8), "<c16", bytes(1024))}, "needed: floats"),
        ({"mu": MEAN, "sigma": b"no array"}, "magic string"),
        (
            {
                "mu": MEAN,
                "sigma": array((8, 8), values=np.eye(8).tobytes()),
                "count": array((), values=np.array(np.inf).tobytes()),
            },
            "infinity",
        ),
    ],
)
def test_statistics_that_claim_or_unpack_to_too_much(tmp_path, arrays, said):
    with pytest.raises(ConfigError, match=rf"a\.npz: .*{said}"):
        Moments.read_npz(packed(tmp_path / "a.npz", **arrays))


def test_statistics_of_other_floats_are_read(tmp_path):
    for kind in ("<f2", "<f4", ">f8"):
        file = tmp_path / "a.npz"
        np.savez(file, mu=np.zeros(4, kind), sigma=np.eye(4).astype(kind))
        assert torch.equal(Moments.read_npz(file).covariance, torch.eye(4, dtype=torch.float64))


def test_a_pipe_as_statistics(tmp_path):
    os.mkfifo(tmp_path / "a.npz")
    assert not holds_statistics(tmp_path / "a.npz")
    with pytest.raises(ConfigError, match="no ordinary file"):
        Moments.read_npz(tmp_path / "a.npz")


def test_images_that_unpack_to_too_much(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("cat/0.png", bytes(80_000_000))
    torch.save(torch.zeros(1, dtype=torch.uint8).expand(10**6, 3, 64, 64), tmp_path / "a.pt")
    header = b"\x93NUMPY\x02\x00" + (2**31).to_bytes(4, "little") + b"{"
    (tmp_path / "a.npy").write_bytes(header)
    for name, said in (
        ("a.zip", "100 times"),
        ("a.pt", "repeats the same"),
        ("a.npy", "header is said to take 2,147,483,648"),
    ):
        with pytest.raises(ConfigError, match=rf"{name}: .*{said}"):
            open_images(tmp_path / name, resolution=None, channels=None, most_refused=0.5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train digits/reacgan --out OUT --set training.batch=1e12 training.images=1e14", "batch"),
        ("train digits/reacgan --out OUT --set model.generator.width=1e12", "width"),
        ("train digits/reacgan --out OUT --set model.generator.width=30000", "do not fit"),
        ("train digits/reacgan --out OUT --set model.generator.latent_dim=1e9", "latent_dim"),
        ("sample digits-reacgan --out OUT --classes 3 --num 1000000000000", "100,000,000"),
        ("generate digits-reacgan --out OUT --num 100000000", "100,000,000 in all"),
        ("generate digits-reacgan --out OUT --total 1000000000000", "100,000,000"),
        ("walk digits-reacgan --out OUT --seeds 1,2 --steps 1000000000000", "10,000"),
    ],
)
def test_numbers_beyond_reason_are_refused(reacgan, tmp_path, words, said):
    code, _, err = reacgan(*words.replace("OUT", str(tmp_path / "out")).split())
    assert code == 1 and said in err, err


def test_a_model_is_read_again_while_it_is_replaced(tmp_path):
    """A thread saves all the time; no load fails, and each is whole (digests are compared)."""
    model = package.load("digits-reacgan", device="cpu", check=False)
    model.save(tmp_path / "run" / "model")
    end, saves = threading.Event(), []

    def save():
        while not end.is_set():
            saves.append(model.save(tmp_path / "run" / "model"))

    writer = threading.Thread(target=save)
    writer.start()
    try:
        for number in range(40):
            path = tmp_path / "run" if number % 2 else tmp_path / "run" / "model"
            hub.load(path, device="cpu", check=False)
    finally:
        end.set()
        writer.join()
    assert len(saves) > 2
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["model"]


def test_a_model_replaced_between_its_configuration_and_weights(tmp_path, monkeypatch):
    """The moment itself: another model comes after the configuration was read."""
    first = package.load("digits-reacgan", device="cpu", check=False)
    first.save(tmp_path / "model")
    read, times = hub.models.read_config, []

    def read_then_replaced(folder):
        config = read(folder)
        if not times:
            with torch.no_grad():
                next(first.generator.parameters()).add_(1)
            first.save(tmp_path / "model")
        times.append(folder)
        return config

    monkeypatch.setattr(hub.models, "read_config", read_then_replaced)
    second = hub.load(tmp_path / "model", device="cpu", check=False)
    assert len(times) == 2
    assert torch.equal(next(second.generator.parameters()), next(first.generator.parameters()))


def test_of_two_that_write_one_folder_one_wins_whole(tmp_path, monkeypatch):
    model = package.load("digits-reacgan", device="cpu", check=False)
    flush = hub.models.flush_folder

    def second_comes(folder):
        flush(folder)
        monkeypatch.setattr(hub.models, "flush_folder", flush)
        with pytest.raises(
            ConfigError, match="model: another process is writing it at this moment"
        ):
            model.save(tmp_path / "model", facts={"by": "second"})

    monkeypatch.setattr(hub.models, "flush_folder", second_comes)
    model.save(tmp_path / "model", facts={"by": "first"})
    assert json.loads((tmp_path / "model" / "config.json").read_text())["by"] == "first"
    hub.load(tmp_path / "model", device="cpu", check=False)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_replaces_a_file_is_on_the_disk_first(tmp_path, monkeypatch):
    flushed = []

    def flush(path):
        flushed.append((path.name, (tmp_path / "a.txt").exists()))
        flush_to_disk(path)

    monkeypatch.setattr("reacgan.files.flush_to_disk", flush)
    with replacing(tmp_path / "a.txt") as writing:
        writing.write_text("new")
    assert flushed == [(writing.name, False), (tmp_path.name, True)]
    with replacing(tmp_path / "b.txt", flush=False) as writing:
        writing.write_text("new")
    assert len(flushed) == 2


def test_a_digest_of_a_pipe_is_none(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no ordinary file"):
        digest_of(tmp_path / "pipe")
