from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from reacgan.config import ConfigError, check_options
from reacgan.metrics.base import Comparison, FeatureSet
from reacgan.metrics.kid import Kid, draw_subsets, kernel_distance, kid_subsets


def cloud(count, seed, width=4, shift=0.0):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed)) + shift


def compare(real, fake):
    return Comparison(FeatureSet(fake), FeatureSet(real))


def oracle(real, fake):
    """The definition, one pair at a time."""

    def kernel(x, y):
        return (sum(a * b for a, b in zip(x, y, strict=True)) / len(x) + 1) ** 3

    def within(rows):
        pairs = [kernel(x, y) for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j]
        return math.fsum(pairs) / len(pairs)

    real, fake = real.double().tolist(), fake.double().tolist()
    mixed = math.fsum(kernel(x, y) for x in real for y in fake) / (len(real) * len(fake))
    return within(real) + within(fake) - 2 * mixed


def test_golden_value():
    """One dimension: kernels by hand, 8 of (1, 1), 1 of (0, .), 27 of (2, 1)."""
    real, fake = torch.tensor([[0.0], [1]]), torch.tensor([[1.0], [2]])
    # within real 1, within fake 27, mixed (1 + 1 + 8 + 27) / 4
    assert kernel_distance(real, fake) == pytest.approx(1 + 27 - 2 * 37 / 4, rel=1e-12)


@pytest.mark.parametrize("rows", [1, 5, 12, 2048])
@pytest.mark.parametrize(("many", "few"), [(12, 17), (2, 9), (13, 13)])
def test_against_the_slow_loop(many, few, rows):
    real, fake = cloud(many, 0), cloud(few, 1, shift=0.5)
    expected = oracle(real, fake)
    assert kernel_distance(real, fake, rows=rows) == pytest.approx(expected, rel=1e-10)
    whole = [(torch.arange(many), torch.arange(few))]
    assert kid_subsets(real, fake, whole) == pytest.approx([expected], rel=1e-10)


def test_subsets_are_those_asked_for():
    real, fake = cloud(9, 0), cloud(8, 1)
    indices = [(torch.tensor([0, 3, 8]), torch.tensor([7, 1])), (torch.arange(2), torch.arange(3))]
    expected = [oracle(real[first], fake[second]) for first, second in indices]
    assert kid_subsets(real, fake, iter(indices)) == pytest.approx(expected, rel=1e-10)


def test_no_bias_between_equal_distributions():
    held = [kernel_distance(cloud(20, 2 * k), cloud(30, 2 * k + 1)) for k in range(300)]
    assert abs(np.mean(held)) < 3 * np.std(held) / 300**0.5
    assert min(held) < 0


def test_expectation_of_a_shift():
    """One dimension, N(0, 1) and N(m, 1): of the cubic kernel 3 m^2 + 3 (V - 1)^2 + (T - 0)^2 remain.

    (x y + 1)^3 = x^3 y^3 + 3 x^2 y^2 + 3 x y + 1, so MMD^2 is the sum of 1, 3, 3 times the squared
    differences of third, second and first moments: m^3 + 3 m, m^2, m.
    """
    m = 0.5
    expected = (m**3 + 3 * m) ** 2 + 3 * m**4 + 3 * m**2
    held = [
        kernel_distance(cloud(100, 2 * k, 1), cloud(100, 2 * k + 1, 1, shift=m)) for k in range(300)
    ]
    assert np.mean(held) == pytest.approx(expected, abs=3 * np.std(held) / 300**0.5)


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 9), st.integers(2, 9), st.integers(0, 99), st.floats(-5, 5))
def test_laws(many, few, seed, shift):
    """Symmetric, and the same in any order of images or features."""
    real, fake = cloud(many, seed), cloud(few, seed + 100, shift=shift)
    held = kernel_distance(real, fake)
    near = pytest.approx(held, rel=1e-9, abs=1e-9)
    assert kernel_distance(fake, real) == near
    assert kernel_distance(real.flip(0), fake.flip(0)) == near
    assert kernel_distance(real.flip(1), fake.flip(1)) == near


def test_draws_are_numpys():
    held = list(draw_subsets(30, 20, subsets=2, size=5, seed=2020))
    random = np.random.RandomState(2020)
    for first, second in held:
        assert first.tolist() == random.choice(30, 5, replace=False).tolist()
        assert second.tolist() == random.choice(20, 5, replace=False).tolist()


