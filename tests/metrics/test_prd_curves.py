"""Precision and recall of distributions: the curve, its clusters, and the two weighted values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reacgan.config import ConfigError, check_options
from reacgan.metrics.base import Comparison, FeatureSet
from reacgan.metrics.kmeans import kmeans
from reacgan.metrics.moments import Moments
from reacgan.metrics.order import balanced_order, scattered_order
from reacgan.metrics.prd import Prd, max_f_beta, prd_curve


def shares(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def f_values(real, fake, angles=1001):
    curve = prd_curve(real, fake, angles=angles)
    return max_f_beta(*curve, 1 / 8), max_f_beta(*curve, 8)


def modes(places, count, seed, dimension=3):
    """Clouds of ``count`` points each, 100 apart."""
    generator = torch.Generator().manual_seed(seed)
    centres = 100 * torch.eye(max(places) + 1, max(dimension, max(places) + 1))
    return torch.cat(
        [centres[one] + torch.randn(count, centres.shape[1], generator=generator) for one in places]
    )


def measure(real, fake, **options):
    metric = Prd(**{"clusters": 6, "runs": 3, **options})
    return metric.measure(Comparison(fake=FeatureSet(fake), real=FeatureSet(real)))


def test_equal_histograms():
    precision, recall = prd_curve(shares(0.2, 0.5, 0.3), shares(0.2, 0.5, 0.3))
    assert precision.max() == recall.max() == 1
    assert f_values(shares(0.2, 0.8), shares(0.2, 0.8)) == pytest.approx((1, 1), abs=1e-12)


def test_histograms_without_overlap():
    assert f_values(shares(1, 0), shares(0, 1)) == (0, 0)


def test_half_of_the_modes():
    """p = (1/2, 1/2), q = (1, 0): at lambda = 2 precision is 1 and recall 1/2, the best of both."""
    dropped = f_values(shares(0.5, 0.5), shares(1, 0))
    assert dropped[0] == pytest.approx((1 + 1 / 64) * 0.5 / (1 / 64 + 0.5), rel=1e-3)
    assert dropped[1] == pytest.approx(65 * 0.5 / (64 + 0.5), rel=1e-3)
    invented = f_values(shares(1, 0), shares(0.5, 0.5))
    assert invented == pytest.approx(dropped[::-1], rel=1e-3)


def curve_oracle(real, fake, angles):
    precision, recall = [], []
    for step in range(1, angles + 1):
        slope = math.tan(step / (angles + 1) * math.pi / 2)
        pairs = list(zip(real, fake, strict=True))
        precision.append(sum(min(slope * p, q) for p, q in pairs))
        recall.append(sum(min(p, q / slope) for p, q in pairs))
    return precision, recall


def f_oracle(precision, recall, beta):
    best = 0.0
    for one, two in zip(precision, recall, strict=True):
        if one + two > 0:
            best = max(best, (1 + beta**2) * one * two / (beta**2 * one + two))
    return best


@settings(max_examples=30)
@given(
    real=st.lists(st.integers(0, 9), min_size=4, max_size=4).filter(any),
    fake=st.lists(st.integers(0, 9), min_size=4, max_size=4).filter(any),
    angles=st.sampled_from([3, 20, 41]),
)
def test_against_the_slow_loop(real, fake, angles):
    real, fake = [one / sum(real) for one in real], [one / sum(fake) for one in fake]
    held = prd_curve(shares(*real), shares(*fake), angles=angles)
    expected = curve_oracle(real, fake, angles)
    for one, other in zip(held, expected, strict=True):
        assert one.tolist() == pytest.approx(other, abs=1e-12)
    for beta in (1 / 8, 1, 8):
        assert max_f_beta(*held, beta) == pytest.approx(f_oracle(*expected, beta), abs=1e-12)
    swapped = prd_curve(shares(*fake), shares(*real), angles=angles)
    assert swapped[0].flip(0).tolist() == pytest.approx(held[1].tolist(), abs=1e-9)


def test_identical_features():
    real = modes([0, 1, 2], 40, 0)
    for value in measure(real, real.clone()):
        assert value.value == pytest.approx(1, abs=1e-12)


def test_features_without_overlap():
    assert [value.value for value in measure(modes([0, 1], 40, 0, 4), modes([2, 3], 40, 1))] == [
        0,
        0,
    ]


def test_dropped_modes_cost_recall_and_invented_ones_precision():
    four, two = modes([0, 1, 2, 3], 30, 0), modes([0, 1], 60, 1, dimension=4)
    dropped = {value.name: value.value for value in measure(four, two, clusters=4)}
    assert dropped["f_1_8"] > 0.9
    assert dropped["f_8"] == pytest.approx(0.5, abs=0.1)
    invented = {value.name: value.value for value in measure(two, four, clusters=4)}
    assert invented["f_8"] > 0.9
    assert invented["f_1_8"] == pytest.approx(0.5, abs=0.1)


def overlapping():
    """Nothing that clusters of itself, so that assignments are many and close."""
    generator = torch.Generator().manual_seed(5)
    real = torch.randn(150, 4, generator=generator)
    return real, torch.cat([real[:20] + 0.1, 0.7 * torch.randn(80, 4, generator=generator)])


def test_the_order_of_images_has_no_part():
    real, fake = overlapping()
    fake = torch.cat([fake, fake[:30], real[:10]])  # copies, and features of both sides
    first = measure(real, fake)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        again = measure(
            real[torch.randperm(len(real), generator=generator)],
            fake[torch.randperm(len(fake), generator=generator)],
        )
        assert again == first


def test_seeds_and_runs():
    real, fake = overlapping()
    one = measure(real, fake, runs=2)
    assert one == measure(real, fake, runs=2)
    assert one[0].value != measure(real, fake, runs=2, seed=1)[0].value
    (held, _), more = measure(real, fake, runs=1), measure(real, fake, runs=2)[0]
    assert held.details["runs"] == [pytest.approx(held.value, abs=1e-12)]
    assert held.details["runs"][0] == more.details["runs"][0]
    assert more.details["runs"][0] != more.details["runs"][1]


def test_curves_are_averaged_not_values():
    """The highest F of the mean curve is at most the mean of the highest ones of the runs."""
    real, fake = overlapping()
    for value in measure(real[:100], fake, runs=5):
        assert value.value < np.mean(value.details["runs"])
        assert value.value > min(value.details["runs"]) - 0.05


def test_equally_many_of_both_sides():
    real, fake = overlapping()
    value, _ = measure(real, fake)
    assert value.settings["images"] == 100
    assert "100 of 150 real and 100 of 100 fake" in value.notes[0]
    value, _ = measure(real, fake, images=50)
    assert value.settings["images"] == 50
    value, _ = measure(real[:100], fake)
    assert value.notes == ()


def test_what_the_values_say():
    precise, recalled = measure(*overlapping())
    assert (precise.name, recalled.name) == ("f_1_8", "f_8")
    assert precise.better == recalled.better == "higher"
    assert precise.settings == {
        "clusters": 6,
        "runs": 3,
        "angles": 1001,
        "seed": 0,
        "images": 100,
    }
    curve = recalled.details["curve"]
    assert len(curve) == 101
    slopes = [point["lambda"] for point in curve]
    assert slopes == sorted(slopes)
    assert slopes[50] == pytest.approx(1)
    for point in curve:
        assert point["precision"] == pytest.approx(point["lambda"] * point["recall"], rel=1e-9)


def test_sides_change_places():
    """The clusters do not know which side a feature is of."""
    real, fake = overlapping()
    precise, recalled = measure(real[:100], fake)
    other_precise, other_recalled = measure(fake, real[:100])
    assert other_recalled.value == pytest.approx(precise.value, abs=1e-12)
    assert other_precise.value == pytest.approx(recalled.value, abs=1e-12)


@pytest.mark.parametrize("scale", [1e-30, 1e25])
def test_features_of_any_size(scale):
    four, two = modes([0, 1, 2, 3], 30, 0), modes([0, 1], 60, 1, dimension=4)
    precise, recalled = measure(scale * four, scale * two, clusters=4)
    assert precise.value > 0.9
    assert recalled.value == pytest.approx(0.5, abs=0.1)


def test_one_and_the_same_image_on_both_sides():
    same = torch.full((30, 4), 1e25)
    assert [value.value for value in measure(same, same)] == pytest.approx([1, 1], abs=1e-12)


@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        (torch.zeros(5, 2), torch.zeros(9, 2), "5 real and fake features each in 6 clusters"),
        (torch.zeros(9, 2), torch.zeros(9, 3), r"needed: \[N, D\] and \[M, D\]"),
        (torch.zeros(9, 2), torch.zeros(9, 2) / 0, "not finite"),
    ],
)
def test_what_is_refused(real, fake, message):
    with pytest.raises(ConfigError, match=message):
        measure(real, fake)


def test_what_is_refused_of_options_and_statistics():
    for option, low in (("clusters", 1), ("runs", 0), ("angles", 2), ("images", 0)):
        with pytest.raises(ConfigError, match=option):
            check_options(Prd, {option: low}, where="metric")
    only = FeatureSet(None, known_moments=Moments.of(torch.randn(9, 2)))
    with pytest.raises(ConfigError, match="file of statistics"):
        Prd().measure(Comparison(fake=FeatureSet(torch.zeros(30, 2)), real=only))


@pytest.mark.parametrize("seed", range(5))
def test_clusters_far_apart_are_found(seed):
    points = modes([0, 1, 2, 3], 25, 1)
    held = kmeans(points - points.mean(0), 4, seed=seed).reshape(4, 25)
    assert (held == held[:, :1]).all()
    assert len(set(held[:, 0].tolist())) == 4


def test_each_point_belongs_to_the_nearest_mean():
    """A fixed point of Lloyd's two steps, looked at by loops."""
    points, _ = overlapping()
    held = kmeans(points, 6, seed=3).tolist()
    rows = points.double().tolist()
    means = {
        one: np.mean([row for row, of in zip(rows, held, strict=True) if of == one], axis=0)
        for one in set(held)
    }
    for row, of in zip(rows, held, strict=True):
        apart = {one: np.square(np.array(row) - mean).sum() for one, mean in means.items()}
        assert apart[of] <= min(apart.values()) + 1e-5


