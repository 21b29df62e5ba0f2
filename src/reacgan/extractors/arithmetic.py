"""Reproducible features: full float32 arithmetic, and the digest of a network's tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """No gradient, no autocast, no TF32, and one algorithm for one shape."""
    flags = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    products = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with torch.inference_mode(), flags, torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = products


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
