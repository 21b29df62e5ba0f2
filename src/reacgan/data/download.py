"""Download published archives: resumed after failures, checked before the final rename."""

from __future__ import annotations

import hashlib
import http.client
import os
import stat
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from reacgan.data.dataset import DataError
from reacgan.files import DISK_FAULTS, cache_root, digest_of, naming, scratch_folder
from reacgan.leftovers import sweep
from reacgan.progress import heartbeat

_BLOCK = 1 << 20
_MOST_AT_ONCE = 1 << 18
_SLOWEST = 1000
"""Bytes a second; a connection with fewer over :data:`_PATIENCE_SECONDS` is given up."""
_PATIENCE_SECONDS = 60.0
_TIMEOUT_SECONDS = 30
_PAUSE_SECONDS = 0.5
_ATTEMPTS = 5
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)

_OFFLINE: ContextVar[bool] = ContextVar("offline", default=False)


@contextmanager
def offline() -> Iterator[None]:
    """Within the block (of this thread or task) what is not on this machine is missing, not fetched."""
    before = _OFFLINE.set(True)
    try:
        yield
    finally:
        _OFFLINE.reset(before)


def is_offline() -> bool:
    """Whether :func:`offline` is in force."""
    return _OFFLINE.get()


@dataclass(frozen=True)
class Resource:
    """A published archive: URL and checksums."""

    url: str
    md5: str
    max_unpacked_bytes: int


def cached_download(resource: Resource, progress: Callable[[int, int], None] | None = None) -> Path:
    """The archive in the cache, downloaded now if missing."""
    destination = cache_root() / "downloads" / resource.url.rpartition("/")[2]
    return download(resource.url, destination, md5=resource.md5, progress=progress)


