"""Tensors in files, read into memory of our own; digests; finite numbers; full precision; copies."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor

from reacgan.files import check_size, open_regular
from reacgan.records import parse_json

# Other libraries ask for it. One key alone: safetensors writes several in any order.
_METADATA = {"format": "pt"}


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, copied: whatever becomes of the file, they stay.

    A file that is mapped into memory ends the process (SIGBUS) when it is cut off later.

    Raises:
        OSError: it is not there or not readable.
        SafetensorError: it is no whole safetensors file.
    """
    return parsed_tensors(read_content(file))


def read_content(file: Path) -> bytes:
    """The bytes of a safetensors file, once its header is seen to account for all of them.

    What a header claims costs nothing: the file's own size bounds what is read.

    Raises:
        OSError: it is not there, not readable, or no ordinary file.
        SafetensorError: it is no whole safetensors file.
    """
    with open_regular(file) as opened:
        size = os.fstat(opened.fileno()).st_size
        check_size(file, size)
        try:
            length, header = _header(opened, size)
            offsets = [part["data_offsets"][1] for key, part in header.items() if key != _ABOUT]
            needed = 8 + length + max(offsets, default=0)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise SafetensorError(f"its header is not readable ({error})") from None
        if size != needed:
            raise SafetensorError(f"{size:,} bytes, its header describes {str(needed)[:40]}")
        opened.seek(0)
        return opened.read()


_ABOUT = "__metadata__"
LONGEST_HEADER = 16 * 2**20
"""Bytes of a header that is read; that of a thousand tensors takes 0.1 million."""


def _header(opened: BinaryIO, size: int) -> tuple[int, dict[str, Any]]:
    """Length and content of a safetensors file's header; raises ValueError."""
    length = int.from_bytes(opened.read(8), "little")
    if not 2 <= length <= min(size - 8, LONGEST_HEADER):
        raise ValueError(f"said to take {length:,} bytes of {size:,}")
    header = parse_json(opened.read(length))
    if not isinstance(header, dict):
        raise ValueError("no mapping")
    return length, header


def parsed_tensors(content: bytes) -> dict[str, Tensor]:
    """The tensors of a safetensors file's content.

    Raises:
        SafetensorError: it is no whole safetensors file, or a type of number that PyTorch lacks.
    """
    try:
        return from_bytes(content)
    except (KeyError, ValueError, RuntimeError, TypeError) as error:
        raise SafetensorError(f"not readable ({error!r})") from None


def packed(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] = _METADATA) -> bytes:
    """The content of a safetensors file; equal tensors, and a single key of metadata, give equal bytes."""
    return to_bytes(dict(tensors), dict(metadata))


def read_metadata(file: Path) -> dict[str, str]:
    """The metadata of a safetensors file; raises OSError, ValueError where it is none."""
    with open_regular(file) as opened:
        _, header = _header(opened, os.fstat(opened.fileno()).st_size)
    about = header.get(_ABOUT, {})
    if not isinstance(about, dict) or not all(isinstance(text, str) for text in about.values()):
        raise ValueError("its metadata are no texts")
    return about


def write_tensors(tensors: Mapping[str, Tensor], file: Path) -> None:
    """Write a safetensors file that is as readable as any other; safetensors' own is not."""
    file.write_bytes(packed(tensors))


def tensors_digest(tensors: Mapping[str, Tensor], *, named: bool = True) -> str:
    """SHA-256 over names, types, shapes and values, in the order of names; hexadecimal.

    ``num_batches_tracked`` of batch norms is ignored: no feature depends on it.

    Args:
        tensors: of a network.
        named: False ignores names and their order, for networks of a library that renames parts.
    """
    parts = []
    for name in sorted(tensors):
        if not name.endswith("num_batches_tracked"):
            value = tensors[name].detach().cpu().contiguous()
            title = f"{name if named else ''} {value.dtype} {list(value.shape)}\n"
            part = hashlib.sha256(title.encode())
            part.update(value.reshape(-1).view(torch.uint8).numpy().data)
            parts.append(part.hexdigest())
    return hashlib.sha256("".join(parts if named else sorted(parts)).encode()).hexdigest()


def non_finite(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """How many numbers of each tensor are NaN or infinite; tensors that have none are left out.

    One pass over each tensor, without a copy; those at fault alone are counted.
    """
    wrong = {}
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.numel():
            low, high = torch.aminmax(tensor)  # NaN comes through
            if not (low.isfinite() and high.isfinite()):
                wrong[name] = int((~tensor.isfinite()).sum())
    return wrong


def describe_non_finite(tensors: Mapping[str, Tensor], wrong: Mapping[str, int]) -> str:
    """In words: the first tensors at fault, how many numbers in each, and how many tensors more."""
    shown = [f"{name} ({count:,} of {tensors[name].numel():,})" for name, count in wrong.items()]
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more


_SHOWN = 3


def widened(tensor: Tensor) -> Tensor:
    """The same in float32 at least, the precision of losses; float64 stays."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def without_autocast(tensor: Tensor) -> AbstractContextManager[object]:
    """Open a context in which convolutions and products keep the precision of their inputs."""
    kind = tensor.device.type
    if not torch.amp.is_autocast_available(kind):
        return nullcontext()
    return torch.autocast(kind, enabled=False)


@torch.no_grad()
def copy_together(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Write each source over its target, those of one type by one operation."""
    kinds: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = {}
    for target, source in zip(targets, sources, strict=True):
        pair = kinds.setdefault(target.dtype, ([], []))
        pair[0].append(target)
        pair[1].append(source)
    for pair in kinds.values():
        torch._foreach_copy_(*pair)


# A global, not a thread's own: on CUDA backward passes run in threads of the engine.
_inputs_alone = 0


@contextmanager
def gradients_of_inputs_alone() -> Iterator[None]:
    """Within the block, backward passes need no gradients of weights.

    PyTorch leaves them out by itself for its own operations, not for an ``autograd.Function`` of ours.
    """
    global _inputs_alone  # noqa: PLW0603
    _inputs_alone += 1
    try:
        yield
    finally:
        _inputs_alone -= 1


def weights_get_gradients() -> bool:
    """Whether a backward pass of this moment has to give gradients of weights."""
    return _inputs_alone == 0
