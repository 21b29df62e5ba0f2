"""Spectral norm of all layers at once: each layer's own formula, and the kernels are the formula."""

from __future__ import annotations

import copy
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from reacgan.kernels import LAUNCHES, counting_launches
from reacgan.kernels.matrices import arranged, is_arranged, norm_vectors
from reacgan.kernels.spectral import Form, together
from reacgan.models.weights import scaled

UP, DOWN, WIDE, ITERATES, NARROW = Form
LAYERS = {
    "3x3": ((8, 12, 3, 3), Form(0)),
    "doubled": ((12, 5, 3, 3), UP | WIDE),
    "halved": ((9, 7, 3, 3), DOWN | WIDE),
    "doubled after": ((9, 7, 3, 3), UP),
    "4x4 up": ((6, 10, 4, 4), UP),
    "4x4 down": ((6, 10, 4, 4), DOWN),
    "1x1": ((5, 3, 1, 1), Form(0)),
    "linear": ((16, 10), Form(0)),
    "one row": ((1, 40), Form(0)),
    "one column": ((40, 1), Form(0)),
    "one channel": ((1, 1, 3, 3), DOWN | WIDE),
}
# Several tiles in each direction, and edges.
LARGE = {
    "wide": ((8, 33, 3, 3), Form(0)),
    "high": ((140, 3, 3, 3), DOWN | WIDE),
    "wide up": ((140, 3, 3, 3), UP | WIDE),
    "high up": ((6, 20, 4, 4), UP),
    "many rows": ((300, 11), Form(0)),
}
EVERY = LAYERS | LARGE


def layers(cases, dtype, device="cpu", seed=0):
    """Weights, u and v, of the same values in every type."""
    draws = torch.Generator().manual_seed(seed)
    weights, us, vs = [], [], []
    for shape, form in cases:
        weight = torch.randn(shape, generator=draws)
        weight = arranged(weight, form.order) if weight.dim() == 4 else weight
        u = F.normalize(torch.randn(shape[0], generator=draws), dim=0)
        v = weight.flatten(1).t().mv(u) + torch.randn(weight[0].numel(), generator=draws)
        weights.append(weight.to(device, dtype).requires_grad_())
        us.append(u.to(device, dtype))
        vs.append(F.normalize(v, dim=0).to(device, dtype))
    return weights, us, vs


def apart(weights, us, vs, forms, kind):
    """What each layer does alone, in the type of its operation."""
    results = []
    for weight, u, v, form in zip(weights, us, vs, forms, strict=True):
        with torch.no_grad():
            norm = norm_vectors(weight, u, v, form.order, iterate=bool(form & ITERATES))
        result = scaled(weight, norm, order=form.order, widen=bool(form & WIDE))
        results.append(result.to(kind) if form & NARROW else result)
    return results


def slopes_of(results):
    draws = torch.Generator().manual_seed(1)
    return [
        torch.randn(result.shape, generator=draws).to(result.device, result.dtype)
        for result in results
    ]


def outcome(way, cases, dtype, *, device="cpu", steps=2):
    """After some steps: what layers take, u, v, and gradients."""
    weights, us, vs = layers(cases, dtype, device)
    forms = [form for _, form in cases]
    for _ in range(steps):
        results = way(weights, us, vs, forms, torch.bfloat16)
    gradients = torch.autograd.grad(results, weights, slopes_of(results))
    return {"taken": results, "u": us, "v": vs, "gradient": list(gradients)}


def difference(ours, theirs):
    """The largest, beside the largest value; of the same shape and type."""
    assert ours.shape == theirs.shape
    assert ours.isfinite().all()
    ours, theirs = (tensor.detach().cpu().double() for tensor in (ours, theirs))
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def compare(ours, theirs, bound, narrow_bound=None):
    for name, tensors in ours.items():
        for index, (our, their) in enumerate(zip(tensors, theirs[name], strict=True)):
            narrow = our.dtype == torch.bfloat16
            allowed = narrow_bound if narrow and narrow_bound else bound
            assert difference(our, their) <= allowed, (name, index, difference(our, their))


@pytest.mark.parametrize("extra", [Form(0), ITERATES, ITERATES | NARROW])
def test_the_formula_is_that_of_each_layer(extra):
    cases = [(shape, form | extra) for shape, form in EVERY.values()]
    ours, theirs = (outcome(way, cases, torch.float64) for way in (together, apart))
    compare(ours, theirs, 1e-13)
    for our, their in zip(ours["taken"], theirs["taken"], strict=True):
        assert our.dtype == their.dtype
    weights, *_ = layers(cases, torch.float64)
    for weight, gradient in zip(weights, ours["gradient"], strict=True):
        assert gradient.dtype == weight.dtype
        assert gradient.stride() == weight.stride()  # the optimiser copies nothing


def test_only_layers_that_iterate_move():
    cases = [((8, 6), ITERATES), ((8, 6), Form(0))]
    _, us, vs = layers(cases, torch.float64)
    result = outcome(together, cases, torch.float64)
    assert difference(result["u"][0], us[0]) > 0.01 and difference(result["v"][0], vs[0]) > 0.01
    assert torch.equal(result["u"][1], us[1]) and torch.equal(result["v"][1], vs[1])


