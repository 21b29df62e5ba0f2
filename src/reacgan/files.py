"""Files that are whole or not there, folders of a moment, locks that are waited for aloud, the cache."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

PATIENCE = 5.0
"""Seconds of waiting before it is said what is waited for."""

_WITHIN = re.compile(r"""(?<![\w.~:/\\])~?(?:/[^/\s"',;()]+){2,}""")

logger = logging.getLogger("reacgan")


def cache_root() -> Path:
    """``$REACGAN_CACHE``, by default ``~/.cache/reacgan``."""
    root = os.environ.get("REACGAN_CACHE") or "~/.cache/reacgan"
    return Path(os.path.expanduser(root))  # noqa: PTH111 - Path raises at a user it does not know


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """What the system says of a write in this block names the file, as of a full disk it does not.

    Raises:
        OSError: also for what safetensors raises where a write fails, which is no OSError.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    except Exception as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        if type(error).__name__ != "SafetensorError" or number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


@contextmanager
def locked(lock: Path, does: str) -> Iterator[None]:
    """Hold a lock file for this process alone; a dead process's lock is no obstacle.

    Who waits longer than :data:`PATIENCE` is told for what, and what can be done.

    Args:
        lock: the file; its folder is made.
        does: what the process does that has it, such as ``packs the images of cats/``.

    Raises:
        OSError, NotImplementedError: the folder cannot be written, or its file system has no locks.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415 - a third of the time that help takes

    lock.parent.mkdir(parents=True, exist_ok=True)
    handle = FileLock(lock)
    began = time.monotonic()
    try:
        handle.acquire(timeout=PATIENCE)
    except Timeout:
        logger.warning(
            "%s: waiting, since another process %s; it is done once for all. Let it end, or stop "
            "it: this one then does the same",
            lock,
            does,
        )
        handle.acquire()
        logger.warning("%s: waited %.0f s", lock, time.monotonic() - began)
    try:
        yield
    finally:
        handle.release()


def is_free(lock: Path) -> bool:
    """Whether surely nobody holds a lock of :func:`locked`."""
    from filelock import FileLock, Timeout  # noqa: PLC0415

    try:
        with FileLock(lock, blocking=False):
            return True
    except (Timeout, OSError, NotImplementedError):
        return False


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path``; what was written there replaces it when the block ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with naming(path):
            yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def scratch_folder(beside: Path, prefix: str) -> Iterator[Path]:
    """A folder for the time of the block, beside ``beside``, on the same disk.

    It is gone after an error and a signal (:func:`remove_scratch`). What a killed process has left is
    removed by the next call that makes one there: a lock, which a dead process does not hold, tells it
    from one in use.

    Args:
        beside: a file that may not exist yet; its folder is made.
        prefix: of its name.
    """
    from filelock import FileLock  # noqa: PLC0415 - a third of the time that help takes

    beside.parent.mkdir(parents=True, exist_ok=True)
    _sweep(beside.parent, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=beside.parent))
    _SCRATCH.add(folder)
    lock = FileLock(folder / _LOCK)
    try:
        with suppress(OSError, NotImplementedError):  # a file system without locks
            lock.acquire(blocking=False)
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)
        _SCRATCH.discard(folder)


def remove_scratch() -> None:
    """Remove what :func:`scratch_folder` has made: for a process that ends at once."""
    for folder in tuple(_SCRATCH):
        shutil.rmtree(folder, ignore_errors=True)


_SCRATCH: set[Path] = set()
_LOCK = ".lock"


def _sweep(parent: Path, prefix: str) -> None:
    """Remove the folders of processes that were killed."""
    from filelock import FileLock, Timeout  # noqa: PLC0415

    for folder in parent.glob(f"{prefix}*"):
        lock = folder / _LOCK
        with suppress(OSError, NotImplementedError, Timeout):
            if lock.is_file():
                with FileLock(lock, blocking=False):
                    shutil.rmtree(folder)


def as_text(word: str) -> str:
    """A word of the system as text: where its encoding is ASCII, UTF-8 comes as bytes in disguise."""
    return word.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def as_file_name(text: str) -> str:
    """A text as the system wants a name, so that it is UTF-8 on the disk whatever the system's encoding."""
    return os.fsdecode(text.encode("utf-8", "replace"))


def without_paths(value: Any) -> Any:
    """The same with absolute paths shortened to their last part, to reveal no machine."""
    if isinstance(value, Mapping):
        return {key: without_paths(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(without_paths(item) for item in value)
    if not isinstance(value, str):
        return value
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(value).is_absolute():
            return kind(value).name or "."
    return _WITHIN.sub(lambda match: match[0].rsplit("/", 1)[-1], value)


def write_text(path: Path, text: str) -> None:
    """Replace a text file as a whole."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_regular(path: Path, *, most: int | None = None) -> bytes:
    """The content of an ordinary file; a pipe or device, which may never end, is refused.

    Args:
        path: the file.
        most: bytes that it may have; None any number.

    Raises:
        OSError: not there, not readable, no ordinary file, or longer.
    """
    # Without the flag opening a pipe waits for somebody who writes into it.
    descriptor = os.open(
        path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "no ordinary file", str(path))
        if most is not None and status.st_size > most:
            raise OSError(
                errno.EFBIG, f"{status.st_size:,} bytes, at most {most:,} are expected", str(path)
            )
        return file.read()


def digest_of(path: Path, algorithm: str = "sha256") -> str:
    """Checksum of a file, hexadecimal; raises OSError."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def flush_to_disk(path: Path) -> None:
    """Fsync a file or folder, so that a rename after it never shows an empty one."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_folder(path: Path) -> None:
    """Fsync every file of a folder, then the folder."""
    for file in sorted(path.iterdir()):
        flush_to_disk(file)
    flush_to_disk(path)
