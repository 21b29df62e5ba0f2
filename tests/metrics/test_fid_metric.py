from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import t as student

from reacgan.config import ConfigError, check_options
from reacgan.metrics.base import Comparison, FeatureSet
from reacgan.metrics.fid import Fid, FidInfinity, IntraFid, class_distances
from reacgan.metrics.fid_pieces import Pieces, bend, extrapolate
from reacgan.metrics.frechet import frechet_distance
from reacgan.metrics.intervals import student95
from reacgan.metrics.moments import Moments
from reacgan.metrics.order import content_order


def cloud(count, seed, width=6, scale=1.0, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator) * scale + shift


def compare(real, fake, /, **sides):
    return Comparison(
        FeatureSet(fake, **sides.get("fake", {})), FeatureSet(real, **sides.get("real", {}))
    )


def shuffled(features, seed=9):
    return features[torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))]


def test_fid():
    real, fake = cloud(300, 0), cloud(200, 1, shift=1.0)
    (value,) = Fid().measure(compare(real, fake))
    assert (value.name, value.better, value.low, value.high) == ("fid", "lower", None, None)
    assert value.value == pytest.approx(frechet_distance(real, fake), rel=1e-12)
    assert value.notes == (
        "200 fakes: FID depends on the count, compare at equal counts only",
        "300 reference images: FID depends on the count, compare at equal counts only",
    )


def test_fid_says_where_it_is_biased():
    few, many = cloud(6, 0), cloud(10_000, 1)
    (value,) = Fid().measure(compare(many, few))
    assert value.notes == (
        "6 fakes for features of length 6: biased upwards, comparable at equal counts only",
    )
    moments = Moments.of(many)
    unknown = FeatureSet(None, known_moments=Moments(0, moments.mean, moments.covariance))
    (value,) = Fid().measure(Comparison(FeatureSet(many), unknown))
    assert value.notes == ("the file of statistics does not say how many images it was made of",)
    assert value.value == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("metric", [Fid(interval=True), FidInfinity(), IntraFid()])
def test_the_order_of_images_does_not_matter(metric):
    real, fake = cloud(400, 0), cloud(203, 1, shift=1.0)
    order = torch.randperm(203, generator=torch.Generator().manual_seed(3))
    labels, asked = torch.arange(400) % 3, torch.arange(203) % 3
    first = compare(real, fake, real={"labels": labels}, fake={"labels": asked})
    second = compare(
        real.flip(0), fake[order], real={"labels": labels.flip(0)}, fake={"labels": asked[order]}
    )
    (held,), (again,) = metric.measure(first), metric.measure(second)
    assert again.value == pytest.approx(held.value, rel=1e-10)
    if held.low is not None:
        assert (again.low, again.high) == pytest.approx((held.low, held.high), rel=1e-9)


def spread_of_the_generator(metric, runs, count, **fake):
    """What new fakes of one generator do to a value, and how often its interval holds the mean."""
    real = FeatureSet(
        None, known_moments=Moments(50_000, torch.zeros(8).double(), torch.eye(8).double())
    )
    held = [
        metric.measure(Comparison(FeatureSet(cloud(count, 100 + run, 8, **fake)), real))[0]
        for run in range(runs)
    ]
    values = np.array([value.value for value in held])
    return held, values


def test_interval_of_fid_is_as_wide_as_fakes_scatter():
    held, values = spread_of_the_generator(Fid(interval=True), 30, 400, shift=0.5)
    width = np.mean([(value.high - value.low) / (2 * student.ppf(0.975, 11)) for value in held])
    assert width == pytest.approx(values.std(ddof=1), rel=0.3)
    assert all(value.low < value.value < value.high for value in held)
    middles = [(value.low + value.high) / 2 for value in held]
    assert middles == pytest.approx(values.tolist(), rel=1e-12)


def test_infinity_has_no_bias_and_its_interval_holds_the_truth():
    """Fakes N(0.2, 1) in 8 dimensions against N(0, 1): 8 * 0.2^2."""
    held, values = spread_of_the_generator(FidInfinity(), 25, 300, shift=0.2)
    _, plain = spread_of_the_generator(Fid(), 25, 300, shift=0.2)
    error = values.std(ddof=1) / 5
    assert values.mean() == pytest.approx(0.32, abs=3 * error)
    assert plain.mean() > 0.32 + 3 * error
    assert sum(value.low < 0.32 < value.high for value in held) >= 22
    errors = [value.details["standard_error"] for value in held]
    for value, own in zip(held, errors, strict=True):
        ends = sorted([value.value, value.details["parabola"]])
        reach = student.ppf(0.975, 11) * own
        ends = (ends[0] - reach, ends[1] + reach)
        assert (value.low, value.high) == pytest.approx(ends, abs=1e-5)
    width = np.mean(errors)
    assert width == pytest.approx(values.std(ddof=1), rel=0.4)


