"""The filter (1 3 3 1) / 8 as one operation: against slices and convolutions, derivatives, kernel."""

from __future__ import annotations

import itertools

import pytest
import torch

from reacgan.kernels import counting_launches
from reacgan.kernels.resample import filtered
from reacgan.models.resample import Resampler, doubled, halved

CASES = [
    *(("blur", False, padding) for padding in range(4)),
    *(itertools.product(("down", "up"), (False, True), (1,))),
]


def images(channels=3, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, channels, 6, 8, generator=generator, dtype=torch.float64).to(dtype)


def by_others(x, change, repeat, padding):
    if repeat:
        return (halved if change == "down" else doubled)(x, "bilinear")
    resampler = Resampler().double()
    return resampler.blur(x, padding=padding) if change == "blur" else getattr(resampler, change)(x)


@pytest.mark.parametrize(("change", "repeat", "padding"), CASES)
def test_the_same_as_convolutions_and_slices(change, repeat, padding):
    x = images().requires_grad_()
    found = filtered(x, change, padding=padding, repeat=repeat, factor=0.7)
    expected = 0.7 * by_others(x, change, repeat, padding)
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(found)
    gradients = [torch.autograd.grad((y * weights).sum(), x)[0] for y in (found, expected)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(("change", "repeat", "padding"), CASES)
def test_derivatives(change, repeat, padding):
    x = images(1).requires_grad_()

    def of(x):
        return filtered(x, change, padding=padding, repeat=repeat, factor=0.7)

    assert torch.autograd.gradcheck(of, x)
    assert torch.autograd.gradgradcheck(of, x)


@pytest.mark.parametrize("channels", [1, 3, 16])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("change", "repeat", "padding"), CASES)
def test_the_kernel(kernel_device, change, repeat, padding, order, channels):
    for dtype, bound in ((torch.float32, 1e-6), (torch.bfloat16, 1e-2)):
        x = images(channels, dtype).contiguous(memory_format=order).to(kernel_device)
        with counting_launches() as launches:
            found = filtered(x, change, padding=padding, repeat=repeat, factor=0.7)
        assert sum(launches.values()) == 1
        expected = filtered(x.double(), change, padding=padding, repeat=repeat, factor=0.7)
        assert found.dtype == dtype and found.is_contiguous(memory_format=order)
        torch.testing.assert_close(found.double(), expected, atol=bound, rtol=bound)
