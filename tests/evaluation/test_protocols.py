from __future__ import annotations

import copy

import pytest

from reacgan.config import check_options
from reacgan.evaluation.protocols import INCEPTION, PROTOCOLS, describe, describe_settings, name_of
from reacgan.extractors.inception import Inception

PAPER = {
    "extractor": {
        "name": "inception",
        "weights": INCEPTION,
        "resizer": "legacy",
        "logits": "with bias",
        "type": "float32",
    },
    "fake": {"images": 10_000, "labels": "uniform", "seed": 3},
    "reference": {"images": 10_000, "name": "cifar10", "split": "test", "part": "whole"},
    "generator": {"weights": "average", "batch_norm": "batch"},
    "selection": {"checkpoint": "last"},
    "metric": {"splits": 1},
    "software": {"torch": "2"},
}
BENCHMARK = {
    **PAPER,
    "extractor": {**PAPER["extractor"], "resizer": "friendly"},
    "fake": {"images": 50_000, "labels": "uniform"},
    "reference": {"images": 50_000, "split": "train", "part": "whole"},
    "generator": {"weights": "average", "batch_norm": "standing"},
    "metric": {"k": 5},
}


def changed(protocol, path, value):
    made = copy.deepcopy(protocol)
    part, key = path.split(".")
    made[part][key] = value
    return made


def test_published_protocols_are_recognised_by_facts():
    assert name_of(PAPER) == "paper"
    assert name_of(BENCHMARK) == "benchmark"
    assert name_of({}) is None
    assert name_of({"name": "paper", "protocol": "paper"}) is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("extractor.name", "domain"),
        ("extractor.weights", "0" * 64),
        ("extractor.resizer", "clean"),
        ("extractor.logits", "without bias"),
        ("extractor.logits", None),
        ("fake.images", 9_999),
        ("fake.labels", "reference"),
        ("fake.size", [64, 64]),
        ("reference.images", 9_999),
        ("reference.images", None),
        ("reference.split", "all"),
        ("reference.part", "half a"),
        ("reference.part", None),
        ("generator.weights", "raw"),
        ("generator.batch_norm", "moving"),
        ("generator.truncation", 0.5),
        ("generator.psi", 0.7),
        ("generator.langevin", {"steps": 3}),
        ("metric.splits", 10),
        ("metric.k", 3),
        ("metric.num", 500),
    ],
)
def test_one_other_fact_and_it_is_another_protocol(path, value):
    for protocol in (PAPER, BENCHMARK):
        assert name_of(changed(protocol, path, value)) is None


def test_labels_of_people_are_no_facts():
    named = {**changed(PAPER, "extractor.weights", "0" * 64), "name": "paper"}
    assert name_of(named) is None


def test_what_may_differ():
    for path, value in (("fake.seed", 9), ("software.torch", "9"), ("reference.name", "mine")):
        assert name_of(changed(PAPER, path, value)) == "paper"
    without = {**PAPER, "generator": {"weights": "average"}}  # no batch norm in it
    assert name_of(without) == "paper"
    assert name_of({**PAPER, "selection": {"checkpoint": "best", "of": 50}}) == "paper"
    assert name_of({**PAPER, "metric": {"interval": "95 %"}}) == "paper"
    assert name_of({**PAPER, "metric": {"num": None}}) == "paper"
    assert name_of({key: held for key, held in PAPER.items() if key != "generator"}) is None


def test_options_of_the_extractor():
    assert PROTOCOLS["paper"].extractor_options == {"resizer": "legacy", "bias": True}
    assert PROTOCOLS["benchmark"].extractor_options == {"resizer": "friendly", "bias": True}
    for one in PROTOCOLS.values():
        assert check_options(Inception, one.extractor_options, where="x")["bias"] is True


@pytest.mark.parametrize(
    ("name", "reference", "images"),
    [
        ("paper", 10_000, 10_000),
        ("paper", 50_000, 50_000),
        ("benchmark", 50_000, 50_000),
        ("benchmark", 1_281_167, 50_000),
        ("benchmark", 14_630, 14_630),
    ],
)
def test_how_many_images(name, reference, images):
    assert PROTOCOLS[name].images(reference) == images
    held = PAPER if name == "paper" else BENCHMARK
    held = changed(changed(held, "reference.images", reference), "fake.images", images)
    assert name_of(held) == name


