"""MHGAN's and MD-GAN's heads: one output a class, with or without one for fakes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_heads import CLASSES, WIDTH, build, features_and_labels, real_and_fake
from torch import Tensor

from reacgan.heads.multihinge import crammer_singer

LOGITS = torch.tensor([[2, 0.5, -1, 0], [0, 0.3, 0.4, 1]], dtype=torch.float64)


def slow_crammer_singer(logits: list[list[float]], targets: list[int]) -> float:
    total = 0.0
    for row, target in zip(logits, targets, strict=True):
        others = [value for k, value in enumerate(row) if k != target]
        total += max(0.0, 1 + max(others) - row[target])
    return total / len(targets)


@pytest.mark.parametrize(("targets", "expected"), [((0, 2), 0.8), ((3, 3), 1.7)])
def test_golden_values(targets: tuple[int, int], expected: float) -> None:
    loss = crammer_singer(LOGITS, torch.tensor(targets))
    assert loss.item() == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 999),
    count=st.integers(1, 6),
    classes=st.integers(2, 5),
    scale=st.sampled_from([0.0, 0.3, 3.0, 1e6]),
)
def test_agrees_with_the_formula_written_out(
    seed: int, count: int, classes: int, scale: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, classes, generator=generator, dtype=torch.float64) * scale
    targets = torch.randint(classes, (count,), generator=generator)
    expected = slow_crammer_singer(logits.tolist(), targets.tolist())
    assert crammer_singer(logits, targets).item() == pytest.approx(expected, rel=1e-12)


def test_gradcheck() -> None:
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    targets = torch.tensor([0, 1, 2, 3, 0])
    assert torch.autograd.gradcheck(crammer_singer, (logits.requires_grad_(), targets))


def test_a_margin_of_one_is_enough() -> None:
    logits = torch.tensor([[3.0, 2.0, -1.0], [0.5, -2.0, 2.0]], requires_grad=True)
    loss = crammer_singer(logits, torch.tensor([0, 2]))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None and torch.count_nonzero(logits.grad) == 0


def test_d_and_g_minimise_what_the_paper_says() -> None:
    head: Any = build("multihinge").double()
    real, fake = real_and_fake(head)
    d_loss = slow_crammer_singer(real.logits.tolist(), real.labels.tolist())
    d_loss += slow_crammer_singer(fake.logits.tolist(), [CLASSES] * 4)
    g_loss = slow_crammer_singer(fake.logits.tolist(), fake.labels.tolist())
    assert head.d_loss(real, fake).item() == pytest.approx(d_loss, rel=1e-12)
    assert head.g_loss(fake).item() == pytest.approx(g_loss, rel=1e-12)
    assert min(d_loss, g_loss) > 0


def scores_written_out(head: Any, features: Tensor, labels: Tensor, strength: float) -> list[float]:
    found = []
    for row, label in zip(features, labels.tolist(), strict=True):
        outputs = (head.classes.weight @ row + head.classes.bias).tolist()
        of_classes = outputs[:CLASSES]
        score = strength * of_classes[label] + (1 - strength) * sum(of_classes) / CLASSES
        found.append(score - outputs[CLASSES] if len(outputs) > CLASSES else score)
    return found


@pytest.mark.parametrize("name", ["multihinge", "multilogit"])
@pytest.mark.parametrize("strength", [1.0, 0.25, 0.0])
def test_scores_are_written_out(name: str, strength: float) -> None:
    head: Any = build(name).double()
    torch.nn.init.normal_(head.classes.bias)
    head.condition_strength.fill_(strength)
    features, labels = features_and_labels(dtype=torch.float64)
    expected = scores_written_out(head, features, labels, strength)
    assert head(features, labels).score.tolist() == pytest.approx(expected, abs=1e-12)
    other = head(features, (labels + 1) % CLASSES).score
    assert torch.allclose(other, head(features, labels).score) is (strength == 0)


@pytest.mark.parametrize("use", ["score", "d_loss", "g_loss"])
def test_every_parameter_learns_from_each_use_alone(use: str) -> None:
    head: Any = build("multihinge")
    real, fake = real_and_fake(head)
    losses = {
        "score": lambda: real.score.square().mean(),
        "d_loss": lambda: head.d_loss(real, fake),
        "g_loss": lambda: head.g_loss(fake),
    }
    losses[use]().backward()
    for name, parameter in head.named_parameters():
        assert torch.count_nonzero(parameter.grad) > 0, name


def test_multilogit_has_no_conditioning_loss() -> None:
    head = build("multilogit")
    real, fake = real_and_fake(head)
    assert head.d_loss(real, fake) == head.g_loss(fake) == 0
    assert real.representation is None
    assert sum(p.numel() for p in head.parameters()) == (WIDTH + 1) * CLASSES
