"""Where kernels of ours run in tests: on CUDA where there is one, else by Triton's interpreter."""

from __future__ import annotations

import importlib
import importlib.util
import sys

import pytest
import torch


@pytest.fixture
def kernel_device(monkeypatch):
    """The device whose tensors kernels take in this test."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("kernels are not tested: Triton is missing (pip install triton)")
    if torch.cuda.is_available():
        return torch.device("cuda")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    standard = importlib.import_module("triton.language.standard")
    if "Interpreted" not in type(standard.sum).__name__:
        forget_triton()  # somebody imported it before; what a decorator makes is decided there
    return torch.device("cpu")


@pytest.fixture
def interpreter(kernel_device):
    """Until the test ends, operations on the CPU take their kernels, by Triton's interpreter."""


def forget_triton():
    """The next import of Triton, and of our kernels, is a new one; its compiled part stays."""
    for name in list(sys.modules):
        ours = name.startswith("reacgan.kernels.triton_")
        if ours or (name.split(".")[0] == "triton" and not name.startswith("triton._C")):
            del sys.modules[name]
