"""Tensors with a shape, a type and a device, but no contents, and a count of what lives at a time."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

AnyModule = TypeVar("AnyModule", bound=nn.Module)


class Ledger:
    """Counts the bytes of the tensors without contents that live at the same time.

    Args:
        device: where they say they are.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.live = 0
        self.peak = 0

    def start(self) -> None:
        """What lives already does not count."""
        self.live = self.peak = 0

    def empty(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """A new tensor."""
        return self.wrapped(torch.empty(*shape, dtype=dtype, device="meta"), {})

    def like(self, tensor: Tensor) -> Tensor:
        """A new tensor of this shape, type and order in memory."""
        return self.wrapped(_without_contents(tensor), {})

    def wrapped(self, inner: Tensor, known: dict[int, _Memory]) -> Sized:
        """``inner`` with a device; its memory is one of the known ones, or new."""
        storage = inner.untyped_storage()
        place = storage._cdata
        memory = known.get(place)
        if memory is None:
            memory = known[place] = _Memory(self, storage.nbytes())
        return Sized(inner, memory)


class _Memory:
    """Bytes that count as long as this object lives."""

    def __init__(self, ledger: Ledger, size: int) -> None:
        self.ledger = ledger
        self.size = size
        ledger.live += size
        ledger.peak = max(ledger.peak, ledger.live)

    def __del__(self) -> None:
        self.ledger.live -= self.size


class Sized(torch.Tensor):
    """A tensor without contents; what is worked out of it has none either."""

    form: Tensor
    memory: _Memory

    @staticmethod
    def __new__(cls, inner: Tensor, memory: _Memory) -> Sized:  # noqa: D102
        made: Sized = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=memory.ledger.device,
        )
        made.form, made.memory = inner, memory
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """The operation on shapes."""
        given: dict[int, Tensor] = {}  # by what stands for them
        known: dict[int, _Memory] = {}
        ledgers = []

        def inner_of(value: Any) -> Any:
            if isinstance(value, Sized):
                ledgers.append(value.memory.ledger)
                given[id(value.form)] = value
                known[value.form.untyped_storage()._cdata] = value.memory
                return value.form
            if isinstance(value, Tensor):
                inner = _without_contents(value)
                given[id(inner)] = value
                return inner
            return torch.device("meta") if isinstance(value, torch.device) else value

        def outer_of(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            # What was changed in place is what it was.
            return given.get(id(value)) if id(value) in given else ledgers[0].wrapped(value, known)

        inputs = tree_map(inner_of, (args, kwargs or {}))
        return tree_map(outer_of, _result(func, *inputs))


def _result(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    if func is torch.ops.aten.batch_norm_update_stats.default:  # which has no form for shapes
        return torch.empty_like(args[1]), torch.empty_like(args[1])
    return func(*args, **kwargs)


def _without_contents(tensor: Tensor) -> Tensor:
    return torch.empty_strided(
        tensor.size(), tensor.stride(), dtype=tensor.dtype, device=torch.device("meta")
    )


def sized_copy(module: AnyModule, ledger: Ledger) -> AnyModule:
    """A copy of which parameters and buffers have no contents."""
    memo: dict[int, Any] = {}
    for parameter in module.parameters():
        held = ledger.like(parameter)
        memo[id(parameter)] = nn.Parameter(held, requires_grad=parameter.requires_grad)
    for buffer in module.buffers():
        memo[id(buffer)] = ledger.like(buffer)
    return copy.deepcopy(module, memo)
