"""One file of the cache of features: named tensors with what they depend on and their digest."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from reacgan.evaluation.scores import canonical
from reacgan.files import replacing

SUFFIX = ".safetensors"
READING = (OSError, SafetensorError, ValueError, KeyError, TypeError, struct.error)
"""What a damaged file raises."""


@dataclass(frozen=True)
class Entry:
    """A file of the cache."""

    path: Path
    key: Mapping[str, Any]
    """All that its content depends on; ``result`` is what it is."""
    source: str
    """Where the images came from when it was made, for people."""
    size: int
    """Bytes."""
    created: float
    used: float
    """Last, in seconds since 1970, as ``created``."""


def name_of_key(key: Mapping[str, Any]) -> str:
    """The file's name: the beginning of the key's SHA-256."""
    return hashlib.sha256(canonical(key).encode()).hexdigest()[:40] + SUFFIX


def write(path: Path, key: Mapping[str, Any], tensors: Mapping[str, Tensor], source: str) -> None:
    """Write a whole file or none.

    Nothing is flushed: after a crash of the machine the digest tells.
    """
    about = {"key": key, "source": source, "created": now(), "digest": digest(tensors)}
    with replacing(path) as temporary:
        save_file(_apart(tensors), temporary, {"about": json.dumps(about)})


def read(path: Path, key: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a file, which may be mapped from it: changing them does not change the file.

    Raises:
        FileNotFoundError: there is none.
        OSError, ValueError, ...: one of :data:`READING`; it is damaged, or was written for another key.
    """
    if not path.is_file():
        raise FileNotFoundError(path)
    with safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()["about"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if canonical(about["key"]) != canonical(key):
        raise ValueError("written for another key")
    if about["digest"] != digest(tensors):
        raise ValueError("its tensors are not those that were written")
    return tensors


def entry(path: Path) -> Entry | None:
    """What a file says of itself, its tensors not looked at; None where it is none or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["about"])
        return Entry(
            path=path,
            key=dict(about["key"]),
            source=str(about["source"]),
            size=path.stat().st_size,
            created=float(about["created"]),
            used=path.stat().st_mtime,
        )
    except READING:
        return None


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and bytes."""
    held = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        head = [name, str(tensor.dtype), list(tensor.shape), tensor.nbytes]
        held.update(json.dumps(head).encode())
        held.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return held.hexdigest()


def plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same on the CPU and contiguous, as they would come back from a file."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """No two of them in one storage, which the format does not hold."""
    storages = {tensor.untyped_storage().data_ptr() for tensor in tensors.values()}
    apart = len(storages) == len(tensors)
    return {name: tensor if apart else tensor.clone() for name, tensor in tensors.items()}


def now() -> float:
    """Seconds since 1970."""
    return datetime.now(timezone.utc).timestamp()
