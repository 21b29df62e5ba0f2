"""Gradient checkpointing: a block stores only its inputs and is recomputed in the backward pass.

Chen, Xu, Zhang, Guestrin, "Training deep nets with sublinear memory cost", 2016. The second
computation equals the first, bit for bit: switches, ``requires_grad``, and u and v of power iterations
are restored for it, and it does not change running statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

Output = TypeVar("Output")


def block_output(owner: Any, block: nn.Module, *inputs: Tensor | None) -> Any:
    """``block(*inputs)``; see :func:`recomputed`."""
    return recomputed(owner, (block,), block, *inputs)


def chain_output(
    owner: Any, blocks: Iterable[nn.Module], hidden: Tensor, *others: Tensor | None
) -> Tensor:
    """``hidden`` through all blocks in turn; each also gets ``others``."""
    for block in blocks:
        hidden = block_output(owner, block, hidden, *others)
    return hidden


def attended(owner: Any, number: int, images: Tensor) -> Tensor:
    """``images`` after the attention of block ``number``, if ``owner.attention`` has one."""
    key = str(number)
    if key not in owner.attention:
        return images
    result: Tensor = block_output(owner, owner.attention[key], images)
    return result


def recomputed(
    owner: Any,
    modules: Sequence[nn.Module],
    function: Callable[..., Output],
    *inputs: Tensor | None,
) -> Output:
    """``function(*inputs)``; where ``owner.recompute`` is on, only inputs are stored for the gradient.

    It is a plain call without a graph, outside training mode, and within ``torch.compile``.

    Args:
        owner: the network, or part of one, with the switch ``recompute``.
        modules: every module that the function uses.
        function: changes nothing but these modules, and draws nothing.
        inputs: of the function; must not be changed in place afterwards.
    """
    wanted = owner.recompute and owner.training and not torch.compiler.is_compiling()
    if not (wanted and _builds_graph(modules, inputs)):
        return function(*inputs)

    def contexts() -> tuple[_First, _Again]:
        first = _First(modules)
        return first, _Again(first)

    result: Output = checkpoint(
        function, *inputs, use_reentrant=False, preserve_rng_state=False, context_fn=contexts
    )
    return result


def _builds_graph(modules: Sequence[nn.Module], inputs: Sequence[Tensor | None]) -> bool:
    return torch.is_grad_enabled() and (
        any(tensor is not None and tensor.requires_grad for tensor in inputs)
        or any(parameter.requires_grad for module in modules for parameter in module.parameters())
    )


class _First:
    """Context of the first computation: records what may change before the second."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self.layers = [layer for module in modules for layer in module.modules()]
        self.needs: list[tuple[nn.Parameter, bool]] = []
        self.attributes: list[dict[str, Any]] = []
        self.vectors: list[dict[str, Tensor]] = []

    def __enter__(self) -> None:
        self.needs = [
            (parameter, parameter.requires_grad)
            for layer in self.layers
            for parameter in layer.parameters(recurse=False)
        ]
        self.attributes = [_attributes(layer) for layer in self.layers]
        self.vectors = [
            _copies(layer) if hasattr(layer, "iterate") else {} for layer in self.layers
        ]

    def __exit__(self, *_: object) -> None:
        """Nothing is left to do."""


class _Again:
    """Context of each recomputation: restores the recorded state, afterwards the present one.

    A power iteration starts from the recorded u and v. Running statistics are updated again, but in
    copies that are dropped: an operation that updates them saves other tensors for the gradient.
    """

    def __init__(self, first: _First) -> None:
        self.first = first
        self.needs: list[tuple[nn.Parameter, bool]] = []
        self.buffers: list[dict[str, Tensor | None]] = []
        self.attributes: list[dict[str, Any]] = []

    def __enter__(self) -> None:
        first = self.first
        self.needs = [(parameter, parameter.requires_grad) for parameter, _ in first.needs]
        self.buffers = [dict(layer._buffers) for layer in first.layers]
        self.attributes = [_attributes(layer) for layer in first.layers]
        _set_needs(first.needs)
        for layer, then, vectors in zip(first.layers, first.attributes, first.vectors, strict=True):
            _set_attributes(layer, then)
            if hasattr(layer, "track"):
                layer._buffers.update(_copies(layer))
            layer._buffers.update({name: value.clone() for name, value in vectors.items()})

    def __exit__(self, *_: object) -> None:
        _set_needs(self.needs)
        for layer, now, buffers in zip(
            self.first.layers, self.attributes, self.buffers, strict=True
        ):
            _set_attributes(layer, now)
            layer._buffers.update(buffers)


def _copies(layer: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in layer.named_buffers(recurse=False)}


def _attributes(layer: nn.Module) -> dict[str, Any]:
    """Switches, and tensors that are neither parameters nor buffers."""
    return {
        name: value
        for name, value in vars(layer).items()
        if value is None or isinstance(value, bool | Tensor)
    }


def _set_attributes(layer: nn.Module, wanted: dict[str, Any]) -> None:
    present = vars(layer)
    for name in _attributes(layer).keys() - wanted.keys():
        del present[name]
    present.update(
        {name: value for name, value in wanted.items() if present.get(name) is not value}
    )


def _set_needs(needs: Sequence[tuple[nn.Parameter, bool]]) -> None:
    for parameter, needed in needs:
        if parameter.requires_grad != needed:
            parameter.requires_grad_(needed)
