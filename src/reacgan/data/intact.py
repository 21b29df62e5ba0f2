"""Whether the pixels of a packed file are those that were written: read once, and remembered.

Every 16 MiB have a digest of their own, so that a large file is read by all cores, and an error names the
images. That a file was whole is remembered in the cache by its size, times and number on the disk, for a
week; ``reacgan data inspect`` reads it whatever is remembered.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from reacgan.data.archive import CHUNK, Pixels, damaged, pixels_of, read_archive
from reacgan.data.dataset import DataError, ImageData
from reacgan.data.threads import usable_cores
from reacgan.files import cache_root, locked, write_text
from reacgan.leftovers import DAY
from reacgan.progress import stage
from reacgan.records import read_sealed, sealed

REMEMBERED = 7 * DAY
"""Seconds after which a file is read again: a disk may change bytes without a change of times."""
_COARSE = 0.1
"""Seconds within which two changes of a file may have one time."""


def checked(path: str | Path, *, again: bool = False) -> ImageData:
    """Open a packed file whose pixels are those that were written.

    Args:
        path: of the file.
        again: read all of it, whatever is remembered.

    Raises:
        DataError: as :func:`reacgan.data.archive.read_archive`, or a pixel is another; names the images.
    """
    path = Path(path)
    data = read_archive(path)
    with ExitStack() as stack:
        if again or not _is_known(path):
            with suppress(OSError, NotImplementedError):  # then each process reads it
                stack.enter_context(locked(_lock(path), f"checks {path}"))
            if again or not _is_known(path):
                _check(path)
    return data


def _check(path: Path) -> None:
    """Read all pixels, and remember that they are whole."""
    before, began = _stamps(path), time.time()
    pixels = pixels_of(path)
    with stage(f"checking the pixels of {path.name}", pixels.size, "bytes") as task:
        for done in _chunks(path, pixels) if pixels.chunks else _in_sequence(path, pixels):
            task.at(done)
    # What was changed a moment ago may be changed once more without another time.
    if _stamps(path) == before and began - before["mtime_ns"] / 1e9 > _COARSE:
        note = {"file": before, "pixels": pixels.whole, "checked": began}
        with suppress(OSError):
            write_text(_note(path), json.dumps(sealed(note)))


def _chunks(path: Path, pixels: Pixels) -> Iterator[int]:
    """Compare every chunk; gives the bytes that are done."""
    starts = range(0, pixels.size, CHUNK)
    pending: deque[tuple[int, str, Future[str]]] = deque()
    threads = min(8, usable_cores())
    with ThreadPoolExecutor(threads) as pool:
        try:
            for start, expected in zip(starts, pixels.chunks, strict=True):
                stop = min(start + CHUNK, pixels.size)
                work = pool.submit(_digest, path, pixels.start + start, stop - start)
                pending.append((start, expected, work))
                if len(pending) > 2 * threads or stop == pixels.size:
                    yield from _compared(path, pixels, pending, all_of_them=stop == pixels.size)
        finally:
            for *_, work in pending:
                work.cancel()


def _compared(
    path: Path, pixels: Pixels, pending: deque[tuple[int, str, Future[str]]], *, all_of_them: bool
) -> Iterator[int]:
    while pending:
        start, expected, work = pending.popleft()
        stop = min(start + CHUNK, pixels.size)
        if work.result() != expected:
            first, last = start // pixels.each, (stop - 1) // pixels.each
            raise damaged(path, f"pixels of the images {first:,} to {last:,} are not those written")
        yield stop
        if not all_of_them:
            return


def _digest(path: Path, start: int, size: int) -> str:
    digest = hashlib.sha256()
    with _readable(path).open("rb") as file:
        file.seek(start)
        digest.update(file.read(size))
    return digest.hexdigest()


def _in_sequence(path: Path, pixels: Pixels) -> Iterator[int]:
    """Compare all of them at once, of a file of an earlier version; gives the bytes that are done."""
    digest = hashlib.sha256()
    with _readable(path).open("rb") as file:
        file.seek(pixels.start)
        for start in range(0, pixels.size, CHUNK):
            digest.update(file.read(min(CHUNK, pixels.size - start)))
            yield min(start + CHUNK, pixels.size)
    if digest.hexdigest() != pixels.whole:
        raise damaged(path, "pixels do not match their digest")


def _readable(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f"{path}: was removed while it was read")
    return path


def _note(path: Path) -> Path:
    return cache_root() / "checked" / f"{_key(path)}.json"


def _lock(path: Path) -> Path:
    return cache_root() / "locks" / f"{_key(path)}.lock"


def _key(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:32]


def _is_known(path: Path) -> bool:
    """Whether this very file was found whole a short while ago."""
    try:
        note = read_sealed(_note(path))
        age = time.time() - note["checked"]
        return bool(note["file"] == _stamps(path) and 0 <= age < REMEMBERED)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _stamps(path: Path) -> dict[str, Any]:
    """What changes with a file; raises DataError where it has gone."""
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path}: not readable: {error.strerror}") from None
    names = ("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")
    return {name.removeprefix("st_"): getattr(status, name) for name in names}
