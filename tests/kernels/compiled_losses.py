"""Compile the kernels of losses and batches; in a process of its own."""

from __future__ import annotations

import torch
from compile_for_gpu import compiling

from reacgan.kernels import triton_d2d, triton_images, triton_scores
from reacgan.kernels.d2d import D2DSettings, d2d_loss
from reacgan.kernels.images import scaled_batch
from reacgan.kernels.scores import hinge

assert triton_d2d and triton_images and triton_scores  # imported where nothing is interpreted
PAPER, OTHER = D2DSettings(0.5, 0.98, True, True), D2DSettings(0.5, 0.98, False, False, True, True)
with compiling() as counts:
    # Sizes of one alone become constants.
    for count, width, classes in ((128, 512, 10), (1, 9, 1)):
        for settings in (PAPER, OTHER):
            features = torch.ones(count, width, dtype=torch.bfloat16, requires_grad=True)
            vectors = torch.ones(classes, width, requires_grad=True)
            d2d_loss(features, vectors, torch.zeros(count, dtype=torch.int64), settings).backward()
        scores = [torch.ones(count, dtype=torch.bfloat16, requires_grad=True) for _ in range(2)]
        hinge(*scores)[0].backward()
    images, labels = torch.zeros(4, 3, 32, 32, dtype=torch.uint8), torch.arange(4)
    shifts = torch.zeros(2, 2, dtype=torch.int64)
    for moves in ((None, None), (torch.zeros(2), None), (torch.zeros(2), shifts)):
        for last in (False, True):
            scaled_batch(images, labels, labels[:2], *moves, dtype=torch.float32, last=last)
assert len(counts) == 7, counts
print(dict(counts))
