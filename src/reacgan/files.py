"""Files that are whole or not there, folders of a moment, locks that are waited for aloud, the cache."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO

from reacgan.leftovers import sweep, unfinished

PATIENCE = 5.0
"""Seconds of waiting before it is said what is waited for."""

_SURROGATES = re.compile("[\ud800-\udfff]")
_MOST_TEXT = 64 * 2**20
_WITHIN = re.compile(r"""(?<![\w.~:/\\])~?(?:/[^/\s"',;()]+){2,}""")

DISK_FAULTS = frozenset(
    getattr(errno, name)
    for name in (
        "ENOSPC",
        "EDQUOT",
        "EROFS",
        "EACCES",
        "EPERM",
        "EFBIG",
        "EIO",
        "ENOTDIR",
        "EISDIR",
    )
    if hasattr(errno, name)
)
"""Numbers of errors that say a file cannot be written there, however often it is tried."""

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
def replacing(path: Path, *, flush: bool = True) -> Iterator[Path]:
    """A temporary name beside ``path``; what was written there replaces it when the block ends.

    The first one in a folder also removes what killed processes have left there.

    Args:
        path: the file; its folder is made.
        flush: whether the file and its folder reach the disk first, so that a crash of the machine leaves
            the old or the new file, never an empty one. False for what can be made again and is
            checked when it is read.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep_once(path.parent)
    with unfinished(path) as temporary:
        try:
            with naming(path):
                yield temporary
                if flush:
                    flush_to_disk(temporary)
                temporary.replace(path)
                if flush:
                    flush_entry(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def scratch_folder(beside: Path, prefix: str) -> Iterator[Path]:
    """A folder for the time of the block, beside ``beside``, on the same disk.

    It is gone after an error and a signal (:func:`remove_scratch`). What a killed process has left is
    removed by the next call that makes one there.

    Args:
        beside: a file that may not exist yet; its folder is made.
        prefix: of its name.
    """
    beside.parent.mkdir(parents=True, exist_ok=True)
    sweep(beside.parent)
    with unfinished(beside, prefix=prefix) as folder:
        folder.mkdir(mode=0o700)
        _SCRATCH.add(folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            _SCRATCH.discard(folder)


@contextmanager
def own_folder(folder: Path) -> Iterator[None]:
    """An empty folder that no other process has during the block, made for it; it may be moved away.

    What a killed process has left in it is removed, and so is the folder after an error. Where a system
    cannot lock folders, two processes are not kept apart.

    Raises:
        BlockingIOError: another process has it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _locked_folder(folder)
    try:
        for left in folder.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _locked_folder(folder: Path) -> int | None:
    """Make a folder and lock it; None where the system cannot. Raises BlockingIOError."""
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:
        folder.mkdir(exist_ok=True)
        return None
    while True:
        folder.mkdir(exist_ok=True)
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:  # whose it was has moved it away
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:  # else a file system without locks
            if isinstance(error, BlockingIOError):
                os.close(descriptor)
                raise
        with suppress(FileNotFoundError):
            if os.fstat(descriptor).st_ino == folder.stat().st_ino:
                return descriptor
        os.close(descriptor)


def remove_scratch() -> None:
    """Remove what :func:`scratch_folder` has made: for a process that ends at once."""
    for folder in tuple(_SCRATCH):
        shutil.rmtree(folder, ignore_errors=True)


_SCRATCH: set[Path] = set()
_SWEPT: set[tuple[int, Path]] = set()


def _sweep_once(folder: Path) -> None:
    """Sweep a folder at its first use in this process: of very many files each look takes its time."""
    known = (os.getpid(), folder)
    if known not in _SWEPT:
        _SWEPT.add(known)
        sweep(folder)


def not_kept(folder: Path, reason: BaseException | str, then: str, *, remedy: str = "") -> None:
    """Say once a process that a folder of the cache cannot be written, and what happens instead.

    Args:
        folder: of the cache.
        reason: the error, or in words.
        then: such as ``features are kept in memory and computed again next time``.
        remedy: further than another folder.
    """
    known = (os.getpid(), folder)
    if known in _NOT_KEPT:
        return
    _NOT_KEPT.add(known)
    why = (reason.strerror or str(reason)) if isinstance(reason, OSError) else str(reason)
    logger.warning(
        "%s: cannot be written (%s); %s. Set REACGAN_CACHE to a folder that can be written%s",
        folder,
        why,
        then,
        remedy,
    )


_NOT_KEPT: set[tuple[int, Path]] = set()


def as_text(word: str) -> str:
    """A word of the system as text: where its encoding is ASCII, UTF-8 comes as bytes in disguise.

    What is no text, as half a surrogate pair of JSON, is replaced, so that it can be written anywhere.
    """
    known = word if _is_escaped(word) else _SURROGATES.sub("\ufffd", word)
    return known.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def is_file_name(text: str) -> bool:
    """Whether a text can be a file's name or path: bytes that are no UTF-8 can, in disguise."""
    return "\0" not in text and _is_escaped(text)


def _is_escaped(text: str) -> bool:
    """Whether all surrogates in a text are bytes in disguise."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


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


@contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """An ordinary file to read; a pipe or device, which may never end, is refused at once.

    Raises:
        OSError: not there, not readable, or no ordinary file.
    """
    # Without the flag opening a pipe waits for somebody who writes into it.
    descriptor = os.open(
        path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "no ordinary file", str(path))
    with naming(path), os.fdopen(descriptor, "rb") as file:
        yield file


def read_regular(path: Path, *, most: int | None = None) -> bytes:
    """The content of an ordinary file; a pipe or device, which may never end, is refused.

    Args:
        path: the file.
        most: bytes that it may have; None as many as this machine has memory.

    Raises:
        OSError: not there, not readable, no ordinary file, or longer.
    """
    with open_regular(path) as file:
        check_size(path, os.fstat(file.fileno()).st_size, most)
        return file.read()


def read_text(path: Path) -> str:
    """A text file of at most 64 MiB, such as a card; bytes that are not UTF-8 are replaced.

    Raises:
        OSError: as :func:`read_regular`.
    """
    text = read_regular(path, most=_MOST_TEXT).decode("utf-8", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def check_size(path: Path, size: int, most: int | None = None) -> None:
    """See that a file can be read as a whole: ``most`` bytes, None as many as there is memory.

    Raises:
        OSError: it is longer.
    """
    if most is not None and size > most:
        raise OSError(errno.EFBIG, f"{size:,} bytes, at most {most:,} are expected", str(path))
    memory = memory_bytes()
    if memory is not None and size > memory:
        raise OSError(
            errno.EFBIG, f"{size:,} bytes, this machine has {memory:,} of memory", str(path)
        )


def memory_bytes() -> int | None:
    """Bytes of memory of the machine; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def digest_of(path: Path, algorithm: str = "sha256") -> str:
    """Checksum of an ordinary file, hexadecimal; raises OSError."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open_regular(path) as file:
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


def flush_entry(path: Path) -> None:
    """Fsync the folder of a file that has got its name; systems that cannot do that are let be."""
    with suppress(OSError):
        flush_to_disk(path.parent)


def flush_folder(path: Path) -> None:
    """Fsync every file of a folder, then the folder."""
    for file in sorted(path.iterdir()):
        flush_to_disk(file)
    flush_to_disk(path)
