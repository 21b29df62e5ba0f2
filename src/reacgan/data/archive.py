"""A packed set: one memory-mappable file of uint8 images, labels and metadata.

The file is in the safetensors format: eight bytes of header length (little-endian), a JSON header,
then the bytes of two contiguous tensors: ``images`` uint8 ``[N, C, H, W]`` and ``labels`` int64
``[N]``. Its metadata holds class names, resize rule, source, versions and digests; ``seal`` is a
digest over all of it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from reacgan.config import DataConfig
from reacgan.data.dataset import DataError, ImageData, combine_digest
from reacgan.data.depth import Whites
from reacgan.files import naming
from reacgan.leftovers import sweep, unfinished
from reacgan.records import parse_json

KIND = "reacgan images 1"

CHUNK = 2**24
"""Bytes of pixels that have a digest of their own."""
_MAX_HEADER_BYTES = 100_000_000
_LABEL_BYTES = 8


class ArchiveWriter:
    """Writes batches to the temporary file of :func:`new_archive`, in constant memory."""

    def __init__(
        self,
        file: IO[bytes],
        *,
        shape: tuple[int, int, int],
        capacity: int,
        class_names: tuple[str, ...],
        metadata: Mapping[str, str],
    ) -> None:
        self._file = file
        self._shape = shape
        self._class_names = class_names
        self._metadata = dict(metadata)
        self._pixels = hashlib.sha256()
        self._chunks = _Chunks()
        self._labels: list[npt.NDArray[np.int64]] = []
        # Reserves the largest possible header: N has at most as many digits as the capacity.
        digest = "0" * 64
        chunks = "0" * 64 * -(-capacity * math.prod(shape) // CHUNK)
        self._room = len(self._header(capacity, digest, digest, chunks)) + 7 & ~7
        self._file.write(b"\0" * (8 + self._room))

    def add(self, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> None:
        """Append images ``[n, C, H, W]`` with their labels ``[n]``."""
        if images.shape != (len(labels), *self._shape) or images.dtype != np.uint8:
            raise DataError(
                f"images are {images.dtype} {list(images.shape)}, "
                f"needed: uint8 {[len(labels), *self._shape]}"
            )
        content = np.ascontiguousarray(images).tobytes()
        self._pixels.update(content)
        self._chunks.update(content)
        self._file.write(content)
        self._labels.append(np.asarray(labels, dtype=np.int64))

    def finish(self) -> None:
        """Append the labels and write the header."""
        labels = np.concatenate(self._labels) if self._labels else np.zeros(0, dtype=np.int64)
        self._file.write(labels.astype("<i8").tobytes())
        shape = (len(labels), *self._shape)
        pixels = self._pixels.hexdigest()
        digest = combine_digest(shape, pixels, labels, class_names=self._class_names)
        header = self._header(len(labels), pixels, digest, self._chunks.hexdigests())
        self._file.seek(0)
        self._file.write(self._room.to_bytes(8, "little") + header.ljust(self._room))

    def _header(self, count: int, pixels: str, digest: str, chunks: str) -> bytes:
        metadata = {
            **self._metadata,
            "kind": KIND,
            "class_names": json.dumps(list(self._class_names)),
            "pixels_sha256": pixels,
            "chunks_sha256": chunks,
            "digest": digest,
        }
        metadata["seal"] = _seal(metadata)
        shape = (count, *self._shape)
        return json.dumps({"__metadata__": metadata, **_tensors(shape)}).encode()


class _Chunks:
    """SHA-256 of every :data:`CHUNK` bytes of a stream."""

    def __init__(self) -> None:
        self._ended: list[str] = []
        self._current = hashlib.sha256()
        self._size = 0

    def update(self, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            part = rest[: CHUNK - self._size]
            self._current.update(part)
            self._size += len(part)
            rest = rest[len(part) :]
            if self._size == CHUNK:
                self._ended.append(self._current.hexdigest())
                self._current, self._size = hashlib.sha256(), 0

    def hexdigests(self) -> str:
        """All of them in one text, of the last and shorter one too."""
        return "".join([*self._ended, *([self._current.hexdigest()] if self._size else [])])


@contextmanager
def new_archive(
    path: str | Path,
    *,
    shape: tuple[int, int, int],
    capacity: int,
    class_names: tuple[str, ...],
    metadata: Mapping[str, str],
) -> Iterator[ArchiveWriter]:
    """Write a packed file atomically, at the end of the block.

    Args:
        path: of the file; its folder is created.
        shape: ``(C, H, W)`` of one image.
        capacity: maximum number of images.
        class_names: in label order.
        metadata: further facts (source, resize rule, versions), all strings.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)  # what a killed process left is as large as the whole set
    with unfinished(path) as temporary:
        try:
            with naming(path), temporary.open("xb") as file:
                writer = ArchiveWriter(
                    file, shape=shape, capacity=capacity, class_names=class_names, metadata=metadata
                )
                yield writer
                writer.finish()
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def read_archive(path: str | Path) -> ImageData:
    """Memory-map a packed file and check everything but the pixels (see ``intact.py``).

    Raises:
        DataError: the file is missing, foreign, truncated or damaged.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            shape, metadata, start = _read_header(file, path)
            file.seek(-shape[0] * _LABEL_BYTES, os.SEEK_END)
            labels = np.frombuffer(file.read(), "<i8").astype(np.int64)
        images = np.memmap(path, dtype=np.uint8, mode="r", offset=start, shape=shape)
    except OSError as error:
        raise DataError(f"{path}: not readable: {error.strerror}") from None
    try:
        names = tuple(str(name) for name in parse_json(metadata["class_names"]))
        expected = combine_digest(shape, metadata["pixels_sha256"], labels, class_names=names)
        intact = metadata["digest"] == expected
    except (KeyError, TypeError, ValueError):
        raise damaged(path, "its metadata is incomplete") from None
    if not intact:
        raise damaged(path, "labels or class names do not match their digest")
    whites, lost = _depth_of(metadata, path)
    return ImageData(images, labels, names, str(path), expected, whites, lost)


def _depth_of(metadata: Mapping[str, str], path: Path) -> tuple[Whites | None, tuple[str, ...]]:
    """White values and losses of images of more than 8 bits."""
    try:
        whites = parse_json(metadata.get("whites", "null"))
        lost = tuple(str(note) for note in parse_json(metadata.get("lost", "[]")))
        if whites is None:
            return None, lost
        integers, floats = (None if white is None else float(white) for white in whites)
        return (integers, floats), lost
    except (TypeError, ValueError):
        raise damaged(path, "its metadata does not say which values are white") from None


def read_metadata(path: str | Path) -> dict[str, str]:
    """The metadata of a packed file: kind, source, split, resize, versions, digests."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _read_header(file, path)[1]
    except OSError as error:
        raise DataError(f"{path}: not readable: {error.strerror}") from None


