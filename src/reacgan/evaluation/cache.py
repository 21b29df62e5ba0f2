"""What was computed of a set of images, kept by content: features, moments, radii.

The key is the SHA-256 of all that a result depends on (the digest of the images, what the extractor
says of itself, the name of the result with its options), never a path or a name. Files say what they
are, carry the digest of their tensors, and may be deleted any time.
"""

from __future__ import annotations

import json
import logging
import math
import os
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors import SafetensorError
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.data.download import cache_root
from reacgan.evaluation import cache_files
from reacgan.evaluation.cache_files import SUFFIX, Entry
from reacgan.evaluation.scores import canonical
from reacgan.metrics.base import Keep

DEFAULT_GB = 20.0
_DAY = 86400.0

logger = logging.getLogger("reacgan.evaluation")


class FeatureCache:
    """Tensors by content, shared between processes; the least recently used are given up first.

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
        self._given: dict[Path, list[weakref.ref[Tensor]]] = {}
        self._warned = False

    def keep(self, key: Mapping[str, Any], source: str = "") -> Keep:
        """A :data:`reacgan.metrics.base.Keep` for one set of images as one extractor sees it.

        Args:
            key: plain JSON: ``{"images": data.digest, "extractor": extractor.describe()}`` and
                whatever else every result depends on; each adds its own name.
            source: where the images came from, for people; not part of the key.
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
        """The tensors kept under this key, on the CPU; made now where there are none or damaged ones.

        Two processes that want the same do not both make it: one waits for the other.
        """
        path = self.root / cache_files.name_of_key(key)
        if self.limit_bytes <= 0:
            return cache_files.plain(make())
        found = self._read(path, key)
        if found is not None:
            return found
        with self._alone(path) as locked:
            found = self._read(path, key) if locked else None
            if found is not None:
                return found
            made = cache_files.plain(make())
            if locked:
                self._write(path, key, made, source)
        return made

    def entries(self) -> list[Entry]:
        """What is kept, the last used first; damaged files are left out."""
        found = [cache_files.entry(path) for path in self._files()]
        return sorted((one for one in found if one), key=lambda one: (-one.used, one.path))

    @property
    def total_bytes(self) -> int:
        """Of all files, damaged and unfinished ones included."""
        return sum(_status(path)[0] for path in (*self._files(), *self._unfinished()))

    def clear(self, older_than_days: float | None = None) -> int:
        """Delete what was not used for so many days, or everything; gives the bytes freed.

        What a process is just making stays.
        """
        freed = self._sweep()
        before = math.inf if older_than_days is None else cache_files.now() - _DAY * older_than_days
        return freed + sum(
            self._delete(path) for path in self._files() if _status(path)[1] < before
        )

    def _read(self, path: Path, key: Mapping[str, Any]) -> dict[str, Tensor] | None:
        try:
            tensors = cache_files.read(path, key)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except cache_files.READING as error:
            logger.warning("%s: damaged (%s); made anew", path, error)
            return None
        with suppress(OSError):  # a folder that cannot be written is read all the same
            os.utime(path)
        self._give(path, tensors)
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
            cache_files.write(path, key, tensors, source)
        except (OSError, SafetensorError) as error:
            self._warn(f"not writable ({error})")
        self._give(path, tensors)

    def _give(self, path: Path, tensors: Mapping[str, Tensor]) -> None:
        self._given[path] = [weakref.ref(tensor) for tensor in tensors.values()]

    def _make_room(self, size: int, wanted: Path) -> None:
        """Give up the least recently used until ``size`` bytes fit, never what is in use now."""
        total = self.total_bytes + size
        if total <= self.limit_bytes:
            return
        total -= self._sweep()
        for path in sorted(self._files(), key=lambda one: _status(one)[1]):
            if total <= self.limit_bytes:
                return
            in_use = any(given() is not None for given in self._given.get(path, ()))
            if path != wanted and not in_use:
                total -= self._delete(path)

    def _delete(self, path: Path, key: str = "") -> int:
        """Delete a file unless a process is just making it; gives the bytes freed."""
        lock = self._lock(key or path.stem)
        try:
            with FileLock(lock, timeout=0):
                size = _status(path)[0]
                path.unlink()
                # Who waits for this lock may then make the same beside another: both are right.
                lock.unlink(missing_ok=True)
        except (OSError, Timeout, NotImplementedError):
            return 0
        return size

    def _sweep(self) -> int:
        """Delete what killed writers left; gives the bytes freed."""
        return sum(self._delete(path, path.name.split(".")[1]) for path in self._unfinished())

    @contextmanager
    def _alone(self, path: Path) -> Iterator[bool]:
        """Hold the key for this process; gives False where the folder cannot be written."""
        lock = self._lock(path.stem)
        with ExitStack() as stack:
            try:
                lock.parent.mkdir(parents=True, exist_ok=True)
                if not os.access(lock if lock.exists() else lock.parent, os.W_OK):
                    raise PermissionError(f"no permission to write {lock}")
                stack.enter_context(FileLock(lock))
            except (OSError, NotImplementedError) as error:
                self._warn(f"not writable ({error})")
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
            return sorted(path for path in self.root.iterdir() if SUFFIX in path.name)
        except OSError:
            return []

    def _warn(self, reason: str) -> None:
        if not self._warned:
            logger.warning(
                "%s: %s; what does not fit there is computed again next time. Set REACGAN_CACHE to a "
                "folder that can be written, or REACGAN_CACHE_GB to another limit",
                self.root,
                reason,
            )
        self._warned = True


def _status(path: Path) -> tuple[int, float]:
    """Bytes and the time of last use; (0, 0) where the file has gone."""
    try:
        held = path.stat()
    except OSError:
        return 0, 0.0
    return held.st_size, held.st_mtime


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
