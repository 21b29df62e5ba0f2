from __future__ import annotations

from typing import Any

import pytest
import torch
from conditional_cases import (
    AXES,
    GOLDEN,
    PAIRED,
    SIX,
    golden_batch,
    hostile_batches,
    random_batch,
    slow_2c,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from reacgan.heads.contrastive import conditional_contrastive

Batch = tuple[Tensor, Tensor, Tensor]


def gradients(batch: Batch, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    features, vectors = batch[0].clone().requires_grad_(), batch[1].clone().requires_grad_()
    loss = conditional_contrastive(features, vectors, batch[2], temperature=temperature)
    return loss, *torch.autograd.grad(loss, [features, vectors])


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case['num_classes']} classes")
def test_golden_values(case: dict[str, Any]) -> None:
    loss = conditional_contrastive(*golden_batch(case), temperature=case["temperature"])
    assert loss.item() == pytest.approx(case["contragan_2c"], abs=1e-6)


@pytest.mark.parametrize(("temperature", "expected"), [(1.0, 0.61124964), (0.5, 0.34317579)])
def test_six_embeddings(temperature: float, expected: float) -> None:
    loss = conditional_contrastive(SIX, AXES, PAIRED, temperature=temperature)
    assert loss.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_the_formula_written_out(seed: int) -> None:
    batch = random_batch(seed=seed)
    for temperature in (0.1, 0.5, 2.0):
        loss = conditional_contrastive(*batch, temperature=temperature)
        assert loss.item() == pytest.approx(slow_2c(batch, temperature), abs=1e-9)


def test_gradcheck() -> None:
    features, vectors, labels = random_batch(count=6, seed=3)
    inputs = (features.requires_grad_(), vectors.requires_grad_())

    def loss(features: Tensor, vectors: Tensor) -> Tensor:
        return conditional_contrastive(features, vectors, labels, temperature=0.5)

    assert torch.autograd.gradcheck(loss, inputs)


@settings(max_examples=100, deadline=None)
@given(batch=hostile_batches(), temperature=st.sampled_from([1e-3, 0.25, 1.0, 100.0]))
def test_loss_and_gradient_are_finite_for_any_batch(batch: Batch, temperature: float) -> None:
    loss, *_ = gradients(batch, temperature)
    assert torch.isfinite(loss)
    assert loss >= 0
    wide = tuple(t.float() if t.dtype == torch.float16 else t for t in batch[:2])
    _, *slopes = gradients((*wide, batch[2]), temperature)
    assert all(bool(torch.isfinite(slope).all()) for slope in slopes)


@pytest.mark.parametrize("count", [1, 5])
def test_without_negatives_nothing_is_lost_and_nothing_moves(count: int) -> None:
    features, vectors, _ = random_batch(count=count)
    loss, *slopes = gradients((features, vectors, torch.ones(count, dtype=torch.int64)), 0.5)
    assert loss.item() == 0
    assert all(torch.count_nonzero(slope) == 0 for slope in slopes)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 99), scale=st.sampled_from([1e-6, 1e6, 1e150]))
def test_lengths_and_order_do_not_matter(seed: int, scale: float) -> None:
    features, vectors, labels = random_batch(count=8, seed=seed)
    loss = conditional_contrastive(features, vectors, labels, temperature=0.5).item()
    lengths = torch.linspace(1, 3, 8, dtype=torch.float64)[:, None] * scale
    scaled = conditional_contrastive(features * lengths, vectors * scale, labels, temperature=0.5)
    assert scaled.item() == pytest.approx(loss, rel=1e-9)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(seed))
    shuffled = conditional_contrastive(features[order], vectors, labels[order], temperature=0.5)
    assert shuffled.item() == pytest.approx(loss, rel=1e-9)


def test_narrow_inputs_are_worked_out_in_float32() -> None:
    features, vectors, labels = random_batch(dtype=torch.bfloat16)
    exact = conditional_contrastive(features.double(), vectors.double(), labels, temperature=0.5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = conditional_contrastive(features, vectors, labels, temperature=0.5)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact.item(), abs=1e-5)


def test_nothing_waits_for_a_value() -> None:
    # Tensors without data: whatever asked for a value would raise.
    features, vectors, labels = (tensor.to("meta") for tensor in random_batch())
    loss = conditional_contrastive(features, vectors, labels, temperature=0.5)
    assert loss.shape == ()


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match="labels"):
        conditional_contrastive(SIX, AXES, PAIRED.double(), temperature=1.0)
    with pytest.raises(ValueError, match="temperature is -1"):
        conditional_contrastive(SIX, AXES, PAIRED, temperature=-1)
