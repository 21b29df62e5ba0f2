"""Switches of layers: what is tracked, what iterates, and how a layer computes the same result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from reacgan.config import lookup

FORMS = ("merged_convolutions", "merged_passes", "fused_layers", "kernels", "channels_last")
"""Ways of computing the same result."""
SWITCHES = (*FORMS, "recompute", "track", "iterate")


def being_recorded() -> bool:
    """Whether another tool records the operations: ``torch.jit.trace``, ``torch.export``, ONNX exporters.

    They know the operations of PyTorch alone, none of ours.
    """
    traced: bool = torch.jit.is_tracing()  # type: ignore[attr-defined]
    return traced or torch.compiler.is_exporting()


@contextmanager
def statistics_frozen(module: nn.Module) -> Iterator[None]:
    """Within the block, ``module`` normalises as before but tracks no statistics.

    Layers that track are batch norms and StyleGAN2's mean style.
    """
    with plain_operations(module, ["track"]):
        yield


@contextmanager
def power_iteration_frozen(module: nn.Module) -> Iterator[None]:
    """Within the block, spectral norms of ``module`` use u and v as they are."""
    with plain_operations(module, ["iterate"]):
        yield


@contextmanager
def plain_operations(module: nn.Module, switches: Iterable[str]) -> Iterator[None]:
    """Within the block, these switches are off on every layer of ``module``."""
    layers: list[tuple[Any, str]] = [
        (layer, name)
        for name in switches
        for layer in module.modules()
        if getattr(layer, name, False)
    ]
    for layer, name in layers:
        setattr(layer, name, False)
    try:
        yield
    finally:
        for layer, name in layers:
            setattr(layer, name, True)


def set_switches(module: nn.Module, **switches: bool) -> None:
    """Set each switch on every layer of ``module`` that has one of this name.

    Raises:
        ConfigError: a name that no layer has.
    """
    for name in switches:
        lookup("switch", dict.fromkeys(SWITCHES), name)
    for layer in module.modules():
        for name, on in switches.items():
            if hasattr(layer, name):
                setattr(layer, name, on)
