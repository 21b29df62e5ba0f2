"""A cache on disk of what is computed from a set of images: features, moments, radii.

The key is the SHA-256 of everything that a result depends on (the digest of the images, the description of
the extractor, the name of the result with its options), never a path or a name. A file holds
its key and the digest of its tensors, and may be deleted at any time.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import math
import os
import struct
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.evaluation.scores import canonical
from reacgan.files import cache_root, locked, not_kept, replacing
from reacgan.metrics.base import Keep
from reacgan.records import parse_json

DEFAULT_GB = 20.0
_DAY = 86400.0

_SUFFIX = ".safetensors"
_DAMAGE = (OSError, SafetensorError, ValueError, KeyError, TypeError, struct.error)
"""What a damaged file raises."""

logger = logging.getLogger("reacgan.evaluation")


@dataclass(frozen=True)
class CacheEntry:
    """A file of the cache."""

    path: Path
    key: Mapping[str, Any]
    """Everything that its content depends on; ``result`` names the content."""
    source: str
    """Source of the images, for messages."""
    size: int
    """Bytes."""
    created: float
    used: float
    """Last, in seconds since 1970, as ``created``."""


class FeatureCache:
    """Tensors by content, shared between processes; the least recently used are deleted first.

    Args:
        root: the folder; by default ``features`` in the cache of the package.
        limit_bytes: of all files together; by default ``$REACGAN_CACHE_GB`` or 20 gigabytes. 0 keeps
            nothing.

    Raises:
        ConfigError: ``$REACGAN_CACHE_GB`` is no number from 0 upwards.
    """

    def __init__(self, root: Path | None = None, limit_bytes: int | None = None) -> None:
        self.root = cache_root() / "features" if root is None else root
        self.limit_bytes = _limit() if limit_bytes is None else limit_bytes
        self._in_use: dict[Path, list[weakref.ref[Tensor]]] = {}

    def keep(self, key: Mapping[str, Any], source: str = "") -> Keep:
        """A :data:`reacgan.metrics.base.Keep` for one set of images as one extractor sees it.

        Args:
            key: plain JSON: ``{"images": data.digest, "extractor": extractor.describe()}`` and
                everything else that all results depend on; each adds its own name.
            source: of the images, for messages; not part of the key.
        """
        fixed = json.loads(canonical(key))

        def keep(name: str, make: Callable[[], Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
            return self.get({**fixed, "result": name}, make, source=source)

        return keep

    def get(
        self,
        key: Mapping[str, Any],
        make: Callable[[], Mapping[str, Tensor]],
        *,
        source: str = "",
    ) -> dict[str, Tensor]:
        """The tensors stored under this key, on the CPU; computed now where missing or damaged.

        Of two processes that ask for the same key, one computes and the other waits.
        """
        path = self.root / name_of_key(key)
        if self.limit_bytes <= 0:
            return _plain(make())
        stored = self._read(path, key)
        if stored is not None:
            return stored
        of = f" of {source}" if source else ""
        with self._alone(path, f"{key.get('result', 'the same')}{of}") as alone:
            stored = self._read(path, key) if alone else None
            if stored is not None:
                return stored
            made = _plain(make())
            if alone:
                self._write(path, key, made, source)
        return made

    def entries(self) -> list[CacheEntry]:
        """All entries, the last used first; damaged files are left out."""
        entries = [_entry(path) for path in self._files()]
        return sorted(filter(None, entries), key=lambda entry: (-entry.used, entry.path))

    @property
    def total_bytes(self) -> int:
        """Size of all files, damaged and unfinished ones included."""
        return sum(_status(path)[0] for path in (*self._files(), *self._unfinished()))

    def clear(self, older_than_days: float | None = None) -> int:
        """Delete what was not used for so many days, or everything; returns the bytes freed.

        Entries that a process is computing stay.
        """
        freed = self._sweep()
        before = math.inf if older_than_days is None else _now() - _DAY * older_than_days
        return freed + sum(
            self._delete(path) for path in self._files() if _status(path)[1] < before
        )

    def _read(self, path: Path, key: Mapping[str, Any]) -> dict[str, Tensor] | None:
        try:
            tensors = _read_file(path, key)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except _DAMAGE as error:
            logger.warning("%s: damaged (%s); computed again", path, error)
            return None
        with suppress(OSError):  # a folder that cannot be written is read all the same
            os.utime(path)
        self._mark_in_use(path, tensors)
        return tensors

    def _write(
        self, path: Path, key: Mapping[str, Any], tensors: Mapping[str, Tensor], source: str
    ) -> None:
        size = sum(tensor.nbytes for tensor in tensors.values())
        if size > self.limit_bytes:
            self._warn(f"{size:,} bytes are over its limit of {self.limit_bytes:,}")
            return
        try:
            self._make_room(size, path)
            _write_file(path, key, tensors, source)
        except OSError as error:
            self._warn(error)
        except SafetensorError as error:
            self._warn(str(error))
        self._mark_in_use(path, tensors)

    def _mark_in_use(self, path: Path, tensors: Mapping[str, Tensor]) -> None:
        self._in_use[path] = [weakref.ref(tensor) for tensor in tensors.values()]

    def _make_room(self, size: int, wanted: Path) -> None:
        """Delete the least recently used until ``size`` bytes fit, never what is in use now."""
        total = self.total_bytes + size
        if total <= self.limit_bytes:
            return
        total -= self._sweep()
        for path in sorted(self._files(), key=lambda path: _status(path)[1]):
            if total <= self.limit_bytes:
                return
            in_use = any(tensor() is not None for tensor in self._in_use.get(path, ()))
            if path != wanted and not in_use:
                total -= self._delete(path)

    def _delete(self, path: Path, key: str = "") -> int:
        """Delete a file unless a process is computing it; returns the bytes freed."""
        lock = self._lock(key or path.stem)
        try:
            with FileLock(lock, timeout=0):
                size = _status(path)[0]
                path.unlink()
                # A process that waits for this lock may then compute the same as another: no harm.
                lock.unlink(missing_ok=True)
        except (OSError, Timeout, NotImplementedError):
            return 0
        return size

    def _sweep(self) -> int:
        """Delete what killed writers left; returns the bytes freed."""
        return sum(self._delete(path, path.name.split(".")[1]) for path in self._unfinished())

    @contextmanager
    def _alone(self, path: Path, what: str) -> Iterator[bool]:
        """Hold the key for this process; gives False where the folder cannot be written."""
        lock = self._lock(path.stem)
        with ExitStack() as stack:
            try:
                lock.parent.mkdir(parents=True, exist_ok=True)
                if not os.access(lock if lock.exists() else lock.parent, os.W_OK):
                    raise PermissionError(errno.EACCES, "no permission", str(lock))
                stack.enter_context(locked(lock, f"computes {what}"))
            except (OSError, NotImplementedError) as error:
                self._warn(error if isinstance(error, OSError) else "its file system has no locks")
                yield False
                return
            yield True

    def _lock(self, key: str) -> Path:
        return self.root / "locks" / f"{key}.lock"

    def _files(self) -> list[Path]:
        return [path for path in self._all() if not path.name.startswith(".")]

    def _unfinished(self) -> list[Path]:
        return [path for path in self._all() if path.name.startswith(".")]

    def _all(self) -> list[Path]:
        try:
            return sorted(path for path in self.root.iterdir() if _SUFFIX in path.name)
        except OSError:
            return []

    def _warn(self, reason: OSError | str) -> None:
        then = "what does not fit there is kept in memory and computed again next time"
        not_kept(self.root, reason, then, remedy=", or REACGAN_CACHE_GB to another limit")


def _status(path: Path) -> tuple[int, float]:
    """Bytes and the time of last use; (0, 0) where the file has gone."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0.0
    return status.st_size, status.st_mtime