def test_described_for_a_person():
    domain = {
        "name": "domain", "weights": "c" * 64, "type": "float32", "resizer": "none",
        "held_out_top1": 0.797, "held_out": {"images": 10_000, "digest": "d" * 64},
    }  # fmt: skip
    lines = describe(
        {
            **PAPER,
            "extractor": domain,
            "reference": {**PAPER["reference"], "digest": "1a2b3c4d" + "0" * 56},
            "generator": {"weights": "average", "batch_norm": "moving", "precision": "float32"},
        }
    )
    assert lines[0] == (
        "10,000 fakes against the whole test split (10,000 images, of cifar10, digest 1a2b3c4d)"
    )
    assert "domain extractor (weights cccccccc, 79.7% right on 10,000 held-out images" in lines[3]
    for phrase in ("classes drawn uniformly", "seed 3", "averaged weights", "moving statistics"):
        assert phrase in lines
    assert "splits" in lines[-1]
    assert "torch" not in " ".join(lines)


def test_nothing_is_left_unsaid():
    """Each fact, whatever it is called, comes out; a person can see why two protocols differ."""
    odd = {
        "extractor": {"name": "x", "tint": "E1", "held_out_top1": None, "held_out": "none"},
        "fake": {"images": 5, "colour": "F1"},
        "reference": {"images": 6, "shade": "R1", "part": "half a"},
        "generator": {"weights": False, "hue": {"deep": "G1"}},
        "selection": {"best": "S1"},
        "other": {"deep": "O1"},
        "text": "T1",
    }
    told = " ".join(describe(odd))
    for fact in ("E1", "F1", "R1", "half a", "G1", "S1", "O1", "T1", "weights: no"):
        assert fact in told
    assert describe({})[0].startswith("an unknown number of fakes")
    assert describe({"extractor": "x", "fake": 3, "selection": "last"})[-1] == "the last checkpoint"


def test_how_the_state_was_chosen():
    on = {"split": "test", "part": "half a", "images": 5000}
    chosen = {"rule": "split", "selected_on": on}
    for selection, words in (
        ({"checkpoint": "as it is"}, "the state as it is, not chosen by a score"),
        ({"checkpoint": "last"}, "the last state"),
        ({"checkpoint": "by number"}, "a state by its number"),
        ({"checkpoint": "each", "during": "training"}, "states during training"),
        (
            {"checkpoint": "each", "during": "training", **chosen},
            "states during training, of which one is chosen on 5,000 test images (half a), split",
        ),
        (
            {"checkpoint": "best", "metric": "fid", **chosen},
            "the best state, chosen by fid on 5,000 test images (half a), split",
        ),
        ("last", "the last checkpoint"),
    ):
        assert describe({"selection": selection})[1:] == [words]


def test_sizes_of_the_reference():
    held = {"images": 50, "split": "test", "part": "whole", "size": [64, 48], "channels": 3}
    for reference, words in (
        (held, "the whole test split (50 images, 64 x 48 x 3)"),
        ({**held, "channels": None}, "the whole test split (50 images, 64 x 48)"),
        ({"images": 50, "split": "all", "part": "whole"}, "the whole reference (50 images)"),
        ({"images": 50, "split": "as given"}, "the whole reference (50 images)"),
        (
            {"images": 50, "split": "statistics", "part": "half a"},
            "half a of the reference (50 images)",
        ),
    ):
        told = describe({"fake": {"images": 9}, "reference": reference})
        assert told == [f"9 fakes against {words}"]
    told = describe({"fake": {"images": 9}, "reference": {"images": 50, "channels": 3}})
    assert told[1:] == ["reference channels 3"]


def test_of_an_extractor_only_what_is_unusual():
    domain = {
        "name": "domain", "weights": "c" * 64, "classes": 10, "channels": 3, "size": [32, 32],
        "resizer": "none", "scale": "2 x / 255 - 1", "type": "float32", "data": "d" * 64,
        "epochs": 10.0, "width": 32, "seed": 0, "flip": False, "held_out": {"images": 90},
        "held_out_top1": 0.5, "held_out_top5": 0.9,
    }  # fmt: skip
    usual = "domain extractor (weights cccccccc, 50.0% right on 90 held-out images, float32"
    assert describe({"extractor": domain})[1] == f"{usual})"
    odd = {**domain, "scale": "x / 9", "channels": "red only", "crop": [8, 8], "tall": [1.5, 2]}
    told = describe({"extractor": odd})[1]
    assert told == f"{usual}, channels red only, scale x / 9, crop 8 x 8, tall 1.5, 2)"
    unknown = {key: held for key, held in domain.items() if key != "weights"}
    assert "size 32 x 32" in describe({"extractor": unknown})[1]


def test_the_accuracy_of_the_classifier_is_said_once():
    judge = {"name": "domain", "weights": "c" * 64, "held_out_top1": 0.8}
    settings = {"judge": judge, "images": 5, "judge_held_out_top1": 0.8, "judge_held_out_top5": 1.0}
    assert describe_settings(settings) == "classifier 80.0% right on held-out images, images 5"
    del settings["judge"]
    assert "classifier held out top1 0.8" in describe_settings(settings)


def test_describing_changes_nothing():
    held = copy.deepcopy(PAPER)
    describe(held)
    assert held == PAPER
