from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from reacgan.config import ConfigError
from reacgan.data import ImageData
from reacgan.metrics.base import Comparison, FeatureSet
from reacgan.metrics.memorisation import Memorisation, closest_pairs, count_duplicates


def cloud(count, seed, width=6):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


TRAINING, HELD_OUT = cloud(800, 0), cloud(600, 1)


def measure(fake, training=TRAINING, held_out=HELD_OUT, *, images=None, **options):
    comparison = Comparison(
        fake=FeatureSet(fake),
        real=FeatureSet(HELD_OUT),
        training=FeatureSet(training),
        held_out=None if held_out is None else FeatureSet(held_out),
        **(images or {}),
    )
    return {value.name: value for value in Memorisation(**options).measure(comparison)}


def pictures(count, seed, size=4):
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 3, size, size), dtype=np.uint8)
    return ImageData(pixels, np.zeros(count, dtype=np.int64), ("all",), "random")


def test_copies_of_the_training_images():
    held = measure(TRAINING[:200].clone())
    assert held["memorised_share"].value == 1
    assert held["memorisation_ratio"].value == 0
    assert held["memorised_share"].details["far_nearer_than_second"]["fake"] == 1


def test_images_of_the_same_kind_are_at_chance():
    """Of n + 1 distances of one kind the last is up to the m-th of the others with m / (n + 1)."""
    held = measure(cloud(4_000, 2))
    share = held["memorised_share"]
    assert share.settings["chance"] == 6 / 601
    assert share.value == pytest.approx(0.01, abs=0.01)
    assert held["memorisation_ratio"].value == pytest.approx(1, abs=0.05)
    again = measure(HELD_OUT)["memorised_share"]
    assert again.value == 6 / 600 == again.details["held_out_share"]


def test_chance_is_chance_over_many_draws():
    """Mean of the share over draws of everything is the chance in the settings."""
    shares = [
        measure(
            cloud(60, 3 * i, 2), cloud(50, 3 * i + 1, 2), cloud(19, 3 * i + 2, 2), percentile=20
        )["memorised_share"]
        for i in range(150)
    ]
    assert {value.settings["chance"] for value in shares} == {4 / 20}
    assert np.mean([value.value for value in shares]) == pytest.approx(0.2, abs=0.025)


def test_a_generator_that_half_copies_lies_between():
    near = TRAINING[:300] + 0.01 * cloud(300, 3)
    held = measure(torch.cat([near, cloud(300, 4)]))
    assert held["memorised_share"].value == pytest.approx(0.5, abs=0.02)
    assert 0 < held["memorisation_ratio"].value < 0.9


def test_values_by_hand():
    training = torch.tensor([[0.0], [10], [20]])
    held_out = torch.tensor([[1.0], [12], [17]])
    fake = torch.tensor([[0.5], [10], [24], [13]])
    held = measure(fake, training, held_out, percentile=25)
    share = held["memorised_share"]
    assert share.details["limit"] == 1
    assert share.value == 0.5
    assert share.settings == {
        "training": 3, "fake": 4, "calibration": "held-out images", "calibrated_on": 3,
        "percentile": 25, "chance": 0.25,
    }  # fmt: skip
    ratio = held["memorisation_ratio"]
    assert ratio.value == pytest.approx((0.5 + 3) / 2 / 2)
    assert ratio.details == {"median": 1.75, "held_out_median": 2}
    third = share.details["far_nearer_than_second"]
    assert third == {"fake": 0.75, "held_out": pytest.approx(2 / 3)}
    assert share.details["pairs"] == [
        {"fake": 1, "training": 1, "distance": 0, "ratio": 0},
        {"fake": 0, "training": 0, "distance": 0.5, "ratio": pytest.approx(0.5 / 9.5)},
        {"fake": 2, "training": 2, "distance": 4, "ratio": pytest.approx(4 / 14)},
        {"fake": 3, "training": 1, "distance": 3, "ratio": pytest.approx(3 / 7)},
    ]
    json.dumps([value.details for value in held.values()])