def download(
    url: str,
    destination: str | Path,
    *,
    md5: str | None = None,
    sha256: str | None = None,
    attempts: int = _ATTEMPTS,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Fetch a file over HTTP; it is renamed to its destination after its checksum is verified.

    Partial content is kept as ``DESTINATION.part``, and the next attempt, in this call or a later one,
    requests the rest. An existing destination is checked and not fetched again.

    Args:
        url: http or https.
        destination: the file's final name.
        md5: expected checksum (hex), or None.
        sha256: likewise.
        attempts: how often it is tried, with pauses.
        progress: called with (bytes received, bytes in all; 0 if unknown) before each attempt and with
            each block; what it raises ends the download.

    Raises:
        DataError: unreachable (with URL and destination), or another checksum.
        OSError: it cannot be written there, at once; names the file.
    """
    destination = Path(destination)
    if not url.startswith(("http://", "https://")):
        raise DataError(f"{url}: not a http or https address")
    if destination.exists():
        _check(destination, md5=md5, sha256=sha256, url=url, fresh=False)
        return destination
    if is_offline():
        raise DataError(f"{destination}: not here, and nothing is downloaded now; get {url} before")
    destination.parent.mkdir(parents=True, exist_ok=True)
    sweep(destination.parent)
    part = destination.with_name(f"{destination.name}.part")
    failure = _fetch_all(url, part, attempts, progress)
    if failure:
        checksum = next((f", {k} {v}" for k, v in (("md5", md5), ("sha256", sha256)) if v), "")
        raise _unreachable(url, destination, failure, checksum)
    _check(part, md5=md5, sha256=sha256, url=url, fresh=True)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(destination)
    return destination


def _fetch_all(
    url: str, part: Path, attempts: int, progress: Callable[[int, int], None] | None
) -> str:
    """Several attempts, each resuming the last; returns the last failure, or empty."""
    failure = ""
    for attempt in range(attempts):
        if attempt:
            time.sleep(_PAUSE_SECONDS * attempt)
        try:
            if _fetch(url, part, progress):
                return ""
            failure = "the connection broke"
        except urllib.error.HTTPError as error:
            failure = f"the server answers {error.code} {error.reason}"
            if error.code not in TRANSIENT:
                return failure
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            if getattr(error, "errno", None) in DISK_FAULTS:
                raise
            failure = str(getattr(error, "reason", error)) or type(error).__name__
    return failure


def _fetch(url: str, part: Path, progress: Callable[[int, int], None] | None) -> bool:
    """One attempt, resuming the last; returns whether the file is complete."""
    here = part.stat().st_size if part.exists() else 0
    if progress is not None:
        progress(here, 0)
    headers = {"User-Agent": "reacgan", "Accept-Encoding": "identity"}
    if here:
        headers["Range"] = f"bytes={here}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or not here:
            raise
        whole = error.headers.get("Content-Range", "").rpartition("/")[2]
        if whole == str(here):
            return True
        part.unlink()
        return False
    with response:
        resumed = response.headers.get("Content-Range", "").startswith(f"bytes {here}-")
        if response.status != http.client.PARTIAL_CONTENT or not resumed:
            here = 0
        length = response.headers.get("Content-Length")
        total = here + int(length) if length is not None and length.isdigit() else 0
        with naming(part), part.open("ab" if here else "wb") as file:
            for block in _blocks(response, total - here if total else None):
                file.write(block)
                here += len(block)
                if progress is not None:
                    progress(here, total)
    return not total or here == total


def _blocks(response: http.client.HTTPResponse, left: int | None) -> Iterator[bytes]:
    """What arrives, as it arrives, each block a heartbeat; ``left`` bytes where that is known.

    Raises:
        TimeoutError: the connection is too slow to go on with.
    """
    since, received = time.monotonic(), 0
    while left is None or left > 0:
        block = response.read1(_MOST_AT_ONCE)
        if not block:
            return
        heartbeat()
        yield block
        left = None if left is None else left - len(block)
        received += len(block)
        passed = time.monotonic() - since
        if passed >= _PATIENCE_SECONDS:
            if received < _SLOWEST * passed:
                raise TimeoutError(
                    f"{received:,} bytes in {passed:.0f} s, too slow to wait for "
                    f"(needed: {_SLOWEST:,} a second)"
                )
            since, received = time.monotonic(), 0


def _check(path: Path, *, md5: str | None, sha256: str | None, url: str, fresh: bool) -> None:
    for name, expected in (("md5", md5), ("sha256", sha256)):
        if expected is None:
            continue
        actual = digest_of(path, name)
        if actual == expected:
            continue
        if fresh:
            path.unlink()
        action = "it was removed; try again" if fresh else "remove it, then it is fetched again"
        raise DataError(
            f"{path}: checksum mismatch with {url}: its {name} is {actual}, expected {expected}; {action}"
        )


class UnreachableError(DataError):
    """A file that could not be fetched; ``failure`` says why in few words."""

    def __init__(self, message: str, failure: str) -> None:
        super().__init__(message)
        self.failure = failure


def _unreachable(url: str, destination: Path, failure: str, checksum: str) -> UnreachableError:
    message = (
        f"could not download {url}: {failure}. Fetch that file on a machine with a connection and "
        f"put it at {destination} (the same name{checksum}), or set data.path to where it is"
    )
    return UnreachableError(message, failure)


def unpacked_folder(archive: Path) -> Path:
    """The folder of an archive's unpacked files in the cache, one for each version."""
    status = archive.stat()
    version = f"{archive.name}/{status.st_size}/{status.st_mtime_ns}"
    key = hashlib.sha256(version.encode()).hexdigest()[:16]
    return cache_root() / "unpacked" / f"{archive.name.partition('.')[0]}-{key}"


def unpacked(path: Path, *, max_bytes: int) -> Path:
    """The folder itself, or the folder of an unpacked tar or zip, unpacked now if necessary.

    Raises:
        DataError: neither a folder nor such an archive, or one that :func:`extract` refuses.
    """
    if path.is_dir():
        return path
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if not zipfile.is_zipfile(path) and not tarfile.is_tarfile(path):
        raise DataError(f"{path}: neither a folder nor a .tar, .tar.gz or .zip of one")
    return extract(path, unpacked_folder(path), max_bytes=max_bytes)


def extract(archive: str | Path, folder: str | Path, *, max_bytes: int) -> Path:
    """Unpack a tar or zip atomically, unless the folder exists.

    Only regular files and folders below the target are created.

    Raises:
        DataError: a link, device or path that leads outside, more than ``max_bytes`` unpacked,
            or a damaged archive; nothing is left behind.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.is_dir():
        return folder
    with scratch_folder(folder, f".{folder.name}.") as temporary:
        return _unpack(archive, folder, temporary, max_bytes)


def _unpack(archive: Path, folder: Path, temporary: Path, max_bytes: int) -> Path:
    try:
        left = max_bytes
        for name, source in _members(archive):
            target = temporary / _safe_name(name, archive)
            target.parent.mkdir(parents=True, exist_ok=True)
            with naming(target), target.open("xb") as file:
                while block := source.read(_BLOCK):
                    left -= len(block)
                    if left < 0:
                        raise DataError(f"{archive}: unpacks to more than {max_bytes} bytes")
                    file.write(block)
        temporary.chmod(0o755)
        temporary.rename(folder)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, RuntimeError) as error:
        if folder.is_dir():  # another process has unpacked it
            return folder
        raise DataError(f"{archive}: cannot be unpacked: {error}") from None
    return folder


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and content of each regular file of a zip or tar."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            for item in zipped.infolist():
                kind = stat.S_IFMT(item.external_attr >> 16)
                if item.is_dir():
                    continue
                if kind not in (0, stat.S_IFREG):
                    raise DataError(f"{archive}: {item.filename!r} is a link or a device")
                with zipped.open(item) as source:
                    yield item.filename, source
        return
    with tarfile.open(archive, "r:*") as tar:
        for member in tar:
            if member.isdir():
                continue
            content = tar.extractfile(member) if member.isreg() else None
            if content is None:
                raise DataError(f"{archive}: {member.name!r} is a link or a device")
            yield member.name, content


def _safe_name(name: str, archive: Path) -> Path:
    path = PurePosixPath(name)
    parts = [part for part in path.parts if part != "."]
    bad = path.is_absolute() or ".." in parts or any(c in name for c in "\\:\0")
    if bad or not parts:
        raise DataError(f"{archive}: {name!r} leads outside of the folder")
    return Path(*parts)