@pytest.mark.parametrize(
    ("width", "count", "smallest", "runs", "enough"),
    [
        (8, 72, 36, 25, 22),
        (64, 520, 258, 20, 17),
        (64, 800, 264, 20, 17),
        (128, 1500, 750, 16, 14),
        (128, 2500, 624, 30, 27),
    ],
)
def test_infinity_where_pieces_are_small_against_the_dimension(
    width, count, smallest, runs, enough
):
    """Fakes N(0.3, 1.44) against N(0, 1); the truth is D (0.3^2 + 0.2^2)."""
    moments = Moments(10**6, torch.zeros(width).double(), torch.eye(width).double())
    real, truth = FeatureSet(None, known_moments=moments), width * (0.09 + 0.04)
    held = []
    for run in range(runs):
        fake = FeatureSet(cloud(count, run, width, scale=1.2, shift=0.3))
        held.append(FidInfinity().measure(Comparison(fake, real))[0])
    assert held[0].details["images"][0] == smallest
    assert held[0].notes == ()
    assert sum(value.low < truth < value.high for value in held) >= enough


def test_infinity_of_a_curve_that_is_known():
    """The curve by hand: FID of disjoint runs of the seeded order, and a line over 1 / N."""
    real, fake = cloud(500, 0), cloud(245, 1, shift=1.0)
    (value,) = FidInfinity(pieces=8, seed=5).measure(compare(real, fake))
    order = fake[content_order(fake, seed=5)][:240]
    counts = [30, 60, 120, 240]
    curve = [
        np.mean([frechet_distance(real, part) for part in order.split(count)]) for count in counts
    ]
    assert value.name == "fid_infinity"
    assert value.details["images"] == counts
    assert value.details["fid"] == pytest.approx(curve, rel=1e-9)
    lines = np.array([[1 / count, 1] for count in counts])
    slope, limit = np.linalg.lstsq(lines, np.array(curve), rcond=None)[0]
    assert value.value == pytest.approx(limit, rel=1e-9)
    assert slope > 0
    # The parabola through 1/x, 2/x, 4/x at 0, by Lagrange.
    bent = 8 / 3 * curve[3] - 2 * curve[2] + curve[1] / 3
    assert value.details["parabola"] == pytest.approx(bent, rel=1e-9)
    assert value.settings["pieces"] == 8
    assert value.settings["seed"] == 5


def test_sizes_of_few_times_the_dimension_take_no_part():
    real, fake = cloud(300, 0, 10), cloud(240, 1, 10)
    (value,) = FidInfinity().measure(compare(real, fake))
    assert value.details["images"] == [40, 60, 80, 120, 240]  # 20 = 2 * 10 does not
    (value,) = FidInfinity().measure(compare(real, fake[:84]))
    assert value.details["images"] == [42, 84]
    assert value.low < value.value < value.high
    assert value.notes == (
        "300 reference images: FID depends on the count, compare at equal counts only",
    )


def test_infinity_with_too_few_fakes_has_no_interval():
    """Small sets go by their features, and give what their moments give."""
    real, fake = cloud(300, 0, 40), cloud(64, 1, 40)
    (value,) = FidInfinity(pieces=8).measure(compare(real, fake))
    order = fake[content_order(fake)]
    parts = (order[:32], order[32:])
    half = np.mean([frechet_distance(real, Moments.of(part)) for part in parts])
    whole = frechet_distance(real, Moments.of(order))
    assert value.details == {"images": [32, 64], "fid": pytest.approx([half, whole], rel=1e-6)}
    assert value.value == pytest.approx(2 * whole - half, rel=1e-6)
    assert (value.low, value.high) == (None, None)
    assert value.settings == {"pieces": 8, "seed": 0}
    assert value.notes[-1] == (
        "64 fakes for features of length 40: FID is not linear in 1 / N there, so the value "
        "is rough and has no interval; score 320 fakes or more"
    )


def test_as_many_fakes_as_are_asked_for_are_enough():
    real, fake = cloud(300, 0, 10), cloud(84, 1, 10)
    (value,) = FidInfinity().measure(compare(real, fake[:83]))
    assert value.low is None
    assert "score 84 fakes or more" in value.notes[-1]
    assert FidInfinity().measure(compare(real, fake))[0].low is not None


def test_another_seed_cuts_other_pieces():
    real, fake = cloud(300, 0), cloud(200, 1, shift=1.0)
    first, second = (
        FidInfinity(seed=seed).measure(compare(real, fake))[0].value for seed in (0, 1)
    )
    assert first != second
    assert first == pytest.approx(second, rel=0.1)


def test_halves_are_of_half_of_the_pieces():
    real, fake = FeatureSet(cloud(300, 0)), cloud(80, 1, shift=1.0)
    pieces = Pieces.of(real, fake, count=4, seed=0)
    held = pieces.halves(6, seed=0)
    pairs = [(first, second) for first in range(4) for second in range(first)]
    allowed = [pieces.distance(pair) for pair in pairs]
    for half in held:
        assert min(abs(half - value) for value in allowed) < 1e-9
    assert len(set(held)) > 1


@pytest.mark.parametrize("freedom", [3, 7, 9, 11, 49, 1000])
def test_students_quantile(freedom):
    assert student95(freedom) == pytest.approx(student.ppf(0.975, freedom), rel=2e-3)
    if freedom >= 7:
        assert student95(freedom) == pytest.approx(student.ppf(0.975, freedom), rel=3e-5)


