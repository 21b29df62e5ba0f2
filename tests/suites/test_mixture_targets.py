"""Targets: densities, posteriors and accuracies against closed forms, samples against both."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Independent, Normal

from reacgan.suites.mixtures.targets import LINE, TARGETS, Mixture, ring


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_densities_are_those_of_gaussians(target):
    points = 3 * torch.randn(50, target.dimensions, dtype=torch.float64)
    for label, (mean, deviation) in enumerate(zip(target.means, target.deviations, strict=True)):
        middle = torch.tensor(mean, dtype=torch.float64)
        plain = Independent(Normal(middle, torch.full_like(middle, deviation)), 1)
        torch.testing.assert_close(
            target.densities(points)[:, label], plain.log_prob(points).exp(), rtol=1e-10, atol=0
        )


def test_the_bayes_class_far_out_is_the_widest():
    assert LINE.bayes(torch.tensor([[1e4], [-1e4]])).tolist() == [2, 2]


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_samples_have_the_moments_of_their_class(target):
    points = target.sample_classes(20_000, 3).double()
    assert points.shape == (target.num_classes, 20_000, target.dimensions)
    for of_class, mean, deviation in zip(points, target.means, target.deviations, strict=True):
        torch.testing.assert_close(
            of_class.mean(dim=0), torch.tensor(mean).double(), atol=0.035 * deviation, rtol=0
        )
        torch.testing.assert_close(
            of_class.std(dim=0), torch.full_like(of_class[0], deviation), rtol=0.025, atol=0
        )
    middle, scale = target.moments()
    everything = points.flatten(0, 1)
    torch.testing.assert_close(everything.mean(dim=0).float(), middle, atol=0.04, rtol=0)
    assert float((everything - middle).square().mean().sqrt()) == pytest.approx(scale, rel=0.02)


def test_samples_are_a_function_of_the_seed():
    assert torch.equal(LINE.sample_classes(50, 1), LINE.sample_classes(50, 1))
    assert not torch.equal(LINE.sample_classes(50, 1), LINE.sample_classes(50, 2))


def test_the_accuracy_of_two_gaussians_is_a_closed_form():
    target = Mixture("pair", ((0.0, 0.0), (1.2, 1.6)), (0.8, 0.8))
    closed = 0.5 * (1 + math.erf(1.0 / 0.8 / math.sqrt(2)))  # half the distance, in deviations
    assert target.bayes_accuracy == pytest.approx(closed, abs=1e-5)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_the_accuracy_is_what_real_points_get(target):
    points = target.sample_classes(20_000, 5)
    right = target.bayes(points.flatten(0, 1)).reshape(target.num_classes, -1)
    share = float((right == torch.arange(target.num_classes)[:, None]).double().mean())
    assert share == pytest.approx(target.bayes_accuracy, abs=0.01)


def test_rings():
    assert ring(5).num_classes == 5 and ring(5).name == "ring5"
    radii = torch.tensor(ring(5, radius=3.0).means).norm(dim=1)
    torch.testing.assert_close(radii, torch.full((5,), 3.0))
