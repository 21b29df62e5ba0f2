"""What a killed process leaves: names that say whose they are, and how they are swept away.

A file or folder that is being written, or deleted, has a name that ends in ``PID-MACHINE-N.reacgan``: the
process, its machine, and a number. It is swept when that process is dead; one of another machine, on a
shared disk, when it was not written to for a day. No other name is touched.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from functools import cache
from itertools import count
from pathlib import Path

DAY = 86400.0
UNFINISHED = ".writing-*"
"""Names of states that are being written, below a run's lock."""

_OURS = re.compile(r".+[.-](\d+)-([0-9a-f]{8})-(\d+)\.reacgan")
_EARLIER = re.compile(r"\..+\.(?:json|jsonl|png|md|html|csv|safetensors)\.(\d+)")
"""Of earlier versions, in folders that hold nothing but files of ours."""
_EARLIER_PACK = re.compile(r"\..+\.[a-z0-9_]{8}\.part")
_LONGEST = 180

_NUMBERS = count()
_IN_USE: set[str] = set()


@contextmanager
def unfinished(path: Path, *, prefix: str | None = None) -> Iterator[Path]:
    """A hidden name beside ``path`` for what this process writes; nothing has that name yet.

    Whoever is done has renamed or removed it; a block that ends otherwise leaves it to be swept.

    Args:
        path: what it will be.
        prefix: of the name; None for ``.NAME.``, which hides it.
    """
    name = path.name if len(os.fsencode(path.name)) <= _LONGEST else path.name[:40]
    ending = f"{os.getpid()}-{_machine()}-{next(_NUMBERS)}.reacgan"
    hidden = path.with_name((f".{name}." if prefix is None else prefix) + ending)
    _IN_USE.add(hidden.name)
    try:
        yield hidden
    finally:
        _IN_USE.discard(hidden.name)


def remove(path: Path) -> None:
    """Delete a file or folder by way of a hidden name: it is whole or not there, whenever that is cut off.

    Raises:
        OSError: it cannot be renamed; then it is as it was. What cannot be deleted after that is left to
            be swept.
    """
    with unfinished(path) as hidden:
        path.rename(hidden)
        _delete(hidden)


def sweep(folder: Path, *, of_ours: bool = False, also: str | None = None) -> int:
    """Delete what dead processes have left in a folder, not below it; returns the bytes freed.

    Args:
        folder: need not exist.
        of_ours: nothing but files of this package is there, so that what earlier versions left is known by
            its name.
        also: a pattern of further names, where no other process writes.
    """
    freed = 0
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in list(entries):
            path = Path(entry.path)
            unowned = also is not None and fnmatch(entry.name, also)
            if unowned or _abandoned(path) or (of_ours and _left_earlier(path)):
                freed += _bytes_of(path)
                _delete(path)
    return freed


def sweep_below(root: Path, *, partial: str | None = None) -> int:
    """Sweep a folder of ours and its folders, two deep; returns the bytes freed.

    Args:
        root: need not exist.
        partial: the ending of unfinished files that another call would complete; those that were not
            written to for a day go too.
    """
    freed = 0
    for folder in (root, *_folders(root)):
        freed += sweep(folder, of_ours=True)
        for path in folder.glob(f"*{partial}") if partial else ():
            if _unused_for_a_day(path):
                freed += _bytes_of(path)
                _delete(path)
    return freed


def is_unfinished(path: Path) -> bool:
    """Whether it has a name of :func:`unfinished`."""
    return _OURS.fullmatch(path.name) is not None


def _folders(root: Path) -> list[Path]:
    first = [path for path in _listed(root) if path.is_dir() and not path.is_symlink()]
    second = [path for each in first for path in _listed(each)]
    return [*first, *(path for path in second if path.is_dir() and not path.is_symlink())]


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _abandoned(path: Path) -> bool:
    match = _OURS.fullmatch(path.name)
    if match is None or path.name in _IN_USE:
        return False
    if match[2] != _machine():
        return _unused_for_a_day(path)
    pid = int(match[1])
    return pid == os.getpid() or not _lives(pid, path)


def _left_earlier(path: Path) -> bool:
    match = _EARLIER.fullmatch(path.name)
    if match is not None:
        pid = int(match[1])
        return _unused_for_a_day(path) or (pid != os.getpid() and not _lives(pid, path))
    return _EARLIER_PACK.fullmatch(path.name) is not None and _unused_for_a_day(path)


def _lives(pid: int, path: Path) -> bool:
    """Whether a process of this machine may still write; one that waits to be buried does not."""
    if os.name != "posix":  # there signal 0 ends the process
        return not _unused_for_a_day(path)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):
        return True
    return state not in (b"Z", b"X")


def _unused_for_a_day(path: Path) -> bool:
    try:
        files = [path, *path.iterdir()] if path.is_dir() else [path]
        return all(abs(time.time() - file.lstat().st_mtime) > DAY for file in files)
    except OSError:
        return False


def _bytes_of(path: Path) -> int:
    with suppress(OSError):
        files = path.rglob("*") if path.is_dir() and not path.is_symlink() else (path,)
        return sum(file.lstat().st_size for file in files if not file.is_dir())
    return 0


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


@cache
def _machine() -> str:
    """Of the machine and, in a container, of its own count of processes."""
    numbers = 0
    with suppress(OSError):
        numbers = Path("/proc/self/ns/pid").stat().st_ino
    return hashlib.sha256(f"{socket.gethostname()} {numbers}".encode()).hexdigest()[:8]
