"""Arrays of ``.npz`` and ``.npy`` files: claims are compared with what a file holds before memory is taken.

Nothing is unpickled. An array whose header promises more values than its part of the file unpacks to is
refused, and so is a large part that is packed as densely as no data are (a decompression bomb).
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from reacgan.files import check_size, open_regular

_SMALL = 64 * 2**20
"""Bytes up to which an array may be packed as densely as it likes."""
_DENSEST = 100
"""Times as large as its part of the file that a larger array may be."""
_ENDING = ".npy"
_MOST_CHECKED = 1000
_LONGEST_HEADER = 10_000
"""Bytes; NumPy reads no longer ones."""


def bomb_problem(size: int, packed: int) -> str:
    """What is wrong with something of a zip that unpacks to ``size`` bytes from ``packed``; or empty."""
    if size <= max(_SMALL, _DENSEST * packed):
        return ""
    return f"unpacks from {packed:,} bytes to {size:,}, more than {_DENSEST} times as many"


class ArrayFile:
    """The arrays of an open ``.npz`` file; raises ValueError for all that is wrong with one."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path = path
        self._archive = archive
        parts = [part for part in archive.namelist() if part.endswith(_ENDING)]
        self.names = [part.removesuffix(_ENDING) for part in parts]

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an array, as its header says; nothing else of it is read."""
        with self._archive.open(name + _ENDING) as part:
            return _header(part).shape

    def read(self, name: str) -> npt.NDArray[Any]:
        """An array as a whole."""
        about = self._archive.getinfo(name + _ENDING)
        with self._archive.open(about) as part:
            header = _header(part)
        size = header.bytes
        if header.begin + size != about.file_size:
            there = about.file_size - header.begin
            raise ValueError(f"{name} is said to have {size:,} bytes, the file holds {there:,}")
        if problem := bomb_problem(size, about.compress_size):
            raise ValueError(f"{name} {problem}; if it is yours store it by numpy.savez")
        check_size(self._path, size)
        with self._archive.open(about) as part:
            return np.asarray(np.lib.format.read_array(part, allow_pickle=False))


def open_npy(path: str | Path) -> npt.NDArray[Any]:
    """The array of a ``.npy`` file, mapped from it.

    Raises:
        OSError: not there, not readable, or no ordinary file.
        ValueError: everything else that is wrong with it.
    """
    path = Path(path)
    with open_regular(path) as file:
        try:
            header = _header(file)
            there = os.fstat(file.fileno()).st_size - header.begin
            if header.bytes > there:
                raise ValueError(
                    f"it is said to have {header.bytes:,} bytes, the file holds {there:,}"
                )
            return np.lib.format.open_memmap(path, mode="r")
        except (OSError, ValueError):
            raise
        except Exception as error:  # the header of a hostile file is arbitrary text
            raise ValueError(f"{type(error).__name__}: {error}") from None


def npy_in(content: IO[bytes]) -> npt.NDArray[Any]:
    """The array of an open ``.npy`` file's content; no copy that its header alone could ask for.

    Raises:
        ValueError, and whatever NumPy's parser raises: it is none.
    """
    header = _header(content)
    values = np.frombuffer(content.read(), header.dtype)
    return values.reshape(header.shape, order="F" if header.turned else "C")


class _Header(NamedTuple):
    shape: tuple[int, ...]
    turned: bool
    """Whether the first dimension varies fastest."""
    dtype: np.dtype[Any]
    begin: int
    """Where the values begin."""

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def _header(part: Any) -> _Header:
    wide = np.lib.format.read_magic(part) != (1, 0)
    length = part.read(4 if wide else 2)
    if int.from_bytes(length, "little") > _LONGEST_HEADER:
        raise ValueError(f"its header is said to take {int.from_bytes(length, 'little'):,} bytes")
    part.seek(-len(length), os.SEEK_CUR)
    read: Any = np.lib.format.read_array_header_2_0 if wide else np.lib.format.read_array_header_1_0
    shape, turned, dtype = read(part)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not read")
    if any(side < 0 for side in shape):
        raise ValueError(f"its shape is {list(shape)}")
    return _Header(shape, turned, dtype, part.tell())


def zip_parts(path: Path) -> list[zipfile.ZipInfo]:
    """The parts of a file that is a zip; none for another format, or a table of contents that is damaged.

    Raises:
        OSError: not there, not readable, or no ordinary file.
    """
    with open_regular(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return archive.infolist()
        except OSError:
            raise
        except Exception:  # damaged and hostile files raise anything
            return []


def refuse_bomb(path: Path) -> None:
    """See that a file that may be a zip, as those of PyTorch are, does not unpack to far more.

    Raises:
        OSError: not there, not readable, or no ordinary file.
        ValueError: it does.
    """
    parts = zip_parts(path)
    size, packed = (sum(getattr(p, key) for p in parts) for key in ("file_size", "compress_size"))
    if problem := bomb_problem(size, packed):
        raise ValueError(problem)


@contextmanager
def open_npz(path: Path) -> Iterator[ArrayFile]:
    """The arrays of a ``.npz`` file, an ordinary one.

    Raises:
        OSError: not there, not readable, or no ordinary file.
        ValueError: everything else that is wrong with it, also while arrays are read in the block.
    """
    with open_regular(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                _check_number(file, len(archive.infolist()))
                for part in archive.infolist()[:_MOST_CHECKED]:
                    archive.open(part).close()  # its name is the one in the table of contents
                yield ArrayFile(path, archive)
        except (OSError, ValueError):
            raise
        except Exception as error:  # damaged and hostile files raise anything
            raise ValueError(f"{type(error).__name__}: {error}") from None


def _check_number(file: BinaryIO, parts: int) -> None:
    """See that the table of contents was read to its end: a damaged entry may swallow those after it."""
    size = os.fstat(file.fileno()).st_size
    file.seek(max(0, size - _LONGEST_END))
    end = file.read()
    begin = end.rfind(b"PK\x05\x06")
    said = int.from_bytes(end[begin + 10 : begin + 12], "little")
    if said not in (parts, _UNSAID):
        raise ValueError(f"its table of contents names {parts} parts of {said}")


_LONGEST_END = 22 + 2**16
"""Bytes of a zip's last record with its comment."""
_UNSAID = 2**16 - 1
"""Of a zip of more parts, which says their number elsewhere."""
