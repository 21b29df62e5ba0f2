"""Compile the kernels of spectral norm; in a process of its own."""

from __future__ import annotations

import torch
from compile_for_gpu import compiling

from reacgan.kernels import triton_spectral
from reacgan.kernels.spectral import together
from reacgan.kernels.spectral_layout import Form

assert triton_spectral  # imported here, where nothing is interpreted
weights = [torch.ones(8, 6, requires_grad=True), torch.ones(8, 6, requires_grad=True)]
us, vs = ([torch.ones(size), torch.ones(size)] for size in (8, 6))
with compiling() as counts:
    taken = together(weights, us, vs, [Form.NARROW, Form.ITERATES], torch.bfloat16)
    sum(weight.sum() for weight in taken).backward()
assert counts["spectral_product_kernel"] == 2 and len(counts) == 6, counts
print(dict(counts))
