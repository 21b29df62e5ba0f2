"""Gradients of a stage of the classifier at widths 1 to 16 beside those in float64.

As a program, in a process of its own since a library that writes beyond its memory may end it:
``python tests/classifier_gradient.py THREADS`` prints a line a width, with the largest of what the
gradients are off by, of their length.
"""

from __future__ import annotations

import copy
import sys

import torch
from torch import nn

from reacgan.extractors.classifier_network import Classifier

WIDTHS = range(1, 17)


def gradients(stage: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    result = stage(images)
    factors = torch.randn(result.shape, generator=torch.Generator().manual_seed(1))
    return list(torch.autograd.grad((result * factors).sum(), list(stage.parameters())))


def distance(width: int) -> float:
    torch.manual_seed(0)
    network = Classifier(channels=3, num_classes=2, width=width, size=(32, 32))
    stage = network.stages[1].to(memory_format=torch.channels_last)
    images = torch.randn(8, width, 32, 32)
    right = gradients(copy.deepcopy(stage).double(), images.double())
    made = gradients(stage, images.contiguous(memory_format=torch.channels_last))
    pairs = zip(made, right, strict=True)
    return max(float((one.double() - other).norm() / other.norm()) for one, other in pairs)


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[1]))
    for number in WIDTHS:
        print(number, distance(number), flush=True)
