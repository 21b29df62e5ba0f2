"""D2D-CE by fused operations: against the loss as it is written out, kernels against formulas."""

from __future__ import annotations

import pytest
import torch

from reacgan.heads.d2dce import d2d_cross_entropy
from reacgan.kernels import LAUNCHES, counting_launches
from reacgan.kernels.d2d import D2DSettings, d2d_loss

OPTIONS = [
    {"suppress_easy": easy, "false_negatives": false, "form": form}
    for easy in ("both", "positives", "negatives", "none")
    for false in (False, True)
    for form in ("paper", "released")
]
BATCHES = {
    "several classes": (12, 16, 4, None),
    "one sample": (1, 8, 3, None),
    "one class": (6, 9, 1, None),
    "all of a class": (7, 8, 5, 2),
    "many classes": (5, 17, 40, None),
    "large": (64, 129, 10, None),
}
FORWARD, BACKWARD = ("d2d_unit", "d2d_rows"), ("d2d_pairs", "d2d_gradients")


def batch(name, kind=torch.float64):
    count, width, classes, label = BATCHES[name]
    torch.manual_seed(count + width)
    vectors = torch.randn(classes, width, dtype=torch.float64)
    labels = torch.randint(0, classes, (count,)) if label is None else torch.full((count,), label)
    # Near the vectors of their classes, so that some positives are easy; the last are the same sample.
    features = 3 * vectors[labels] + torch.randn(count, width, dtype=torch.float64)
    if count > 5:
        features[-1] = features[-2]
    return features.to(kind), vectors.to(kind), labels


def graded(tensors, labels, *, device="cpu", **options):
    given = [tensor.to(device).requires_grad_() for tensor in tensors]
    labels = labels.to(device)
    loss = d2d_cross_entropy(*given, labels, **{"temperature": 0.5, "margin": 0.9, **options})
    gradients = torch.autograd.grad(2.5 * loss, given)
    return [tensor.detach().cpu() for tensor in (loss, *gradients)]


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize(
    "options", OPTIONS, ids=lambda options: "-".join(map(str, options.values()))
)
def test_the_formula_is_the_loss(name, options):
    *tensors, labels = batch(name)
    plain = graded(tensors, labels, **options)
    fused = graded(tensors, labels, **options, kernels=True)
    for ours, theirs in zip(fused, plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


def test_rows_without_a_direction_or_of_any_length():
    *tensors, labels = batch("several classes")
    tensors[0][0] = 0
    tensors[0][1] *= 1e200
    tensors[0][2] *= 1e-8
    tensors[1][1] = 0
    plain, fused = graded(tensors, labels), graded(tensors, labels, kernels=True)
    assert torch.count_nonzero(fused[1][0]) == torch.count_nonzero(fused[2][1]) == 0
    for ours, theirs in zip(fused, plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("form", ["paper", "released"])
def test_second_derivatives(form):
    *tensors, labels = batch("several classes")
    settings = D2DSettings(0.5, 0.9, True, True, released=form == "released")
    given = [tensor.requires_grad_() for tensor in tensors]

    def loss(*inputs):
        return d2d_loss(*inputs, labels, settings)

    if form == "paper":  # the released form's maximum is a constant for the gradient alone
        assert torch.autograd.gradcheck(loss, given)
        assert torch.autograd.gradgradcheck(loss, given)
        return
    seconds = []
    for kernels in (False, True):
        value = d2d_cross_entropy(
            *given, labels, temperature=0.5, margin=0.9, form=form, kernels=kernels
        )
        first = torch.autograd.grad(value, given, create_graph=True)
        seconds.append(torch.autograd.grad(sum(each.square().sum() for each in first), given))
    for ours, theirs in zip(*seconds, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize(
    "options", OPTIONS[::3], ids=lambda options: "-".join(map(str, options.values()))
)
def test_kernels_are_the_formula(kernel_device, name, options):
    *tensors, labels = batch(name, torch.float32)
    exact = graded([tensor.double() for tensor in tensors], labels, **options)
    with counting_launches() as launched:
        fused = graded(tensors, labels, **options, kernels=True, device=kernel_device)
    for ours, theirs in zip(fused, exact, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=2e-5, atol=2e-6)
    assert launched == {
        f"{kernel}_kernel": LAUNCHES[f"reacgan::{kernel}"] for kernel in (*FORWARD, *BACKWARD)
    }


def test_bfloat16_is_widened(kernel_device):
    *tensors, labels = batch("several classes", torch.bfloat16)
    exact = graded([tensor.double() for tensor in tensors], labels)
    fused = graded(tensors, labels, kernels=True, device=kernel_device)
    assert fused[0].dtype == torch.float32 and fused[1].dtype == torch.bfloat16
    torch.testing.assert_close(fused[0].double(), exact[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(fused[1].double(), exact[1], rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("where", [0, 1])
def test_not_a_number_comes_through(kernel_device, where):
    *tensors, labels = batch("several classes", torch.float32)
    tensors[where][labels[3] if where else 3, 2] = torch.nan
    loss, *gradients = graded(tensors, labels, kernels=True, device=kernel_device)
    assert loss.isnan() and gradients[where].isnan().any()
