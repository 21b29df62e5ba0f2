"""The hinge loss as one operation: against the loss as it is written out, kernels against the formula."""

from __future__ import annotations

import pytest
import torch

from reacgan.kernels import LAUNCHES, counting_launches
from reacgan.kernels.scores import hinge
from reacgan.losses.adversarial import hinge_d

SIZES = [(1, 1), (7, 5), (64, 64), (1500, 3)]


def scores(sizes, kind=torch.float64):
    torch.manual_seed(sum(sizes))
    return [(2 * torch.randn(size, dtype=torch.float64)).to(kind) for size in sizes]


def graded(call, given, device="cpu"):
    given = [tensor.to(device).detach().requires_grad_() for tensor in given]
    loss = call(*given)
    loss = loss if isinstance(loss, torch.Tensor) else loss[0]
    gradients = torch.autograd.grad(1.7 * loss, given)
    return [tensor.detach().cpu() for tensor in (loss, *gradients)]


@pytest.mark.parametrize("sizes", SIZES)
def test_the_formula_is_the_loss(sizes):
    real, fake = scores(sizes)
    for ours, theirs in zip(
        graded(hinge, (real, fake)), graded(hinge_d, (real, fake)), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)
    _, *means = hinge(real.requires_grad_(), fake.requires_grad_())
    assert [mean.requires_grad for mean in means] == [False, False]
    assert torch.equal(torch.stack(means), torch.stack([s.float().mean() for s in (real, fake)]))


def test_second_derivatives():
    real, fake = (tensor.requires_grad_() for tensor in scores((7, 5)))

    def loss(real, fake):
        return hinge(real.square(), fake * real[:5])[0]

    assert torch.autograd.gradcheck(loss, (real, fake))
    assert torch.autograd.gradgradcheck(loss, (real, fake))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("sizes", SIZES)
def test_kernels_are_the_formula(kernel_device, sizes, kind):
    given = scores(sizes, kind)
    exact = graded(hinge_d, [tensor.double() for tensor in given])
    with counting_launches() as launched:
        ours = graded(hinge, given, kernel_device)
    bound = 1e-6 if kind == torch.float32 else 1e-2
    torch.testing.assert_close(ours[0].double(), exact[0], rtol=1e-6, atol=1e-6)
    for fused, plain in zip(ours[1:], exact[1:], strict=True):
        assert fused.dtype == kind
        torch.testing.assert_close(fused.double(), plain, rtol=bound, atol=1e-7)
    names = ("hinge_forward", "hinge_backward")
    assert launched == {f"{name}_kernel": LAUNCHES[f"reacgan::{name}"] for name in names}
    _, *means = hinge(*(tensor.to(kernel_device) for tensor in given))
    for mean, tensor in zip(means, given, strict=True):
        torch.testing.assert_close(mean.cpu(), tensor.float().mean(), rtol=1e-5, atol=1e-6)


def test_not_a_number_comes_through(kernel_device):
    real, fake = scores((7, 5), torch.float32)
    fake[2] = torch.nan
    assert graded(hinge, (real, fake), kernel_device)[0].isnan()
