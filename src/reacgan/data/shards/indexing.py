"""Make the index of shards that others wrote: one pass, in which every image is decoded."""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from reacgan.data.arrays import ARRAY_SUFFIX, open_array
from reacgan.data.dataset import DataError
from reacgan.data.decode import (
    UnreadableImageError,
    damage_of,
    is_grey,
    open_header,
    pillow_warnings_off,
    pixel_limit,
    to_array,
)
from reacgan.data.names import plural, readable_name, shown, split_of, unique_names
from reacgan.data.scan import MAX_REFUSED, Refused, check_share, report_refused
from reacgan.data.shards.foreign import ArchivedImage, samples_in
from reacgan.data.shards.index import ROW, Shard, ShardIndex, Split, safe_name
from reacgan.data.threads import ordered_map
from reacgan.files import digest_of, naming
from reacgan.progress import counted

_SMALL = (8, 8)

Opening = Callable[[str], AbstractContextManager[Path]]
"""Gives the file of a shard for the time of a block."""
Class = tuple["str | None", "int | None"]
"""A name and a number, as far as there are any."""


class _Looked(NamedTuple):
    """A sample once its image has been decoded."""

    row: tuple[Any, ...]
    channels: int


def _look(path: Path, sample: ArchivedImage, max_pixels: int) -> _Looked | str:
    """Read and decode a sample's image; the reason where it cannot be used."""
    if sample.name is None and sample.number is None:
        return "no class: neither .cls nor a class or label in .json"
    with path.open("rb") as file:
        file.seek(sample.offset)
        content = file.read(sample.size)
    is_array = sample.suffix == ARRAY_SUFFIX
    try:
        size, channels = (_decoded_array if is_array else _decoded)(content, max_pixels)
    except UnreadableImageError as error:
        return error.reason
    except Exception as error:  # decoders raise anything for hostile files
        return damage_of(error)
    row = (0, zlib.crc32(content), sample.offset, sample.size, *size, int(is_array))
    return _Looked(row, channels)


def _decoded(content: bytes, max_pixels: int) -> tuple[tuple[int, int], int]:
    with open_header("", content=io.BytesIO(content), max_pixels=max_pixels) as image:
        channels = 1 if is_grey(image) else 3
        to_array(image, resolution=_SMALL, channels=3)
        return (image.height, image.width), channels


def _decoded_array(content: bytes, max_pixels: int) -> tuple[tuple[int, int], int]:
    array = open_array("", content=io.BytesIO(content), max_pixels=max_pixels)
    return (array.shape[0], array.shape[1]), array.shape[2]


class _Pass:
    """What is known of the shards of one split after the pass."""

    def __init__(self) -> None:
        self.shards: list[Shard] = []
        self.rows: list[npt.NDArray[Any]] = []
        self.refused: list[Refused] = []
        self.classes: dict[Class, int] = {}
        """Classes in the order in which they came; rows have these numbers at first."""
        self.channels: set[int] = set()

    def add(self, name: str, path: Path) -> None:
        """Search a shard and decode its images."""
        samples = list(samples_in(path))
        with pillow_warnings_off():
            looked = list(ordered_map(partial(_look, path, max_pixels=pixel_limit()), samples))
        rows = []
        for sample, seen in zip(samples, looked, strict=True):
            if isinstance(seen, str):
                self.refused.append(Refused(readable_name(f"{name}/{sample.key}"), seen))
                continue
            number = self.classes.setdefault((sample.name, sample.number), len(self.classes))
            rows.append((number, *seen.row[1:]))
            self.channels.add(seen.channels)
        if rows:
            self.rows.append(np.array(rows, dtype=ROW))
            self.shards.append(Shard(name, len(rows), path.stat().st_size, digest_of(path)))

    @property
    def images(self) -> int:
        """That can be used."""
        return sum(shard.images for shard in self.shards)


def make_index(
    names: Sequence[str], opening: Opening, folder: Path, *, source: str, listed: Sequence[str] = ()
) -> ShardIndex:
    """Go through shards once and write their index and tables of members.

    Which split a shard belongs to is in its name (``train-000000.tar``, ``val/000000.tar``); without a
    word for one it is train.

    Args:
        names: of the shards, relative to their folder.
        opening: gives the file of each.
        folder: where the index is written.
        source: for messages.
        listed: names of the classes by number, where a file beside the shards has them.

    Raises:
        DataError: tar files that are refused, no usable image, too many unusable ones, or classes that
            cannot be told.
    """
    for name in names:
        _checked_name(name, source)
    parts = {"train": _Pass(), "test": _Pass()}
    for name in counted(names, f"indexing the shards of {source}", len(names), "shards"):
        with opening(name) as path:
            parts["test" if _is_test(name) else "train"].add(name, path)
    folder.mkdir(parents=True, exist_ok=True)
    train = parts["train"]
    _check(train, "train", folder, source)
    labels, class_names = _classes_of(train.classes, listed, source)
    splits = {"train": _finished(train, "train", labels, len(class_names), folder)}
    known = dict(zip(_keys(train.classes), labels.tolist(), strict=True))
    test = parts["test"]
    if test.images:
        of_test = np.array([known.get(key, -1) for key in _keys(test.classes)])
        _drop(test, of_test)
        _check(test, "test", folder, source)
        splits["test"] = _finished(test, "test", of_test, len(class_names), folder)
    own = train.channels
    index = ShardIndex(
        class_names, own.pop() if len(own) == 1 else 3, None, splits, source, notes=_notes(train)
    )
    index.write(folder)
    return index


