"""Rows of unit mean square and the deviation over groups: formulas, derivatives of both orders, kernels."""

from __future__ import annotations

import pytest
import torch

from reacgan.kernels import counting_launches
from reacgan.kernels.moments import group_deviation, unit_rows

EPS = 1e-2


def rows_formula(rows):
    return rows / (rows.square().mean(1, keepdim=True) + EPS).sqrt()


def deviation_formula(images, members):
    groups = images.reshape(-1, members, images[0].numel())
    return torch.stack(
        [(group.var(0, unbiased=False) + EPS).sqrt().mean() for group in groups.unbind(0)]
    )


def draw(*shape, dtype=torch.float64, device="cpu"):
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(shape, generator=generator, dtype=torch.float64)
    return values.to(device=device, dtype=dtype).requires_grad_()


def agree(mine, true, bound):
    torch.testing.assert_close(mine.double(), true, rtol=bound, atol=bound)


def test_unit_rows():
    rows = draw(3, 5)
    agree(unit_rows(rows, EPS), rows_formula(rows), 1e-12)
    assert torch.autograd.gradcheck(lambda x: unit_rows(x, EPS), rows)
    assert torch.autograd.gradgradcheck(lambda x: unit_rows(x, EPS), rows)


@pytest.mark.parametrize(("count", "members"), [(6, 3), (4, 4), (4, 1)])
def test_group_deviation(count, members):
    images = draw(count, 2, 2, 3)
    agree(group_deviation(images, members, EPS), deviation_formula(images, members), 1e-12)
    assert torch.autograd.gradcheck(lambda x: group_deviation(x, members, EPS), images)
    assert torch.autograd.gradgradcheck(lambda x: group_deviation(x, members, EPS), images)


@pytest.mark.parametrize("width", [1, 5, 128])
def test_kernels_of_rows(kernel_device, width):
    rows = draw(3, width, dtype=torch.float32, device=kernel_device)
    weights = torch.randn_like(rows)
    with counting_launches() as launches:
        found = unit_rows(rows, EPS)
        (gradient,) = torch.autograd.grad((found * weights).sum(), rows)
    assert launches == {"unit_rows_kernel": 2}
    exact = rows.detach().double().requires_grad_()
    expected = rows_formula(exact)
    agree(found, expected, 1e-5)
    agree(gradient, torch.autograd.grad((expected * weights).sum(), exact)[0], 1e-5)


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("count", "members"), [(6, 3), (8, 4), (4, 1)])
def test_kernels_of_groups(kernel_device, count, members, order):
    images = draw(count, 7, 4, 5, dtype=torch.float32, device=kernel_device)
    images = images.detach().contiguous(memory_format=order).requires_grad_()
    with counting_launches() as launches:
        found = group_deviation(images, members, EPS)
        weights = torch.randn_like(found)
        (gradient,) = torch.autograd.grad((found * weights).sum(), images)
    assert launches == {"deviation_kernel": 2}
    exact = images.detach().double().requires_grad_()
    expected = deviation_formula(exact, members)
    agree(found, expected, 1e-5)
    agree(gradient, torch.autograd.grad((expected * weights).sum(), exact)[0], 1e-5)
    assert gradient.stride() == images.stride()


def test_groups_beyond_the_kernel_take_the_formula(kernel_device):
    images = draw(65, 2, 1, 1, dtype=torch.float32, device=kernel_device)
    with counting_launches() as launches:
        found = group_deviation(images, 65, EPS)
    assert not launches
    agree(found, deviation_formula(images.double(), 65), 1e-5)
