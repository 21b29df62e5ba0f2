"""The device that a person names, wherever one is taken."""

from __future__ import annotations

import pytest
import torch

import reacgan
from reacgan import hub
from reacgan.config import ConfigError, DataConfig
from reacgan.data import ImageData, open_dataset
from reacgan.data.loader import Loader
from reacgan.devices import find_device, usable
from reacgan.experiments.derive import derive_experiment
from reacgan.extractors import build_extractor
from reacgan.pictures import pictures
from reacgan.pictures.near import search
from reacgan.training.engine import Engine

CPU = torch.device("cpu")
NAMES = [CPU, torch.device("cpu", 0), "cpu", "cpu:0"]


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return open_dataset(DataConfig(name="digits", resolution=8, channels=1), "test")


@pytest.mark.parametrize("device", NAMES, ids=repr)
def test_each_name_of_the_cpu(device):
    assert find_device(device) == CPU


@pytest.mark.parametrize(
    "device",
    ["gpu", "CPU", "cpu:1", "cuda:", "cuda:-1", "cpu:x", "xpu", "", " cpu", "meta", 0, None],
)
def test_what_is_no_device(device):
    with pytest.raises(ConfigError, match=r"device is .*; allowed: auto, cpu, cuda, cuda:0.*: cpu"):
        find_device(device)


@pytest.mark.parametrize(
    "device", ["cuda:99", torch.device("cuda", 99), "mps:0", "mps", "cuda", "cuda:0"]
)
def test_what_is_not_here(device):
    name = str(device)
    if {name, f"{name}:0"} & set(usable()):
        pytest.skip(f"{name} is here")
    with pytest.raises(ConfigError, match=f"device is {name}, which is not .*usable here: cpu"):
        find_device(device)


def test_devices_have_numbers(monkeypatch):
    counts = {"cpu": 1, "cuda": 2, "mps": 0}
    monkeypatch.setattr("reacgan.devices._count", counts.__getitem__)
    assert find_device("cuda:1") == find_device(torch.device("cuda", 1)) == torch.device("cuda:1")
    assert find_device("auto") == find_device("cuda") == torch.device("cuda")
    with pytest.raises(ConfigError, match=r"cuda:2, which is not .*: cpu, cuda:0, cuda:1, or auto"):
        find_device("cuda:2")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("device", ["cuda:0", torch.device("cuda", 0), "cuda"])
def test_a_cuda_device_by_its_number(device, run_folder):
    assert find_device("auto").type == "cuda"
    model = hub.load(run_folder, device=device)
    assert next(model.generator.parameters()).device == torch.device("cuda", 0)
    assert Engine(device).device.type == "cuda"
    assert reacgan.sample(model)[0].image.device == CPU


@pytest.mark.parametrize("device", NAMES[:2] + NAMES[3:], ids=repr)
def test_wherever_one_is_taken(device, digits, run_folder, tmp_path):
    states = hub.list_states(run_folder)
    for network in (
        hub.load(run_folder, device=device).generator,
        hub.load_state(run_folder, states[-1], device=device).generator,
        hub.load_discriminator(run_folder, device=device),
        *(
            getattr(one, "generator", one)
            for one in reacgan.from_pretrained(run_folder, device=device, discriminator=True)
        ),
    ):
        assert next(network.parameters()).device == CPU
    assert Engine(device).device == CPU
    assert Loader(digits, batch=4, seed=0, device=device).at(0)[0].device == CPU
    options = {"epochs": 0.02, "width": 8}
    judge = build_extractor("domain", options, train=digits, cache=tmp_path, device=device)
    found = reacgan.evaluate(digits, reference=digits, metrics="is", extractor=judge, device=device)
    assert found.scores
    near = search(torch.tensor(digits.images[:2]), digits, k=1, extractor=judge, device=device)
    assert near.index.flatten().tolist() == [0, 1]


@pytest.mark.parametrize("device", NAMES[1::2], ids=repr)
def test_training_and_pictures(device, run_folder, tmp_path):
    changes = {"training.images": 64, "training.batch": 16, "model.generator.width": 4}
    tiny = reacgan.experiment("digits/reacgan").replace(**changes)
    reacgan.train(tiny, tmp_path / "run", device=device, quiet=True)
    made = pictures(
        run_folder, tmp_path / "pictures", which=["tsne", "sheet"], device=device, num=64
    )
    assert made["pictures"]


def test_deriving_asks_for_no_device_that_is_here(tmp_path):
    """Another machine's settings can be looked at."""
    import numpy as np
    from PIL import Image

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(3):
            noise = np.random.default_rng(number).integers(0, 255, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(noise).save(tmp_path / name / f"{number}.png")
    cpu = derive_experiment(tmp_path, device=torch.device("cpu", 0)).experiment
    assert cpu == derive_experiment(tmp_path, device="cpu:0").experiment
    cuda = derive_experiment(tmp_path, device="cuda:1").experiment
    assert cuda == derive_experiment(tmp_path, device=torch.device("cuda")).experiment != cpu


@pytest.mark.parametrize(
    "command", ["sample RUN", "walk RUN --between 0,1", "train digits/reacgan"]
)
def test_commands(reacgan, run_folder, tmp_path, command):
    words = [str(run_folder) if word == "RUN" else word for word in command.split()]
    tiny = ["--set", "training.images=32", "training.batch=16", "model.generator.width=4"]
    words += tiny if words[0] == "train" else []
    code, _, err = reacgan(*words, "--out", tmp_path / "out", "--device", "cpu:0")
    assert code == 0, err
    code, _, err = reacgan(*words, "--out", tmp_path / "x", "--device", "cuda:99")
    assert code == 1 and "device is cuda:99, which is not usable here; usable here: cpu" in err
    code, _, err = reacgan(*words, "--out", tmp_path / "x", "--device", "gpu")
    assert code == 2 and 'Invalid value "gpu" for --device. Choose from: auto, cpu, cuda' in err
    assert not (tmp_path / "x").exists()
