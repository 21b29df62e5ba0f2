"""Which operation of a step is the first whose result is not finite: the step once more, with hooks.

Every module says what enters and leaves it, and every operation of the graph belongs to the innermost
module that it was made in. The first result that is NaN or infinite although all before it were finite
names its module, and in a backward pass the operation too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from reacgan.heads import HeadOutput

LOSSES = "the losses"


@dataclass(frozen=True)
class FirstFault:
    """The first operation of a step whose result is not finite."""

    order: int
    """How many results were looked at before."""
    module: str
    """By its name in the state, such as ``generator.blocks.1.conv``; or the losses."""
    direction: str
    """forward or backward."""
    operation: str = ""
    """What autograd calls it, in a backward pass."""
    largest_input: float | None = None
    """Largest absolute value of what entered the module in its forward pass."""
    largest_gradient: float | None = None
    """Of the gradients that entered the operation in the backward pass."""
    largest_weight: float | None = None
    """Of the module's own parameters; None without any, or where they are not finite."""
    own_weights_finite: bool = True
    """False where they were not finite before the step."""

    def __str__(self) -> str:
        text = f"first in the {self.direction} pass of {self.module}"
        text += f" ({self.operation})" if self.operation else ""
        for value, words in (
            (self.largest_input, "inputs"),
            (self.largest_gradient, "gradients"),
            (self.largest_weight, "weights"),
        ):
            text += f", {words} up to {value:.3g}" if value is not None else ""
        return text if self.own_weights_finite else f"{text}, whose weights are not finite"


def first_fault(step: Callable[[], object], modules: Mapping[str, nn.Module]) -> FirstFault | None:
    """Make a step with hooks; None where all that it works out is finite.

    The step must be made operation by operation (not compiled, not a recording).

    Args:
        step: forward and backward pass.
        modules: all that take part, by name.
    """
    hooks = _Hooks(modules)
    with hooks:
        step()
    return hooks.first


class _Hooks:
    """On every module, and on every operation of the graph that a module makes."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self.first: FirstFault | None = None
        self._names: dict[nn.Module, str] = {
            layer: f"{root}.{name}".strip(".")
            for root, module in modules.items()
            for name, layer in module.named_modules()
        }
        self._layers = {name: layer for layer, name in self._names.items()}
        self._looked = 0
        self._within: list[tuple[str, Tensor | None]] = []
        self._entered: dict[str, Tensor | None] = {}
        self._said: Tensor | None = None
        self._claimed: set[Any] = set()
        self._stack = ExitStack()

    def __enter__(self) -> None:
        for layer in self._names:
            before = layer.register_forward_pre_hook(self._enter, with_kwargs=True)
            after = layer.register_forward_hook(self._leave, always_call=True)
            self._stack.callback(before.remove)
            self._stack.callback(after.remove)

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @torch.no_grad()
    def _enter(self, layer: nn.Module, given: Any, named: Any) -> None:
        tensors = list(_tensors((given, named)))
        outer, entered = self._within[-1] if self._within else (LOSSES, None)
        self._claim(tensors, outer)
        self._forward(tensors, outer, entered)
        name = self._names[layer]
        self._within.append((name, _largest(tensors)))
        self._entered[name] = self._within[-1][1]

    @torch.no_grad()
    def _leave(self, layer: nn.Module, given: Any, result: Any) -> None:
        tensors = list(_tensors(result))
        name, entered = self._within.pop()
        self._claim(tensors, name)
        self._forward(tensors, name, entered)
        if not self._within:
            self._said = _largest(tensors)

    def _forward(self, tensors: list[Tensor], name: str, entered: Tensor | None) -> None:
        self._looked += 1
        if self.first is None and not _finite(tensors):
            self._blame(name, "forward", largest_input=_number(entered))

    def _claim(self, tensors: list[Tensor], name: str) -> None:
        """What leads to these tensors and belongs to nobody yet is the module's."""
        waiting = [tensor.grad_fn for tensor in tensors if tensor.grad_fn is not None]
        while waiting:
            node: Any = waiting.pop()
            if node in self._claimed:
                continue
            self._claimed.add(node)
            if not node.name().endswith("AccumulateGrad"):
                node.register_hook(partial(self._backward, name, node.name()))
            waiting += [before for before, _ in node.next_functions if before is not None]

    @torch.no_grad()
    def _backward(self, name: str, operation: str, results: Any, gradients: Any) -> None:
        self._looked += 1
        if self.first is not None:
            return
        given = list(_tensors(gradients))
        if not _finite(given):  # no module's operation has made it
            self._blame(LOSSES, "backward", largest_input=_number(self._said))
        elif not _finite(list(_tensors(results))):
            self._blame(
                name,
                "backward",
                operation=operation,
                largest_input=_number(self._entered.get(name)),
                largest_gradient=_number(_largest(given)),
            )

    def _blame(self, name: str, direction: str, **facts: Any) -> None:
        layer = self._layers.get(name)
        own = [] if layer is None else [*layer.parameters(recurse=False)]
        self.first = FirstFault(
            order=self._looked,
            module=name,
            direction=direction,
            largest_weight=_number(_largest(own)),
            own_weights_finite=_finite(own),
            **facts,
        )


def _tensors(tree: Any) -> Iterator[Tensor]:
    """All floating-point tensors of what a module was given or gave."""
    if isinstance(tree, Tensor):
        if tree.is_floating_point():
            yield tree
    elif isinstance(tree, HeadOutput):
        yield from tree.tensors().values()
    elif isinstance(tree, Mapping):
        for branch in tree.values():
            yield from _tensors(branch)
    elif isinstance(tree, list | tuple):
        for branch in tree:
            yield from _tensors(branch)


def _finite(tensors: Sequence[Tensor]) -> bool:
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)


def _largest(tensors: Sequence[Tensor]) -> Tensor | None:
    sizes = [tensor.detach().abs().max().float() for tensor in tensors if tensor.numel()]
    return torch.stack(sizes).max() if sizes else None


def _number(scalar: Tensor | None) -> float | None:
    """For a file; what is not finite is none."""
    value = math.nan if scalar is None else float(scalar)
    return value if math.isfinite(value) else None
