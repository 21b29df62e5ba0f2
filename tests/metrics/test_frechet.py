from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reacgan.config import ConfigError
from reacgan.metrics import frechet_distance
from reacgan.metrics.base import FeatureSet
from reacgan.metrics.frechet import covariance_factor, distance_of_sets
from reacgan.metrics.moments import Moments


def gaussian(count, mean, factor, seed=0):
    """Samples whose mean and covariance are exactly ``mean`` and ``factor factor^T``."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, len(mean), generator=generator, dtype=torch.float64)
    noise = noise - noise.mean(0)
    white = noise @ torch.linalg.inv(torch.linalg.cholesky(noise.T @ noise / (count - 1))).T
    return white @ torch.tensor(factor, dtype=torch.float64).T + torch.tensor(mean)


def test_closed_form_of_commuting_covariances():
    real = gaussian(50, [0.0, 0.0, 0.0], np.diag([1.0, 2.0, 3.0]))
    fake = gaussian(70, [1.0, -2.0, 0.5], np.diag([2.0, 2.0, 0.5]), seed=1)
    # |m - n|^2 + sum (s_i - t_i)^2
    assert frechet_distance(real, fake) == pytest.approx(1 + 4 + 0.25 + 1 + 0 + 6.25, rel=1e-9)


def test_general_covariances_against_the_matrix_root_of_scipy():
    linalg = pytest.importorskip("scipy.linalg")
    generator = torch.Generator().manual_seed(3)
    mix = torch.randn(2, 6, 6, generator=generator, dtype=torch.float64)
    real = torch.randn(40, 6, generator=generator, dtype=torch.float64) @ mix[0]
    fake = torch.randn(30, 6, generator=generator, dtype=torch.float64) @ mix[1] + 0.3
    first, second = (np.cov(held.numpy(), rowvar=False) for held in (real, fake))
    root = linalg.sqrtm(first @ second).real
    apart = (real.mean(0) - fake.mean(0)).square().sum().item()
    expected = apart + np.trace(first + second - 2 * root)
    assert frechet_distance(real, fake) == pytest.approx(expected, rel=1e-8)
    assert frechet_distance(fake, real) == pytest.approx(expected, rel=1e-8)


def test_copies_are_at_distance_zero_also_with_fewer_samples_than_dimensions():
    few = torch.randn(5, 20, generator=torch.Generator().manual_seed(0))
    assert frechet_distance(few, few.flip(0)) < 1e-6
    assert frechet_distance(few, few + 1) == pytest.approx(20, rel=1e-4)


def cloud(count, width, seed, fall=0.0):
    """Mixed features, the spread of which falls by ``fall`` orders of magnitude, off centre."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(width, width, generator=generator, dtype=torch.float64) / width**0.5
    mix = mix * torch.logspace(0, -fall, width, dtype=torch.float64)[:, None]
    noise = torch.randn(count, width, generator=generator, dtype=torch.float64)
    return noise @ mix + torch.rand(width, generator=generator, dtype=torch.float64)


def plain(real, fake):
    """The formula with the root of S T by scipy, or by eigenvectors where that root is singular."""
    linalg = pytest.importorskip("scipy.linalg")
    first, second = (np.cov(held.numpy(), rowvar=False) for held in (real, fake))
    values, vectors = linalg.eigh(first)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    if min(len(real), len(fake)) > len(first):
        trace = np.trace(linalg.sqrtm(first @ second).real)
    else:
        trace = np.sqrt(linalg.eigvalsh(root @ second @ root).clip(0)).sum()
    apart = (real.mean(0) - fake.mean(0)).square().sum().item()
    return apart + np.trace(first) + np.trace(second) - 2 * trace


@pytest.mark.parametrize("fall", [0, 2, 4])
@pytest.mark.parametrize("width", [3, 256, 300])
def test_full_rank_against_scipy(width, fall):
    """Widths about those of the strips that a triangular factor is multiplied in."""
    real, fake = cloud(3 * width, width, 0, fall), cloud(2 * width, width, 1, fall)
    expected = plain(real, fake)
    factor = covariance_factor(Moments.of(real))
    assert factor.triu(1).abs().max() == 0
    for held in (
        frechet_distance(real, fake),
        frechet_distance(Moments.of(real), Moments.of(fake), factor=factor),
        frechet_distance(fake, real),
    ):
        assert held == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(
    ("many", "few"), [(90, 12), (90, 30), (12, 90), (12, 17), (30, 30), (31, 31), (2, 2)]
)
def test_few_samples_give_one_number_by_every_way(many, few):
    """Features of few samples, their moments, or moments with no count: 30 dimensions."""
    real, fake = cloud(many, 30, 0), cloud(few, 30, 1)
    expected = plain(real, fake)
    no_count = [
        Moments(0, held.mean, held.covariance) for held in (Moments.of(real), Moments.of(fake))
    ]
    assert frechet_distance(real, fake) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(real, Moments.of(fake)) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(Moments.of(real), fake) == pytest.approx(expected, rel=1e-6)
    both = frechet_distance(Moments.of(real), Moments.of(fake))
    assert both == pytest.approx(frechet_distance(real, fake), rel=1e-9)
    assert frechet_distance(*no_count) == pytest.approx(expected, rel=1e-6)
    sets = [FeatureSet(real.float()), FeatureSet(fake.float())]
    assert distance_of_sets(*sets) == pytest.approx(expected, rel=1e-5)


