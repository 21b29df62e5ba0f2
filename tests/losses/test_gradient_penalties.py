"""Gradient penalties against loops over samples and finite differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from small_players import (
    COUNT,
    GRADIENT_PENALTIES,
    SHAPE,
    LinearD,
    SmallD,
    SmallG,
    batch,
    differences,
    draws_for,
    scaled,
    step_for,
    total,
)
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.losses import PENALTIES, build_terms
from reacgan.losses.gradient_penalties import R1, Dragan, MaxGradient, WassersteinGradientPenalty

EACH: dict[str, dict[str, object]] = {name: {} for name in GRADIENT_PENALTIES}


def numerical_slopes(score: Callable[[Tensor, int], Tensor], points: Tensor) -> list[Tensor]:
    """Each sample's gradient, by finite differences of its own score."""

    def slope_at(index: int) -> Tensor:
        point = points[index : index + 1].detach().clone()
        return differences(lambda: score(point, index).sum(), point)

    return [slope_at(index) for index in range(len(points))]


def oracle(name: str) -> float:
    """The penalty by its paper's formula, sample by sample."""
    judge, held, draws = SmallD(), batch(), draws_for()
    real, labels = held["real"], held["labels"]
    fake, fake_labels = SmallG()(held["z"], held["fake_labels"]).detach(), held["fake_labels"]
    factor = {
        role: draws(f"augment/{role}").uniform(COUNT, low=0.5, high=1.5)
        for role in ("real", "fake")
    }
    if name in ("r1", "r2"):
        role = {"r1": "real", "r2": "fake"}[name]
        points, under = (real, labels) if name == "r1" else (fake, fake_labels)

        def scaled_score(point: Tensor, index: int) -> Tensor:
            return judge(point * factor[role][index], under[index : index + 1]).score

        slopes = numerical_slopes(scaled_score, points)
        return sum(0.5 * slope.square().sum().item() for slope in slopes) / COUNT
    real = torch.stack([real[i] * factor["real"][i] for i in range(COUNT)])
    fake = torch.stack([fake[i] * factor["fake"][i] for i in range(COUNT)])
    if name == "dragan":
        mean = sum(real.flatten().tolist()) / real.numel()
        deviation = (sum((v - mean) ** 2 for v in real.flatten().tolist()) / real.numel()) ** 0.5
        noise = draws("dragan").normal(COUNT, *SHAPE, dtype=torch.float64)
        points = real + 0.5 * deviation * noise
    else:
        share = draws(name).uniform(COUNT).double()
        points = torch.stack([share[i] * real[i] + (1 - share[i]) * fake[i] for i in range(COUNT)])
    slopes = numerical_slopes(
        lambda point, index: judge(point, labels[index : index + 1]).score, points
    )
    squares = [slope.square().sum().item() for slope in slopes]
    if name == "max_gradient":
        return max(squares)
    return sum((square**0.5 - 1) ** 2 for square in squares) / COUNT


@pytest.mark.parametrize("name", GRADIENT_PENALTIES)
def test_value_against_loops(name: str) -> None:
    term = build_terms({name: {}}, {})[name]
    value = term.d_term(step_for(SmallD(), SmallG()))
    assert value is not None
    assert value.dtype == torch.float64
    assert value.item() == pytest.approx(oracle(name), rel=1e-6)
    assert term.g_term(step_for(SmallD(), SmallG(), of_d=False)) is None


@pytest.mark.parametrize("name", GRADIENT_PENALTIES)
def test_gradient_of_every_parameter_against_differences(name: str) -> None:
    term, judge, generator = build_terms({name: {}}, {})[name], SmallD(), SmallG()
    total(term, judge, generator).backward()
    assert generator.weight.grad is None
    for parameter in (judge.convolution.weight, judge.convolution.bias, judge.hidden.weight):
        expected = differences(lambda: total(term, judge, generator), parameter)
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-6, atol=1e-7)
    expected = differences(lambda: total(term, judge, generator), judge.labels.weight)
    torch.testing.assert_close(judge.labels.weight.grad, expected, rtol=1e-6, atol=1e-7)


