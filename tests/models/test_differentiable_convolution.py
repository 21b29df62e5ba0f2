"""Convolutions whose derivatives are single convolutions, against the library's own."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from reacgan.models.convolution import differentiable_convolution
from reacgan.tensors import gradients_of_inputs_alone

CASES = [
    {"stride": 1, "padding": 1, "groups": 1, "transposed": False},
    {"stride": 2, "padding": 0, "groups": 2, "transposed": False},
    {"stride": 1, "padding": 2, "groups": 4, "transposed": False},
    {"stride": 2, "padding": 1, "groups": 2, "transposed": True},
    {"stride": 2, "padding": 0, "groups": 1, "transposed": True},
]


def given(groups, transposed, **_):
    generator = torch.Generator().manual_seed(0)
    outer, inner = (4, 8 // groups) if transposed else (8, 4 // groups)
    shapes = [(2, 4, 5, 6), (outer, inner, 3, 3), (8,)]
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
        for shape in shapes
    ]


def library(images, weight, bias, transposed, **how):
    return (F.conv_transpose2d if transposed else F.conv2d)(images, weight, bias, **how)


class Convolutions(TorchDispatchMode):
    """Counts those of either kind."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += "convolution" in str(func)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("how", CASES)
def test_value_and_first_derivatives_have_the_same_bits(how):
    tensors = given(**how)
    found, expected = differentiable_convolution(*tensors, **how), library(*tensors, **how)
    assert torch.equal(found, expected)
    weights = torch.randn_like(found)
    pairs = [torch.autograd.grad((y * weights).sum(), tensors) for y in (found, expected)]
    assert all(torch.equal(mine, true) for mine, true in zip(*pairs, strict=True))


@pytest.mark.parametrize("how", CASES)
def test_second_and_third_derivatives(how):
    tensors = given(**how)
    orders = []
    for convolve in (differentiable_convolution, library):
        value = convolve(*tensors, **how).pow(3).sum()
        orders.append([])
        for _ in range(3):
            gradients = torch.autograd.grad(value, tensors, create_graph=True)
            orders[-1].extend(gradients)
            value = sum(gradient.square().sum() for gradient in gradients)
    torch.testing.assert_close(*orders, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("how", CASES)
def test_a_penalty_takes_as_many_convolutions_whatever_the_groups(how):
    images, weight, _ = given(**how)
    with Convolutions() as counter:
        output = differentiable_convolution(images, weight, **how)
        with gradients_of_inputs_alone():
            (slope,) = torch.autograd.grad(output.square().sum(), images, create_graph=True)
        assert counter.count == 2  # no gradient of the weight
        slope.square().sum().backward()
    # Of the slope: its own gradient and the weight's. Of the output: the images' and the weight's at once.
    assert counter.count == 5
    assert images.grad is not None and weight.grad is not None


def test_autocast_reaches_it():
    images, weight, bias = (tensor.float() for tensor in given(groups=1, transposed=False))
    with torch.autocast("cpu", torch.bfloat16):
        found = differentiable_convolution(images, weight, bias, padding=1)
        assert torch.equal(found, F.conv2d(images, weight, bias, padding=1))
    assert found.dtype == torch.bfloat16
