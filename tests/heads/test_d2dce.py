from __future__ import annotations

import math
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
    slow_d2dce,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from reacgan.heads.base import unit
from reacgan.heads.d2dce import d2d_cross_entropy, d2d_on_sphere

FORMS = ("paper", "released")
Batch = tuple[Tensor, Tensor, Tensor]


def gradients(batch: Batch, **settings_: Any) -> tuple[Tensor, Tensor, Tensor]:
    features, vectors = batch[0].clone().requires_grad_(), batch[1].clone().requires_grad_()
    loss = d2d_cross_entropy(features, vectors, batch[2], **settings_)
    return loss, *torch.autograd.grad(loss, [features, vectors])


@pytest.mark.parametrize("kernels", [False, True])
@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case['num_classes']} classes")
def test_golden_values(case: dict[str, Any], kernels: bool) -> None:
    batch = golden_batch(case)
    options = {"temperature": case["temperature"], "margin": case["margin"], "kernels": kernels}
    paper = d2d_cross_entropy(*batch, **options)
    released = d2d_cross_entropy(*batch, **options, form="released")
    assert paper.item() == pytest.approx(case["d2dce_eq6"], abs=1e-6)
    assert released.item() == pytest.approx(case["d2dce_released"], abs=1e-6)


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case['num_classes']} classes")
def test_golden_gradient_with_respect_to_the_normalised_features(case: dict[str, Any]) -> None:
    features, vectors, labels = golden_batch(case)
    on_sphere = unit(features).requires_grad_()
    loss = d2d_on_sphere(
        on_sphere,
        unit(vectors)[labels],
        labels,
        temperature=case["temperature"],
        margin=case["margin"],
    )
    loss.backward()
    assert on_sphere.grad is not None
    assert on_sphere.grad.norm().item() == pytest.approx(case["d2dce_eq6_grad_norm"], abs=1e-6)


@pytest.mark.parametrize(
    ("temperature", "margin", "form", "expected"),
    [
        (0.5, 0.98, "released", 0.95094493),
        (0.25, 0.98, "released", 0.62926103),
        (0.25, 0.95, "released", 0.61995019),
        (0.25, 0.90, "released", 0.60920076),
        (0.75, 1.00, "released", 1.12802143),
        (0.5, 0.98, "paper", 1.9957774),
        (0.25, 0.90, "paper", 2.26039347),
    ],
)
def test_six_embeddings(temperature: float, margin: float, form: Any, expected: float) -> None:
    loss = d2d_cross_entropy(SIX, AXES, PAIRED, temperature=temperature, margin=margin, form=form)
    assert loss.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_the_formula_written_out(form: Any, seed: int) -> None:
    batch = random_batch(seed=seed)
    for temperature, margin in ((0.5, 0.98), (0.1, 0.7), (2.0, 1.0)):
        loss = d2d_cross_entropy(*batch, temperature=temperature, margin=margin, form=form)
        assert loss.item() == pytest.approx(slow_d2dce(batch, temperature, margin, form), abs=1e-9)


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case['num_classes']} classes")
def test_floor_is_the_logarithm_of_one_plus_the_negatives(case: dict[str, Any]) -> None:
    labels = torch.tensor(case["labels"])
    axes = torch.eye(case["num_classes"], dtype=torch.float64)
    loss = d2d_cross_entropy(axes[labels], axes, labels, temperature=0.5, margin=0.95)
    negatives = (labels[:, None] != labels[None, :]).sum(dim=1)
    assert loss.item() == pytest.approx(negatives.double().log1p().mean().item(), abs=1e-12)
    assert loss.item() == pytest.approx(case["floor_eq6"], abs=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_easy_pairs_have_no_gradient(form: Any) -> None:
    # Within a class the cosine is 0.98 and more, between classes 0.2 and less: all easy.
    features = AXES[PAIRED] + 0.05 * SIX.flip(0).abs()
    options: dict[str, Any] = {"temperature": 0.5, "form": form}
    _, easy, easy_vectors = gradients((features, AXES, PAIRED), margin=0.8, **options)
    assert torch.count_nonzero(easy) == 0
    assert torch.count_nonzero(easy_vectors) == 0
    _, hard, hard_vectors = gradients((features, AXES, PAIRED), margin=1.0, **options)
    assert torch.count_nonzero(hard) > 0
    assert torch.count_nonzero(hard_vectors) > 0


def test_margins_are_one_sided() -> None:
    # Sample 0 is an easy positive with a hard negative: it is pushed, its class vector is not.
    features = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0]], dtype=torch.float64)
    labels = torch.tensor([0, 1])
    _, on_features, on_vectors = gradients(
        (features, AXES, labels), temperature=0.5, margin=0.9, form="paper"
    )
    assert torch.count_nonzero(on_vectors[0]) == 0
    assert torch.count_nonzero(on_vectors[1]) > 0
    assert on_features[0, 1] > 0  # descending moves it away from sample 1


@pytest.mark.parametrize("form", FORMS)
def test_gradcheck(form: Any) -> None:
    features, vectors, labels = random_batch(count=6, seed=3)

    def loss(features: Tensor, vectors: Tensor) -> Tensor:
        # "released" holds its shift constant for the gradient, which finite differences do not.
        return d2d_cross_entropy(
            features, vectors, labels, temperature=0.5, margin=0.98, form="paper"
        )

    def frozen_shift(features: Tensor, vectors: Tensor) -> Tensor:
        return _released_with_shift(features, vectors, labels, shift)

    inputs = (features.requires_grad_(), vectors.requires_grad_())
    shift = _shift(features.detach())
    assert torch.autograd.gradcheck(loss if form == "paper" else frozen_shift, inputs)
    if form == "released":
        ours = d2d_cross_entropy(*inputs, labels, temperature=0.5, margin=0.98, form="released")
        checked = frozen_shift(*inputs)
        assert torch.allclose(ours, checked, atol=1e-12)
        for left, right in zip(
            torch.autograd.grad(ours, inputs), torch.autograd.grad(checked, inputs), strict=True
        ):
            assert torch.allclose(left, right, atol=1e-12)