def test_a_factor_without_a_count_has_the_rank_of_the_covariance():
    held = Moments.of(cloud(12, 30, 0))
    factor = covariance_factor(Moments(0, held.mean, held.covariance))
    assert factor.shape == (30, 11)
    assert (factor @ factor.T - held.covariance).abs().max() < 1e-12


@pytest.mark.parametrize("seed", range(12))
def test_rounding_never_makes_a_distance_negative(seed):
    real = cloud(60, 8, seed)
    assert 0 <= frechet_distance(real, real.flip(0)) < 1e-7
    assert 0 <= frechet_distance(real[:6], real[:6].flip(0)) < 1e-7


def test_features_that_never_change():
    """The reference has no spread in two directions, the fakes none in one of them."""
    real = gaussian(60, [1.0, 2.0, 3.0], np.diag([1.0, 2.0, 3.0]))
    fake = gaussian(50, [1.0, 2.0, 3.0], np.diag([3.0, 2.0, 1.0]), seed=1)
    real = torch.cat([real, torch.full((60, 2), 7.0)], 1)
    fake = torch.cat([fake, torch.full((50, 1), 7.0), 7 + gaussian(50, [0.0], [[2.0]])], 1)
    assert covariance_factor(Moments.of(real)).shape == (5, 3)
    assert frechet_distance(real, fake) == pytest.approx(4 + 0 + 4 + 4, rel=1e-11)
    assert frechet_distance(fake, real) == pytest.approx(4 + 0 + 4 + 4, rel=1e-11)
    still = torch.full((9, 3), 2.0)
    assert covariance_factor(Moments.of(still)).shape == (3, 0)
    assert frechet_distance(still, still + 1) == 3
    assert frechet_distance(still, torch.full((2, 3), 3.0)) == 3


@pytest.mark.parametrize("weakest", [1e-6, 1e-8, 1e-10])
def test_nearly_singular_covariances_have_their_closed_form(weakest):
    """One direction with next to no spread, hidden by a rotation."""
    turn = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(5)).double())[
        0
    ]
    own, other = np.diag([3.0, 2.0, 1.0, weakest]), np.diag([1.0, 2.0, 2.0, 1.0])
    real = gaussian(40, [0.0] * 4, own) @ turn
    fake = gaussian(50, [0.0] * 4, other, seed=1) @ turn
    expected = 4 + 0 + 1 + (1 - weakest) ** 2
    assert frechet_distance(real, fake) == pytest.approx(expected, rel=1e-7)
    assert frechet_distance(fake, real) == pytest.approx(expected, rel=1e-7)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(2, 12),
    st.integers(2, 12),
    st.floats(0.01, 100),
    st.integers(0, 99),
    st.floats(-50, 50),
)
def test_laws(many, few, scale, seed, shift):
    """Symmetric, never negative, of the square of the scale, the same wherever both move."""
    real, fake = cloud(many, 6, seed), cloud(few, 6, seed + 100)
    held = frechet_distance(real, fake)
    assert held >= 0
    near = pytest.approx(held, rel=1e-6, abs=1e-6)
    assert frechet_distance(fake, real) == near
    assert frechet_distance(real * scale, fake * scale) / scale**2 == near
    assert frechet_distance(real + shift, fake + shift) == near
    assert frechet_distance(real.flip(0), fake.flip(0)) == pytest.approx(held, rel=1e-10, abs=1e-6)
    moved = frechet_distance(real, real + shift)
    assert moved == pytest.approx(6 * shift**2, rel=1e-6, abs=1e-6)


def test_the_factor_of_a_reference_is_made_once():
    kept = {}

    def keep(name, make):
        if name not in kept:
            kept[name] = make()
        return kept[name]

    features = cloud(90, 20, 0).float()
    fakes = [FeatureSet(cloud(count, 20, seed).float()) for seed, count in enumerate((70, 80), 1)]
    first = [distance_of_sets(FeatureSet(features, keep_in=keep), fake) for fake in fakes]
    assert sorted(kept) == ["cholesky", "moments"]
    kept["cholesky"] = {"factor": kept["cholesky"]["factor"] * 2}
    again = [distance_of_sets(FeatureSet(features, keep_in=keep), fake) for fake in fakes]
    assert all(second < before for second, before in zip(again, first, strict=True))


@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        (
            torch.zeros(1, 3),
            torch.zeros(4, 3),
            r"real features are \[1, 3\]; needed: \[N, D\] with N of 2",
        ),
        (torch.zeros(4, 3), torch.full((4, 3), torch.nan), "fake features hold NaN or infinity"),
        (torch.zeros(4, 3), torch.zeros(4, 2), "real has width 3, fake 2"),
    ],
)
def test_what_cannot_be_compared_is_refused(real, fake, message):
    with pytest.raises(ConfigError, match=message):
        frechet_distance(real, fake)


def test_moments_that_are_not_finite_are_refused():
    good = Moments.of(torch.randn(9, 3))
    bad = Moments(9, good.mean, good.covariance * torch.inf)
    with pytest.raises(ConfigError, match="fake features have moments that are not finite"):
        frechet_distance(good, bad)
    upper = good.covariance.clone()
    upper[0, 1] = torch.nan  # off the diagonal, above it
    with pytest.raises(ConfigError, match="covariance holds NaN or infinity"):
        covariance_factor(Moments(9, good.mean, upper))
