"""Triton's interpreter, in this process."""

from __future__ import annotations

import importlib.util
import os

import pytest
import torch

HAS_TRITON = importlib.util.find_spec("triton") is not None

if HAS_TRITON and not torch.cuda.is_available():
    # Triton's own functions take the mode that they are imported in.
    os.environ["TRITON_INTERPRET"] = "1"
    import triton.language

    del os.environ["TRITON_INTERPRET"]


@pytest.fixture
def interpreted(monkeypatch):
    """Kernels run on the CPU; without this, formulas do."""
    if not HAS_TRITON:
        pytest.skip("kernels are not tested: triton is not installed (pip install triton)")
    if torch.cuda.is_available():
        pytest.skip("the interpreter is for machines without a GPU")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert type(triton.language.cdiv).__name__ == "InterpretedFunction", "imported before"
