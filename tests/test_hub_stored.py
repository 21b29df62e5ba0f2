"""How weights are stored: types, the discriminator beside, digests, and folders of before."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

import reacgan
from reacgan import hub, sample
from reacgan.config import ConfigError, Experiment
from reacgan.hub.building import unfilled
from reacgan.hub.folder import check_digests, read_config
from reacgan.models import BACKBONES, GENERATORS, build_discriminator, build_generator
from test_hub import images_of, make, rewrite


def judge_of(model, seed=3):
    held = model.experiment
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = build_discriminator(held.model.backbone, held.model.head, held.data, 2)
        return built.eval().requires_grad_(False)


def test_bfloat16_halves_the_weights_and_keeps_the_buffers(tmp_path):
    model = make()
    large = hub.save(model, tmp_path / "large")
    small = hub.save(model, tmp_path / "small", dtype="bfloat16")
    tensors = load_file(small / "model.safetensors")
    learned = {name for name, _ in model.generator.named_parameters()}
    state = model.generator.state_dict()
    assert learned < set(tensors) == set(state)
    for name, value in tensors.items():
        if name in learned:
            assert value.dtype == torch.bfloat16, name
            assert torch.equal(value, state[name].bfloat16()), name
        else:
            assert value.dtype == torch.float32 and torch.equal(value, state[name]), name
    assert any(
        "running_mean" in one or one.endswith((".u", ".v")) for one in set(tensors) - learned
    )
    sizes = [(one / "model.safetensors").stat().st_size for one in (small, large)]
    assert sizes[0] < 0.75 * sizes[1]
    assert read_config(small)["dtype"] == "bfloat16" and "dtype" not in read_config(large)


def test_bfloat16_comes_back_as_float32_and_goes_again_unchanged(tmp_path):
    small = hub.save(make(), tmp_path / "small", dtype="bfloat16")
    loaded = hub.load(small, device="cpu")
    assert {held.dtype for held in loaded.generator.state_dict().values()} == {torch.float32}
    again = hub.save(loaded, tmp_path / "again", dtype="bfloat16")
    assert (again / "model.safetensors").read_bytes() == (small / "model.safetensors").read_bytes()
    whole = hub.save(loaded, tmp_path / "whole", dtype="float32")
    assert torch.equal(images_of(hub.load(whole)), images_of(loaded))


def test_float32_of_a_larger_type(tmp_path):
    folder = hub.save(make(dtype=torch.float64), tmp_path / "m", dtype="float32")
    assert {one.dtype for one in load_file(folder / "model.safetensors").values()} == {
        torch.float32
    }
    with pytest.raises(ConfigError, match="dtype is 'float8'; allowed: float32, bfloat16"):
        hub.save(make(), folder, dtype="float8")


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
def test_a_discriminator_beside(tmp_path, dtype):
    model = make()
    judge = judge_of(model)
    folder = hub.save(model, tmp_path / "m", discriminator=judge, dtype=dtype)
    _, loaded = reacgan.from_pretrained(folder, device="cpu", discriminator=True)
    for name, value in judge.state_dict().items():
        learned = dtype and name in dict(judge.named_parameters())
        kept = value.bfloat16().float() if learned else value
        assert torch.equal(loaded.state_dict()[name], kept), name
    assert not loaded.training and not any(held.requires_grad for held in loaded.parameters())
    file = folder / "discriminator.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x00")
    with pytest.raises(
        ConfigError, match=r"discriminator.safetensors: checksum mismatch .its SHA-256"
    ):
        hub.load_discriminator(folder)
    file.unlink()
    with pytest.raises(ConfigError, match=r"discriminator.safetensors: not readable"):
        hub.load_discriminator(folder)


def test_a_folder_without_a_discriminator_says_so(tmp_path):
    folder = hub.save(make(), tmp_path / "m")
    with pytest.raises(ConfigError, match="no whole checkpoint with a discriminator"):
        hub.load_discriminator(folder)
    assert not reacgan.from_pretrained(folder, device="cpu").generator.training


def test_files_beside_and_facts(tmp_path):
    png = b"\x89PNG\r\n\x1a\n\xff\x00"
    beside = {"curve.png": png, "README.md": "mine", "scores.jsonl": "{}\n"}
    folder = hub.save(
        make(), tmp_path / "m", beside=beside, facts={"name": "x", "sha256": "forged"}
    )
    assert (folder / "curve.png").read_bytes() == png
    assert (folder / "README.md").read_text() == "mine"
    config = read_config(folder)
    assert config["name"] == "x" and config["sha256"] != "forged"
    hub.load(folder)


def test_every_recorded_digest_is_compared(tmp_path):
    folder = hub.save(
        make(), tmp_path / "m", beside={"a.png": b"a"}, discriminator=judge_of(make())
    )
    rewrite(folder, files={"a.png": hub.folder.digest(folder / "a.png")})
    names = ["model.safetensors", "discriminator.safetensors", "a.png"]
    assert check_digests(folder, read_config(folder)) == names
    (folder / "a.png").write_bytes(b"b")
    with pytest.raises(ConfigError, match=r"a.png: checksum mismatch"):
        check_digests(folder, read_config(folder))
    rewrite(folder, files={"../a.png": "0"})
    with pytest.raises(ConfigError, match="outside its folder"):
        check_digests(folder, read_config(folder))


def test_a_folder_of_the_version_before_loads(tmp_path):
    """With the keys that there were, and no others."""
    folder = hub.save(replace(make(), norms=None), tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    old = ["format", "reacgan", "experiment", "class_names", "images_seen", "sha256"]
    assert list(config) == [*old, "seal"]
    config.pop("seal")
    (folder / "config.json").write_text(json.dumps(config))
    assert torch.equal(images_of(hub.load(folder, check=False)), images_of(make()))


@pytest.mark.parametrize("name", GENERATORS)
def test_unfilled_networks_have_the_shapes_of_real_ones(name):
    held = Experiment(name="t").replace(**{"model.generator.name": name, "data.resolution": 16})
    random = torch.random.get_rng_state()
    empty = unfilled(lambda: build_generator(held.model.generator, held.data, 3)).state_dict()
    assert torch.equal(random, torch.random.get_rng_state())
    real = build_generator(held.model.generator, held.data, 3).state_dict()
    assert {one: (v.shape, v.dtype) for one, v in empty.items()} == {
        one: (v.shape, v.dtype) for one, v in real.items()
    }


@pytest.mark.parametrize("name", BACKBONES)
def test_unfilled_discriminators_have_the_shapes_of_real_ones(name):
    held = Experiment(name="t").replace(**{"model.backbone.name": name, "data.resolution": 16})

    def build():
        return build_discriminator(held.model.backbone, held.model.head, held.data, 3)

    empty, real = unfilled(build).state_dict(), build().state_dict()
    assert {one: (v.shape, v.dtype) for one, v in empty.items()} == {
        one: (v.shape, v.dtype) for one, v in real.items()
    }


def test_the_model_in_the_package_loads_and_samples_at_once():
    begun = time.process_time()
    loaded = hub.load("digits-reacgan", device="cpu")
    images = [one.image for one in sample(loaded, "all", 1)]
    assert time.process_time() - begun < 1
    assert len(images) == 10 and images[0].shape == (1, 8, 8)
