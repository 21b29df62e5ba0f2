"""Batch norm, gain, bias and ReLU: the formula is the textbook one, and the kernels are the formula."""

from __future__ import annotations

import importlib.util
import itertools
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from reacgan.kernels import LAUNCHES, counting_launches
from reacgan.kernels.norm import Affine, batch_norm, norm_apply, norm_statistics, stored_norm

LAST, FIRST = torch.channels_last, torch.contiguous_format
EPS = 1e-4
AFFINES = [Affine(EPS), Affine(EPS, added=1.0), Affine(EPS, added=1.0, relu=True)]


def drawn(shape, *, mean=0.0, order=LAST, dtype=torch.float64, rows=None, device="cpu"):
    """Images, gain, bias and the gradient of the result; gain and bias are parts of one product."""
    images, gradient = torch.randn(shape) + mean, torch.randn(shape)
    images, gradient = (
        tensor.to(device, dtype).contiguous(memory_format=order) for tensor in (images, gradient)
    )
    gain, bias = torch.randn(rows or shape[0], 2 * shape[1]).to(device, dtype).chunk(2, dim=1)
    return images, gain, bias, gradient


def textbook(images, gain, bias, affine, *, running=None, momentum=0.1, offset=None):
    if offset is not None:
        images = images + offset[:, None, None]
    mean, variance = running or (None, None)
    normal = F.batch_norm(images, mean, variance, training=True, momentum=momentum, eps=affine.eps)
    result = normal * (gain + affine.added)[:, :, None, None] + bias[:, :, None, None]
    return result.relu() if affine.relu else result


def everything(function, images, gain, bias, gradient, affine, *, tracked=True, offset=None):
    """The result, the gradients, and the running statistics; by name."""
    inputs = {"images": images, "gain": gain, "bias": bias}
    if offset is not None:
        inputs["offset"] = offset
    inputs = {name: value.detach().requires_grad_() for name, value in inputs.items()}
    kind = {
        "dtype": torch.promote_types(images.dtype, torch.float32),
        "device": images.device,
    }
    channels = images.shape[1]
    running = torch.linspace(-1, 1, channels, **kind), torch.ones(channels, **kind)
    result = function(
        inputs["images"],
        inputs["gain"],
        inputs["bias"],
        affine,
        running=running if tracked else None,
        offset=inputs.get("offset"),
    )
    slopes = torch.autograd.grad(result, list(inputs.values()), gradient)
    slopes = {f"slope of {name}": slope for name, slope in zip(inputs, slopes, strict=True)}
    return {"result": result.detach(), **slopes, "mean": running[0], "variance": running[1]}


def compare(ours, theirs, bound):
    for name, expected in theirs.items():
        scale = max(expected.abs().max().item(), 1.0)
        distance = (ours[name].double() - expected.double()).abs().max().item()
        assert distance <= bound * scale, (name, distance / scale)


# -- the formula


@pytest.mark.parametrize("tracked", [True, False])
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("affine", AFFINES)
def test_the_formula_is_the_textbook_one(affine, rows, tracked):
    given = drawn((3, 5, 4, 6), rows=rows)
    offset = torch.randn(5, dtype=torch.float64)
    for more in ({}, {"offset": offset}):
        ours = everything(batch_norm, *given, affine, tracked=tracked, **more)
        theirs = everything(textbook, *given, affine, tracked=tracked, **more)
        compare(ours, theirs, 1e-12)
    assert not ours["slope of offset"].any()  # exactly


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("affine", AFFINES)
def test_second_derivatives(affine, rows):
    images, gain, bias, _ = drawn((2, 3, 2, 3), rows=rows)
    given = [tensor.detach().clone().requires_grad_() for tensor in (images, gain, bias)]

    def call(images, gain, bias):
        return batch_norm(images, gain, bias, affine)

    assert torch.autograd.gradcheck(call, given)
    assert torch.autograd.gradgradcheck(call, given)


def test_stored_statistics():
    images, gain, bias, gradient = drawn((3, 5, 4, 6))
    stored = torch.randn(5, dtype=torch.float64), torch.rand(5, dtype=torch.float64)
    normal = F.batch_norm(images, *stored, eps=EPS)
    expected = F.relu(normal * (1 + gain)[:, :, None, None] + bias[:, :, None, None])
    affine = Affine(EPS, 1.0, True)
    torch.testing.assert_close(stored_norm(images, stored, gain, bias, affine), expected)
    images.requires_grad_()
    (slope,) = torch.autograd.grad(
        stored_norm(images, stored, gain, bias, affine), images, gradient
    )
    scale = ((1 + gain) * (stored[1] + EPS).rsqrt())[:, :, None, None]
    torch.testing.assert_close(slope, gradient * scale * (expected > 0))