def test_closed_forms_of_a_linear_discriminator() -> None:
    weight = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    length = weight.square().sum().sqrt().item()
    judge = LinearD(weight)
    step = replace(step_for(judge, SmallG()), augment=lambda images, role: images)
    expected = {
        "r1": 0.5 * length**2,
        "r2": 0.5 * length**2,
        "gradient_penalty": (length - 1) ** 2,
        "dragan": (length - 1) ** 2,
        "max_gradient": length**2,
    }
    for name, term in build_terms(EACH, {}).items():
        value = term.d_term(step)
        assert value is not None
        assert value.item() == pytest.approx(expected[name], rel=1e-12), name
        (gradient,) = torch.autograd.grad(value, [judge.weight])
        slope = {"r1": 1.0, "r2": 1.0, "max_gradient": 2.0}.get(name, 2 * (1 - 1 / length))
        torch.testing.assert_close(gradient, slope * weight, msg=name)


@pytest.mark.parametrize("name", GRADIENT_PENALTIES)
def test_a_flat_discriminator_gets_a_finite_gradient(name: str) -> None:
    judge = LinearD(torch.zeros(SHAPE, dtype=torch.float64))
    value = build_terms({name: {}}, {})[name].d_term(step_for(judge, SmallG()))
    assert value is not None
    value.backward()
    assert judge.weight.grad is not None
    assert torch.equal(judge.weight.grad, torch.zeros_like(judge.weight))


@pytest.mark.parametrize("name", GRADIENT_PENALTIES)
def test_autocast_does_not_reach_the_penalty(name: str) -> None:
    term = build_terms({name: {}}, {})[name]
    judge, generator = SmallD(torch.float32), SmallG(torch.float32)
    step = step_for(judge, generator, dtype=torch.float32)
    plain = term.d_term(step)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert judge(step.fake, step.fake_labels).features.dtype == torch.bfloat16
        inside = term.d_term(step)
    assert inside is not None
    assert inside.dtype == torch.float32
    assert torch.equal(inside, plain)
    gradients = [torch.autograd.grad(value, judge.hidden.weight)[0] for value in (plain, inside)]
    assert torch.equal(*gradients)


def test_inputs_stay_as_they_are() -> None:
    step = step_for(SmallD(), SmallG())
    assert step.real is not None
    before = step.real.clone(), step.fake.clone()
    for term in build_terms(EACH, {}).values():
        term.d_term(step)
    assert torch.equal(step.real, before[0])
    assert torch.equal(step.fake, before[1])
    assert not step.real.requires_grad


def test_released_noise_of_dragan_is_uniform() -> None:
    held, draws = batch(), draws_for()
    real = scaled(held["real"], draws("augment/real"))
    stream = draws("dragan")
    share, noise = stream.uniform(COUNT, 1, 1, 1), stream.uniform(COUNT, *SHAPE)
    points = real + share * 0.25 * real.std(correction=0) * noise
    seen = []

    def judge(images: Tensor, labels: Tensor) -> object:
        seen.append(images.detach())
        return SmallD()(images, labels)

    step = replace(step_for(SmallD(), SmallG()), discriminate=judge)
    Dragan(form="released", spread=0.25).d_term(step)
    torch.testing.assert_close(seen[0], points)


def test_weights_and_options() -> None:
    expected = {"r1": 10, "r2": 10, "gradient_penalty": 10, "dragan": 10, "max_gradient": 10}
    for name, term in build_terms(EACH, {}).items():
        assert (term.weight, term.every) == (expected[name], 1)
        assert not term.needs_real
    assert R1(weight=0.5, every=16).every == 16
    assert WassersteinGradientPenalty(weight=3).weight == 3
    assert MaxGradient(weight=1).weight == 1
    with pytest.raises(ConfigError, match=r"penalties\.r1\.weight"):
        build_terms({"r1": {"weight": -1}}, {})
    with pytest.raises(ConfigError, match=r"penalties\.dragan\.form"):
        build_terms({"dragan": {"form": "reference"}}, {})
    with pytest.raises(ConfigError, match=r"unknown penalties 'r3'.*Known: .*gradient_penalty"):
        build_terms({"r3": {}}, {})
    assert set(GRADIENT_PENALTIES) < set(PENALTIES)
