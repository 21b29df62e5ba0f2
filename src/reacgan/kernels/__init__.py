"""Fused operations with GPU kernels of our own, for what a library would do in many small launches.

Each is an operation of ``torch.library`` (:func:`reacgan.kernels.base.operation`) with a formula in plain
PyTorch, which the CPU takes, and Triton kernels, which CUDA takes. Triton comes with PyTorch for CUDA.
"""

from reacgan.kernels.base import LAUNCHES, counting_launches, why_no_kernels

__all__ = ["LAUNCHES", "counting_launches", "why_no_kernels"]