def test_what_is_too_small_is_refused():
    images, gain, bias, _ = drawn((3, 5, 4, 6))
    with pytest.raises(ValueError, match=r"\(3, 4\)"):
        batch_norm(images, gain[:, :4], bias[:, :4], Affine(EPS))
    with pytest.raises(ValueError, match=r"\(2, 5\)"):
        stored_norm(images, (bias[0], gain[0]), gain[:2], bias[:2], Affine(EPS))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_operations_are_what_they_say(dtype):
    """Which arguments they change, and the results' shapes and types before they are computed."""
    images, gain, bias, gradient = drawn((3, 5, 4, 6), dtype=dtype)
    kind = torch.promote_types(dtype, torch.float32)
    running = torch.zeros(5, dtype=kind), torch.ones(5, dtype=kind)
    how = {"eps": EPS, "added": 1.0, "relu": True}
    statistics = norm_statistics(images, *running, None, momentum=0.1)
    operations = torch.ops.reacgan
    calls = {
        "norm_statistics": ((images, *running, None), {"momentum": 0.1}),
        "norm_apply": ((images, statistics, gain, bias), how),
        "norm_sums": ((gradient, images, statistics, gain, bias), how),
        "norm_gradient": ((gradient, images, statistics, gain, bias, statistics), how),
    }
    for name, (given, options) in calls.items():
        operation = getattr(operations, name).default
        torch.library.opcheck(
            operation, given, options, test_utils=("test_schema", "test_faketensor")
        )


# -- the kernels

SHAPES = [(2, 3, 1, 1), (1, 8, 5, 7), (3, 20, 4, 4), (2, 129, 3, 3), (2, 8, 32, 32), (1, 192, 9, 8)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 2e-5), (torch.bfloat16, 1e-2)])
def test_kernels_are_the_formula(kernel_device, shape, dtype, bound):
    """In float64, whatever the mean and the order of memory."""
    cases = [(0.0, LAST, shape[0]), (100.0, FIRST, shape[0]), (100.0, LAST, 1)]
    for (mean, order, rows), affine in zip(cases, AFFINES[::-1], strict=True):
        given = drawn(shape, mean=mean, order=order, dtype=dtype, rows=rows, device=kernel_device)
        offset = torch.randn(shape[1], device=kernel_device)
        with counting_launches() as launches:
            ours = everything(batch_norm, *given, affine, offset=offset)
        assert launches.total() == 6 and set(launches.values()) == {1}
        assert ours["result"].dtype == dtype
        assert ours["result"].is_contiguous(memory_format=order)
        wide = [tensor.double() for tensor in (*given, offset)]
        exact = everything(batch_norm, *wide[:-1], affine, offset=wide[-1])
        if shape[2:] == (1, 1):  # two values are +-1: their gradient is a difference of equals
            ours.pop("slope of images"), exact.pop("slope of images")
        compare(ours, exact, bound)


def test_launches_are_those_that_are_counted(kernel_device):
    images, gain, bias, gradient = drawn((2, 4, 3, 3), dtype=torch.float32, device=kernel_device)
    images.requires_grad_()
    declared = {
        name: number for name, number in LAUNCHES.items() if name.startswith("reacgan::norm_")
    }
    with counting_launches() as launches:
        result = batch_norm(images, gain, bias, Affine(EPS))
    assert (
        launches.total() == declared["reacgan::norm_statistics"] + declared["reacgan::norm_apply"]
    )
    with counting_launches() as launches:
        result.backward(gradient)
    assert launches.total() == declared["reacgan::norm_sums"] + declared["reacgan::norm_gradient"]
    assert sum(declared.values()) == 6
    stored = torch.zeros(4, device=kernel_device), torch.ones(4, device=kernel_device)
    with torch.no_grad(), counting_launches() as launches:
        stored_norm(images, stored, gain, bias, Affine(EPS))
    assert launches == {"norm_apply_kernel": 1}


