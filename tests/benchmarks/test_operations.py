"""Operations of a training cycle: how they are counted, and that they stay few."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.operations import Operations, count

import reacgan

# Bounds of cifar10/reacgan in bfloat16 with the switches that a GPU has: of all operations of a cycle,
# and of the kinds that are many. Lower them when the number falls.
MOST = 1_170
MOST_OF_KIND = {
    "aten::convolution": 144,
    "aten::convolution_backward": 84,
    "reacgan::norm_statistics": 84,
    "aten::_to_copy": 83,
    "aten::bmm": 60,
    "aten::cat": 53,
    "reacgan::spectral_weights": 48,
    "reacgan::norm_apply": 42,
    "reacgan::residual_sum": 42,
    "reacgan::biased_backward": 42,
    "reacgan::column_sums": 40,
    "aten::mm": 35,
}
ANY_OTHER = 30


@pytest.fixture(scope="module")
def cifar10():
    experiment = reacgan.experiment("cifar10/reacgan")
    return count(experiment.replace(**{"training.precision": "bfloat16"}))


def test_a_cycle_is_made_of_few_operations(cifar10):
    assert cifar10["total"] <= MOST
    assert sum(cifar10["operations"].values()) == cifar10["total"]
    many = {
        kind: number
        for kind, number in cifar10["operations"].items()
        if number > MOST_OF_KIND.get(kind, ANY_OTHER)
    }
    assert not many
    # Convolutions are what a cycle is for: 5 D steps and a G step of these networks have as many.
    assert cifar10["operations"]["aten::convolution_backward"] == 84


def test_parts_add_up(cifar10):
    parts = cifar10["parts"]
    steps = 5 * (parts["batch of D"] + parts["gradients of D"])
    steps += parts["batch of G"] + parts["gradients of G"]
    assert steps + parts["rest of the cycle"] == cifar10["total"]
    # Six times an optimiser and its count of steps, and the journal's sums; the average and its copies.
    assert parts["rest of the cycle"] == 6 * 3 + 2
    # Images, flips and labels; the draws of flips, latents and their labels.
    assert (parts["batch of D"], parts["batch of G"]) == (4, 2)


def counted(call):
    watch = Operations()
    watch.on = True
    with watch:
        call()
    return dict(watch.operations), dict(watch.launches)


def test_views_and_allocations_are_none():
    tensor = torch.ones(4, 4)
    assert counted(lambda: torch.empty(3).view(3, 1).detach()) == ({}, {})
    assert counted(lambda: tensor.t()[1:] + 1) == ({"aten::add": 1}, {"aten::add": 1})


def test_launches_of_operations_that_are_several():
    image, kernel = torch.ones(1, 2, 4, 4), torch.ones(3, 2, 3, 3, requires_grad=True)
    result = torch.conv2d(image, kernel)
    _, launches = counted(lambda: result.sum().backward())
    assert launches["aten::convolution_backward"] == 1  # images need none
    result = torch.conv2d(image.requires_grad_(), kernel)
    _, launches = counted(lambda: result.sum().backward())
    assert launches["aten::convolution_backward"] == 2
    many = [torch.ones(2) for _ in range(130)]
    operations, launches = counted(lambda: torch._foreach_add_(many, many))
    assert operations == {"aten::_foreach_add_": 1}
    assert launches == {"aten::_foreach_add_": 3}  # 64 tensors of two lists each
    large = [torch.ones(65_536 * 400)]
    _, launches = counted(lambda: torch._foreach_mul_(large, 2.0))
    assert launches == {"aten::_foreach_mul_": 2}  # 320 pieces each
