"""Scale, factors, noise, bias and leaky ReLU as one operation: formula, derivatives, kernels."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from reacgan.kernels import LAUNCHES, counting_launches
from reacgan.kernels.bias_act import Act, activated
from reacgan.tensors import gradients_of_inputs_alone

ACTS = [Act(0.3, 0.7, 0.2, 1.4), Act(), Act(0.5, 1.0, 1.0, 1.3)]
PARTS = [(), ("bias",), ("factors",), ("bias", "factors"), ("bias", "noise"), ("all",)]
EVERY = ("bias", "factors", "noise")


def tensors(shape, parts, dtype=torch.float64, device="cpu"):
    """Images, and the arguments of these parts; noise of each sample where there are factors."""
    generator = torch.Generator().manual_seed(0)

    def draw(*size):
        values = torch.randn(size, generator=generator, dtype=torch.float64)
        return values.to(device=device, dtype=torch.promote_types(dtype, torch.float32))

    count, channels, *size = shape
    x = draw(*shape).to(dtype).requires_grad_()
    known = {
        "bias": draw(channels).requires_grad_(),
        "factors": draw(count, channels).requires_grad_(),
        "noise": draw(count, 1, *size) if "all" in parts else draw(*size),
    }
    chosen = {name: known[name] for name in (EVERY if "all" in parts else parts)}
    if "noise" in chosen:
        chosen["strength"] = draw().requires_grad_()
    return x, chosen


def formula(x, act, bias=None, factors=None, noise=None, strength=None):
    size = [1] * (x.dim() - 2)
    pre = act.scale * x
    if factors is not None:
        pre = pre * factors.view(*factors.shape, *size)
    if noise is not None:
        pre = pre + strength * noise
    if bias is not None:
        pre = pre + act.bias_scale * bias.view(-1, *size)
    return act.gain * torch.where(pre > 0, pre, act.slope * pre)


def leaves(x, parts):
    return [x, *(value for name, value in parts.items() if name != "noise")]


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("shape", [(3, 4, 3, 5), (3, 4)])
def test_formula_and_derivatives(shape, parts, act):
    if len(shape) == 2 and {"noise", "all"} & set(parts):
        parts = ("bias", "factors")
    x, chosen = tensors(shape, parts)
    found, expected = activated(x, act, **chosen), formula(x, act, **chosen)
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(found)
    gradients = [
        torch.autograd.grad((y * weights).sum(), leaves(x, chosen)) for y in (found, expected)
    ]
    torch.testing.assert_close(*gradients)
    names = [name for name in chosen if name != "noise"]

    def of(x, *values):
        return activated(x, act, **{**chosen, **dict(zip(names, values, strict=True))})

    assert torch.autograd.gradgradcheck(of, leaves(x, chosen))


def test_gradients_of_inputs_alone():
    x, chosen = tensors((3, 4, 3, 5), ("all",))
    y = activated(x, ACTS[0], **chosen).square().sum()
    bias, strength = chosen["bias"], chosen["strength"]
    (whole,) = torch.autograd.grad(y, x, retain_graph=True)
    with gradients_of_inputs_alone():
        (alone,) = torch.autograd.grad(y, x, retain_graph=True)
        rest = torch.autograd.grad(y, (bias, strength), retain_graph=True, allow_unused=True)
    assert torch.equal(whole, alone)
    assert rest == (None, None)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 5, 6, 7), (2, 70, 9, 16), (5, 7), (1, 8, 8, 8)])
@pytest.mark.parametrize("parts", PARTS)
def test_kernels(kernel_device, parts, shape, dtype):
    if len(shape) == 2 and {"noise", "all"} & set(parts):
        parts = ("bias", "factors")
    x, chosen = tensors(shape, parts, dtype, kernel_device)
    weights = torch.randn(shape).to(device=kernel_device, dtype=dtype)
    act = ACTS[0]
    with counting_launches() as launches:
        found = activated(x, act, **chosen)
    assert sum(launches.values()) == LAUNCHES["reacgan::activate"]
    assert found.dtype == dtype
    with counting_launches() as launches:
        gradients = torch.autograd.grad(found, leaves(x, chosen), weights, retain_graph=True)
    assert sum(launches.values()) == LAUNCHES["reacgan::activate_backward"]
    with counting_launches() as launches:
        torch.autograd.grad(found, x, weights, create_graph=True)
    assert sum(launches.values()) == LAUNCHES["reacgan::activate_pass"]
    wide = {name: value.detach().double().requires_grad_() for name, value in chosen.items()}
    exact = x.detach().double().requires_grad_()
    expected = formula(exact, act, **wide)
    of_exact = torch.autograd.grad(expected, leaves(exact, wide), weights.double())
    bound = 1e-5 if dtype == torch.float32 else 1e-2
    for mine, true in zip([found, *gradients], [expected, *of_exact], strict=True):
        assert (mine - true).abs().max() <= 10 * bound * true.abs().max() + 1e-6


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="pip install triton")
def test_kernels_compile_for_a_gpu(tmp_path, monkeypatch):
    """The interpreter lets pass, for example, a variable of another type in a loop."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    script = Path(__file__).with_name("compiled_style.py")
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
