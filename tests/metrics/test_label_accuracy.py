"""Label accuracy by the definition and at its edges."""

from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reacgan.config import ConfigError
from reacgan.metrics.base import Classification, Comparison, FeatureSet
from reacgan.metrics.label_accuracy import LabelAccuracy, in_top

NAMES = tuple("abcdefgh")


def compare(logits, labels, names=None, accuracy=0.9, top5=0.99):
    fake = FeatureSet(
        torch.zeros(len(labels), 2),
        labels=torch.as_tensor(labels),
        class_names=NAMES[: logits.shape[-1]] if names is None else names,
    )
    classification = Classification(logits, accuracy, top5, {"width": 8})
    return Comparison(fake=fake, real=FeatureSet(None), classification=classification)


def values(*arguments, **keywords):
    held = LabelAccuracy().measure(compare(*arguments, **keywords))
    return {value.name: value for value in held}


def drawn(count, classes, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, classes, generator=generator)
    return logits, torch.randint(0, classes, (count,), generator=generator)


@given(seed=st.integers(0, 10**6), k=st.integers(1, 8))
@settings(max_examples=30)
def test_in_top_against_sorting(seed, k):
    logits, labels = drawn(25, 8, seed)
    expected = [
        label in sorted(range(8), key=lambda one: -row[one])[:k]
        for row, label in zip(logits.tolist(), labels.tolist(), strict=True)
    ]
    assert in_top(logits, labels, k).tolist() == expected


def test_equal_scores_name_no_class():
    assert not in_top(torch.zeros(2, 6), torch.tensor([0, 5]), 5).any()
    assert in_top(torch.zeros(2, 5), torch.tensor([0, 4]), 5).all()


def test_a_small_case_by_hand():
    logits = torch.tensor([[3.0, 2, 1], [3, 2, 1], [1, 3, 2], [1, 3, 2], [1, 3, 2], [1, 2, 3]])
    held = values(logits, [0, 1, 1, 0, 0, 2])
    assert list(held) == ["top1"]  # three classes: the five highest are all
    top = held["top1"]
    assert (top.value, top.better) == (0.5, "higher")
    assert top.details["classes"] == {"a": pytest.approx(1 / 3), "b": 0.5, "c": 1}
    assert top.details["mistaken"] == [
        {"class": "a", "accuracy": 1 / 3, "taken_for": "b", "share": 2 / 3},
        {"class": "b", "accuracy": 0.5, "taken_for": "a", "share": 0.5},
    ]


def test_five_of_eight():
    logits = torch.arange(8.0).flip(0).repeat(8, 1)  # class a highest, h lowest
    held = values(logits, list(range(8)))
    assert held["top1"].value == 1 / 8
    assert held["top5"].value == 5 / 8
    assert held["top5"].details["classes"] == dict(zip(NAMES, [1] * 5 + [0] * 3, strict=True))


def test_five_of_five_say_nothing():
    assert list(values(*drawn(30, 5, 0))) == ["top1"]
    assert list(values(*drawn(30, 6, 0))) == ["top1", "top5"]


def test_labels_moved_by_one_are_all_wrong():
    labels = torch.arange(40) % 8
    logits = torch.eye(8)[labels]
    assert values(logits, labels)["top1"].value == 1
    assert values(logits, labels)["top1"].details["mistaken"] == []
    wrong = values(logits, (labels + 1) % 8)["top1"]
    assert wrong.value == 0
    assert {one["class"]: one["taken_for"] for one in wrong.details["mistaken"]}["c"] == "b"


def test_classes_without_a_fake_are_left_out():
    logits, labels = drawn(30, 8, 0)
    labels = labels % 3
    held = values(logits, labels)["top1"]
    assert list(held.details["classes"]) == ["a", "b", "c"]
    assert {one["class"] for one in held.details["mistaken"]} <= {"a", "b", "c"}


def test_the_order_of_images_has_no_part():
    logits, labels = drawn(60, 8, 1)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(2))
    assert values(logits, labels) == values(logits[order], labels[order])


def test_settings_hold_the_accuracy_of_the_classifier_itself():
    logits, labels = drawn(30, 8, 0)
    for value in values(logits, labels, accuracy=0.75).values():
        assert value.settings["judge_held_out_top1"] == 0.75
        assert value.settings["judge_held_out_top5"] == 0.99
        assert value.settings["judge"] == {"width": 8}
        assert value.settings["images"] == 30
        assert value.notes == ()
    for value in values(logits, labels, accuracy=0.499).values():
        assert "the classifier itself is right on 49.9%" in value.notes[0]


def test_a_classifier_without_held_out_images():
    """No image could be held out: the accuracy is NaN, which no record can hold."""
    logits, labels = drawn(30, 8, 0)
    for value in values(logits, labels, accuracy=math.nan, top5=math.nan).values():
        assert value.settings["judge_held_out_top1"] is None
        assert value.settings["judge_held_out_top5"] is None
        json.dumps(dict(value.settings), allow_nan=False)
        assert value.notes == (
            "no real image was held out, so the classifier's own accuracy is unknown",
        )


@pytest.mark.parametrize(
    ("logits", "labels", "names", "message"),
    [
        (torch.zeros(3, 4), [0, 1], None, r"\[3, 4\], the labels \[2\]"),
        (torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), None, "N at least 1"),
        (torch.zeros(2, 4), [0, 1], tuple("abc"), "the fakes have 3 classes, the classifier 4"),
        (torch.zeros(2, 4), [0, 4], None, "reach from 0 to 4; allowed: 0 to 3"),
        (torch.zeros(2, 4), [-1, 3], None, "reach from -1 to 3"),
        (torch.zeros(2, 4) / 0, [0, 1], None, "NaN or infinity"),
    ],
)
def test_what_is_refused(logits, labels, names, message):
    with pytest.raises(ConfigError, match=message):
        values(logits, labels, names)


def test_without_classifier_or_labels():
    whole = compare(*drawn(3, 4, 0))
    for partial in (
        Comparison(fake=whole.fake, real=whole.real),
        Comparison(fake=FeatureSet(None), real=whole.real, classification=whole.classification),
    ):
        with pytest.raises(ConfigError, match="labelled fakes and a classifier"):
            LabelAccuracy().measure(partial)
