"""Rows, softmax and gate of self-attention as single operations: formulas, kernels, launches."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from kernel_cases import compare, drawn, launched, twice
from torch.nn import functional as F

from reacgan.kernels.attention import attention_rows, attention_softmax, gated_sum

TYPES = [torch.float32, torch.bfloat16]
# N, C, H, W; of C channels a fourth are queries and a fourth keys
SIZES = [(2, 8, 8, 8), (1, 4, 16, 32), (1, 132, 8, 4), (3, 20, 5, 3)]


def rows(images):
    return images.permute(0, 2, 3, 1).flatten(1, 2)


def plain_rows(joined, keys):
    query, key, value = joined.split([keys, keys, joined.shape[1] - 2 * keys], dim=1)
    return rows(query), rows(F.max_pool2d(key, 2)), rows(F.max_pool2d(value, 2))


def cases(size, dtype, **how):
    samples, channels, height, width = size
    images = partial(drawn, *size, dtype=dtype, **how)
    keys = channels // 4
    wide = torch.promote_types(dtype, torch.float32)
    device = {"device": how.get("device", "cpu")}
    for widely in (True, False):
        ours = partial(attention_rows, keys=keys, wide=widely)
        yield ours, partial(plain_rows, keys=keys), [images()]
    scores = drawn(samples, height * width, (height // 2) * (width // 2), dtype=wide, **device)
    yield (
        partial(attention_softmax, dtype=dtype),
        partial(torch.softmax, dim=-1),
        [(20 * scores).detach().requires_grad_()],
    )
    gate = drawn(1, dtype=wide, **device)
    yield gated_sum, lambda images, gate, added: images + gate * added, [images(), gate, images()]


@pytest.mark.parametrize("last", [True, False])
def test_formulas(last):
    for size in ((2, 8, 4, 6), (1, 4, 5, 3)):
        for ours, plain, inputs in cases(size, torch.float64, last=last):
            compare(ours, plain, inputs)


def test_second_derivatives():
    for ours, _, inputs in cases((1, 4, 2, 3), torch.float64):
        twice(ours, inputs)


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_kernels(kernel_device, size, dtype, last):
    for ours, plain, inputs in cases(size, dtype, last=last, device=kernel_device):
        count, declared, operations = launched(
            lambda: compare(ours, plain, inputs, bound=dtype)  # noqa: B023
        )
        assert count == declared == (3 if len(inputs) == 3 else 2), operations


def test_a_frozen_gate_has_no_sum(kernel_device):
    images, gate = (
        drawn(2, 8, 4, 4, dtype=torch.float32, device=kernel_device),
        torch.ones(1, device=kernel_device),
    )
    result = gated_sum(images, gate, images)
    count, declared, operations = launched(lambda: result.sum().backward())
    assert count == declared == 1, operations
    torch.testing.assert_close(images.grad, torch.full_like(images, 2))


def test_of_equal_pixels_the_first_gets_the_gradient(kernel_device):
    joined = torch.ones(1, 4, 2, 2, device=kernel_device, requires_grad=True)
    _, key, value = attention_rows(joined, 1, wide=True)
    (key.sum() + value.sum()).backward()
    assert joined.grad[:, 1:].flatten(2).cpu().eq(torch.tensor([1.0, 0, 0, 0])).all()


def test_a_key_gradient_that_lies_transposed(kernel_device):
    joined = drawn(2, 8, 4, 6, dtype=torch.float32, device=kernel_device)
    results = attention_rows(joined, 2, wide=True)
    slopes = [torch.randn_like(result) for result in results]
    (wanted,) = torch.autograd.grad(results, joined, slopes, retain_graph=True)
    slopes[1] = slopes[1].transpose(1, 2).contiguous().transpose(1, 2)
    (slope,) = torch.autograd.grad(results, joined, slopes)
    torch.testing.assert_close(slope, wanted)


def test_scores_that_are_far_apart(kernel_device):
    scores = torch.tensor(
        [[[-1e4, 1e4, 0.0], [300.0, 300.0, 300.0]]], device=kernel_device
    ).requires_grad_()
    result = attention_softmax(scores, torch.float32)
    torch.testing.assert_close(result, torch.softmax(scores, -1))
    (slope,) = torch.autograd.grad(result.square().sum(), scores)
    (wanted,) = torch.autograd.grad(torch.softmax(scores, -1).square().sum(), scores)
    torch.testing.assert_close(slope, wanted)


def test_the_largest_is_nan_where_a_pixel_is(kernel_device):
    joined = drawn(1, 4, 2, 2, dtype=torch.float32, device=kernel_device).detach()
    joined[0, 3, 1, 0] = torch.nan
    for result in (attention_rows(joined, 1, wide=True)[2], plain_rows(joined, 1)[2]):
        assert result.isnan().tolist() == [[[False, True]]]
    joined.requires_grad_()
    (slope,) = torch.autograd.grad(attention_rows(joined, 1, wide=True)[2].sum(), joined)
    (wanted,) = torch.autograd.grad(plain_rows(joined, 1)[2].sum(), joined)
    torch.testing.assert_close(slope, wanted)