def test_extrapolation_of_an_exact_line():
    counts = [10, 20, 50, 100]
    assert extrapolate(counts, [3 + 7 / count for count in counts]) == pytest.approx(3, rel=1e-12)
    curved = [3 + 7 / count - 4 / count**2 for count in counts]
    assert bend(counts[1:], curved[1:]) == pytest.approx(3, rel=1e-12)


def labelled(counts, seed, width=6, **options):
    """Class k moved by k along each axis."""
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    return cloud(len(labels), seed, width, **options) + labels[:, None], labels


def test_intra_fid_is_the_mean_of_its_classes():
    real, real_labels = labelled([40, 50, 60], 0)
    fake, fake_labels = labelled([30, 20, 40], 1)
    fake[fake_labels == 1] += 2
    names = ("ant", "bee", "cow")
    sides = {
        "real": {"labels": real_labels, "class_names": names},
        "fake": {"labels": fake_labels, "class_names": names},
    }
    (value,) = IntraFid().measure(compare(real, fake, **sides))
    expected = [frechet_distance(real[real_labels == k], fake[fake_labels == k]) for k in range(3)]
    assert value.name == "ifid"
    assert value.value == pytest.approx(sum(expected) / 3, rel=1e-9)
    assert list(value.details["classes"]) == list(names)
    assert list(value.details["classes"].values()) == pytest.approx(expected, rel=1e-9)
    assert value.details["worst"][0] == "bee"
    assert value.settings == {"classes": 3}
    assert value.notes == ()


def test_classes_without_two_images_are_left_out():
    real, real_labels = labelled([40, 1, 5, 9], 0)
    fake, fake_labels = labelled([30, 20, 6, 1], 1)
    names = ("ant", "bee", "cow", "dog", "elk")
    sides = {
        "real": {"labels": real_labels, "class_names": names},
        "fake": {"labels": fake_labels, "class_names": names},
    }
    (value,) = IntraFid().measure(compare(real, fake, **sides))
    assert list(value.details["classes"]) == ["ant", "cow"]
    assert value.notes == (
        "3 classes with fewer than two images left out: bee, dog, elk",
        "as few as 6 fakes a class for features of length 6: biased upwards, "
        "comparable at equal counts only",
        "as few as 5 reference images a class for features of length 6: biased upwards, "
        "comparable at equal counts only",
    )


@pytest.mark.parametrize("width", [4, 80])
def test_reference_classes_are_kept_where_that_spares_work(width):
    kept = {}

    def keep(name, make):
        if name not in kept:
            kept[name] = make()
        return kept[name]

    real, real_labels = labelled([60, 50], 0, width)
    held = []
    for seed in (1, 1):
        fake, fake_labels = labelled([40, 30], seed, width)
        reference = FeatureSet(real, labels=real_labels, keep_in=keep)
        held.append(class_distances(reference, FeatureSet(fake, labels=fake_labels)))
    assert held[0] == held[1]
    names = ["cholesky of class 0", "cholesky of class 1"]
    assert sorted(kept) == (names if width == 4 else [])


def test_what_cannot_be_measured_is_refused():
    real, fake = cloud(50, 0), cloud(50, 1)
    labels = torch.zeros(50, dtype=torch.int64)
    with pytest.raises(ConfigError, match="the fakes have none"):
        IntraFid().measure(compare(real, fake, real={"labels": labels}))
    with pytest.raises(ConfigError, match="no class has two fakes and two reference images"):
        IntraFid().measure(
            compare(real, fake, real={"labels": labels}, fake={"labels": labels + 1})
        )
    with pytest.raises(ConfigError, match="23 fakes in 12 pieces; needed: two in a piece"):
        FidInfinity().measure(compare(real, fake[:23]))
    with pytest.raises(ConfigError, match="fake features hold NaN"):
        FidInfinity().measure(compare(real, fake / 0))
    with pytest.raises(ConfigError, match="file of statistics"):
        FidInfinity().measure(
            Comparison(FeatureSet(None, known_moments=Moments.of(fake)), FeatureSet(real))
        )


def test_options_are_checked():
    assert check_options(FidInfinity, {}, where="m") == {"pieces": 12, "resamples": 20, "seed": 0}
    assert check_options(Fid, {}, where="m") == {"interval": False}
    for pieces in (4, 10, 52):
        with pytest.raises(ConfigError, match="m.pieces"):
            check_options(FidInfinity, {"pieces": pieces}, where="m")
    with pytest.raises(ConfigError, match="m.resamples"):
        check_options(FidInfinity, {"resamples": 1}, where="m")


def test_content_order():
    features = cloud(300, 0)
    order = content_order(features)
    assert sorted(order.tolist()) == list(range(300))
    other = shuffled(features)
    assert torch.equal(features[order], other[content_order(other)])
    assert not torch.equal(order, content_order(features, seed=1))
    # No trace of the place or the value: halves of the order have the mean of the whole.
    ramp = torch.arange(2000.0)[:, None]
    assert ramp[content_order(ramp)][:1000].mean() == pytest.approx(999.5, abs=60)
