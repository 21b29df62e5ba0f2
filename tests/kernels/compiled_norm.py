"""Compile the kernels of batch norm for the shapes of a step; in a process of its own."""

from __future__ import annotations

import torch
from compile_for_gpu import compiling

from reacgan.kernels import triton_norm, triton_norm_gradient
from reacgan.kernels.norm import Affine, batch_norm

# Sizes of one alone become constants.
CASES = (
    ((4, 128, 8, 8), torch.bfloat16, torch.channels_last, 4),
    ((2, 1, 1, 1), torch.float32, torch.contiguous_format, 1),
)

assert triton_norm and triton_norm_gradient  # imported here, where nothing is interpreted
with compiling() as counts:
    for shape, dtype, order, rows in CASES:
        images = torch.ones(shape, dtype=dtype).contiguous(memory_format=order).requires_grad_()
        gain, bias = torch.ones(rows, 2 * shape[1], dtype=dtype, requires_grad=True).chunk(2, 1)
        running = torch.zeros(shape[1]), torch.ones(shape[1])
        result = batch_norm(
            images, gain, bias, Affine(1e-4, 1.0, True), running=running, offset=running[0]
        )
        result.sum().backward()
assert len(counts) == 6, counts
print(dict(counts))
