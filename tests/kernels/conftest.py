"""Triton's interpreter, which runs kernels on the CPU."""

from __future__ import annotations

import importlib
import importlib.util
import sys

import pytest


@pytest.fixture
def interpreter(monkeypatch):
    """Until the test ends, operations on the CPU take their kernels, by Triton's interpreter."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("kernels are not tested: Triton's interpreter is missing (pip install triton)")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    language = importlib.import_module("triton.language")
    if type(language.sum).__name__ != "InterpretedFunction":
        forget_triton()  # somebody imported it before; what a decorator makes is decided there


def forget_triton():
    """The next import of Triton, and of our kernels, is a new one; its compiled part stays."""
    for name in list(sys.modules):
        ours = name.startswith("reacgan.kernels.triton_")
        if ours or (name.split(".")[0] == "triton" and not name.startswith("triton._C")):
            del sys.modules[name]
