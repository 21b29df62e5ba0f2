from __future__ import annotations

import pytest
import torch

from reacgan.config import ConfigError
from reacgan.metrics.base import Comparison, FeatureSet
from reacgan.metrics.per_class import PerClass
from reacgan.metrics.prdc import prdc

NAMES = ("ant", "bee", "cat")


def cloud(count, seed):
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))


def classes(seed, counts=(40, 40, 40), *, collapsed=None, names=NAMES):
    """Classes far from each other; a collapsed one shows a single image, a little changed."""
    parts = [
        cloud(count, seed + place) * (0.01 if place == collapsed else 1) + 30 * place
        for place, count in enumerate(counts)
    ]
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    return FeatureSet(torch.cat(parts), labels=labels, class_names=names)


def measure(real, fake, k=5):
    values = PerClass(k=k).measure(Comparison(real=real, fake=fake))
    return {value.name: value for value in values}


def test_each_class_is_compared_with_itself():
    real, fake = classes(0), classes(10)
    held = measure(real, fake)
    for measured in ("precision", "recall", "coverage"):
        value = held[f"class_{measured}"]
        expected = {
            name: getattr(
                prdc(real.features[real.labels == i], fake.features[fake.labels == i]), measured
            )
            for i, name in enumerate(NAMES)
        }
        assert value.details["classes"] == expected
        assert value.value == pytest.approx(sum(expected.values()) / 3, abs=1e-15)
        assert value.settings == {"k": 5, "classes": 3, "real": 120, "fake": 120}
        assert value.better == "higher"
        assert value.notes == ()


def test_a_class_that_collapsed_is_named():
    held = measure(classes(0), classes(10, collapsed=1))
    assert held["class_recall"].details["worst"][0] == "bee"
    assert held["class_recall"].details["classes"]["bee"] == 0
    assert held["class_precision"].details["classes"]["bee"] == 1
    assert held["class_coverage"].details["worst"][0] == "bee"


def test_swapped_labels_show():
    """All images together cannot tell; by class everything is wrong."""
    real, fake = classes(0), classes(10)
    swapped = FeatureSet(fake.features, labels=(fake.labels + 1) % 3, class_names=NAMES)
    assert prdc(real.features, swapped.features).recall > 0.5
    assert measure(real, swapped)["class_recall"].value == 0
    assert measure(real, swapped)["class_precision"].value == 0


def test_every_class_has_the_same_weight():
    held = measure(classes(0, (200, 20, 20)), classes(10, (200, 20, 20), collapsed=0))
    by_class = held["class_recall"].details["classes"]
    assert held["class_recall"].value == pytest.approx(sum(by_class.values()) / 3)


def test_small_classes_are_left_out_and_noted():
    held = measure(classes(0, (40, 5, 40)), classes(10, (40, 40, 6)))
    value = held["class_coverage"]
    assert set(value.details["classes"]) == {"ant", "cat"}
    assert value.settings == {"k": 5, "classes": 2, "real": 80, "fake": 46}
    assert value.notes[0] == "left out, with 5 images or fewer, real or fake: 1 of 3 classes (bee)"
    assert "different numbers of real and fake images" in value.notes[1]
    assert value.details["counts"]["bee"] == {"real": 5, "fake": 40}


def test_order_changes_nothing():
    real, fake = classes(0), classes(10)
    order = torch.randperm(120, generator=torch.Generator().manual_seed(0))
    shuffled = [
        FeatureSet(side.features[order], labels=side.labels[order], class_names=NAMES)
        for side in (real, fake)
    ]
    assert measure(*shuffled) == measure(real, fake)


@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        (classes(0), FeatureSet(cloud(9, 0)), "the class of every image"),
        (
            classes(0),
            classes(1, names=("ant", "cat", "bee")),
            "needed: the same, in the same order",
        ),
        (classes(0), classes(1, (5, 5, 5)), "no class has over k = 5 images"),
    ],
)
def test_bad_values(real, fake, message):
    with pytest.raises(ConfigError, match=message):
        measure(real, fake)
