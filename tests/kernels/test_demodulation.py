"""Demodulation: formula, derivatives of both orders, kernels."""

from __future__ import annotations

import pytest
import torch

from reacgan.kernels import counting_launches
from reacgan.kernels.demodulation import demodulation
from reacgan.tensors import gradients_of_inputs_alone

NUMBERS = {"scale": 0.3, "gain": 4.0, "eps": 1e-2}


def given(size, dtype=torch.float64, device="cpu"):
    generator = torch.Generator().manual_seed(0)
    styles = torch.randn(3, 5, generator=generator, dtype=torch.float64)
    weight = torch.randn(4, 5, size, size, generator=generator, dtype=torch.float64)
    return [values.to(device=device, dtype=dtype).requires_grad_() for values in (styles, weight)]


def formula(styles, weight):
    scaled = NUMBERS["scale"] * styles[:, None, :, None, None] * weight
    lengths = scaled.square().sum((2, 3, 4))
    return NUMBERS["gain"] / (lengths + NUMBERS["eps"]).sqrt()


@pytest.mark.parametrize("size", [1, 3])
def test_formula_and_derivatives(size):
    styles, weight = given(size)

    def of(styles, weight):
        return demodulation(styles, weight, **NUMBERS)

    torch.testing.assert_close(of(styles, weight), formula(styles, weight))
    assert torch.autograd.gradcheck(of, (styles, weight))
    assert torch.autograd.gradgradcheck(of, (styles, weight))
    with gradients_of_inputs_alone():
        found = torch.autograd.grad(of(styles, weight).sum(), (styles, weight), allow_unused=True)
    expected = torch.autograd.grad(formula(styles, weight).sum(), styles)[0]
    torch.testing.assert_close(found[0], expected)
    assert found[1] is None


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [1, 3])
def test_kernels(kernel_device, size, order):
    styles, weight = given(size, torch.float32, kernel_device)
    weight = weight.detach().contiguous(memory_format=order).requires_grad_()
    with counting_launches() as launches:
        found = demodulation(styles, weight, **NUMBERS)
    assert launches == {"square_sums_kernel": 1, "inverse_roots_kernel": 1}
    weights = torch.randn_like(found)
    with counting_launches() as launches:
        gradients = torch.autograd.grad((found * weights).sum(), (styles, weight))
    assert launches == {"square_sums_backward_kernel": 1, "inverse_roots_kernel": 1}
    exact = [values.detach().double().requires_grad_() for values in (styles, weight)]
    expected = formula(*exact)
    of_exact = torch.autograd.grad((expected * weights.double()).sum(), exact)
    for mine, true in zip([found, *gradients], [expected, *of_exact], strict=True):
        torch.testing.assert_close(mine.double(), true, rtol=1e-5, atol=1e-5)
    assert gradients[1].stride() == weight.stride()
