"""Where a set of shards is: a folder, or an address from which whole files are fetched and checked."""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from reacgan.data.dataset import DataError
from reacgan.data.download import TRANSIENT, UnreachableError, download, is_offline
from reacgan.files import digest_of, naming
from reacgan.progress import heartbeat

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_OVER_HTTP = ("http://", "https://")
_BLOCK = 1 << 20
_TIMEOUT_SECONDS = 30
_HEADERS = {"User-Agent": "reacgan", "Accept-Encoding": "identity"}
_STAMPS = ("ETag", "Last-Modified", "Content-Length")
INCOMING = ".incoming"
"""Behind the name of a file that is being fetched."""
_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}


def is_address(text: str) -> bool:
    """Whether a text is ``http://...``, ``s3://...`` and the like rather than a path."""
    return _ADDRESS.match(text) is not None


def joined(base: str, name: str) -> str:
    """The address of a file below ``base``; parameters behind ? stay."""
    address, mark, parameters = base.partition("?")
    quoted = quote(name) if address.startswith(_OVER_HTTP) else name
    return f"{address.rstrip('/')}/{quoted}{mark}{parameters}"


def always() -> bool:
    """The answer to whether a file is still wanted, where nobody changes his mind."""
    return True


def fetch(
    address: str,
    target: Path,
    *,
    sha256: str | None,
    most: int,
    wanted: Callable[[], bool] = always,
) -> None:
    """Fetch a file, whose name appears once it is whole and its checksum fits.

    A file with another checksum is fetched again once.

    Args:
        address: of the file, http(s) or what fsspec opens.
        target: its name here; a file of that name is fetched anew.
        sha256: that it must have, or None.
        most: bytes, of which no more are taken.
        wanted: asked with each block whether to go on.

    Raises:
        DataError: unreachable, longer, twice another checksum, or no longer wanted.
    """
    target.unlink(missing_ok=True)
    get = _fetch_http if address.lower().startswith(_OVER_HTTP) else _fetch_with_fsspec
    try:
        get(address, target, sha256, most, wanted)
    except _ChecksumError:
        try:
            get(address, target, sha256, most, wanted)
        except _ChecksumError as error:
            raise DataError(
                f"{address}: damaged: fetched twice, {error}. Put the file there again, or prepare the "
                "shards again"
            ) from None


class NotThereError(DataError):
    """There is no such file."""


def check_wanted(what: str, wanted: Callable[[], bool]) -> None:
    """Raise DataError where a file is no longer wanted."""
    if not wanted():
        raise DataError(f"{what}: no longer waited for")


class _ChecksumError(DataError):
    """A file that is not the one that is wanted."""


def _fetch_http(
    address: str, target: Path, sha256: str | None, most: int, wanted: Callable[[], bool]
) -> None:
    whole = target.with_name(f"{target.name}{INCOMING}")
    whole.unlink(missing_ok=True)

    def bounded(received: int, total: int) -> None:
        check_wanted(address, wanted)
        if max(received, total) > most:
            whole.with_name(f"{whole.name}.part").unlink(missing_ok=True)
            raise _too_long(address, max(received, total), most)

    try:
        download(address, whole, progress=bounded)
    except UnreachableError as error:
        kind = NotThereError if "answers 404" in error.failure else DataError
        raise kind(
            f"{address}: not reachable: {error.failure}; the same command goes on once it is there"
        ) from None
    _check(whole, sha256)
    whole.replace(target)


def _fetch_with_fsspec(
    address: str, target: Path, sha256: str | None, most: int, wanted: Callable[[], bool]
) -> None:
    if is_offline():
        raise DataError(f"{target}: not here, and nothing is downloaded now; get {address} before")
    part = target.with_name(f"{target.name}{INCOMING}")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _named(address), _fsspec(address).open(address, "rb") as source:
            received = 0
            with naming(part), part.open("wb") as file:
                while block := source.read(_BLOCK):
                    heartbeat()
                    check_wanted(address, wanted)
                    received += len(block)
                    if received > most:
                        raise _too_long(address, received, most)
                    file.write(block)
        _check(part, sha256)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _check(file: Path, sha256: str | None) -> None:
    if sha256 is not None and (actual := digest_of(file)) != sha256:
        file.unlink()
        raise _ChecksumError(f"its SHA-256 is {actual}, in the index {sha256}")


def _fsspec(address: str) -> Any:
    try:
        import fsspec  # noqa: PLC0415 - optional
    except ImportError:
        raise DataError(
            f"{address}: read by the package fsspec, which is not installed: "
            "pip install 'reacgan[formats]'"
        ) from None
    return fsspec


@contextmanager
def _named(address: str) -> Iterator[None]:
    """What goes wrong in libraries of storage, which raise anything, names the address."""
    try:
        yield
    except DataError:
        raise
    except OSError as error:
        if error.filename is not None and Path(str(error.filename)).is_absolute():
            raise  # of the disk here
        kind = NotThereError if isinstance(error, FileNotFoundError) else DataError
        raise kind(f"{address}: not readable: {error.strerror or error}") from None
    except ImportError as error:
        scheme = address.partition(":")[0].lower()
        package = _PACKAGES.get(scheme, "the package that fsspec wants")
        raise DataError(f"{address}: {error}; pip install {package}") from None
    except Exception as error:
        raise DataError(f"{address}: not readable: {type(error).__name__}: {error}") from None


def _too_long(address: str, received: int, most: int) -> DataError:
    return DataError(
        f"{address}: {received:,} bytes or more, where {most:,} were expected; it is not what the index "
        "names"
    )


def stamp_of(address: str) -> list[str]:
    """What tells whether a file was replaced, as far as its server says; empty where it says nothing.

    Of http these are ETag, Last-Modified and Content-Length, each with its name.

    Raises:
        OSError: the server cannot be reached.
        DataError: nothing is fetched now, or storage that fsspec cannot read.
    """
    if is_offline():
        raise DataError("nothing is downloaded now")
    if not address.lower().startswith(_OVER_HTTP):
        with _named(address):
            system, path = _fsspec(address).core.url_to_fs(address)
            return [str(system.ukey(path))]
    request = urllib.request.Request(address, method="HEAD", headers=_HEADERS)
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
            said = [(name, response.headers.get(name)) for name in _STAMPS]
    except urllib.error.HTTPError as error:
        if error.code in TRANSIENT:
            raise
        return []  # no such request, or no such file, which fetching says
    except http.client.HTTPException as error:
        raise OSError(str(error) or type(error).__name__) from None
    return [f"{name}: {value}" for name, value in said if value]


def listed(address: str) -> list[str]:
    """The addresses of the tar files in a folder of storage that fsspec can list.

    Raises:
        DataError: not listed, as over http.
    """
    if address.lower().startswith(_OVER_HTTP):
        raise DataError(
            f"{address}: no index.json is there, and http does not list a folder; name the shards: "
            f"{address.rstrip('/')}/shard-{{000000..000099}}.tar"
        )
    with _named(address):
        system, path = _fsspec(address).core.url_to_fs(address)
        names = sorted(system.glob(f"{path.rstrip('/')}/*.tar"))
        return [str(system.unstrip_protocol(name)) for name in names]
