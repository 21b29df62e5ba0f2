"""Gradient checkpointing: a block keeps what enters it, and is computed again in the backward pass.

Chen, Xu, Zhang, Guestrin, "Training deep nets with sublinear memory cost", 2016. The second
computation is that of the first, bit for bit: it meets the switches, the power iterations' u and v
and the needs of gradients as they were, and leaves no trace in running statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from reacgan.models import attention

Output = TypeVar("Output")


def block_output(owner: Any, block: nn.Module, *inputs: Tensor | None) -> Any:
    """What ``block`` makes of the inputs; see :func:`recomputed`."""
    return recomputed(owner, (block,), block, *inputs)


def chain_output(
    owner: Any, blocks: Iterable[nn.Module], hidden: Tensor, *others: Tensor | None
) -> Tensor:
    """What blocks, one behind the other, make of ``hidden``; each gets the others too."""
    for block in blocks:
        hidden = block_output(owner, block, hidden, *others)
    return hidden


def attended(owner: Any, place: int, images: Tensor) -> Tensor:
    """What block ``place`` gave, after the attention behind it, if ``owner.attention`` has one."""
    if str(place) not in owner.attention:
        return images
    return recomputed(
        owner,
        (owner.attention[str(place)],),
        lambda given: attention.attended(owner.attention, place, given),
        images,
    )


def recomputed(
    owner: Any,
    modules: Sequence[nn.Module],
    function: Callable[..., Output],
    *inputs: Tensor | None,
) -> Output:
    """``function(*inputs)``, of which only the inputs are kept where ``owner.recompute`` is on.

    Without a graph, outside training mode or within ``torch.compile``, nothing is different.

    Args:
        owner: the network, or part of one, with the switch ``recompute``.
        modules: every module that the function uses.
        function: has no effect but on these modules, and draws nothing.
        inputs: what it gets; nothing changes them in place afterwards.
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
        any(given is not None and given.requires_grad for given in inputs)
        or any(parameter.requires_grad for module in modules for parameter in module.parameters())
    )


class _First:
    """Around the first computation: remembers what another one would meet changed."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self.layers = [layer for module in modules for layer in module.modules()]
        self.needs: list[tuple[nn.Parameter, bool]] = []
        self.attributes: list[dict[str, Any]] = []
        self.vectors: list[dict[str, Tensor]] = []

    def __enter__(self) -> None:
        parameters = (held for layer in self.layers for held in layer.parameters(recurse=False))
        self.needs = [(parameter, parameter.requires_grad) for parameter in parameters]
        self.attributes = [_attributes(layer) for layer in self.layers]
        self.vectors = [
            _copies(layer) if hasattr(layer, "iterate") else {} for layer in self.layers
        ]

    def __exit__(self, *_: object) -> None:
        """Nothing is left to do."""


class _Again:
    """Around each further computation: everything as it was the first time, and no traces.

    A power iteration starts from the u and v that it started from; running statistics move, since an
    operation that moves them keeps other tensors for the gradient than one that does not. All of them
    are copies, which are then forgotten.
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
    held = vars(layer)
    for name in _attributes(layer).keys() - wanted.keys():
        del held[name]
    held.update({name: value for name, value in wanted.items() if held.get(name) is not value})


def _set_needs(needs: Sequence[tuple[nn.Parameter, bool]]) -> None:
    for parameter, needed in needs:
        if parameter.requires_grad != needed:
            parameter.requires_grad_(needed)