def _shift(features: Tensor) -> Tensor:
    pairs = (unit(features) @ unit(features).T - 0.02) / 0.5
    return pairs.fill_diagonal_(-math.inf).max(dim=1).values


def _released_with_shift(
    features: Tensor, vectors: Tensor, labels: Tensor, shift: Tensor
) -> Tensor:
    features, vectors = unit(features), unit(vectors)
    attraction = ((features * vectors[labels]).sum(dim=1) - 0.98).clamp(max=0) / 0.5
    repulsion = ((features @ features.T - 0.02) / 0.5).clamp(min=0) - shift[:, None]
    total = (repulsion.exp() * (labels[:, None] != labels[None, :])).sum(dim=1)
    return (torch.log(attraction.exp() + total) - attraction).mean()


@settings(max_examples=150, deadline=None)
@given(
    batch=hostile_batches(),
    temperature=st.sampled_from([1e-3, 0.25, 1.0, 100.0]),
    margin=st.sampled_from([0.0, 0.5, 0.98, 1.0]),
    form=st.sampled_from(FORMS),
)
def test_loss_and_gradient_are_finite_for_any_batch(
    batch: Batch, temperature: float, margin: float, form: Any
) -> None:
    loss, *slopes = gradients(batch, temperature=temperature, margin=margin, form=form)
    assert loss.dtype == (torch.float64 if batch[0].dtype == torch.float64 else torch.float32)
    assert torch.isfinite(loss)
    assert loss >= 0
    # A float16 gradient overflows where the number itself does not fit; check in float32.
    wide = tuple(t.float() if t.dtype == torch.float16 else t for t in batch[:2])
    _, *slopes = gradients((*wide, batch[2]), temperature=temperature, margin=margin, form=form)
    assert all(bool(torch.isfinite(slope).all()) for slope in slopes)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [1, 5])
def test_without_negatives_nothing_is_lost_and_nothing_moves(form: Any, count: int) -> None:
    features, vectors, _ = random_batch(count=count)
    labels = torch.ones(count, dtype=torch.int64)
    loss, *slopes = gradients((features, vectors, labels), temperature=0.5, margin=0.98, form=form)
    assert loss.item() == 0
    assert all(torch.count_nonzero(slope) == 0 for slope in slopes)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 99),
    scale=st.sampled_from([1e-6, 0.3, 1e6, 1e150]),
    form=st.sampled_from(FORMS),
)
def test_lengths_and_order_do_not_matter(seed: int, scale: float, form: Any) -> None:
    features, vectors, labels = random_batch(count=8, seed=seed)
    options: dict[str, Any] = {"temperature": 0.5, "margin": 0.98, "form": form}
    loss = d2d_cross_entropy(features, vectors, labels, **options).item()
    lengths = torch.linspace(1, 3, 8, dtype=torch.float64)[:, None] * scale
    scaled = d2d_cross_entropy(features * lengths, vectors * scale, labels, **options)
    assert scaled.item() == pytest.approx(loss, rel=1e-9)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(seed))
    shuffled = d2d_cross_entropy(features[order], vectors, labels[order], **options)
    assert shuffled.item() == pytest.approx(loss, rel=1e-9)
    renamed = torch.tensor([2, 0, 1])  # class c is now called renamed[c]
    again = d2d_cross_entropy(features, vectors[torch.argsort(renamed)], renamed[labels], **options)
    assert again.item() == pytest.approx(loss, rel=1e-9)


def test_narrow_inputs_are_worked_out_in_float32() -> None:
    features, vectors, labels = random_batch(dtype=torch.bfloat16)
    options: dict[str, Any] = {"temperature": 0.5, "margin": 0.98}
    exact = d2d_cross_entropy(features.double(), vectors.double(), labels, **options)
    loss, slope, _ = gradients((features, vectors, labels), **options)
    assert loss.dtype == torch.float32
    assert slope.dtype == torch.bfloat16
    assert loss.item() == pytest.approx(exact.item(), abs=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = d2d_cross_entropy(features.float(), vectors.float(), labels, **options)
    assert inside.item() == pytest.approx(exact.item(), abs=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_nothing_waits_for_a_value(form: Any) -> None:
    # Tensors without data: whatever asked for a value would raise.
    features, vectors, labels = (tensor.to("meta") for tensor in random_batch())
    loss = d2d_cross_entropy(features, vectors, labels, temperature=0.5, margin=0.98, form=form)
    assert loss.shape == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": torch.zeros(4)}, "features"),
        ({"features": torch.zeros(0, 3)}, "features"),
        ({"features": torch.zeros(2, 3, dtype=torch.int64)}, "features"),
        ({"class_vectors": torch.zeros(3, 4)}, "width 4, features 3"),
        ({"labels": torch.zeros(2, dtype=torch.int32)}, "torch.int64"),
        ({"labels": torch.zeros(3, dtype=torch.int64)}, "torch.int64"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"margin": 1.2}, "margin"),
        ({"form": "papre"}, "'paper' or 'released'"),
    ],
)
def test_wrong_input_is_named(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {
        "features": torch.ones(2, 3),
        "class_vectors": torch.ones(3, 3),
        "labels": torch.tensor([0, 1]),
        "temperature": 0.5,
        "margin": 0.98,
    }
    with pytest.raises(ValueError, match=message):
        d2d_cross_entropy(**{**arguments, **change})