@pytest.mark.parametrize("name", LAYERS)
def test_second_derivatives(name):
    """Differentiated twice, sigma is a function of the weight."""
    shape, form = LAYERS[name]
    weights, us, vs = layers([(shape, form), ((3, 2), Form(0))], torch.float64)

    def call(*weights):
        return tuple(together(weights, us, vs, [form, Form(0)], torch.bfloat16))

    assert torch.autograd.gradgradcheck(call, weights, fast_mode=True)


def test_second_derivatives_are_those_of_each_layer():
    """By finite differences of a slope's length, as in R1, and against each layer's own."""
    cases = list(LAYERS.values())
    forms = [form for _, form in cases]

    def length(way):
        weights, us, vs = layers(cases, torch.float64)
        total = sum(taken.tanh().sum() for taken in way(weights, us, vs, forms, torch.bfloat16))
        slopes = torch.autograd.grad(total, weights, create_graph=True)
        return torch.autograd.grad(sum(slope.square().sum() for slope in slopes), weights)

    for ours, theirs in zip(length(together), length(apart), strict=True):
        assert difference(ours, theirs) < 1e-12


def test_a_layer_that_nobody_used_has_no_gradient():
    cases = [((8, 6), NARROW), ((8, 6), NARROW), ((4, 3), Form(0))]
    weights, us, vs = layers(cases, torch.float32)
    results = together(weights, us, vs, [form for _, form in cases], torch.bfloat16)
    results[1].float().square().sum().backward()
    assert weights[0].grad is None and weights[2].grad is None
    alone, us, vs = layers(cases, torch.float32)
    apart(alone, us, vs, [form for _, form in cases], torch.bfloat16)[
        1
    ].float().square().sum().backward()
    assert difference(weights[1].grad, alone[1].grad) < 1e-6


def test_layers_begin_where_a_convolution_wants_them():
    cases = [((5, 3, 3, 3), NARROW), ((5, 3, 3, 3), NARROW), ((7, 3), Form(0)), ((7, 3), Form(0))]
    for taken in outcome(together, cases, torch.float32)["taken"]:
        assert taken.data_ptr() % 64 == 0
        assert is_arranged(taken, "none")


# Rounding to bfloat16 in the interpreter is towards zero: a step of it apart.
STEP = 2**-7


def test_kernels_are_the_formula(kernel_device, monkeypatch):
    """Some layers iterate, some do not; some are narrow."""
    extras = [ITERATES, ITERATES | NARROW, NARROW, ITERATES, Form(0)]
    cases = [
        (shape, form | extras[index % len(extras)])
        for index, (shape, form) in enumerate(EVERY.values())
    ]
    with counting_launches() as launches:
        ours = outcome(together, cases, torch.float32, device=kernel_device)
    once = [LAUNCHES[f"reacgan::spectral_{name}"] for name in ("weights", "gradients")]
    assert launches.total() == 2 * once[0] + once[1] == 11
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    compare(ours, outcome(together, cases, torch.float64), 2e-6, STEP)


def test_kernels_give_the_same_bits_again(kernel_device):
    cases = [(shape, form | ITERATES) for shape, form in list(LAYERS.values())[:3]]
    ours, again = (outcome(together, cases, torch.float32, device=kernel_device) for _ in range(2))
    compare(ours, again, 0)


def test_a_weight_of_zeros_has_no_direction(kernel_device):
    weights, us, vs = layers([((4, 3), ITERATES)], torch.float32, kernel_device)
    with torch.no_grad():
        weights[0].zero_()
        together(weights, us, vs, [ITERATES], torch.bfloat16)
    assert us[0].eq(0).all() and vs[0].eq(0).all()


@pytest.mark.gpu
def test_on_a_gpu(kernel_device, monkeypatch):
    assert kernel_device.type == "cuda"
    test_kernels_are_the_formula(kernel_device, monkeypatch)


@pytest.mark.gpu
def test_on_a_gpu_autocast_changes_no_sum(kernel_device):
    """There it takes products of matrices and vectors in its type; on a CPU it leaves them alone."""
    cases = [(shape, form | ITERATES) for shape, form in LAYERS.values()]
    results = []
    for enabled in (True, False):
        weights, us, vs = layers(cases, torch.float32, kernel_device)
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=enabled):
            taken = together(weights, us, vs, [form for _, form in cases], torch.bfloat16)
            slopes = torch.autograd.grad(taken, weights, slopes_of(taken), create_graph=True)
        results.append({"taken": taken, "u": us, "gradient": slopes})
    compare(*results, 1e-6)


def test_a_type_without_kernels_takes_the_formula(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    with counting_launches() as launches:
        outcome(together, list(LAYERS.values()), torch.float64)
    assert not launches


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="pip install triton")
def test_kernels_compile_for_a_gpu(tmp_path, monkeypatch):
    """The interpreter lets pass, for example, a variable of another shape in a branch."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    script = Path(__file__).with_name("compiled_spectral.py")
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "'spectral_gradient_kernel': 1" in done.stdout


def test_addresses_that_change_are_followed():
    """A copy of a network has tensors of its own."""
    cases = [((8, 6), ITERATES)]
    weights, us, vs = layers(cases, torch.float64)
    copies = copy.deepcopy((us, vs))
    together(weights, us, vs, [ITERATES], torch.bfloat16)
    for mine, copied in ((us, copies[0]), (vs, copies[1])):
        assert not torch.equal(mine[0], copied[0])
    together(weights, *copies, [ITERATES], torch.bfloat16)
    assert torch.equal(us[0], copies[0][0]) and torch.equal(vs[0], copies[1][0])
