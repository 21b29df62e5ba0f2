"""Open a set of shards: of a folder, of an address, with our index or with one that is made now."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reacgan.config import Resolution, size_of, with_home
from reacgan.data.dataset import (
    DataError,
    ImageData,
    MissingSplitError,
    OwnShape,
    check_request,
    describe_shape,
)
from reacgan.data.decode import decoding_rules, pixel_limit
from reacgan.data.names import plural
from reacgan.data.order import WindowedOrder
from reacgan.data.pack import logger
from reacgan.data.scan import Scan
from reacgan.data.shards.cache import (
    LIMIT_VARIABLE,
    ShardCache,
    limit_bytes,
    shards_folder,
)
from reacgan.data.shards.decoding import Decoding
from reacgan.data.shards.excerpt import Excerpt
from reacgan.data.shards.images import ShardFiles, ShardImages
from reacgan.data.shards.index import (
    INDEX,
    KIND,
    MOST_INDEX_BYTES,
    ROW,
    ShardIndex,
    Split,
    members_of,
    parse_index,
)
from reacgan.data.shards.places import fetch, is_address, joined
from reacgan.files import read_regular

WINDOW = 8
"""Shards whose images are mixed."""
_SIZES_TOLD = 20_000


class FoundShards:
    """A set of shards: its index, and where its files are."""

    def __init__(self, index: ShardIndex, base: str, where: str) -> None:
        self.index, self.base, self.where = index, base, where

    @property
    def folder(self) -> Path | None:
        """The folder of the shards; None where they are elsewhere."""
        return None if is_address(self.base) else Path(self.base)

    def split(self, name: str) -> Split:
        """The shards of train or test.

        Raises:
            MissingSplitError: there is no test split.
        """
        if name not in self.index.splits:
            raise MissingSplitError(f"{self.where}: the shards have no {name} split")
        return self.index.splits[name]

    def rows(self, split: Split) -> npt.NDArray[Any]:
        """The table of members, mapped into memory.

        Raises:
            DataError: missing or damaged.
        """
        most = split.images * ROW.itemsize
        path = Path(self.base) / split.members
        if self.folder is None:
            path = shards_folder() / "tables" / f"{split.members_sha256}.members"
            if not path.exists():
                address = joined(self.base, split.members)
                fetch(address, path, sha256=split.members_sha256, most=most)
        try:
            if not path.is_file():
                raise OSError("missing")
            content = np.memmap(path, dtype=np.uint8, mode="r")
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: not readable ({error}); the set is incomplete") from None
        return members_of(content, split, str(path))

    def images(self, name: str) -> ShardFiles:
        """The files of the images of a split."""
        split = self.split(name)
        cache = None if self.folder is not None else ShardCache(self.base, self.index.digest[:32])
        return ShardFiles(split, self.rows(split), folder=self.folder, cache=cache)


def open_shards(
    path: str | None,
    *,
    split: str,
    resolution: Resolution,
    channels: int,
    window: int = WINDOW,
    workers: int = 0,
    excerpt: int = 50_000,
) -> ImageData:
    """Tar files of images and labels (WebDataset), read while they are used: sets larger than a disk.

    As ``reacgan data prepare IMAGES --shards 256MB --out FOLDER`` writes them, or others' with .cls or
    .json. Shards of an address are kept in a bounded cache (REACGAN_SHARDS_GB, 20). Scores, sheets and
    pictures are of an excerpt. Options: ``window``, how many shards are mixed; ``workers``, processes
    that decode (0: threads); ``excerpt``, images that are looked at beside training.

    Args:
        path: the folder of the shards, or the address of its index.json (http, s3, gs).
        split: train or test.
        resolution: that of the shards, or any where they hold images as they came.
        channels: likewise.
        window: shards whose images are mixed; of an address two windows are kept, so that no step waits.
        workers: processes that decode.
        excerpt: images that scores and pictures look at.

    Raises:
        DataError: no shards, damaged ones, or another resolution.
        MissingSplitError: no test split.
    """
    check_request(split=split, resolution=resolution, channels=channels)
    _check_options(window=window, workers=workers, excerpt=excerpt)
    found = find_shards(path)
    part = found.split(split)
    _check_shape(found, resolution, channels)
    files = found.images(split)
    _check_files(found, part, window)
    for note in (*found.index.notes, *part.lost):
        logger.warning("%s: %s", found.where, note)
    decoding = Decoding(resolution, channels, part.whites, pixel_limit())
    images = ShardImages(files, decoding, window=window, workers=workers)
    labels = np.ascontiguousarray(files.rows["label"], dtype=np.int64)
    rules = decoding_rules()
    facts = [found.index.digest, split, list(decoding.shape), rules]
    data = ImageData(
        images,  # type: ignore[arg-type]  # as far as anybody looks
        labels,
        found.index.class_names,
        f"{found.where} ({split})",
        known_digest=hashlib.sha256(json.dumps(facts).encode()).hexdigest(),
        whites=part.whites,
        lost=part.lost,
    )
    return replace(data, stored=StoredShards(images, Excerpt(data, images, excerpt, rules)))


class StoredShards:
    """What a set of shards has that sets in memory or in one file have not."""

    def __init__(self, images: ShardImages, excerpt: Excerpt) -> None:
        self._images, self._excerpt = images, excerpt

    def order(self, seed: int) -> WindowedOrder:
        """The order of training."""
        return self._images.order(seed)

    def expect(self, numbers: Sequence[int]) -> None:
        """Fetch shards that will be needed."""
        self._images.files.expect(numbers)

    def excerpt(self) -> ImageData:
        """What scores and pictures look at."""
        return self._excerpt.open()

    def close(self) -> None:
        """End what reads."""
        self._images.close()


def _check_options(**values: Any) -> None:
    least = {"window": 1, "workers": 0, "excerpt": 1}
    for name, value in values.items():
        if type(value) is not int or not least[name] <= value <= 10**9:
            raise DataError(
                f"data.options.{name} is {value!r}; needed: a whole number of {least[name]} or more"
            )


def _check_shape(found: FoundShards, resolution: Resolution, channels: int) -> None:
    """Images that were resized before they were stored are not resized again."""
    index = found.index
    own = index.resolution
    if own is not None and own != size_of(resolution):
        value = own[0] if own[0] == own[1] else "x".join(map(str, own))
        raise DataError(
            f"{found.where}: holds images of {own[0]} x {own[1]} px, asked for: "
            f"{describe_shape(resolution, channels)}; set data.resolution={value}, or prepare the images "
            "again, without a resolution for any"
        )
    if own is not None and channels != index.channels and (index.channels, channels) != (1, 3):
        raise DataError(
            f"{found.where}: holds images of {index.channels} channels, asked for: {channels}; set "
            f"data.channels={index.channels}, or prepare the images again"
        )


def _check_files(found: FoundShards, split: Split, window: int) -> None:
    """Shards of a folder are all there; of others a window fits into the cache."""
    folder = found.folder
    if folder is None:
        largest = sum(sorted((shard.bytes for shard in split.shards), reverse=True)[:window])
        if largest > limit_bytes():
            raise DataError(
                f"{found.where}: {plural(window, 'shard')} that are mixed have {largest / 1e9:,.3g} GB, "
                f"more than the {limit_bytes() / 1e9:,.3g} GB of shards that are kept here; set "
                f"{LIMIT_VARIABLE} to twice the first number, or data.options.window to less than {window}"
            )
        return
    for shard in split.shards:
        try:
            size = (folder / shard.file).stat().st_size
        except OSError:
            size = -1
        if size != shard.bytes:
            state = "missing" if size < 0 else f"damaged, {size:,} bytes instead of {shard.bytes:,}"
            raise DataError(
                f"{folder / shard.file}: {state}; put the shard back from a copy, or prepare the "
                "shards again"
            )


def survey_shards(path: str | None, split: str, options: Mapping[str, Any]) -> Scan | ImageData:
    """Classes and sizes without a look at an image; the opened set where all have one size."""
    found = find_shards(path)
    index, part = found.index, found.split(split)
    if index.resolution is not None:
        height, width = index.resolution
        side = height if height == width else (height, width)
        return open_shards(
            path, split=split, resolution=side, channels=index.channels, **dict(options)
        )
    rows = found.rows(part)
    spread = np.linspace(0, len(rows) - 1, min(len(rows), _SIZES_TOLD)).round().astype(np.int64)
    looked = rows[spread]
    sizes = tuple(zip(looked["width"].tolist(), looked["height"].tolist(), strict=True))
    sampled = (f"sizes are those of {len(looked):,} evenly spaced images",)
    notes = (*index.notes, *(sampled if len(looked) < len(rows) else ()))
    return Scan(
        root=found.folder or Path(found.base),
        split=split,
        files=(),
        labels=np.ascontiguousarray(rows["label"], dtype=np.int64),
        class_names=index.class_names,
        refused=(),
        sizes=sizes,
        modes=(),
        grey=index.channels == 1,
        channels=index.channels,
        notes=notes,
        whites=part.whites,
        lost=part.lost,
    )


def shape_of_shards(path: str | None, split: str) -> OwnShape:
    """Sizes and channels of the images as they are stored."""
    found = find_shards(path)
    part = found.split(split)
    if found.index.resolution is not None:
        return OwnShape((found.index.resolution,), found.index.channels)
    rows = found.rows(part)
    pairs = np.unique(rows["height"].astype(np.int64) << 32 | rows["width"])
    sizes = tuple((int(pair >> 32), int(pair & 0xFFFFFFFF)) for pair in pairs)
    return OwnShape(sizes, found.index.channels)


def find_shards(path: str | None) -> FoundShards:
    """The set of shards at a path or address, with its index.

    Raises:
        DataError: there is none, or it is damaged or unreachable.
    """
    if path is None:
        raise DataError(
            "data.path is missing; give the folder of the shards, or the address of their index.json"
        )
    text = with_home(path)
    if is_address(text):
        return _at_address(text)
    place = Path(text)
    file = place if place.name == INDEX else place / INDEX
    if not file.is_file():
        raise DataError(f"{text}: no folder of shards (there is no {INDEX})")
    try:
        content = read_regular(file, most=MOST_INDEX_BYTES)
    except OSError as error:
        raise DataError(f"{file}: not readable: {error.strerror}") from None
    return FoundShards(parse_index(content, str(file)), str(file.parent), str(file.parent))


def _at_address(address: str) -> FoundShards:
    whole, mark, parameters = address.partition("?")
    if not whole.endswith(f"/{INDEX}"):
        whole = f"{whole.rstrip('/')}/{INDEX}"
    base = whole.removesuffix(f"/{INDEX}") + mark + parameters
    key = hashlib.sha256(base.encode()).hexdigest()[:16]
    file = shards_folder() / "tables" / f"{key}.{os.getpid()}.json"
    try:
        fetch(joined(base, INDEX), file, sha256=None, most=MOST_INDEX_BYTES)
        content = file.read_bytes()
    finally:
        file.unlink(missing_ok=True)
    return FoundShards(parse_index(content, whole), base, base)


def is_shards(text: str) -> bool:
    """Whether a path or address is that of a set of shards, by a look at names alone."""
    if is_address(text):
        return True
    place = Path(text)
    file = place if place.name == INDEX else place / INDEX
    try:
        if not file.is_file():
            return False
        with file.open("rb") as opened:
            return KIND.encode() in opened.read(200)
    except OSError:
        return False
