"""Biases, activations, residual sums and ReLUs as single operations: formulas, kernels, launches."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from kernel_cases import compare, drawn, launched, twice
from torch.nn import functional as F

from reacgan.kernels.elementwise import biased, residual_sum
from reacgan.kernels.preactivation import relu_and_kept, relu_sum

ACTIVATIONS = {
    "none": lambda value: value,
    "relu": F.relu,
    "leaky": partial(F.leaky_relu, negative_slope=0.1),
    "tanh": torch.tanh,
}
TYPES = [torch.float32, torch.bfloat16]
# N, C, H, W
SIZES = [(2, 8, 8, 8), (1, 3, 32, 16), (1, 129, 8, 16), (3, 20, 2, 2)]


def of(bias):
    return bias.view(1, -1, 1, 1)


def plain_sum(images, shortcut, *biases):
    if shortcut.shape != images.shape:
        shortcut = F.interpolate(shortcut, scale_factor=2)
    return sum((of(bias) for bias in biases), images + shortcut)


def plain_kept(images, *, kept_active, halved):
    kept = F.relu(images) if kept_active else images
    return F.relu(images), F.avg_pool2d(kept, 2) if halved else kept * 1


def cases(size, **how):
    """Every operation beside what it stands for, with inputs: (ours, plain, inputs)."""
    samples, channels, height, width = size
    images = partial(drawn, *size, **how)
    small = partial(drawn, samples, channels, height // 2, width // 2, **how)
    kind = how.get("dtype", torch.float64)
    wide = torch.promote_types(kind, torch.float32)
    bias = partial(drawn, channels, **{**how, "dtype": wide})
    for name, formula in ACTIVATIONS.items():
        yield (
            partial(biased, activation=name, slope=0.1),
            lambda value, bias, formula=formula: formula(value + of(bias)),
            [images(), bias()],
        )
    for shortcut in (images, small):
        for count in (0, 1, 2):
            biases = [bias() for _ in range(count)]
            yield residual_sum, plain_sum, [images(), shortcut(), *biases]
    for kept_active in (True, False):
        for halved in (True, False):
            options = {"kept_active": kept_active, "halved": halved}
            yield partial(relu_and_kept, **options), partial(plain_kept, **options), [images()]
    yield relu_sum, lambda images: F.relu(images).sum((2, 3)), [images()]


@pytest.mark.parametrize("last", [True, False])
def test_formulas(last):
    for ours, plain, inputs in cases((2, 3, 4, 6), last=last):
        compare(ours, plain, inputs)


def test_second_derivatives():
    for ours, _, inputs in cases((1, 2, 2, 4)):
        twice(ours, inputs)


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_kernels(kernel_device, size, dtype, last):
    for ours, plain, inputs in cases(size, dtype=dtype, last=last, device=kernel_device):
        count, declared, operations = launched(lambda: compare(ours, plain, inputs))  # noqa: B023
        assert count == declared > 0, operations


@pytest.mark.parametrize("last", [True, False])
def test_results_lie_in_memory_as_the_images(kernel_device, last):
    order = torch.channels_last if last else torch.contiguous_format
    for ours, plain, inputs in cases(
        (2, 8, 4, 4), dtype=torch.float32, last=last, device=kernel_device
    ):
        results, slopes = compare(ours, plain, inputs)
        for value in [*results, *slopes]:
            assert value.dim() < 4 or value.is_contiguous(memory_format=order)


def test_what_needs_no_gradient_costs_no_launch(kernel_device):
    images, bias = (
        drawn(2, 8, 4, 4, dtype=torch.float32, device=kernel_device),
        drawn(8, dtype=torch.float32, device=kernel_device),
    )
    small = drawn(2, 8, 2, 2, dtype=torch.float32, device=kernel_device)

    def backward(result, *inputs):
        gradient = torch.ones_like(result)
        return launched(lambda: torch.autograd.grad(result, inputs, gradient))[2]

    with_bias = biased(images, bias, activation="relu")
    assert backward(with_bias, images, bias) == ["reacgan::biased_backward"]
    alone = biased(images, bias.detach(), activation="relu")
    assert backward(alone, images) == ["reacgan::biased_backward_images"]
    assert backward(biased(images, bias.detach()), images) == []
    assert backward(residual_sum(images, images, bias, bias), bias) == ["reacgan::column_sums"]
    both = residual_sum(images, small, bias)
    assert backward(both, small, bias) == ["reacgan::cell_and_column_sums"]
    assert backward(residual_sum(images, small, bias.detach()), small) == ["reacgan::cell_sums"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)  # kernel, formula
def test_gradients_of_two_biases_have_memory_of_their_own(kernel_device, dtype):
    biases = (
        drawn(8, dtype=dtype, device=kernel_device),
        drawn(8, dtype=dtype, device=kernel_device),
    )
    for shortcut in (
        drawn(2, 8, 4, 4, dtype=dtype, device=kernel_device),
        drawn(2, 8, 2, 2, dtype=dtype, device=kernel_device),
    ):
        result = residual_sum(
            drawn(2, 8, 4, 4, dtype=dtype, device=kernel_device), shortcut, *biases
        )
        first, second, _ = torch.autograd.grad(result.sum(), [*biases, shortcut])
        first.zero_()
        assert second.eq(32).all()


def test_nan_is_passed_on(kernel_device):
    images = drawn(1, 4, 2, 2, dtype=torch.float32, device=kernel_device).detach()
    images[0, 1, 0, 0] = torch.nan
    bias = torch.zeros(4, device=kernel_device)
    for result in (
        biased(images, bias, activation="relu")[0, 1],
        relu_sum(images)[0, 1],
        *(kept[0, 1] for kept in relu_and_kept(images, kept_active=True, halved=True)),
        residual_sum(images, images, bias)[0, 1],
    ):
        assert result.isnan().any()
    result = biased(images.requires_grad_(), bias, activation="relu")
    (slope,) = torch.autograd.grad(result.sum(), images)
    assert slope[0, 1, 0, 0] == 1  # as PyTorch's


def test_narrow_images_have_wide_sums(kernel_device):
    """In bfloat16 a sum would stop growing at 256."""
    images = torch.ones(2, 4, 32, 32, dtype=torch.bfloat16, device=kernel_device).requires_grad_()
    bias = torch.zeros(4, requires_grad=True, device=kernel_device)
    (slope,) = torch.autograd.grad(biased(images, bias), bias, torch.ones_like(images))
    assert slope.eq(2048).all() and relu_sum(images).eq(1024).all()


def test_a_shortcut_in_a_wider_type(kernel_device):
    images, shortcut = (
        drawn(1, 4, 2, 2, dtype=torch.bfloat16, device=kernel_device),
        drawn(1, 4, 2, 2, dtype=torch.float32, device=kernel_device),
    )
    result = residual_sum(images, shortcut)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, images.float() + shortcut)


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="pip install triton")
def test_kernels_compile_for_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    script = Path(__file__).with_name("compiled_elementwise.py")
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["14"]  # every kernel there is
