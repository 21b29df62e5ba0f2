"""Networks without weights, whose sizes are those of a file: nothing larger is built.

A configuration from elsewhere may describe any network. Building stops where it has more values than the
weights beside it, so that neither time nor memory grows beyond what the file itself takes.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module
from torch.overrides import TorchFunctionMode

from reacgan.config import ConfigError
from reacgan.files import memory_bytes
from reacgan.hub.folder import REMEDY

AnyModule = TypeVar("AnyModule", bound=nn.Module)

_SPARE_VALUES, _SPARE_TENSORS = 2**20, 256
"""What a network may have beside its file: constants, and layers that others replace."""


class _TooLargeError(Exception):
    """A network outgrows its file."""


def built(build: Callable[[], AnyModule], tensors: Mapping[str, Tensor], file: Path) -> AnyModule:
    """A module without weights that is no larger than the tensors it is for.

    Args:
        build: makes it.
        tensors: of the file of weights.
        file: of the configuration, for messages.

    Raises:
        ConfigError: the configuration cannot be built, or describes something larger.
    """
    values = sum(tensor.numel() for tensor in tensors.values())
    try:
        with _bounded(2 * values + _SPARE_VALUES, 2 * len(tensors) + _SPARE_TENSORS):
            return unfilled(build)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None
    except _TooLargeError:
        raise ConfigError(
            f"{file}: describes a larger network than its file of weights, which holds {values:,} values "
            f"in {len(tensors):,} tensors; {REMEDY}"
        ) from None
    except (RuntimeError, TypeError, ValueError, ArithmeticError, MemoryError) as error:
        first = (str(error).splitlines() or [""])[0][:200]
        raise ConfigError(
            f"{file}: describes no network that can be built ({type(error).__name__}: {first}); {REMEDY}"
        ) from None


@contextmanager
def fitting_memory() -> Iterator[None]:
    """Within the block networks are built that this machine's memory can hold.

    Raises:
        ConfigError: they are larger; nothing of that size has been written to.
    """
    memory = memory_bytes() or _LARGEST
    try:
        with _bounded(memory // _BYTES, _MOST_TENSORS):
            yield
    except (_TooLargeError, RuntimeError, TypeError) as error:
        if not isinstance(error, _TooLargeError) and not _OF_SIZE.search(str(error)):
            raise
        raise ConfigError(
            f"the networks do not fit into this machine's memory ({memory / 1e9:.0f} GB): model.generator, "
            "model.backbone or model.head has too large a width, depth or dimension; make it smaller"
        ) from None


_BYTES = 4
"""Of a value."""
_LARGEST = 2**46
_MOST_TENSORS = 200_000
_OF_SIZE = re.compile("allocate memory|out of memory|Storage size|Overflow when unpacking")


@contextmanager
def _bounded(values: int, tensors: int) -> Iterator[None]:
    """Within the block, modules of this thread take no more values and tensors than these."""
    thread, left = threading.get_ident(), [values, tensors]

    def count(_module: nn.Module, _name: str, tensor: Tensor | None) -> None:
        if tensor is None or threading.get_ident() != thread:
            return
        left[0] -= tensor.numel()
        left[1] -= 1
        if min(left) < 0:
            raise _TooLargeError

    hooks = [
        torch_module.register_module_parameter_registration_hook(count),
        torch_module.register_module_buffer_registration_hook(count),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def unfilled(build: Callable[[], AnyModule]) -> AnyModule:
    """A module without weights, which come from a file; nothing is drawn.

    A module with constants outside its state (non-persistent buffers) is built with weights.
    """
    with torch.device("meta"), _Undrawn():
        module = build()
    if any(part._non_persistent_buffers_set for part in module.modules()):
        with torch.random.fork_rng(devices=[]):
            return build()
    return module


class _Undrawn(TorchFunctionMode):
    """Skips drawing and scaling of tensors on the meta device.

    torch implements some of these operations in Python, and the first call imports its compiler, which
    takes most of a second.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in (torch.randn, torch.rand) and kwargs.get("device") is None:
            return torch.empty(*args, **kwargs)
        target = args[0] if args else kwargs.get("tensor")
        if isinstance(target, torch.Tensor) and target.is_meta and target.is_floating_point():
            name = getattr(func, "__name__", "")
            if name in _DRAWING:
                return target
            if name in _SCALING and not any(isinstance(value, torch.Tensor) for value in args[1:]):
                return torch.empty(target.shape, dtype=target.dtype)
        return func(*args, **kwargs)


_DRAWING = {
    *("normal_", "uniform_", "trunc_normal_", "orthogonal_"),
    *("kaiming_uniform_", "kaiming_normal_", "xavier_uniform_", "xavier_normal_"),
}
_SCALING = {"normalize", "div", "__truediv__", "true_divide"}
