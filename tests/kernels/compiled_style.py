"""Compile the kernels of StyleGAN2 and R3GAN; in a process of its own."""

from __future__ import annotations

import torch
from compile_for_gpu import compiling

from reacgan.kernels import triton_bias_act, triton_demodulation, triton_moments, triton_resample
from reacgan.kernels.bias_act import Act, activated
from reacgan.kernels.demodulation import demodulation
from reacgan.kernels.moments import group_deviation, unit_rows
from reacgan.kernels.resample import filtered
from reacgan.tensors import gradients_of_inputs_alone

# Imported here, where nothing is interpreted.
assert triton_bias_act and triton_demodulation and triton_moments and triton_resample


def drawn(*shape, dtype=torch.float32):
    made = torch.ones(shape, dtype=dtype)
    if len(shape) == 4:
        made = made.contiguous(memory_format=torch.channels_last)
    return made.requires_grad_()


with compiling() as counts:
    # Sizes of one alone become constants.
    for count, channels, side, dtype in ((4, 64, 8, torch.bfloat16), (1, 1, 2, torch.float32)):
        images = drawn(count, channels, side, side, dtype=dtype)
        known = {"bias": drawn(channels), "factors": drawn(count, channels)}
        noise = {"noise": torch.ones(side, side), "strength": torch.ones((), requires_grad=True)}
        for parts in ({}, known | noise):
            activated(images, Act(0.3, 0.7, 0.2, 1.4), **parts).sum().backward()
        with gradients_of_inputs_alone():
            activated(images, Act(0.3, 0.7, 0.2, 1.4), bias=known["bias"]).sum().backward()
        for change in ("blur", "down", "up"):
            filtered(images, change, repeat=change != "blur").sum().backward()
        styles, weight = drawn(count, channels), drawn(3, channels, 3, 3)
        demodulation(styles, weight, scale=0.1, gain=1.0, eps=1e-8).sum().backward()
        unit_rows(styles, 1e-8).sum().backward()
        group_deviation(drawn(count, channels, side, side), count, 1e-8).sum().backward()
    # More elements than 32 bits count.
    many = torch.ones(1, dtype=torch.bfloat16).expand(8, 1024, 512, 1024)
    triton_bias_act.run_activate(None, many, many, (None,) * 4, [1.0] * 4)
    triton_resample.run_resample(many, many, "blur", 1, False, 1.0)
assert len(counts) == 8, counts
print(dict(counts))