def test_fewer_distinct_points_than_clusters():
    points = torch.tensor([[0.0, 1], [5, 2]]).repeat(10, 1)
    held = kmeans(points, 5, seed=0)
    assert (held[::2] == held[0]).all()
    assert (held[1::2] == held[1]).all()
    assert held[0] != held[1]


@given(seed=st.integers(0, 10**6))
@settings(max_examples=30)
def test_thinning_looks_at_contents(seed):
    draw = np.random.default_rng(seed)
    rows = draw.integers(0, 3, (20, 2), dtype=np.uint8)  # with copies
    labels = draw.integers(0, 3, 20)
    order = draw.permutation(20)
    one, other = scattered_order(rows), scattered_order(rows[order])
    assert sorted(one) == list(range(20))
    assert np.array_equal(rows[one], rows[order][other])
    one, other = balanced_order(rows, labels), balanced_order(rows[order], labels[order])
    assert sorted(one) == list(range(20))
    assert np.array_equal(rows[one], rows[order][other])
    assert np.array_equal(labels[one], labels[order][other])


def test_thinning_keeps_the_proportions_of_classes_and_of_copies():
    rows = np.arange(90, dtype=np.int64)[:, None]
    labels = np.repeat([0, 1, 2], [60, 20, 10])
    kept = labels[balanced_order(rows, labels)[:45]]
    assert np.bincount(kept).tolist() == [30, 10, 5]
    copies = np.repeat(np.arange(10, dtype=np.int64), 100)[:, None]
    found = np.bincount(copies[scattered_order(copies)[:500], 0], minlength=10)
    assert found.min() > 30