def _limit() -> int:
    text = os.environ.get("REACGAN_CACHE_GB") or str(DEFAULT_GB)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ConfigError(
            f"REACGAN_CACHE_GB is {text!r}; allowed: a number of gigabytes from 0 upwards, 0 keeps "
            "nothing"
        )
    return int(value * 1e9)


def name_of_key(key: Mapping[str, Any]) -> str:
    """The file's name: the beginning of the key's SHA-256."""
    return hashlib.sha256(canonical(key).encode()).hexdigest()[:40] + _SUFFIX


def _write_file(
    path: Path, key: Mapping[str, Any], tensors: Mapping[str, Tensor], source: str
) -> None:
    """Write a whole file or none.

    Nothing is flushed: after a crash of the machine the digest does not match.
    """
    about = {"key": key, "source": source, "created": _now(), "digest": digest(tensors)}
    with replacing(path, flush=False) as temporary:
        save_file(_unshared(tensors), temporary, {"about": json.dumps(about)})


def _read_file(path: Path, key: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a file, which may be mapped from it: changing them does not change the file.

    Raises:
        FileNotFoundError: there is none.
        OSError, ValueError, ...: one of :data:`_DAMAGE`; it is damaged, or was written for another key.
    """
    if not path.is_file():
        raise FileNotFoundError(path)
    with safe_open(path, framework="pt") as file:
        about = parse_json(file.metadata()["about"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if canonical(about["key"]) != canonical(key):
        raise ValueError("written for another key")
    if about["digest"] != digest(tensors):
        raise ValueError("its tensors are not those that were written")
    return tensors


def _entry(path: Path) -> CacheEntry | None:
    """The entry in a file's header, without reading tensors; None for another or damaged file."""
    try:
        with safe_open(path, framework="pt") as file:
            about = parse_json(file.metadata()["about"])
        return CacheEntry(
            path=path,
            key=dict(about["key"]),
            source=str(about["source"]),
            size=path.stat().st_size,
            created=float(about["created"]),
            used=path.stat().st_mtime,
        )
    except _DAMAGE:
        return None


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and bytes."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        head = [name, str(tensor.dtype), list(tensor.shape), tensor.nbytes]
        total.update(json.dumps(head).encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same on the CPU and contiguous, as they would come back from a file."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _unshared(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """No two of them in one storage, which the format does not hold."""
    storages = {tensor.untyped_storage().data_ptr() for tensor in tensors.values()}
    alone = len(storages) == len(tensors)
    return {name: tensor if alone else tensor.clone() for name, tensor in tensors.items()}


def _now() -> float:
    """Seconds since 1970."""
    return datetime.now(timezone.utc).timestamp()
