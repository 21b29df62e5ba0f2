from __future__ import annotations

import pytest
import torch

from reacgan.config import ConfigError
from reacgan.metrics.prdc import PRDC, nearest_distances, prdc


def cloud(count, seed, dimension=4):
    return torch.randn(count, dimension, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("k", [1, 3, 5])
def test_identical_sets(k):
    """Each sample lies in its own hypersphere and, k times on average, in another's."""
    real = cloud(60, 0)
    assert prdc(real, real.clone(), k=k) == PRDC(1, 1, pytest.approx((k + 1) / k), 1)


def test_disjoint_sets():
    assert prdc(cloud(30, 0), cloud(40, 1) + 1000) == PRDC(0, 0, 0, 0)


def test_one_mode_of_two():
    real = torch.cat([cloud(50, 0), cloud(50, 1) + 100])
    held = prdc(real, cloud(200, 2) * 0.3)
    assert held.precision > 0.95
    assert held.recall < 0.5
    assert held.coverage <= 0.5
    assert held.density > 1


def test_one_and_the_same_image():
    """Precise, dense, and worth nothing: coverage and recall say so."""
    real = cloud(100, 0)
    held = prdc(real, real[:1].repeat(100, 1))
    assert held.precision == 1
    assert held.recall == 0.01
    assert held.coverage < 0.2


def test_too_wide():
    held = prdc(cloud(100, 0), cloud(100, 1) * 20)
    assert held.precision < 0.2
    assert held.recall > 0.9


def oracle(real, fake, k):
    """The definitions, one pair at a time."""

    def distance(a, b):
        return sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) ** 0.5

    def radii(samples):
        return [
            sorted(distance(a, b) for place, b in enumerate(samples) if place != own)[k - 1]
            for own, a in enumerate(samples)
        ]

    real, fake = real.double().tolist(), fake.double().tolist()
    real_radii, fake_radii = radii(real), radii(fake)
    holds = [
        [distance(r, f) <= radius for f in fake] for r, radius in zip(real, real_radii, strict=True)
    ]
    return PRDC(
        precision=sum(any(row[j] for row in holds) for j in range(len(fake))) / len(fake),
        recall=sum(
            any(distance(r, f) <= radius for f, radius in zip(fake, fake_radii, strict=True))
            for r in real
        )
        / len(real),
        density=sum(map(sum, holds)) / (k * len(fake)),
        coverage=sum(any(row) for row in holds) / len(real),
    )


@pytest.mark.parametrize("rows", [1, 7, 1024])
@pytest.mark.parametrize(("real", "fake", "k"), [(23, 31, 5), (31, 23, 1), (12, 12, 3)])
def test_against_the_slow_loop(real, fake, k, rows):
    real, fake = cloud(real, 3, 2), cloud(fake, 4, 2) * 0.8 + 0.3
    expected = oracle(real, fake, k)
    held = prdc(real, fake, k=k, rows=rows)
    for name in ("precision", "recall", "density", "coverage"):
        assert getattr(held, name) == pytest.approx(getattr(expected, name), abs=1e-12)


def test_copies_far_from_zero_are_still_copies():
    real = cloud(20, 0, 64).double() * 1e-3 + 1e6
    assert prdc(real, real.clone(), k=1).coverage == 1
    assert nearest_distances(real, real, rows=6).tolist() == [0] * 20
    moved = real + 1e-4 * torch.eye(64, dtype=torch.float64)[0]
    assert nearest_distances(moved, real).tolist() == pytest.approx([1e-4] * 20, rel=1e-4)


def test_nearest_distances():
    real = torch.tensor([[0.0, 0], [10, 0]])
    assert nearest_distances(torch.tensor([[3.0, 4], [10, 1]]), real).tolist() == [5, 1]


@pytest.mark.parametrize(
    ("real", "fake", "k", "message"),
    [
        (cloud(5, 0), cloud(9, 0), 5, "5 real and 9 fake samples; needed: over k = 5"),
        (cloud(9, 0), cloud(5, 0), 5, "needed: over k = 5"),
        (cloud(9, 0), cloud(9, 0, 3), 5, r"needed: \[N, D\] and \[M, D\]"),
        (cloud(9, 0)[0], cloud(9, 0), 5, "features are"),
        (cloud(9, 0), cloud(9, 0), 0, "k is 0; allowed: 1 or more"),
        (cloud(9, 0), cloud(9, 0) / 0, 5, "hold NaN or infinity"),
        (cloud(9, 0) * float("nan"), cloud(9, 0), 5, "hold NaN or infinity"),
    ],
)
def test_bad_values(real, fake, k, message):
    with pytest.raises(ConfigError, match=message):
        prdc(real, fake, k=k)
