"""The index of a set of shards: what is in which tar file, sealed, so that no tar is ever searched.

``index.json`` names classes, shards and their SHA-256. For each split a table of members stands beside it,
a row of :data:`ROW` an image: label, checksum, where in its shard, size. With both, any image is read by
one read of a file, and is known to be the one that was written.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reacgan.data.dataset import MAX_CHANNELS, DataError
from reacgan.data.depth import Whites
from reacgan.files import write_text
from reacgan.records import check_seal, parse_json, sealed

INDEX = "index.json"
KIND = "reacgan shards 1"
MOST_INDEX_BYTES = 256 * 2**20
MOST_MEMBER_BYTES = 256 * 2**20
"""Of one image's file; a larger one is no image."""

ROW = np.dtype(
    [
        ("label", "<i4"),
        ("crc", "<u4"),
        ("offset", "<i8"),
        ("bytes", "<i4"),
        ("height", "<i4"),
        ("width", "<i4"),
        ("array", "<i4"),
    ]
)
"""``crc`` is zlib's CRC-32 of the image's file, ``array`` is 1 for .npy and 0 for pictures."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Shard:
    """A tar file: its name relative to the index, images, bytes, SHA-256."""

    file: str
    images: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Split:
    """The shards of train or test, and their table of members.

    ``whites`` and ``lost`` are those of images of more than 8 bits, see ``decode.py``.
    """

    shards: tuple[Shard, ...]
    counts: tuple[int, ...]
    members: str
    members_sha256: str
    whites: Whites | None = None
    lost: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        """In all shards."""
        return sum(shard.images for shard in self.shards)


@dataclass(frozen=True)
class ShardIndex:
    """What a set of shards holds.

    Args:
        class_names: in label order.
        channels: 1 where all images are grey, 3 for pictures, or those of the arrays.
        resolution: (height, width) to which the images were brought before they were stored, or None where
            they were stored as they came.
        splits: by name; train is always there.
        source: the name of what the shards were made from.
        rules: how images were brought to the resolution; empty where they were not.
    """

    class_names: tuple[str, ...]
    channels: int
    resolution: tuple[int, int] | None
    splits: Mapping[str, Split]
    source: str
    rules: str = ""
    notes: tuple[str, ...] = field(default=(), compare=False)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of all that the index says, and so of every image."""
        return str(sealed(self._record())["seal"])

    def write(self, folder: Path) -> None:
        """Write ``index.json``, the last file of a set."""
        text = json.dumps(sealed(self._record()), indent=1, ensure_ascii=False)
        write_text(folder / INDEX, text + "\n")

    def _record(self) -> dict[str, Any]:
        return {
            "kind": KIND,
            "class_names": list(self.class_names),
            "channels": self.channels,
            "resolution": None if self.resolution is None else list(self.resolution),
            "source": self.source,
            "rules": self.rules,
            "notes": list(self.notes),
            "splits": {
                name: {
                    "counts": list(split.counts),
                    "members": {"file": split.members, "sha256": split.members_sha256},
                    "whites": None if split.whites is None else list(split.whites),
                    "lost": list(split.lost),
                    "shards": [
                        {
                            "file": shard.file,
                            "images": shard.images,
                            "bytes": shard.bytes,
                            "sha256": shard.sha256,
                        }
                        for shard in split.shards
                    ],
                }
                for name, split in self.splits.items()
            },
        }


def parse_index(content: bytes, where: str) -> ShardIndex:
    """The index of a file's content, every value of it checked.

    Raises:
        DataError: no index of ours, or a damaged one.
    """
    try:
        record = parse_json(content)
    except ValueError as error:
        raise DataError(f"{where}: not readable as JSON ({error})") from None
    if not isinstance(record, dict) or record.get("kind") != KIND:
        raise DataError(
            f"{where}: no index of shards (its kind is not {KIND!r}). `reacgan data prepare IMAGES "
            "--shards 256MB --out FOLDER` writes one; if it belongs to tar files of others, rename it"
        )
    try:
        return _index_of(check_seal(record, required=True))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{where}: damaged index of shards ({error or type(error).__name__}); get it again, or "
            "prepare the images again"
        ) from None


