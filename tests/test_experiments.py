from __future__ import annotations

import json

import pytest

from reacgan.config import ConfigError, parse_experiment
from reacgan.data import DATASETS
from reacgan.experiments import EXPERIMENTS, experiment
from reacgan.experiments.derive import Facts, derive
from reacgan.experiments.describe import describe
from reacgan.models import build_discriminator, build_generator, complete


def test_the_table():
    for name, held in EXPERIMENTS.items():
        assert held.name == name
        assert held.data.name in DATASETS
    published = {"reacgan", "acgan", "biggan", "contragan", "reacgan-diffaug"}
    expected = {f"{size}/{one}" for size in ("cifar10", "cifar10-small") for one in published}
    assert expected | {"digits/reacgan", "digits/acgan"} <= set(EXPERIMENTS)


def test_unknown():
    with pytest.raises(
        ConfigError, match=r"unknown experiment 'cifar10/reacgn'; did you mean 'cif"
    ):
        experiment("cifar10/reacgn")


@pytest.mark.parametrize(
    ("name", "head", "batch", "weight", "d"),
    [
        ("cifar10/reacgan", "d2dce", 128, 0.5, 2_517_186),
        ("cifar10/contragan", "contrastive", 64, 1.0, 2_517_186),
        ("cifar10/acgan", "auxiliary", 64, 1.0, 2_415_170),
        ("cifar10/biggan", "projection", 64, 0.0, 2_415_170),
    ],
)
def test_published_settings(name, head, batch, weight, d):
    held = experiment(name)
    assert (held.model.head.name, held.training.batch) == (head, batch)
    assert held.loss.conditioning_weight == weight
    assert held.training.d_steps == 5
    assert held.training.images == 100_000 * 5 * batch  # 100,000 generator steps
    assert describe(held)["parameters"] == {"generator": 9_416_196, "discriminator": d}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_describe(name):
    described = json.loads(json.dumps(describe(experiment(name))))
    assert described.pop("parameters")["generator"] > 0
    classes = {"cifar100": 100, "tiny_imagenet": 200, "cub200": 200, "imagenet": 1000, "afhq": 3}
    assert described.pop("num_classes") == classes.get(EXPERIMENTS[name].data.name, 10)
    assert parse_experiment(described) == complete(experiment(name))


def test_describe_needs_the_number_of_classes():
    held = experiment("digits/reacgan").replace(**{"data.name": "folder"})
    with pytest.raises(ConfigError, match="give --num-classes"):
        describe(held)
    assert describe(held, 10)["parameters"] == describe(experiment("digits/reacgan"))["parameters"]
    for wrong in (0, -3):
        with pytest.raises(ConfigError, match=f"num_classes is {wrong}; allowed: 1 or more"):
            describe(held, wrong)


def facts(**changes):
    held = {
        "path": "photos",
        "dataset": "folder",
        "images": 5_000,
        "classes": ("cat", "dog"),
        "side": 40,
        "grey": False,
        "accelerator": False,
    }
    return Facts(**{**held, **changes})


@pytest.mark.parametrize("accelerator", [True, False])
@pytest.mark.parametrize("side", [1, 8, 15, 16, 31, 32, 64, 127, 128, 256, 5_000])
@pytest.mark.parametrize("dataset", ["folder", "archive"])
def test_whatever_is_derived_can_be_built(side, accelerator, dataset):
    side = side if dataset == "folder" else max(8, min(1 << (side.bit_length() - 1), 256))
    derived = derive(facts(side=side, accelerator=accelerator, dataset=dataset))
    held = complete(derived.experiment)
    assert held.data.resolution <= max(side, 8)
    assert held.data.path == "photos" and held.name == "photos"
    if dataset == "archive":
        assert held.data.resolution == side
    import torch

    with torch.device("meta"):
        build_generator(held.model.generator, held.data, 2)
        build_discriminator(held.model.backbone, held.model.head, held.data, 2)
    assert derive(facts(side=side, accelerator=accelerator, dataset=dataset)) == derived


def test_each_choice_follows_from_a_fact_and_is_in_the_experiment():
    def value(key, **changes):
        derived = derive(facts(**changes))
        found = {choice.key: choice.value for choice in derived.choices}
        section, _, leaf = key.rpartition(".")
        node = derived.experiment
        for part in section.split("."):
            node = getattr(node, part)
        held = {**getattr(node, "options", {}), **node.model_dump()}[leaf]
        assert held == found[key]
        return held

    assert value("data.channels", grey=True) == 1
    assert value("data.channels") == 3
    assert value("augment.name") == "diffaug"
    assert value("augment.name", images=200_000) == "identity"
    assert value("data.flip") is True
    assert value("data.flip", classes=("a", "b")) is False
    assert value("training.batch", accelerator=True) > value("training.batch")
    assert value("training.images", images=20) <= value("training.images", images=10**6)
    assert value("data.resolution", side=40) == 32
    assert all(choice.reason for choice in derive(facts()).choices)


def test_a_folder_of_images(tmp_path):
    import numpy as np
    from PIL import Image

    from reacgan import derive_experiment

    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(3):
            pixels = np.full((20, 17), number * 40, dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / name / f"{number}.png")
    held = derive_experiment(tmp_path / "pets", device="cpu").experiment
    assert (held.name, held.data.resolution, held.data.channels) == ("pets", 16, 1)
