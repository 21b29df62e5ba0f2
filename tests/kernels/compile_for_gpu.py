"""Compile kernels for a GPU instead of launching them, which needs no GPU: the interpreter forgives more.

Run in a process of its own. Operations on CPU tensors call their kernels; each call is compiled as CUDA
would see it, and nothing is computed.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import contextmanager

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

_TYPES = {
    torch.float64: "*fp64",
    torch.float32: "*fp32",
    torch.bfloat16: "*bf16",
    torch.float16: "*fp16",
    torch.int64: "*i64",
    torch.int32: "*i32",
    torch.uint8: "*u8",
    torch.bool: "*i1",
}


def compile_call(kernel, arguments, options, capability):
    """As a launch with these arguments would: one is a constant, multiples of 16 are known."""
    names = [parameter.name for parameter in kernel.params]
    values = {**dict(zip(names, arguments, strict=False)), **options}
    constants, signature, attributes = {}, {}, {}
    for index, name in enumerate(names):
        value = values[name]
        if isinstance(value, torch.Tensor):
            signature[name] = _TYPES[value.dtype]
        elif isinstance(value, float) and not kernel.params[index].is_constexpr:
            signature[name] = "fp32"
        elif kernel.params[index].is_constexpr or value is None or value == 1:
            signature[name], constants[name] = "constexpr", value
        else:
            signature[name] = "i32" if -(2**31) <= value < 2**31 else "i64"
        number = value.data_ptr() if isinstance(value, torch.Tensor) else value
        if isinstance(number, int) and name not in constants and number % 16 == 0:
            attributes[(index,)] = [["tt.divisibility", 16]]
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=attributes)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32))


@contextmanager
def compiling(capability=90):
    """Within the block, launches compile; gives how often each kernel did."""
    counts = Counter()

    def launcher(kernel, grid):
        assert len(grid) <= 3 and all(0 < side < 65_536 for side in grid[1:]), grid

        def call(*arguments, **options):
            compile_call(kernel, arguments, options, capability)
            counts[kernel.__name__] += 1

        return call

    before = triton.runtime.JITFunction.__getitem__
    triton.runtime.JITFunction.__getitem__ = launcher
    os.environ["TRITON_INTERPRET"] = "1"  # operations on the CPU take their kernels
    try:
        yield counts
    finally:
        triton.runtime.JITFunction.__getitem__ = before
        del os.environ["TRITON_INTERPRET"]
