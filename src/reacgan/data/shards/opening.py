"""Open a set of shards as images that look like an array, with an order and an excerpt of their own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reacgan.config import Resolution, size_of
from reacgan.data.dataset import (
    DataError,
    ImageData,
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
    limit_bytes,
)
from reacgan.data.shards.decoding import Decoding
from reacgan.data.shards.excerpt import Excerpt
from reacgan.data.shards.finding import PlacedShards, find_shards
from reacgan.data.shards.images import ShardImages
from reacgan.data.shards.index import (
    Split,
)

WINDOW = 8
"""Shards whose images are mixed."""
_SIZES_TOLD = 20_000


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
    there = find_shards(path)
    part = there.split(split)
    _check_shape(there, resolution, channels)
    files = there.images(split)
    _check_files(there, part, window)
    for note in (*there.index.notes, *part.lost):
        logger.warning("%s: %s", there.where, note)
    decoding = Decoding(resolution, channels, part.whites, pixel_limit())
    images = ShardImages(files, decoding, window=window, workers=workers)
    labels = np.ascontiguousarray(files.rows["label"], dtype=np.int64)
    rules = decoding_rules()
    facts = [there.index.digest, split, list(decoding.shape), rules]
    data = ImageData(
        images,  # type: ignore[arg-type]  # as far as anybody looks
        labels,
        there.index.class_names,
        f"{there.where} ({split})",
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

    @property
    def is_elsewhere(self) -> bool:
        """Whether shards are fetched when they are needed."""
        return self._images.files.cache is not None

    def are_coming(self, indices: npt.NDArray[np.int64]) -> bool:
        """Whether shards of these images are being fetched."""
        return self._images.files.are_coming(indices)

    def give_up(self) -> None:
        """Wait for nothing more."""
        self._images.files.give_up()

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


def _check_shape(there: PlacedShards, resolution: Resolution, channels: int) -> None:
    """Images that were resized before they were stored are not resized again."""
    index = there.index
    own = index.resolution
    if own is not None and own != size_of(resolution):
        value = own[0] if own[0] == own[1] else "x".join(map(str, own))
        raise DataError(
            f"{there.where}: holds images of {own[0]} x {own[1]} px, asked for: "
            f"{describe_shape(resolution, channels)}; set data.resolution={value}, or prepare the images "
            "again, without a resolution for any"
        )
    if own is not None and channels != index.channels and (index.channels, channels) != (1, 3):
        raise DataError(
            f"{there.where}: holds images of {index.channels} channels, asked for: {channels}; set "
            f"data.channels={index.channels}, or prepare the images again"
        )


def _check_files(there: PlacedShards, split: Split, window: int) -> None:
    """Shards of a folder are all there; of others a window fits into the cache."""
    folder = there.folder
    if folder is None:
        largest = sum(sorted((shard.bytes for shard in split.shards), reverse=True)[:window])
        if largest > limit_bytes():
            raise DataError(
                f"{there.where}: {plural(window, 'shard')} that are mixed have {largest / 1e9:,.3g} GB, "
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
    there = find_shards(path)
    index, part = there.index, there.split(split)
    if index.resolution is not None:
        height, width = index.resolution
        side = height if height == width else (height, width)
        return open_shards(
            path, split=split, resolution=side, channels=index.channels, **dict(options)
        )
    rows = there.rows(part)
    spread = np.linspace(0, len(rows) - 1, min(len(rows), _SIZES_TOLD)).round().astype(np.int64)
    looked = rows[spread]
    sizes = tuple(zip(looked["width"].tolist(), looked["height"].tolist(), strict=True))
    sampled = (f"sizes are those of {len(looked):,} evenly spaced images",)
    notes = (*index.notes, *(sampled if len(looked) < len(rows) else ()))
    return Scan(
        root=there.folder or Path(there.base),
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
    there = find_shards(path)
    part = there.split(split)
    if there.index.resolution is not None:
        return OwnShape((there.index.resolution,), there.index.channels)
    rows = there.rows(part)
    pairs = np.unique(rows["height"].astype(np.int64) << 32 | rows["width"])
    sizes = tuple((int(pair >> 32), int(pair & 0xFFFFFFFF)) for pair in pairs)
    return OwnShape(sizes, there.index.channels)