def _checked_name(name: str, source: str) -> None:
    try:
        safe_name(name)
    except ValueError as error:
        raise DataError(f"{source}: {error}; rename the file") from None


def _is_test(name: str) -> bool:
    """Whether the name of a shard, or of its folder, has a word for held-out images."""
    return any(split_of(part)[0] == "test" for part in name.removesuffix(".tar").split("/"))


def _check(part: _Pass, split: str, folder: Path, source: str) -> None:
    total = part.images + len(part.refused)
    report = folder / f"{split}.refused.txt"
    if part.refused:
        check_share(part.refused, total, max_refused=MAX_REFUSED, report=report, source=source)
        report_refused(part.refused, report)
    if not part.images:
        raise DataError(
            f"{source}: no image for {split}: no .jpg, .png, ... with .cls or .json of the same name in "
            "its tar files"
        )


def _keys(classes: Sequence[Class] | dict[Class, int]) -> list[Any]:
    """What tells classes apart: the number where all have one, else the name."""
    by_number = all(number is not None for _, number in classes)
    return [number if by_number else name for name, number in classes]


def _classes_of(
    classes: dict[Class, int], listed: Sequence[str], source: str
) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """The label of each class in the order in which they came, and the names in label order."""
    keys = _keys(classes)
    if None in keys:
        raise DataError(
            f"{source}: some images have a number as their class and others only a name; give all of "
            "them .cls files, or all a class in .json"
        )
    names: dict[Any, str] = {}
    for key, (name, number) in zip(keys, classes, strict=True):
        by_file = listed[number] if number is not None and number < len(listed) else str(key)
        names.setdefault(key, name or by_file)
        if name is not None and names[key] != name:
            raise DataError(
                f"{source}: class {key} is called {names[key]!r} and {name!r}; needed: a number for each"
            )
    ordered = sorted(names)
    labels = np.array([ordered.index(key) for key in keys], dtype=np.int64)
    return labels, unique_names([names[key] for key in ordered], list(map(str, ordered)))


def _drop(part: _Pass, labels: npt.NDArray[np.int64]) -> None:
    """Leave out images of classes that training has not."""
    strange = [pair for pair, label in zip(part.classes, labels, strict=True) if label < 0]
    if not strange:
        return
    names = shown([str(name if name is not None else number) for name, number in strange])
    raise DataError(f"classes of the held-out shards that training has not: {names}")


def _finished(
    part: _Pass, split: str, labels: npt.NDArray[np.int64], classes: int, folder: Path
) -> Split:
    """Write the table of members."""
    rows = np.concatenate(part.rows)
    rows["label"] = labels[rows["label"]]
    path, content = folder / f"{split}.members", rows.tobytes()
    with naming(path):
        path.write_bytes(content)
    counts = np.bincount(rows["label"], minlength=classes)
    digest = hashlib.sha256(content).hexdigest()
    return Split(tuple(part.shards), tuple(counts.tolist()), path.name, digest)


def _notes(part: _Pass) -> tuple[str, ...]:
    """What is said whenever the set is opened."""
    notes = []
    if part.refused:
        notes.append(f"{plural(len(part.refused), 'image')} of the shards cannot be used")
    rows = np.concatenate(part.rows)
    ends = np.cumsum([shard.images for shard in part.shards])[:-1]
    classes = len(part.classes)
    mixed = [len(np.unique(labels)) for labels in np.split(rows["label"], ends)]
    sizes = [shard.images for shard in part.shards]
    wanted = [min(classes, size // 4) for size in sizes]
    if classes > 1 and len(mixed) > 1 and np.mean(mixed) < np.mean(wanted) / 2:
        notes.append(
            f"a shard has {np.mean(mixed):,.0f} of {classes:,} classes on average: images near each other "
            "are alike, and batches are less varied than the set. Mix them: `reacgan data prepare IMAGES "
            "--shards 256MB` does, or raise data.options.window"
        )
    return tuple(notes)