def is_archive(path: str | Path) -> bool:
    """Whether a file starts like a packed set; it may still be damaged."""
    path = Path(path)
    if not path.is_file():
        return False
    with path.open("rb") as file:
        begin = file.read(16)
    return len(begin) == 16 and begin[8:].lstrip(b" ").startswith(b'{"')


class Pixels(NamedTuple):
    """Where the pixels of a packed file are, and the digests that they must have."""

    start: int
    size: int
    """Bytes."""
    whole: str
    """SHA-256 of all."""
    chunks: tuple[str, ...]
    """SHA-256 of every :data:`CHUNK` bytes; none in files of earlier versions."""
    each: int
    """Bytes of an image."""


def pixels_of(path: Path) -> Pixels:
    """Where the pixels of a packed file are.

    Raises:
        DataError: the file is missing, foreign, truncated or damaged.
    """
    try:
        with path.open("rb") as file:
            shape, metadata, start = _read_header(file, path)
    except OSError as error:
        raise DataError(f"{path}: not readable: {error.strerror}") from None
    size, text = math.prod(shape), metadata.get("chunks_sha256", "")
    chunks = tuple(text[at : at + 64] for at in range(0, len(text), 64))
    if chunks and len(chunks) != -(-size // CHUNK):
        raise damaged(path, "its digests are of another number of pixels")
    return Pixels(start, size, metadata["pixels_sha256"], chunks, math.prod(shape[1:]))


def _read_header(file: IO[bytes], path: Path) -> tuple[tuple[int, ...], dict[str, str], int]:
    """Shape of the images, metadata, and the offset of the images, checked."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if size < 16 or not 2 <= length <= min(size - 8, _MAX_HEADER_BYTES):
        raise DataError(
            f"{path}: not a packed set ({size} bytes without a header); create one "
            "with `reacgan data prepare`"
        )
    try:
        header = parse_json(file.read(length).decode("utf-8"))
    except ValueError:
        raise damaged(path, "its header is not readable") from None
    if not isinstance(header, dict):
        raise damaged(path, "its header is not readable")
    start = 8 + length
    return *_check_header(header, path, payload=size - start), start


def _check_header(
    header: dict[str, Any], path: Path, *, payload: int
) -> tuple[tuple[int, ...], dict[str, str]]:
    """Check the header; returns the shape of the images and the metadata."""
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or metadata.get("kind") != KIND:
        raise DataError(
            f"{path}: a safetensors file, but not a packed set (its kind is not {KIND!r}); create "
            "one with `reacgan data prepare`"
        )
    seal = metadata.pop("seal", None)
    if seal != _seal(metadata):
        raise damaged(path, "its metadata does not match its seal")
    images = header.get("images")
    shape = images.get("shape") if isinstance(images, dict) else None
    if (
        not isinstance(shape, list)
        or len(shape) != 4
        or any(type(side) is not int or not 0 < side < 2**40 for side in shape)
        or header != {"__metadata__": metadata, **_tensors(tuple(shape))}
    ):
        raise damaged(path, "its tensors are not images uint8 [N, C, H, W] and labels int64 [N]")
    needed = _tensors(tuple(shape))["labels"]["data_offsets"][1]
    if needed != payload:
        state = "truncated" if payload < needed else "too long"
        raise damaged(path, f"{state}: {payload} bytes after the header, needed: {needed}")
    return tuple(shape), metadata


def _tensors(shape: tuple[int, ...]) -> dict[str, dict[str, Any]]:
    pixels = math.prod(shape)
    end = pixels + shape[0] * _LABEL_BYTES
    return {
        "images": {"dtype": "U8", "shape": list(shape), "data_offsets": [0, pixels]},
        "labels": {"dtype": "I64", "shape": [shape[0]], "data_offsets": [pixels, end]},
    }


def _seal(metadata: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(metadata, sort_keys=True).encode()).hexdigest()


def damaged(path: Path, problem: str) -> DataError:
    """The error for a file that is not what was written."""
    return DataError(f"{path}: damaged packed set, {problem}; create it again")


def held_out_path(path: Path) -> Path:
    """The path of the held-out images of a packed file: ``cats.safetensors`` → ``cats.test...``."""
    return path.with_name(f"{path.stem}.test{path.suffix}")


def archive_of(config: DataConfig, split: str) -> Path | None:
    """The packed file of a split, or None where the configuration is of no packed set."""
    if (
        config.name not in ("archive", "folder")
        or config.path is None
        or not is_archive(config.path)
    ):
        return None
    file = Path(config.path)
    return file if split == "train" else held_out_path(file)
