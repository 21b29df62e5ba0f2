"""Inception Score: closed forms, the formula by loops, and the order of images."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reacgan.config import ConfigError, check_options
from reacgan.metrics.base import Comparison, FeatureSet
from reacgan.metrics.inception_score import InceptionScore, inception_score


def scores(count, classes, seed=0, scale=3.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(count, classes, generator=generator)


def comparison(logits):
    fake = FeatureSet(torch.zeros(len(logits), 2), logits=logits)
    return Comparison(fake=fake, real=FeatureSet(None))


def oracle(logits):
    """exp of the mean Kullback-Leibler divergence, one number at a time."""
    shares = []
    for row in logits.double().tolist():
        powers = [math.exp(one - max(row)) for one in row]
        shares.append([one / sum(powers) for one in powers])
    marginal = [sum(column) / len(shares) for column in zip(*shares, strict=True)]
    apart = [
        sum(p * (math.log(p) - math.log(m)) for p, m in zip(row, marginal, strict=True) if p > 0)
        for row in shares
    ]
    return math.exp(sum(apart) / len(apart))


@pytest.mark.parametrize(("count", "classes"), [(1, 3), (7, 1), (31, 10), (5000, 12)])
def test_against_the_slow_loop(count, classes):
    logits = scores(count, classes)
    assert inception_score(logits) == pytest.approx(oracle(logits), rel=1e-12)


def test_a_classifier_that_sees_no_difference():
    assert inception_score(torch.zeros(20, 10)) == pytest.approx(1, abs=1e-14)
    assert inception_score(scores(1, 10).repeat(20, 1)) == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize("classes", [2, 10, 1008])
def test_certain_and_even_over_all_classes(classes):
    logits = 1e4 * torch.eye(classes).repeat(3, 1)
    assert inception_score(logits) == pytest.approx(classes, rel=1e-12)


def test_half_of_the_classes_in_uneven_shares():
    """Certain predictions: the exponential of the entropy of the shares 3/4 and 1/4."""
    logits = 1e4 * torch.eye(5)[[0, 0, 0, 3]]
    expected = math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    assert inception_score(logits) == pytest.approx(expected, rel=1e-12)


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 40), classes=st.integers(1, 9))
def test_bounds_order_and_offset(seed, count, classes):
    logits = scores(count, classes, seed)
    held = inception_score(logits)
    assert 1 - 1e-12 <= held <= min(classes, count) * (1 + 1e-12)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(count, generator=generator)
    assert inception_score(logits[order]) == pytest.approx(held, rel=1e-12)
    shifted = logits.double() + torch.randn(count, 1, generator=generator)
    assert inception_score(shifted) == pytest.approx(held, rel=1e-12)


def test_scores_of_any_size_are_safe():
    logits = torch.tensor([[3e38, -3e38, 0], [-3e38, 3e38, 0]])
    assert inception_score(logits) == pytest.approx(2, rel=1e-12)


def test_the_value():
    logits = scores(50, 10)
    (value,) = InceptionScore().measure(comparison(logits))
    assert (value.name, value.better) == ("is", "higher")
    assert value.value == inception_score(logits)
    assert value.low is None
    assert value.settings == {"splits": 1, "images": 50, "classes": 10}
    for classes in (10, 1000, 1007, 1009):  # a network of 1000 classes is another one, too
        (value,) = InceptionScore().measure(comparison(scores(20, classes)))
        assert f"in the {classes} classes" in value.notes[0]
        assert "not comparable with scores in the 1008" in value.notes[0]
    (value,) = InceptionScore().measure(comparison(scores(50, 1008)))
    assert value.notes == ()


def test_splits_are_those_of_the_published_program():
    """Runs [i N / s, (i + 1) N / s) of RandomState(2020).permutation(N)."""
    logits = scores(23, 4)
    order = np.random.RandomState(2020).permutation(23)
    parts = [order[0:7], order[7:15], order[15:23]]
    expected = [oracle(logits[torch.from_numpy(part)]) for part in parts]
    (value,) = InceptionScore(splits=3).measure(comparison(logits))
    assert value.details["splits"] == pytest.approx(expected, rel=1e-12)
    assert value.value == pytest.approx(np.mean(expected), rel=1e-12)
    spread = np.std(expected)
    assert value.details["standard_deviation"] == pytest.approx(spread, rel=1e-9)
    assert value.low == pytest.approx(value.value - spread, rel=1e-12)
    assert value.high == pytest.approx(value.value + spread, rel=1e-12)
    assert "order" in value.settings["shuffle"]


def test_what_is_refused():
    with pytest.raises(ConfigError, match="choose an extractor that is a classifier"):
        InceptionScore().measure(
            Comparison(fake=FeatureSet(torch.zeros(3, 2)), real=FeatureSet(None))
        )
    with pytest.raises(ConfigError, match="3 fakes in 4 splits"):
        InceptionScore(splits=4).measure(comparison(scores(3, 2)))
    with pytest.raises(ConfigError, match=r"logits are \[5\]"):
        inception_score(torch.zeros(5))
    with pytest.raises(ConfigError, match="NaN or infinity"):
        inception_score(scores(5, 2) / 0)
    with pytest.raises(ConfigError, match="splits"):
        check_options(InceptionScore, {"splits": 0}, where="metric")
