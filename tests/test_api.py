"""``import reacgan`` as people use it: the model as an object."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

import reacgan
from reacgan import hub
from reacgan.config import ConfigError
from reacgan.sampling import with_statistics


@pytest.fixture(scope="module")
def model():
    return reacgan.load("digits-reacgan", device="cpu")


def test_a_model_is_called_with_a_class(model):
    made = model("3", num=4, seed=2, truncation=0.7)
    assert [(one.class_name, one.seed) for one in made] == [("3", seed) for seed in range(2, 6)]
    plain = reacgan.sample(hub.load("digits-reacgan", device="cpu"), "3", 4, seed=2, truncation=0.7)
    for one, other in zip(made, plain, strict=True):
        assert torch.equal(one.image, other.image)
    assert torch.equal(model.sample("3", 4, seed=2, truncation=0.7)[1].image, made[1].image)
    assert len(model()) == len(model.class_names) == 10
    with pytest.raises(ConfigError, match="unknown class 'cat'"):
        model("cat")


def test_its_text_is_one_short_line(model):
    assert repr(model) == (
        "<Model digits/reacgan: 10 classes (0, 1, 2, 3, 4, ...), 1 x 8 x 8 pixels, "
        f"{model.images_seen:,} images seen, on cpu>"
    )
    assert len(repr(model("3", num=4))) < 200
    assert repr(hub.load("digits-reacgan", device="cpu")).startswith("<TrainedGenerator digits/")


def test_the_network_inside_is_a_plain_module(model):
    z = torch.zeros(2, model.latent_dim)
    assert isinstance(model.generator, nn.Module) and not model.generator.training
    assert model.generator(z, torch.tensor([3, 7])).shape == (2, 1, 8, 8)


def test_it_moves_in_itself_and_its_samples_follow():
    model = reacgan.load("digits-reacgan", device="cpu")
    made = model("3", num=2)
    before = made[0].image
    network = model.generator
    assert model.to("cpu") is model and model.generator is network and str(model.device) == "cpu"
    assert torch.equal(made[0].image, before)
    with pytest.raises(ConfigError, match="cuda|device"):
        model.to("cuda:99")


def test_it_is_saved_and_loaded_again(model, tmp_path):
    assert model.save(tmp_path / "mine") == tmp_path / "mine"
    again = reacgan.load(tmp_path / "mine", device="cpu")
    assert torch.equal(again("7")[0].image, model("7")[0].image)


def test_changed_copies_are_models_still(model):
    for other in (
        replace(model, images_seen=3),
        with_statistics(model, "batch"),
        reacgan.from_pretrained("digits-reacgan", device="cpu"),
        reacgan.from_pretrained("digits-reacgan", device="cpu", discriminator=True)[0],
    ):
        assert isinstance(other, reacgan.Model) and len(other("1", num=2)) == 2