@pytest.mark.parametrize("mean", [0.0, 100.0, -3_000.0])
def test_a_large_mean_costs_no_digits(kernel_device, mean):
    """Sums of squares would lose all of the variance."""
    images = torch.randn(5, 3, 17, 19, device=kernel_device) + mean
    images[0, :, 0, 0] += 50  # the first value is no guess at the mean
    statistics = norm_statistics(images, None, None, None, momentum=0.1)
    variance, exact = torch.var_mean(images.double(), (0, 2, 3), correction=0)
    torch.testing.assert_close(statistics[1].double(), variance, rtol=1e-5, atol=0)
    torch.testing.assert_close(statistics[0].double(), exact, rtol=2e-7, atol=1e-6)


def test_kernels_without_tracking_or_an_offset(kernel_device):
    given = drawn((2, 3, 4, 4), dtype=torch.float32, device=kernel_device)
    for tracked, relu in itertools.product([True, False], repeat=2):
        affine = Affine(EPS, relu=relu)
        wide = [tensor.double() for tensor in given]
        ours = everything(batch_norm, *given, affine, tracked=tracked)
        compare(ours, everything(textbook, *wide, affine, tracked=tracked), 1e-5)


def test_nan_comes_through(kernel_device):
    images, gain, bias, gradient = drawn((2, 3, 4, 4), dtype=torch.float32, device=kernel_device)
    images[1, 2, 0, 3] = torch.nan
    ours = everything(batch_norm, images, gain, bias, gradient, Affine(EPS, relu=True))
    for name in ("result", "slope of images"):
        assert ours[name][:, 2].isnan().all() and ours[name][:, :2].isfinite().all()
    assert ours["mean"][2].isnan() and ours["variance"][2].isnan()
    statistics = torch.stack([torch.zeros_like(bias[0]), torch.ones_like(bias[0])])
    how = {"eps": EPS, "added": 0.0, "relu": True}
    assert int(norm_apply(images, statistics, gain, bias, **how).isnan().sum()) == 1


def test_images_that_are_no_block_of_memory(kernel_device):
    images, gain, bias, gradient = drawn((2, 3, 8, 8), dtype=torch.float32, device=kernel_device)
    images, gradient = images[:, :, ::2, ::2], gradient[:, :, ::2, ::2]
    affine = Affine(EPS, 1.0, True)
    wide = [tensor.double() for tensor in (images, gain, bias, gradient)]
    ours = everything(batch_norm, images, gain, bias, gradient, affine)
    compare(ours, everything(textbook, *wide, affine), 1e-5)


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="pip install triton")
def test_kernels_compile_for_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    script = Path(__file__).with_name("compiled_norm.py")
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "'norm_gradient_kernel': 2" in done.stdout


# -- on a GPU

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.gpu
@CUDA
@pytest.mark.parametrize("shape", [*SHAPES, (128, 384, 32, 32), (64, 96, 128, 128)])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-4), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("order", [LAST, FIRST])
def test_kernels_on_a_gpu(order, dtype, bound, shape):
    """The formula in float64 there, and the same bits each time."""
    given = drawn(shape, mean=30.0, order=order, dtype=dtype, device="cuda")
    affine = Affine(EPS, 1.0, True)
    with counting_launches() as launches:
        ours = everything(batch_norm, *given, affine)
    assert launches.total() == 6
    again = everything(batch_norm, *given, affine)
    assert all(torch.equal(value, again[name]) for name, value in ours.items())
    exact = everything(batch_norm, *(tensor.double() for tensor in given), affine)
    if shape[2:] == (1, 1):
        ours.pop("slope of images"), exact.pop("slope of images")
    compare(ours, exact, bound)


@pytest.mark.gpu
@CUDA
def test_kernels_in_a_recording():
    images, gain, bias, gradient = drawn((16, 96, 16, 16), dtype=torch.bfloat16, device="cuda")
    affine = Affine(EPS, 1.0, True)
    running = torch.zeros(96, device="cuda"), torch.ones(96, device="cuda")
    inputs = [tensor.requires_grad_() for tensor in (images, gain, bias)]

    def step():
        result = batch_norm(*inputs, affine, running=running)
        return [result.detach(), *torch.autograd.grad(result, inputs, gradient)]

    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        expected = step()
    side.synchronize()
    running[0].zero_()
    running[1].fill_(1)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = step()
    graph.replay()
    torch.cuda.synchronize()
    assert all(torch.equal(*both) for both in zip(results, expected, strict=True))
    assert running[0].any() and (running[1] != 1).all()
