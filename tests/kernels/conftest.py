"""Where kernels of ours run in tests: on CUDA where there is one, else by Triton's interpreter.

Triton decides when it is imported whether it interprets. So it is imported here, before any test runs;
kernels run where a test asks for ``kernel_device`` alone, all others take the formulas.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys

import pytest
import torch

CUDA = torch.cuda.is_available()
TRITON = importlib.util.find_spec("triton") is not None

if TRITON and not CUDA and "triton" not in sys.modules:
    os.environ["TRITON_INTERPRET"] = "1"
    importlib.import_module("triton.language")
    del os.environ["TRITON_INTERPRET"]


@pytest.fixture
def kernel_device(monkeypatch):
    """The device whose tensors kernels take in this test."""
    if not TRITON:
        pytest.skip("needs Triton: pip install triton")
    if CUDA:
        return torch.device("cuda")
    from triton.language import standard

    if "Interpreted" not in type(standard.sum).__name__:
        pytest.fail("Triton was imported before tests/kernels/conftest.py, and does not interpret")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    return torch.device("cpu")
