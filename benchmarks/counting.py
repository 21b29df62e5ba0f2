"""Multiplications and bytes of whatever runs under :class:`Count`, operation by operation.

Multiplications are torch's own formulas (``torch.utils.flop_counter``: two operations each), with what
they leave out added. Bytes are what an operation must read and write if nothing stays in a cache: its
inputs and outputs once. Views and allocations count nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

_aten = torch.ops.aten
FREE = {
    _aten.empty, _aten.empty_like, _aten.empty_strided, _aten.new_empty, _aten.new_empty_strided,
    _aten.detach, _aten.view, _aten._unsafe_view, _aten.lift_fresh,
}  # fmt: skip


def _cpu_attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query.shape, key.shape, value.shape)


def _cpu_attention_backward(grad: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_backward_flop_count(grad.shape, query.shape, key.shape, value.shape)


def _matrix_vector(matrix: Any, vector: Any, *_: Any, **__: Any) -> int:
    return 2 * matrix.numel()


def _added_matrix_vector(_: Any, matrix: Any, *__: Any, **___: Any) -> int:
    return 2 * matrix.numel()


_FURTHER = {
    _aten._scaled_dot_product_flash_attention_for_cpu: _cpu_attention,
    _aten._scaled_dot_product_flash_attention_for_cpu_backward: _cpu_attention_backward,
    _aten.mv: _matrix_vector,
    _aten.addmv: _added_matrix_vector,
    _aten.dot: _matrix_vector,
}


class Count(TorchDispatchMode):
    """Counts until it is left.

    Args:
        multiplications_a_second: of the machine, for :attr:`least_seconds`.
        bytes_a_second: likewise.
    """

    def __init__(
        self, multiplications_a_second: float = float("inf"), bytes_a_second: float = float("inf")
    ) -> None:
        super().__init__()
        self.rates = multiplications_a_second, bytes_a_second
        self.multiplications = 0.0
        self.bytes = 0
        self.operations = 0
        self.least_seconds = 0.0
        """Sum over operations of the longer of two times: to multiply, and to move the bytes."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        packet = func.overloadpacket
        if packet in FREE or func.is_view:
            return result
        multiplications = 0.0
        if packet in _FURTHER:
            multiplications = _FURTHER[packet](*args, **kwargs) / 2
        elif packet in flop_registry:
            multiplications = flop_registry[packet](*args, **kwargs, out_val=result) / 2
        moved = sum(_bytes(held) for held in tree_leaves((args, kwargs, result)))
        self.multiplications += multiplications
        self.bytes += moved
        self.operations += 1
        self.least_seconds += max(multiplications / self.rates[0], moved / self.rates[1])
        return result


def _bytes(held: Any) -> int:
    """Of what is read or written: an expanded tensor is as large as what it expands."""
    if not isinstance(held, torch.Tensor):
        return 0
    sizes = [n for n, stride in zip(held.shape, held.stride(), strict=True) if stride]
    count = held.element_size()
    for size in sizes:
        count *= size
    return count if held.numel() else 0
