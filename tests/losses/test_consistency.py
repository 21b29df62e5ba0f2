"""Consistency terms and feature matching against loops."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_players import (
    COUNT,
    LATENT,
    SmallD,
    SmallG,
    Word,
    differences,
    draws_for,
    step_for,
    total,
)
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.heads import HeadOutput
from reacgan.losses import Step, build_terms
from reacgan.losses.consistency import (
    BalancedConsistency,
    LatentConsistency,
    ViewConsistency,
    disagreement,
)
from reacgan.losses.feature_matching import FeatureMatching


def mean_square(one: Tensor, other: Tensor) -> float:
    pairs = list(zip(one.flatten().tolist(), other.flatten().tolist(), strict=True))
    return sum((a - b) ** 2 for a, b in pairs) / len(pairs)


def factors(stream: str) -> Tensor:
    return draws_for()(stream).uniform(COUNT, low=0.5, high=1.5).double()


def expected_difference(
    judge: SmallD, images: Tensor, others: Tensor, labels: Tensor, representation: bool = True
) -> float:
    one, other = judge(images, labels), judge(others, labels)
    found = mean_square(one.score, other.score)
    if representation:
        found += mean_square(one.representation, other.representation)
    return found


def views(step: Step, name: str, role: str) -> tuple[Tensor, Tensor]:
    """Augmented images, and the augmented second view, image by image."""
    images = step.real if role == "real" else step.fake
    assert images is not None
    scale, view = factors(f"augment/{role}"), factors(f"view/{name}/{role}")
    first = torch.stack([images[i] * scale[i] for i in range(COUNT)])
    second = torch.stack([images[i].flip(-1) * view[i] * scale[i] for i in range(COUNT)])
    return first, second


@pytest.mark.parametrize("representation", [True, False])
def test_cr_against_the_formula(representation: bool) -> None:
    judge = SmallD()
    step = step_for(judge, SmallG())
    assert step.labels is not None
    term = ViewConsistency(representation=representation)
    expected = expected_difference(judge, *views(step, "cr", "real"), step.labels, representation)
    assert term.d_term(step).item() == pytest.approx(expected, rel=1e-12)
    assert term.g_term(step) is None
    assert term.weight == 10


def test_bcr_against_the_formula() -> None:
    judge = SmallD()
    step = step_for(judge, SmallG())
    assert step.labels is not None
    of_real = expected_difference(judge, *views(step, "bcr", "real"), step.labels)
    of_fake = expected_difference(judge, *views(step, "bcr", "fake"), step.fake_labels)
    assert of_real != pytest.approx(of_fake)
    value = BalancedConsistency().d_term(step).item()
    assert value == pytest.approx(10 * of_real + 10 * of_fake, rel=1e-12)
    value = BalancedConsistency(real_weight=0.5, fake_weight=2).d_term(step).item()
    assert value == pytest.approx(0.5 * of_real + 2 * of_fake, rel=1e-12)


def test_zcr_against_the_formula() -> None:
    judge, generator = SmallD(), SmallG()
    step = step_for(judge, generator)
    noise = draws_for()("zcr").normal(COUNT, LATENT, dtype=torch.float64)
    moved = generator(step.z + 0.05 * noise, step.fake_labels).detach()
    scale = factors("augment/fake")[:, None, None, None]
    expected = expected_difference(judge, step.fake * scale, moved * scale, step.fake_labels)
    assert LatentConsistency().d_term(step).item() == pytest.approx(20 * expected, rel=1e-9)
    of_g = LatentConsistency().g_term(step_for(judge, generator, of_d=False)).item()
    assert of_g == pytest.approx(-0.5 * mean_square(step.fake, moved), rel=1e-9)
    wide = LatentConsistency(radius=0.5, g_weight=2).g_term(step_for(judge, generator, of_d=False))
    moved = generator(step.z + 0.5 * noise, step.fake_labels).detach()
    assert wide.item() == pytest.approx(-2 * mean_square(step.fake, moved), rel=1e-9)


def test_zcr_trains_each_network_in_its_own_step_alone() -> None:
    judge, generator = SmallD(), SmallG()
    LatentConsistency().d_term(step_for(judge, generator)).backward()
    assert generator.weight.grad is None
    assert judge.convolution.weight.grad is not None
    judge.zero_grad()
    LatentConsistency().g_term(step_for(judge, generator, of_d=False)).backward()
    assert judge.convolution.weight.grad is None
    assert generator.weight.grad is not None


@pytest.mark.parametrize("name", ["cr", "bcr", "zcr"])
def test_both_sides_carry_gradient(name: str) -> None:
    term = build_terms({}, {name: {}})[name]
    term.g_weight = 0.0  # D's part alone
    judge, generator = SmallD(), SmallG()
    total(term, judge, generator).backward()
    expected = differences(lambda: total(term, judge, generator), judge.hidden.weight)
    torch.testing.assert_close(judge.hidden.weight.grad, expected, rtol=1e-6, atol=1e-7)


def test_gradient_of_g_against_differences() -> None:
    for term in (LatentConsistency(d_weight=0.0), FeatureMatching()):
        judge, generator = SmallD(), SmallG()
        total(term, judge, generator).backward()
        expected = differences(lambda: total(term, judge, generator), generator.weight)  # noqa: B023
        torch.testing.assert_close(generator.weight.grad, expected, rtol=1e-6, atol=1e-8)


def test_equal_views_agree() -> None:
    step = step_for(SmallD(), SmallG())
    same = replace(step, view=lambda images, stream: images)
    assert ViewConsistency().d_term(same).item() == 0
    assert BalancedConsistency().d_term(same).item() == 0


def test_icr_is_both() -> None:
    terms = build_terms({}, {"bcr": {}, "zcr": {"radius": 0.1}})
    assert list(terms) == ["bcr", "zcr"]
    with pytest.raises(ConfigError, match=r"consistency\.zcr\.radius"):
        build_terms({}, {"zcr": {"radius": 0}})


def test_feature_matching_against_loops() -> None:
    judge = SmallD()
    step = step_for(judge, SmallG(), of_d=False)
    assert step.on_real is not None
    real, fake = step.on_real.features, step.on_fake.features
    assert real is not None
    assert fake is not None
    expected = 0.0
    for k in range(real.shape[1]):
        expected += abs(sum(real[:, k].tolist()) - sum(fake[:, k].tolist())) / COUNT
    term = FeatureMatching()
    assert term.needs_real
    assert term.g_term(step).item() == pytest.approx(expected / real.shape[1], rel=1e-12)
    assert term.d_term(step) is None
    with pytest.raises(RuntimeError, match="no features"):
        term.g_term(replace(step, on_fake=Word(fake)))


def test_precision() -> None:
    generator = torch.Generator().manual_seed(0)
    narrow = [torch.randn(3, COUNT, 2, generator=generator).bfloat16() for _ in range(2)]
    for dtype, expected in ((torch.bfloat16, torch.float32), (torch.float64, torch.float64)):
        words = [Word(x[0, :, 0].to(dtype), x[1].to(dtype), x[2].to(dtype)) for x in narrow]
        wide = [Word(x[0, :, 0].double(), x[1].double(), x[2].double()) for x in narrow]

        def values(one: Word, other: Word) -> tuple[Tensor, Tensor]:
            step = replace(step_for(SmallD(), SmallG()), on_real=one, on_fake=other)
            return disagreement(one, other, True), FeatureMatching().g_term(step)

        for value, exact in zip(values(*words), values(*wide), strict=True):
            assert value.dtype == expected
            assert value.item() == pytest.approx(exact.item(), rel=1e-6)


def test_a_heads_representation() -> None:
    vectors = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1e30, 0.0]])
    score, labels = torch.zeros(3), torch.zeros(3, dtype=torch.int64)
    output = HeadOutput(score, labels, embedding=vectors.bfloat16(), logits=vectors)
    found = output.representation
    assert found is not None
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.tensor([[0.6, 0.8], [0.0, 0.0], [1.0, 0.0]]))
    assert HeadOutput(score, labels, logits=vectors).representation is vectors
    assert HeadOutput(score, labels).representation is None
