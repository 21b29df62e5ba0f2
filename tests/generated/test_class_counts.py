"""Who gets how many images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reacgan.config import ConfigError
from reacgan.data import find_dataset, open_dataset
from reacgan.data.order import apportion
from reacgan.generated import class_counts, sequence


def counts(model, **options):
    return class_counts(model, **options).tolist()


def test_numbers(digits):
    assert counts(digits, num=4) == [4] * 10
    assert counts(digits) == [100] * 10
    assert counts(digits, total=23) == [3, 3, 3, 2, 2, 2, 2, 2, 2, 2]
    assert counts(digits, num=4, classes="9,2,9") == [0, 0, 4, 0, 0, 0, 0, 0, 0, 4]


def test_shares(digits):
    wanted = [0, 0, 0, 75, 0, 0, 0, 25, 0, 0]
    assert counts(digits, total=100, distribution="3=3, 7=1") == wanted
    assert counts(digits, num=50, distribution={"3": 0.75, "7": 0.25}) == wanted
    named = replace(digits, class_names=("a=b", *"123456789"))
    assert counts(named, total=4, distribution="a=b=3,1=1") == [3, 1] + [0] * 8


def test_as_in_training(digits, tmp_path):
    known = open_dataset(digits.experiment.data).counts
    total = int(known.sum())
    assert counts(digits, total=total, distribution="training") == known.tolist()
    fewer = class_counts(digits, total=100, distribution="training", classes="0,1")
    assert fewer.sum() == 100 and fewer[2:].sum() == 0
    gone = find_dataset(str(tmp_path / "gone")).model_copy(update={"resolution": 8, "channels": 1})
    away = replace(digits, experiment=digits.experiment.replace(data=gone.model_dump()))
    with pytest.raises(
        ConfigError, match=r"training images, .*gone.*are not here.*such as 0=3,9=1"
    ):
        class_counts(away, total=100, distribution="training")


def test_apportion():
    assert apportion(10, [1, 1, 1]).tolist() == [4, 3, 3]
    assert apportion(3, [0.5, 0, 8.5]).tolist() == [0, 0, 3]
    assert apportion(5, [0, 0]).tolist() == [0, 0]


def test_sequence():
    plain = sequence([2, 0, 3], seed=7)
    assert plain.labels.tolist() == [0, 0, 2, 2, 2] and plain.seeds.tolist() == [7, 8, 7, 8, 9]
    mixed = sequence([50, 0, 30], seed=7, order="shuffled")
    again = sequence([50, 0, 30], seed=7, order="shuffled")
    other = sequence([50, 0, 30], seed=8, order="shuffled")
    assert np.array_equal(mixed.labels, again.labels) and np.array_equal(mixed.seeds, again.seeds)
    assert not np.array_equal(mixed.labels, other.labels)
    pairs = set(zip(mixed.labels.tolist(), mixed.seeds.tolist(), strict=True))
    assert len(pairs) == 80 and {seed for label, seed in pairs if label == 2} == set(range(7, 37))
