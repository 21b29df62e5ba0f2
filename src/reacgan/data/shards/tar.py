"""The tar files of a set: written as WebDataset reads them, and searched once where others wrote them."""

from __future__ import annotations

import hashlib
import zlib
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from reacgan.config import ConfigError
from reacgan.data.arrays import ARRAY_SUFFIX
from reacgan.data.dataset import DataError
from reacgan.data.shards.index import MOST_MEMBER_BYTES, ROW, Shard, Split
from reacgan.files import digest_of, naming

_BLOCK = 512


class Stored(NamedTuple):
    """An image as it goes into a shard."""

    content: bytes
    suffix: str
    """``.png``, ``.jpg``, ... in small letters."""
    label: int
    size: tuple[int, int]
    """(height, width) in pixels."""


class ShardWriter:
    """Writes images of one split in the order in which they come, in constant memory.

    Args:
        folder: which holds the shards.
        split: the start of their names.
        counts: images of each shard, where their number is known; an end by ``most_bytes`` otherwise.
        most_bytes: of a shard; the one that reaches it is the last of its shard.
        classes: how many there are.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        *,
        classes: int,
        counts: npt.NDArray[np.int64] | None = None,
        most_bytes: int = 2**28,
    ) -> None:
        self._folder, self._split, self._classes = folder, split, classes
        self._counts, self._most = counts, most_bytes
        self._rows: list[npt.NDArray[Any]] = []
        self._shards: list[Shard] = []
        self._open: tuple[IO[bytes], Any] | None = None
        self._new: list[tuple[Any, ...]] = []
        self._before = 0

    def add(self, image: Stored) -> None:
        """Append an image to the open shard."""
        stream, writer = self._open or self._next()
        if len(image.content) > MOST_MEMBER_BYTES:
            raise DataError(
                f"an image of {len(image.content):,} bytes; at most {MOST_MEMBER_BYTES:,}"
            )
        label = str(image.label).encode()
        begin = writer.tarstream.offset
        with naming(Path(stream.name)):
            # Parts of a sample are written in the order of their names.
            parts = {image.suffix[1:]: image.content, "cls": label}
            writer.write({"__key__": f"{self._before + len(self._new):09d}", **parts})
        first = _BLOCK if image.suffix[1:] < "cls" else 3 * _BLOCK
        self._new.append(
            (
                image.label,
                zlib.crc32(image.content),
                begin + first,
                len(image.content),
                *image.size,
                int(image.suffix == ARRAY_SUFFIX),
            )
        )
        full = writer.tarstream.offset >= self._most
        if self._counts is not None and len(self._shards) < len(self._counts):
            full = len(self._new) >= self._counts[len(self._shards)]
        if full:
            self._end()

    def finish(self) -> Split:
        """End the last shard and write the table of members."""
        if self._open is not None:
            self._end()
        rows = np.concatenate(self._rows) if self._rows else np.zeros(0, ROW)
        name, content = f"{self._split}.members", rows.tobytes()
        with naming(self._folder / name):
            (self._folder / name).write_bytes(content)
        counts = np.bincount(rows["label"], minlength=self._classes)
        digest = hashlib.sha256(content).hexdigest()
        return Split(tuple(self._shards), tuple(counts.tolist()), name, digest)

    def close(self) -> None:
        """Close what an error has left open."""
        if self._open is not None:
            stream, writer = self._open
            self._open = None
            for opened in (writer, stream):
                with suppress(OSError):
                    opened.close()

    def _next(self) -> tuple[IO[bytes], Any]:
        path = self._folder / f"{self._split}-{len(self._shards):06d}.tar"
        stream = path.open("wb")
        writer = check_writer()(
            stream, user="", group="", mtime=0, mode=0o644, encoder=False, compress=False
        )
        self._open = stream, writer
        return self._open

    def _end(self) -> None:
        assert self._open is not None
        stream, writer = self._open
        path = Path(stream.name)
        with naming(path):
            writer.close()
            stream.close()
        self._open = None
        self._rows.append(np.array(self._new, dtype=ROW))
        self._before += len(self._new)
        shard = Shard(path.name, len(self._new), path.stat().st_size, digest_of(path))
        self._shards.append(shard)
        self._new = []


def check_writer() -> Any:
    """WebDataset's writer of tar files.

    Raises:
        ConfigError: the package is not installed.
    """
    try:
        from webdataset import TarWriter  # noqa: PLC0415 - optional
    except ImportError:
        raise ConfigError(
            "shards of WebDataset need the package webdataset, which is not installed: "
            "pip install 'reacgan[formats]'"
        ) from None
    return TarWriter
