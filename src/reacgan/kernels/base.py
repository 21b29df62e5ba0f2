"""How a fused operation is defined, and where its kernels can run."""

from __future__ import annotations

import importlib.util
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor

Operation = TypeVar("Operation", bound=Callable[..., Any])

LAUNCHES: dict[str, int] = {}
"""Of each operation, how many kernels it launches on CUDA."""
_LEAST_CAPABILITY = (7, 0)
_counters: list[Counter[str]] = []


def why_no_kernels(device: torch.device) -> str | None:
    """Why the kernels cannot run on this device; None where they can."""
    if device.type != "cuda":
        return "needs cuda"
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed"
    if torch.cuda.is_available() and torch.cuda.get_device_capability(device) < _LEAST_CAPABILITY:
        return f"{torch.cuda.get_device_name(device)} is older than Triton supports"
    return None


def interpreted() -> bool:
    """Whether Triton interprets its kernels, so that they run on a CPU, slowly (``TRITON_INTERPRET=1``)."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def takes_kernel(tensor: Tensor) -> bool:
    """Whether an operation on this tensor launches kernels; else it takes its formula."""
    return tensor.device.type == "cuda" or (tensor.device.type == "cpu" and interpreted())


def operation(
    name: str, *, launches: int, fake: Callable[..., Any], changes: Sequence[str] = ()
) -> Callable[[Operation], Operation]:
    """Register a function of tensors as an operation of PyTorch: seen as one, whatever it launches.

    Args:
        name: ``reacgan::name``; of the function.
        launches: the number of kernels, which :func:`launch` counts.
        fake: gives empty tensors of the result's shapes, types and order of memory.
        changes: names of the arguments that are written to. No result may share memory with an argument.
    """

    def register(function: Operation) -> Operation:
        registered = torch.library.custom_op(
            f"reacgan::{name}", function, mutates_args=tuple(changes)
        )
        registered.register_fake(fake)
        LAUNCHES[f"reacgan::{name}"] = launches
        return registered  # type: ignore[return-value]

    return register


def launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
    """Launch a Triton kernel on the device of its tensors; all launches go through here, to be counted."""
    for counter in _counters:
        counter[kernel.__name__] += 1
    device = next(value.device for value in arguments if isinstance(value, Tensor))
    # Triton launches on the current device, whichever the tensors lie on.
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        kernel[grid](*arguments, **options)


@contextmanager
def counting_launches() -> Iterator[Counter[str]]:
    """Within the block, launches are counted by the kernel's name."""
    counter: Counter[str] = Counter()
    _counters.append(counter)
    try:
        yield counter
    finally:
        _counters.remove(counter)
