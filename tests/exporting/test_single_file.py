"""One safetensors file: the same generator again, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from networks import EVERY, MEMBERS, model
from safetensors import safe_open
from safetensors.torch import load_file

from reacgan import export, load, sample
from reacgan.config import ConfigError
from reacgan.models.norm_statistics import (
    own_statistics,
    put_statistics,
    statistics_of,
    with_moving,
)
from reacgan.models.spectral import weight_of
from reacgan.models.trained import NormStatistics


def images_of(trained):
    z = torch.randn(5, trained.latent_dim, generator=torch.Generator().manual_seed(2))
    return trained.generator(z, torch.arange(5) % 3)


@pytest.mark.parametrize("name", EVERY)
def test_every_generator_comes_back(name, tmp_path):
    trained = model(EVERY[name])
    done = export(trained, "safetensors", tmp_path / "g.safetensors")
    again = load(done.path, device="cpu")
    assert done.difference is not None and done.difference < 1e-5
    assert (again.class_names, again.images_seen) == (trained.class_names, 12_800)
    assert again.experiment == trained.experiment
    torch.testing.assert_close(images_of(again), images_of(trained), rtol=0, atol=1e-5)


def test_weights_are_those_that_are_used(tmp_path):
    trained = model(MEMBERS["biggan"])
    export(trained, "safetensors", tmp_path / "g.safetensors")
    tensors = load_file(tmp_path / "g.safetensors")
    assert tensors.keys() == trained.generator.state_dict().keys()
    layer = trained.generator.blocks[0].conv1
    assert torch.equal(tensors["blocks.0.conv1.weight"], weight_of(layer))
    assert not torch.allclose(tensors["blocks.0.conv1.weight"], layer.weight)
    with safe_open(tmp_path / "g.safetensors", "pt") as opened:
        facts = json.loads(opened.metadata()["reacgan"])
    assert facts["class_names"] == ["cat", "Ölkäfer", "猫"] and facts["latent_dim"] == 40
    assert facts["experiment"]["model"]["generator"]["name"] == "biggan"


def test_half_precision_and_equal_bytes(tmp_path):
    trained = model(MEMBERS["biggan"])
    for name in ("a", "b"):
        export(trained, "safetensors", tmp_path / f"{name}.safetensors", half=True)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    kinds = {name: value.dtype for name, value in load_file(tmp_path / "a.safetensors").items()}
    assert kinds["blocks.0.conv1.weight"] == torch.float16
    assert kinds["blocks.0.norm1.norm.running_mean"] == torch.float32
    again = load(tmp_path / "a.safetensors", device="cpu")
    assert again.generator.input.weight.dtype == torch.float32
    torch.testing.assert_close(images_of(again), images_of(trained), rtol=0, atol=0.02)


def test_the_averages_of_training_come_along(tmp_path):
    trained = model(MEMBERS["biggan"])
    norms = NormStatistics("own", 0.8, statistics_of(trained.generator))
    before = images_of(trained)
    put_statistics(trained.generator, own_statistics(trained.generator, images=64))
    export(replace(trained, norms=norms), "safetensors", tmp_path / "g.safetensors")
    again = load(tmp_path / "g.safetensors", device="cpu")
    assert again.norms is not None and (again.norms.kind, again.norms.distance) == ("own", 0.8)
    torch.testing.assert_close(images_of(again), images_of(trained), rtol=0, atol=1e-5)
    torch.testing.assert_close(images_of(with_moving(again)), before, rtol=0, atol=1e-5)
    assert (images_of(trained) - before).abs().max() > 0.01


def test_a_name_samples_as_the_model_does(tmp_path, reacgan):
    file = tmp_path / "digits.safetensors"
    code, out, _ = reacgan("export", "digits-reacgan", "--to", "safetensors", "--out", file)
    assert code == 0 and f"load it: reacgan.load('{file}')" in out
    first, second = (
        [image.image for image in sample(load(what, device="cpu"), "3,7", num=2)]
        for what in ("digits-reacgan", file)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert reacgan("sample", file, "--classes", "3", "--num", 1, "--out", tmp_path / "s")[0] == 0
    assert (tmp_path / "s" / "3" / "0.png").exists()


def test_no_path_of_this_machine(tmp_path):
    trained = model(MEMBERS["dcgan"])
    experiment = trained.experiment.replace(
        **{"data.name": "folder", "data.path": "/home/me/secret/photos"}
    )
    file = tmp_path / "g.safetensors"
    export(replace(trained, experiment=experiment), "safetensors", file)
    assert b"/home/me" not in file.read_bytes()
    assert load(file, device="cpu").experiment.data.path == "photos"


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"\x02\0\0\0\0\0\0\0{}"])
def test_other_files_are_refused(content, tmp_path):
    file = tmp_path / "g.safetensors"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="g.safetensors: neither a run's folder nor a model fol"):
        load(file)


def test_damage_is_seen(tmp_path):
    file = tmp_path / "g.safetensors"
    export(model(MEMBERS["dcgan"]), "safetensors", file)
    content = bytearray(file.read_bytes())
    content[-40] ^= 1
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="checksum mismatch"):
        load(file)
    file.write_bytes(content[:-100])
    with pytest.raises(ConfigError, match="neither a run's folder"):
        load(file)