def _index_of(record: Mapping[str, Any]) -> ShardIndex:
    names = tuple(record["class_names"])
    _need(bool(names) and all(isinstance(name, str) for name in names), "class_names")
    channels = _whole(record["channels"], "channels", most=MAX_CHANNELS)
    size = record["resolution"]
    resolution = None
    if size is not None:
        height, width = size
        resolution = (
            _whole(height, "resolution", most=2**16),
            _whole(width, "resolution", most=2**16),
        )
    splits = {
        _text(name): _split_of(part, len(names)) for name, part in dict(record["splits"]).items()
    }
    _need("train" in splits, "splits: train is missing")
    return ShardIndex(
        names,
        channels,
        resolution,
        splits,
        _text(record["source"]),
        _text(record["rules"]),
        tuple(map(_text, record["notes"])),
    )


def _split_of(record: Mapping[str, Any], classes: int) -> Split:
    shards = tuple(
        Shard(
            safe_name(each["file"]),
            _whole(each["images"], "images of a shard"),
            _whole(each["bytes"], "bytes of a shard", most=2**50),
            _sha256(each["sha256"]),
        )
        for each in record["shards"]
    )
    counts = tuple(_whole(count, "counts", least=0) for count in record["counts"])
    _need(len(counts) == classes, "counts: not one a class")
    _need(bool(shards) and sum(counts) == sum(each.images for each in shards), "counts of images")
    whites = record["whites"]
    if whites is not None:
        integers, floats = (None if white is None else float(white) for white in whites)
        whites = integers, floats
    members = record["members"]
    return Split(
        shards,
        counts,
        safe_name(members["file"]),
        _sha256(members["sha256"]),
        whites,
        tuple(map(_text, record["lost"])),
    )


def safe_name(name: Any) -> str:
    """A name of a file below the index.

    Raises:
        ValueError: it is none, leads elsewhere, or is an address of its own.
    """
    parts = _text(name).split("/")
    if any(part in ("", ".", "..") for part in parts) or any(c in name for c in "\\\0:"):
        raise ValueError(f"{name!r} is no name of a file beside the index")
    return str(name)


def members_of(content: npt.NDArray[Any], split: Split, where: str) -> npt.NDArray[Any]:
    """The rows of a table of members, all within their shards.

    Args:
        content: uint8, the bytes of the file.
        split: what the table belongs to.
        where: for messages.

    Raises:
        DataError: not the table that the index names, or rows that cannot be.
    """
    if hashlib.sha256(content.data).hexdigest() != split.members_sha256:
        raise DataError(f"{where}: damaged, its SHA-256 is not the one in the index; get it again")
    if content.nbytes != split.images * ROW.itemsize:
        raise DataError(f"{where}: {content.nbytes} bytes, needed: {split.images * ROW.itemsize}")
    rows = content.view(ROW)
    ends = np.repeat([shard.bytes for shard in split.shards], [s.images for s in split.shards])
    sizes, offsets = rows["bytes"], rows["offset"]
    sound = (sizes > 0) & (sizes <= MOST_MEMBER_BYTES) & (offsets >= 0) & (offsets <= ends - sizes)
    sound &= (rows["height"] > 0) & (rows["width"] > 0)
    counts = np.bincount(np.clip(rows["label"], 0, len(split.counts)), minlength=len(split.counts))
    if not sound.all() or rows["label"].min() < 0 or tuple(counts) != split.counts:
        raise DataError(
            f"{where}: names images outside of their shards or other classes than the index"
        )
    return rows


def _need(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)


def _text(value: Any) -> str:
    _need(isinstance(value, str), f"{value!r} is no text")
    return str(value)


def _whole(value: Any, what: str, *, least: int = 1, most: int = 2**40) -> int:
    _need(type(value) is int and least <= value <= most, f"{what}: {value!r}")
    return int(value)


def _sha256(value: Any) -> str:
    _need(isinstance(value, str) and _DIGEST.fullmatch(value) is not None, "sha256")
    return str(value)
