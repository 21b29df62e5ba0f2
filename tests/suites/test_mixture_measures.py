"""Measures against closed forms, scipy and plain loops, and what they say of known distortions."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import multivariate_normal, norm, wasserstein_distance

from reacgan.suites.mixtures.measure import (
    CELLS,
    cell_shares,
    gaussian_mmd,
    measure,
    sliced_wasserstein,
    true_shares,
)
from reacgan.suites.mixtures.targets import LINE, TARGETS, ring


def test_wasserstein_is_scipys():
    first, second = torch.randn(200, 1).double(), 2 * torch.randn(200, 1).double() + 1
    plain = wasserstein_distance(first[:, 0], second[:, 0])
    assert sliced_wasserstein(first, second) == pytest.approx(plain)
    assert sliced_wasserstein(first, first.flip(0) + 0.75) == pytest.approx(0.75)


def test_sliced_wasserstein_of_a_shift_is_its_mean_projection():
    points = torch.randn(100, 2).double()
    shift = torch.tensor([0.6, 0.8]).double()
    assert sliced_wasserstein(points, points + shift) == pytest.approx(2 / math.pi, rel=2e-3)
    line = torch.randn(100, 1)
    assert sliced_wasserstein(line, line + 3) == pytest.approx(3)


def test_exact_shares_are_those_of_scipy():
    target = ring(3, radius=1.0, deviation=0.7)
    shares = true_shares(target).reshape(3, CELLS[2], CELLS[2])
    torch.testing.assert_close(shares.sum(dim=(1, 2)), torch.ones(3).double())
    (low, high), cells = target.box(3.0), CELLS[2]
    step = (high - low) / cells
    corner = low + step * torch.tensor([10, 7])  # an inner cell: first index along x
    plain = multivariate_normal(target.means[1], 0.49)
    inside = plain.cdf((corner + step).numpy(), lower_limit=corner.numpy())
    assert float(shares[1, 10, 7]) == pytest.approx(inside, rel=1e-5)
    edge = norm(*(LINE.means[0][0], 1.0)).cdf(float(LINE.box(3.0)[0]) + 18 / CELLS[1])
    assert float(true_shares(LINE)[0, 0]) == pytest.approx(edge, rel=1e-9)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_counted_shares_of_many_points_are_the_exact_ones(target):
    points = target.sample_classes(200_000, 4)
    counted = torch.stack([cell_shares(target, of_class) for of_class in points])
    torch.testing.assert_close(counted, true_shares(target), atol=0.002, rtol=0)


def test_points_outside_the_box_count_in_the_outermost_cells():
    shares = cell_shares(LINE, torch.tensor([[-1e6], [1e6], [1e6], [1e6]]))
    assert shares[0] == 0.25 and shares[-1] == 0.75 and shares.sum() == 1


def test_the_discrepancy_is_its_integral():
    points = torch.tensor([[0.3], [-1.1], [2.0]]).double()
    mean, deviation, width = 0.5, 0.8, 1.3
    grid = torch.linspace(-9, 9, 2001, dtype=torch.float64)
    weight = (-((grid - mean) ** 2) / (2 * deviation**2)).exp()
    weight /= weight.sum()

    def kernel(first, second):
        return (-((first[:, None] - second[None]) ** 2) / (2 * width**2)).exp()

    own = kernel(points[:, 0], points[:, 0])
    plain = (
        (own.sum() - 3) / 6
        - 2 * (kernel(points[:, 0], grid) @ weight).mean()
        + weight @ kernel(grid, grid) @ weight
    )
    discrepancy = gaussian_mmd(points, torch.tensor([mean]), deviation, width)
    assert discrepancy == pytest.approx(float(plain), abs=1e-9)


def test_the_discrepancy_in_two_dimensions_is_that_of_many_real_points():
    mean = torch.tensor([1.0, -0.5])
    points = 0.5 * torch.randn(300, 2).double() + 0.3
    real = 0.7 * torch.randn(20_000, 2).double() + mean

    def kernel(first, second):
        return (-torch.cdist(first, second).square() / 2).exp()

    own = (kernel(points, points).sum() - 300) / (300 * 299)
    plain = own - 2 * kernel(points, real).mean() + kernel(real[:3000], real[3000:6000]).mean()
    assert gaussian_mmd(points, mean, 0.7, 1.0) == pytest.approx(float(plain), abs=0.01)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_real_points_are_as_good_as_it_gets(target):
    measures = measure(target, target.sample_classes(4000, 7))
    assert len(measures["classes"]) == target.num_classes
    values = measures["by_class"]
    assert values["deviation"] == pytest.approx(1, abs=0.02) and values["shift"] < 0.05
    assert abs(values["mmd"]) < 0.002 and values["variation"] < 0.12
    assert values["covered"] > 0.95 and measures["overall"]["covered"] > 0.98
    assert abs(measures["overall"]["separation"]) < 0.02
    assert values["agreement"] - measures["overall"]["separation"] == pytest.approx(
        target.bayes_accuracy
    )


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_classes_that_shrink_are_seen(target):
    real = target.sample_classes(4000, 7)
    means = torch.tensor(target.means)[:, None]
    measures = measure(target, means + 0.5 * (real - means))
    assert measures["by_class"]["deviation"] == pytest.approx(0.5, abs=0.01)
    assert measures["overall"]["separation"] > 0.08
    assert measures["by_class"]["covered"] < 0.95 and measures["by_class"]["mmd"] > 0.02


def test_classes_that_are_exchanged_are_seen_by_class_alone():
    real = TARGETS["ring8"].sample_classes(4000, 7)
    measures = measure(TARGETS["ring8"], real.roll(1, dims=0))
    assert measures["by_class"]["agreement"] < 0.15 and measures["by_class"]["shift"] > 2
    assert measures["overall"]["variation"] < 0.06