def test_value_interval_and_settings():
    real, fake = cloud(200, 0), cloud(300, 1, shift=0.3)
    (value,) = Kid(subsets=50, subset_size=20, canonical=False).measure(compare(real, fake))
    indices = [
        (second, first) for first, second in draw_subsets(300, 200, subsets=50, size=20, seed=2020)
    ]
    held = kid_subsets(real, fake, indices)
    assert (value.name, value.better) == ("kid", "lower")
    assert value.value == pytest.approx(np.mean(held), rel=1e-12)
    assert value.details["std"] == pytest.approx(np.std(held), rel=1e-12)
    half = student.ppf(0.975, 49) * np.std(held) * (1 / 50 + 20 / 180) ** 0.5
    assert (value.high - value.low) / 2 == pytest.approx(half, rel=1e-6)
    assert (value.high + value.low) / 2 == pytest.approx(value.value)
    assert value.settings["subset_size"] == 20
    assert value.settings["canonical"] is False


def test_interval_holds_the_truth():
    """Over new images of both sides; the truth is that of the moments (see the shift above)."""
    m = 0.5
    expected = (m**3 + 3 * m) ** 2 + 3 * m**4 + 3 * m**2
    metric = Kid(subsets=50, subset_size=40)
    held = [
        metric.measure(compare(cloud(200, 2 * k, 1), cloud(200, 2 * k + 1, 1, shift=m)))[0]
        for k in range(60)
    ]
    assert sum(value.low < expected < value.high for value in held) >= 51


def test_order_of_images():
    real, fake = cloud(80, 0), cloud(90, 1)
    turned = compare(real.flip(0), fake.flip(0))
    for metric in (Kid(subsets=5, subset_size=20), Kid(exact=True)):
        (held,), (again,) = metric.measure(compare(real, fake)), metric.measure(turned)
        assert again.value == pytest.approx(held.value, rel=1e-10)
    plain = Kid(subsets=5, subset_size=20, canonical=False)
    assert plain.measure(compare(real, fake))[0].value != plain.measure(turned)[0].value


def test_a_subset_is_a_thousand_images_or_half_a_side():
    (value,) = Kid(subsets=2).measure(compare(cloud(40, 0), cloud(31, 1)))
    assert value.settings["subset_size"] == 15
    (value,) = Kid(subsets=2).measure(compare(cloud(2100, 0), cloud(2050, 1)))
    assert value.settings["subset_size"] == 1000


def test_exact():
    real, fake = cloud(40, 0), cloud(30, 1, shift=0.5)
    (value,) = Kid(exact=True).measure(compare(real, fake))
    assert value.value == pytest.approx(oracle(real, fake), rel=1e-10)
    assert (value.low, value.settings) == (None, {"exact": True})


def test_subsets_of_all_images_have_no_interval():
    real, fake = cloud(40, 0), cloud(30, 1)
    (value,) = Kid(subsets=3, subset_size=30).measure(compare(real, fake))
    assert (value.low, value.high) == (None, None)
    assert value.notes == ("every subset holds all 30 images of a side: no interval",)
    assert "interval" not in value.settings
    (value,) = Kid(subsets=10, subset_size=29).measure(compare(real, fake))
    assert value.low < value.value < value.high
    assert value.notes == ()


def test_few_subsets_have_no_interval():
    real, fake = cloud(40, 0), cloud(30, 1)
    (value,) = Kid(subsets=9).measure(compare(real, fake))
    assert (value.low, value.high) == (None, None)
    assert value.notes == ("9 subsets: no interval; it needs 10 or more",)
    assert "interval" not in value.settings
    (value,) = Kid(subsets=10).measure(compare(real, fake))
    half = student.ppf(0.975, 9) * value.details["std"] * (1 / 10 + 1) ** 0.5
    assert (value.high - value.low) / 2 == pytest.approx(half, rel=2e-5)


def test_what_cannot_be_measured_is_refused():
    real, fake = cloud(40, 0), cloud(30, 1)
    with pytest.raises(ConfigError, match="subset_size is 40 and a side holds 30 images; .* 15"):
        Kid(subset_size=40).measure(compare(real, fake))
    with pytest.raises(ConfigError, match="a side holds 3 images, too few .* from 2 to 3"):
        Kid().measure(compare(real, fake[:3]))
    for options in ({}, {"subset_size": 2}, {"exact": True}):
        with pytest.raises(ConfigError, match="1 generated and 40 real images; needed: 2 or more"):
            Kid(**options).measure(compare(real, fake[:1]))
    with pytest.raises(ConfigError, match="real has width 4, fake 3"):
        kernel_distance(real, fake[:, :3])
    with pytest.raises(ConfigError, match="fake features hold NaN"):
        Kid(exact=True).measure(compare(real, fake / 0))
    with pytest.raises(ConfigError, match=r"real features are \[1, 4\]"):
        kid_subsets(real[:1], fake, [])
    with pytest.raises(ConfigError, match="m.subset_size"):
        check_options(Kid, {"subset_size": 1}, where="m")
