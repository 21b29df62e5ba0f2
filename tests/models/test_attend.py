"""Attention of extreme scores: every way of computing it beside the formula in float64."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend

from reacgan.models import fused
from reacgan.models.attention import SelfAttention

NEAR = {torch.float32: 2e-4, torch.bfloat16: 2e-2}
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
KERNELS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}
SIZES = {  # queries, keys, channels of both, channels of values
    "as the published networks": (256, 64, 24, 192),
    "no multiple of 8": (77, 61, 24, 192),
    "values as wide as queries": (77, 61, 24, 24),
    "one query": (1, 128, 24, 192),
}


def extreme(size, dtype, device="cpu", samples=2):
    """Rows whose scores are all near 200, all near -200, and of both; what kernels get is rounded."""
    queries, keys, width, wide = SIZES[size]
    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(samples, *shape, generator=generator)
        for shape in ((queries, width), (keys, width), (keys, wide))
    )
    query *= 0.5
    query[..., 0] = torch.arange(queries) % 2 * 2 - 1
    key[0, :, 0] = -200
    key[1:, :, 0] = torch.arange(keys) % 2 * 400 - 200
    rounded = (held.to(dtype).to(device) for held in (query, key, value))
    return [held.requires_grad_() for held in rounded]


def values_and_gradients(attend, inputs):
    result = attend(*inputs)
    slope = torch.randn(result.shape, generator=torch.Generator().manual_seed(1))
    gradients = torch.autograd.grad(result, inputs, slope.to(result))
    return [result, *gradients]


def compare(attend, inputs, dtype):
    """Values and gradients beside the formula's in float64.

    A query's gradient is a sum of the scores' gradients times keys of 200, whose terms nearly cancel, and
    kernels round the terms: all are measured by the sum of the terms' sizes.
    """
    found = values_and_gradients(attend, inputs)
    exact = [held.detach().double().requires_grad_() for held in inputs]
    expected = values_and_gradients(fused.attend_plainly, exact)
    for name, one, other, size in zip(
        ("value", "query", "key", "values"), found, expected, sizes(*exact), strict=True
    ):
        assert one.isfinite().all(), name
        assert (one.double() - other).norm() <= NEAR[dtype] * size.norm(), name


@torch.no_grad()
def sizes(query, key, value):
    """Each result with all its terms taken positive."""
    weights = torch.softmax(query @ key.mT, -1)
    slope = torch.randn(
        *query.shape[:2], value.shape[2], generator=torch.Generator().manual_seed(1)
    )
    slope = slope.to(value)
    of_weights = slope @ value.mT
    of_scores = weights * (of_weights - (weights * of_weights).sum(-1, keepdim=True))
    positive = of_scores.abs()
    return (
        weights @ value.abs(),
        positive @ key.abs(),
        positive.mT @ query.abs(),
        weights.mT @ slope.abs(),
    )


def by(backend, monkeypatch):
    monkeypatch.setattr(fused, "BACKENDS", [KERNELS[backend]])
    monkeypatch.setattr(fused, "MOST_WEIGHTS", 0)
    return fused._Attention.apply


@pytest.mark.parametrize("dtype", NEAR)
@pytest.mark.parametrize("size", SIZES)
def test_the_formula_at_scores_of_200(size, dtype):
    compare(fused.attend_plainly, extreme(size, dtype), dtype)


@pytest.mark.parametrize("dtype", NEAR)
@pytest.mark.parametrize(
    ("backend", "size"), [*(("math", size) for size in SIZES), ("flash", list(SIZES)[2])]
)
def test_kernels_of_a_cpu_at_scores_of_200(backend, size, dtype, monkeypatch):
    compare(by(backend, monkeypatch), extreme(size, dtype), dtype)


@pytest.mark.gpu
@CUDA
@pytest.mark.parametrize("dtype", NEAR)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("backend", KERNELS)
def test_kernels_of_a_gpu_at_scores_of_200(backend, size, dtype, monkeypatch):
    if backend == "flash" and (dtype == torch.float32 or size != "values as wide as queries"):
        pytest.skip("flash takes 16 bits, and values as wide as queries")
    compare(by(backend, monkeypatch), extreme(size, dtype, "cuda"), dtype)


@pytest.mark.gpu
@CUDA
@pytest.mark.parametrize("dtype", NEAR)
def test_what_a_gpu_takes(dtype):
    """The formula up to the bound; above it the list, by which neither value nor gradient is off."""
    small, large = (torch.randn(2, side, 24, device="cuda", dtype=dtype) for side in (1024, 2048))
    small, large = small.requires_grad_(), large.requires_grad_()
    assert "Attention" not in fused.attend(small, small[:, ::4], small[:, ::4]).grad_fn.name()
    assert "Attention" in fused.attend(large, large[:, ::4], large[:, ::4]).grad_fn.name()
    for size in SIZES:
        compare(fused.attend, extreme(size, dtype, "cuda"), dtype)


@pytest.mark.gpu
@CUDA
def test_autocast_in_a_backward_pass_of_a_gpu(monkeypatch):
    check_backward_under_autocast("cuda", by("efficient", monkeypatch))


def test_cudnns_kernel_is_never_chosen():
    assert SDPBackend.CUDNN_ATTENTION not in fused.BACKENDS
    seen = []
    whole = fused.F.scaled_dot_product_attention
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            fused.F,
            "scaled_dot_product_attention",
            lambda *given, **more: seen.append(allowed()) or whole(*given, **more),
        )
        values_and_gradients(fused._Attention.apply, extreme("one query", torch.float32))
    assert len(seen) == 2  # forward, and again in the backward pass
    assert not any(seen)


def allowed():
    return torch.backends.cuda.cudnn_sdp_enabled()


@pytest.mark.parametrize("backend", ["math", "flash"])
def test_autocast_in_a_backward_pass_changes_nothing(backend, monkeypatch):
    check_backward_under_autocast("cpu", by(backend, monkeypatch))


def check_backward_under_autocast(device, attend):
    """A penalty's backward pass runs within autocast, a step's outside; the bits are the same."""
    for dtype in NEAR:
        inputs = extreme("values as wide as queries", dtype, device)
        outside = values_and_gradients(attend, inputs)
        result = attend(*inputs)
        slope = torch.randn(result.shape, generator=torch.Generator().manual_seed(1)).to(result)
        with torch.autocast(device, dtype=torch.bfloat16):
            within = torch.autograd.grad(result, inputs, slope)
        assert all(map(torch.equal, within, outside[1:])), dtype


@pytest.mark.parametrize("fused_layers", [True, False])
def test_under_autocast_products_are_in_its_type_and_scores_are_not(fused_layers):
    inputs = extreme("no multiple of 8", torch.bfloat16)
    wide = [held.detach().float().requires_grad_() for held in inputs]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        narrow = fused.attend(*wide)
    assert narrow.dtype == torch.bfloat16
    assert torch.equal(narrow, fused.attend(*inputs))
    layer = SelfAttention(16, spectral=False)
    torch.nn.init.ones_(layer.gate)
    layer.fused_layers = fused_layers
    images = 8 * torch.randn(2, 16, 6, 4, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        query, key, value = (made(images) for made in (layer.query, layer.key, layer.value))
        result = layer(images)
    pooled = [torch.nn.functional.max_pool2d(held, 2).flatten(2).mT for held in (key, value)]
    mixed = fused.attend_plainly(query.flatten(2).mT.double(), *(one.double() for one in pooled))
    exact = (
        torch.nn.functional.conv2d(mixed.mT.unflatten(2, (6, 4)), layer.out.weight.double())
        + images.double()
    )
    off = (result.double() - exact).norm() / (exact - images.double()).norm()
    assert off < 1e-2
