"""Switches of layers: what tracks, what iterates, and how a layer computes the same thing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn


@contextmanager
def statistics_frozen(module: nn.Module) -> Iterator[None]:
    """Within the block, ``module`` normalises as before but tracks no statistics.

    This holds for every layer that has a switch ``track``: batch norms, StyleGAN2's mean style.
    """
    with _switched_off(module, "track"):
        yield


@contextmanager
def power_iteration_frozen(module: nn.Module) -> Iterator[None]:
    """Within the block, spectral norms of ``module`` use u and v as they are."""
    with _switched_off(module, "iterate"):
        yield


@contextmanager
def plain_operations(module: nn.Module, switches: Iterable[str]) -> Iterator[None]:
    """Within the block, these switches are off on every layer of ``module``."""
    with ExitStack() as stack:
        for switch in switches:
            stack.enter_context(_switched_off(module, switch))
        yield


@contextmanager
def _switched_off(module: nn.Module, switch: str) -> Iterator[None]:
    layers: list[Any] = [layer for layer in module.modules() if getattr(layer, switch, False)]
    for layer in layers:
        setattr(layer, switch, False)
    try:
        yield
    finally:
        for layer in layers:
            setattr(layer, switch, True)


def set_switches(module: nn.Module, **switches: bool) -> None:
    """Set each switch on every layer of ``module`` that has one of this name."""
    for layer in module.modules():
        for name, on in switches.items():
            if hasattr(layer, name):
                setattr(layer, name, on)