def test_pairs_name_distinct_training_images_first():
    distances, near = torch.tensor([0.3, 0.1, 0.2, 0.9]), torch.tensor([0.5, 0.5, 0.5, 0.9])
    pairs = closest_pairs(distances, torch.tensor([7, 7, 7, 8]), near, 3)
    assert [pair["fake"] for pair in pairs] == [1, 3, 2]
    assert len(measure(cloud(100, 5))["memorised_share"].details["pairs"]) == 32
    assert measure(cloud(100, 5), pairs=0)["memorised_share"].details["pairs"] == []


def test_without_held_out_images_each_training_image_is_held_out():
    held = measure(cloud(500, 2), held_out=None)
    share = held["memorised_share"]
    assert share.settings["calibration"] == "training images"
    assert share.settings["calibrated_on"] == 800
    assert "no held-out images" in share.notes[0]
    assert share.value == pytest.approx(0.01, abs=0.015)
    assert measure(TRAINING[:99], held_out=None)["memorised_share"].value == 1


def test_copies_in_the_data_are_noted():
    held_out = torch.cat([HELD_OUT[:400], TRAINING[:7]])
    share = measure(cloud(100, 2), held_out=held_out)["memorised_share"]
    assert "7 of 407 held-out images equal a training image" in share.notes[0]
    assert share.details["limit"] == 0
    assert share.value == 0
    with pytest.raises(ConfigError, match="more than half of the held-out images are copies"):
        measure(cloud(100, 2), held_out=torch.cat([HELD_OUT[:9], TRAINING[:10]]))


def test_few_held_out_images_are_noted():
    share = measure(cloud(100, 2), held_out=HELD_OUT[:20])["memorised_share"]
    assert share.settings["chance"] == 1 / 21
    assert "20 held-out images are few for percentile 1: chance is 0.0476" in share.notes[0]


def test_order_changes_nothing():
    orders = [
        torch.randperm(n, generator=torch.Generator().manual_seed(n)) for n in (200, 800, 600)
    ]
    fake = cloud(200, 2)
    first = measure(fake)
    again = measure(fake[orders[0]], TRAINING[orders[1]], HELD_OUT[orders[2]])
    for name, value in first.items():
        assert again[name].value == value.value
    pairs = again["memorised_share"].details["pairs"]
    assert [pair["distance"] for pair in pairs] == [
        pair["distance"] for pair in first["memorised_share"].details["pairs"]
    ]


def test_pixels():
    training, fake = pictures(50, 0), pictures(20, 1)
    fake.images[4] = training.images[8, :, :, ::-1]
    training.images[7, :, :, 2:] = training.images[7, :, :, 1::-1]  # its own mirror image
    fake.images[3] = training.images[7]
    held_out = pictures(10, 2)
    held_out.images[0] = training.images[0]
    images = {"fake_data": fake, "training_data": training, "held_out_data": held_out}
    duplicates = measure(cloud(20, 2), cloud(50, 3), cloud(10, 4), images=images)["duplicates"]
    assert duplicates.value == 1 / 20
    assert duplicates.details == {"same": 1, "mirrored_only": 1}
    assert "1 of 10 held-out images are in training" in duplicates.notes[0]
    images["fake_data"] = pictures(20, 1, size=8)
    assert "duplicates" not in measure(cloud(20, 2), cloud(50, 3), images=images)
    assert count_duplicates(training.images, training.images[::-1]) == (50, 0)


def test_distances_of_held_out_images_are_kept_by_the_training_data():
    kept = {}

    def keep(name, make):
        if name not in kept:
            kept[name] = make()
        return kept[name]

    first, second = pictures(50, 0), pictures(50, 1)
    for training, features in ((first, cloud(50, 3)), (second, cloud(50, 4)), (None, cloud(50, 5))):
        Memorisation().measure(
            Comparison(
                fake=FeatureSet(cloud(9, 0)),
                real=FeatureSet(HELD_OUT),
                training=FeatureSet(features),
                held_out=FeatureSet(HELD_OUT, keep_in=keep),
                training_data=training,
            )
        )
    assert set(kept) == {f"nearest two in {data.digest}" for data in (first, second)}


def test_bad_values():
    with pytest.raises(ConfigError, match="2 training images; needed: 3 or more"):
        measure(cloud(9, 0), cloud(2, 0))
    held = Comparison(fake=FeatureSet(cloud(9, 0)), real=FeatureSet(HELD_OUT))
    with pytest.raises(ConfigError, match="the generator's training images"):
        Memorisation().measure(held)
