"""Generators that are wrong in a known way, and every metric that has to say so.

They "generate" the embedded digits, whole or spoiled, against the training images as reference. Features
are the 64 pixels, so that nothing but the metrics is tried; class scores come from a small classifier.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from reacgan.config import DataConfig
from reacgan.data import ImageData, open_dataset
from reacgan.extractors.classifier import classify, held_out_accuracy, train_classifier
from reacgan.metrics import METRICS
from reacgan.metrics.base import Classification, Comparison, FeatureSet

OPTIONS = {"kid": {"exact": True}, "f_beta": {"runs": 4}}
ELSEWHERE = {
    "cas": "trains for every generator: the same degenerate ones are in test_cas.py",
    "fid_infinity": "fid, extrapolated: it moves as fid does",
}
DEGENERATE = ("one image", "one class", "noise", "blurred", "jpeg")


def worked(images, change):
    return np.stack([np.asarray(change(Image.fromarray(one[0])))[None] for one in images])


def as_jpeg(image):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=10)
    return Image.open(io.BytesIO(file.getvalue()))


def make_generators(train, test):
    """Eight sets of fakes with the labels that were asked for."""
    noise = np.random.default_rng(0).integers(0, 256, test.images.shape, dtype=np.uint8)
    threes = np.resize(np.flatnonzero(test.labels == 3), len(test))
    images = {
        "held out": test.images,
        "one image": np.repeat(test.images[3:4], len(test), axis=0),
        "one class": test.images[threes],
        "noise": noise,
        "blurred": worked(test.images, lambda one: one.filter(ImageFilter.GaussianBlur(1))),
        "jpeg": worked(test.images, as_jpeg),
    }
    made = {
        name: ImageData(spoiled, test.labels, test.class_names, name)
        for name, spoiled in images.items()
    }
    made["copies"] = train.subset(slice(0, 2 * len(test), 2))
    moved = (test.labels + 1) % test.num_classes
    made["swapped"] = ImageData(test.images, moved, test.class_names, "swapped")
    return made


def features_of(data, classifier):
    images = torch.tensor(data.images)
    return FeatureSet(
        images.flatten(1).float() / 255,
        logits=classify(classifier, images),
        labels=torch.tensor(data.labels),
        class_names=data.class_names,
    )


@pytest.fixture(scope="module")
def held():
    """``held[generator][value]``, every metric measured once."""
    config = DataConfig(name="digits", resolution=8, channels=1)
    train, test = open_dataset(config, "train"), open_dataset(config, "test")
    classifier = train_classifier(train, epochs=8, batch=64, width=8, flip=False)
    top1, top5 = held_out_accuracy(classifier, test)
    reference, unseen = features_of(train, classifier), features_of(test, classifier)
    found = {}
    for name, data in make_generators(train, test).items():
        fake = features_of(data, classifier)
        comparison = Comparison(
            fake=fake,
            real=reference,
            training=reference,
            held_out=unseen,
            classification=Classification(fake.logits, top1, top5, {"width": 8}),
            fake_data=data,
            real_data=train,
            training_data=train,
            held_out_data=test,
        )
        found[name] = {
            value.name: value.value
            for metric, member in METRICS.items()
            if metric not in ELSEWHERE
            for value in member(**OPTIONS.get(metric, {})).measure(comparison)
        }
    return found


def test_every_metric_is_measured_or_said_to_be_elsewhere(held):
    """A metric that joins the table has to join this suite."""
    known = {
        "fid": {"fid"},
        "kid": {"kid"},
        "ifid": {"ifid"},
        "is": {"is"},
        "f_beta": {"f_1_8", "f_8"},
        "accuracy": {"top1", "top5"},
        "prdc": {"precision", "recall", "density", "coverage"},
        "per_class": {"class_precision", "class_recall", "class_coverage"},
        "memorisation": {"memorised_share", "memorisation_ratio", "duplicates"},
    }
    assert set(METRICS) - set(ELSEWHERE) == set(known), "say here which way it moves"
    for metric in set(METRICS) - set(ELSEWHERE):
        for values in held.values():
            assert known[metric] <= set(values)


@pytest.mark.parametrize("value", ["fid", "kid", "ifid"])
def test_distances_to_the_reference(held, value):
    """Unseen real images and copies are near; all that is spoiled is far, and noise furthest."""
    near = max(abs(held["held out"][value]), abs(held["copies"][value]))
    for generator in DEGENERATE:
        assert held[generator][value] > 2.5 * near, generator
    assert held["jpeg"][value] < held["blurred"][value]
    assert held["noise"][value] == max(values[value] for values in held.values())


@pytest.mark.parametrize("value", ["fid", "kid", "is", "f_1_8", "f_8"])
def test_what_knows_no_labels_cannot_see_wrong_ones(held, value):
    assert held["swapped"][value] == pytest.approx(held["held out"][value], rel=1e-10)


def test_wrong_labels(held):
    assert held["swapped"]["ifid"] > 10 * held["held out"]["ifid"]
    assert held["swapped"]["top1"] < 0.05


def test_no_distance_tells_copies_from_unseen_images(held):
    """Why there is a metric of memorisation: these reward copies."""
    for value in ("fid", "ifid"):
        assert held["copies"][value] < held["held out"][value]
    for value in ("top1", "f_1_8", "f_8"):
        assert held["copies"][value] > held["held out"][value] - 0.03


def test_inception_score(held):
    """One image: 1; clear images of all ten classes: the most; what is unclear, in between."""
    assert held["one image"]["is"] == pytest.approx(1, abs=1e-12)
    assert 1 < held["one class"]["is"] < 1.5
    assert held["noise"]["is"] < 2
    for generator in DEGENERATE:
        assert held[generator]["is"] < 0.8 * held["held out"]["is"], generator
    assert held["copies"]["is"] == pytest.approx(held["held out"]["is"], rel=0.1)
    assert max(values["is"] for values in held.values()) <= 10


def test_label_accuracy(held):
    """One image or class is right for a tenth of the labels, noise at chance."""
    for generator in ("one image", "one class", "noise"):
        assert held[generator]["top1"] == pytest.approx(0.1, abs=0.04), generator
    assert held["blurred"]["top1"] < held["jpeg"]["top1"] < held["held out"]["top1"] - 0.05
    for values in held.values():
        assert values["top5"] >= values["top1"]


def test_weighted_precision_and_recall(held):
    for value in ("f_1_8", "f_8"):
        assert held["held out"][value] > 0.97
        assert held["copies"][value] > 0.97
        assert held["noise"][value] < 0.01
        assert held["blurred"][value] < 0.5
    for generator in ("one image", "one class"):
        assert held[generator]["f_8"] < 0.35
        assert held[generator]["f_1_8"] > 0.4


def test_neighbours(held):
    """Clear images are precise however few they are; recall and coverage know how few."""
    for generator in ("held out", "copies"):
        for value in ("precision", "recall", "coverage"):
            assert held[generator][value] > 0.9, generator
    assert held["copies"]["precision"] == 1
    assert held["copies"]["coverage"] > held["held out"]["coverage"]
    for generator in ("one image", "one class"):
        assert held[generator]["precision"] > 0.95
        assert held[generator]["density"] > 0.9
        assert held[generator]["recall"] < 0.01
        assert held[generator]["coverage"] < 0.1
    assert held["noise"]["precision"] == held["noise"]["density"] == 0
    assert held["noise"]["coverage"] == 0
    for value in ("precision", "recall", "density", "coverage"):
        spoiled = held["blurred"][value], held["jpeg"][value], held["held out"][value]
        assert spoiled[0] < spoiled[1] < spoiled[2] - 0.2, value
        assert held["swapped"][value] == held["held out"][value]


def test_neighbours_within_classes(held):
    """One image is right for one class of ten; wrong labels, invisible above, are seen here."""
    for generator in ("held out", "copies"):
        for value in ("class_precision", "class_recall", "class_coverage"):
            assert held[generator][value] > 0.9, generator
    assert held["one image"]["class_precision"] == pytest.approx(0.1, abs=1e-12)
    for generator in ("one class", "swapped", "noise"):
        assert held[generator]["class_precision"] < 0.2, generator
    for generator in ("one image", "one class", "swapped", "noise", "blurred"):
        assert held[generator]["class_coverage"] < 0.1, generator


def test_memorisation(held):
    """Copies alone are reported; what is spoiled is no copy."""
    assert held["copies"]["memorised_share"] == held["copies"]["duplicates"] == 1
    assert held["copies"]["memorisation_ratio"] == 0
    assert held["held out"]["memorisation_ratio"] == 1
    for generator, values in held.items():
        if generator != "copies":
            assert values["memorised_share"] < 0.02, generator
            assert values["duplicates"] == 0, generator
            assert values["memorisation_ratio"] >= 1, generator
    assert held["noise"]["memorisation_ratio"] > 3
