"""Compile the kernels beside convolutions and of attention; in a process of its own."""

from __future__ import annotations

import torch
from compile_for_gpu import compiling

from reacgan.kernels import triton_attention, triton_elementwise
from reacgan.kernels.attention import attention_rows, attention_softmax, gated_sum
from reacgan.kernels.elementwise import biased, residual_sum
from reacgan.kernels.preactivation import relu_and_kept, relu_sum


def drawn(*shape, dtype=torch.bfloat16):
    made = torch.ones(shape, dtype=dtype)
    if len(shape) == 4:
        made = made.contiguous(memory_format=torch.channels_last)
    return made.requires_grad_()


def differentiate(*results):
    sum(result.sum() for result in results).backward()


assert triton_attention and triton_elementwise  # imported here, where nothing is interpreted
with compiling() as counts:
    images, small, bias = drawn(4, 96, 8, 8), drawn(4, 96, 4, 4), drawn(96, dtype=torch.float32)
    for activation in ("relu", "tanh"):
        differentiate(biased(images, bias, activation=activation))
    differentiate(residual_sum(images, small, bias, bias))
    differentiate(*relu_and_kept(images, kept_active=True, halved=True))
    differentiate(relu_sum(images))
    differentiate(*attention_rows(images, 12, wide=True))
    differentiate(attention_softmax(drawn(4, 64, 16, dtype=torch.float32), torch.bfloat16))
    differentiate(gated_sum(images, drawn(1, dtype=torch.float32), images))
    # Sizes of 1 become constants.
    least, bias = drawn(1, 1, 2, 2, dtype=torch.float32), drawn(1, dtype=torch.float32)
    differentiate(residual_sum(least, drawn(1, 1, 1, 1, dtype=torch.float32), bias))
    differentiate(*relu_and_kept(least, kept_active=False, halved=True))
    differentiate(relu_sum(drawn(1, 1, 1, 1, dtype=torch.float32)))
print(len(counts))
