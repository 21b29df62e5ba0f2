"""Write a set of shards: tar files as WebDataset reads them, mixed, with an index."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from reacgan.config import Resolution, path_of, refuse_unwritable, size_of
from reacgan.data.arrays import ARRAY_SUFFIX
from reacgan.data.dataset import PICTURE_CHANNELS, DataError, check_grid, check_request
from reacgan.data.decode import RESIZE, pillow_warnings_off, pixel_limit
from reacgan.data.folder import label_source
from reacgan.data.images import decode_image
from reacgan.data.listing import parts_up_to
from reacgan.data.names import plural, readable_name, suffix_of
from reacgan.data.order import apportion, order_of, random_words
from reacgan.data.pack import Decoder, log_notes
from reacgan.data.scan import (
    MAX_REFUSED,
    Refused,
    Scan,
    check_share,
    report_refused,
    scan_listings,
)
from reacgan.data.shards.index import MOST_MEMBER_BYTES, ShardIndex, Split
from reacgan.data.shards.tar import ShardWriter, Stored, check_writer
from reacgan.data.threads import ordered_map
from reacgan.files import flush_folder, read_regular, scratch_folder
from reacgan.progress import counted

_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]i?)b", re.IGNORECASE)
_LEAST_BYTES = 10_000
_CHECKED_AT = (8, 8)


def prepare_shards(
    path: str | Path,
    out: str | Path,
    *,
    shards: str | int,
    resolution: Resolution | None = None,
    channels: int | None = None,
    max_refused: float = MAX_REFUSED,
    max_pixels: int | None = None,
    white: float | None = None,
    options: Mapping[str, Any] | None = None,
) -> ShardIndex:
    """Write a folder or table of images as shards: tar files of images and labels, with an index.

    The images are mixed, always in the same way, so that each shard is a fair sample. A held-out part
    becomes shards of its own in the same folder, which is not there before all is written. Refused files
    are listed in ``train.refused.txt`` and ``test.refused.txt``.

    Args:
        path: class folders, or a table, as :func:`~reacgan.data.prepare_data` takes them.
        out: the folder to write; it must not exist.
        shards: how many (64), or how large each is (``256MB``).
        resolution: side in pixels, or (height, width), to which images are cropped and resized, and then
            stored as PNG; None stores their files as they are, which are resized when they are read.
        channels: of images that are resized; None as :func:`~reacgan.data.prepare_data` chooses.
        max_refused: allowed share of unusable files.
        max_pixels: larger images are refused before decoding.
        white: the value that becomes 255, of images of more than 8 bits.
        options: of a table.

    Raises:
        DataError: as :func:`~reacgan.data.prepare_data`; boxes of images that are not resized.
        ConfigError: webdataset is not installed, or the folder cannot be written.
    """
    check_writer()
    path, out = path_of(path), path_of(out)
    count, most_bytes = shard_size(shards)
    _check_shape(resolution, channels)
    refuse_unwritable(out, "folder")
    if out.exists():
        raise DataError(f"{out}: exists; choose another name, or delete it first")
    labels = label_source(path, options or {})
    splits: dict[str, Split] = {}
    with scratch_folder(out, f".{out.name}.") as scratch:
        folder = scratch / "set"
        folder.mkdir()
        for name in parts_up_to("test" if labels.has_test else "train"):
            scan = scan_listings(labels.listings(name), max_pixels=max_pixels, white=white)
            log_notes(scan)
            if name == "train":
                channels = channels or scan.channels
                per_shard = _images_a_shard(count, scan)
            images = _Images(scan, resolution, channels or 3, max_refused, max_pixels)
            images.report = out.with_name(f"{out.name}.{name}.refused.txt")
            splits[name] = _written(images, folder, per_shard, most_bytes)
        index = ShardIndex(
            class_names=scan.class_names,
            channels=channels or 3,
            resolution=None if resolution is None else size_of(resolution),
            splits=splits,
            source=readable_name(path.resolve().name),
            rules="" if resolution is None else RESIZE,
        )
        index.write(folder)
        flush_folder(folder)
        folder.rename(out)
    return index


def _check_shape(resolution: Resolution | None, channels: int | None) -> None:
    check_request(split="train", resolution=resolution or 32, channels=channels or 3)
    if resolution is not None:
        check_grid(resolution)
    elif channels is not None:
        raise DataError(
            f"channels is {channels}, but without a resolution files are stored as they are; leave "
            "channels out, or give a resolution too"
        )


def _written(images: _Images, folder: Path, per_shard: int, most_bytes: int) -> Split:
    """The shards of a split, of so many images, or bytes where ``per_shard`` is 0."""
    scan, total = images.scan, len(images.scan.files)
    number = -(-total // per_shard) if per_shard else 0
    writer = ShardWriter(
        folder,
        scan.split,
        classes=len(scan.class_names),
        counts=apportion(total, np.ones(number)) if number else None,
        most_bytes=most_bytes,
    )
    try:
        for image in images:
            writer.add(image)
        split = writer.finish()
    finally:
        writer.close()
    if images.refused:
        report_refused(images.refused, folder / f"{scan.split}.refused.txt")
    return replace(split, whites=scan.whites, lost=scan.lost)


def shard_size(shards: str | int) -> tuple[int | None, int]:
    """The number of shards, or None, and the bytes of each.

    Raises:
        DataError: neither.
    """
    text = str(shards).strip()
    if text.isdecimal() and 1 <= int(text) <= 10**6:
        return int(text), 2**62
    size = _SIZE.fullmatch(text)
    most = int(float(size[1]) * _UNITS[size[2].lower()]) if size else 0
    if not _LEAST_BYTES <= most <= 2**40:
        raise DataError(
            f"shards is {shards!r}; needed: how many (64, at most a million), or how large each is "
            "(256MB; 10KB to 1024GiB)"
        )
    return None, most


def _images_a_shard(count: int | None, scan: Scan) -> int:
    """As many that ``count`` shards hold all; 0 where size decides."""
    if count is None:
        return 0
    if count > len(scan.files):
        raise DataError(f"shards is {count}, but there are {plural(len(scan.files), 'image')}")
    return -(-len(scan.files) // count)


class _Images:
    """The images of a scan as they are stored, mixed; refused ones are collected."""

    def __init__(
        self,
        scan: Scan,
        resolution: Resolution | None,
        channels: int,
        max_refused: float,
        max_pixels: int | None,
    ) -> None:
        if resolution is None and scan.boxes is not None:
            raise DataError(
                f"{scan.source}: its images have boxes, which files stored as they are do not keep; "
                "give a resolution to crop them now"
            )
        order = order_of(random_words(0, f"data/shards/{scan.split}", 0, count=len(scan.files)))
        self.scan = replace(
            scan,
            files=tuple(scan.files[index] for index in order),
            labels=scan.labels[order],
            sizes=tuple(scan.sizes[index] for index in order),
            boxes=None if scan.boxes is None else tuple(scan.boxes[index] for index in order),
        )
        self.resolution, self.channels = resolution, channels
        self.max_refused, self.max_pixels = max_refused, max_pixels
        self.refused: list[Refused] = list(scan.refused)
        self.report = Path()

    def __iter__(self) -> Iterator[Stored]:
        if self.resolution is not None:
            yield from self._resized(self.resolution)
            return
        total = len(self.scan.files) + len(self.scan.refused)
        items = list(zip(self.scan.files, self.scan.labels.tolist(), self.scan.sizes, strict=True))
        self._check(total)
        with pillow_warnings_off():
            stored = ordered_map(self._as_it_is, items)
            stored = counted(stored, f"writing shards of {self.scan.source.resolve().name}", total)
            for (file, _, _), image in zip(items, stored, strict=True):
                if isinstance(image, Stored):
                    yield image
                else:
                    self.refused.append(Refused(readable_name(file), image))
        self._check(total)

    def _resized(self, resolution: Resolution) -> Iterator[Stored]:
        decoder = Decoder(
            self.scan,
            resolution=resolution,
            channels=self.channels,
            report=self.report,
            max_refused=self.max_refused,
            max_pixels=self.max_pixels,
        )
        for images, labels in decoder:
            for image, label in zip(images, labels.tolist(), strict=True):
                yield stored_pixels(image, label)
        self.refused = decoder.refused

    def _as_it_is(self, item: tuple[str, int, tuple[int, int]]) -> Stored | str:
        """The file, once it has been decoded."""
        path = os.path.join(self.scan.root, item[0])  # noqa: PTH118 - fast
        decoded = decode_image(
            path,
            resolution=_CHECKED_AT,
            channels=self.scan.channels,
            whites=self.scan.whites,
            max_pixels=pixel_limit(self.max_pixels),
        )
        if isinstance(decoded, str):
            return decoded
        try:
            content = read_regular(Path(path), most=MOST_MEMBER_BYTES)
        except OSError as error:
            return f"not readable ({error.strerror})"
        return Stored(content, suffix_of(path), item[1], (item[2][1], item[2][0]))

    def _check(self, total: int) -> None:
        check_share(
            self.refused,
            total,
            max_refused=self.max_refused,
            report=self.report,
            source=self.scan.source,
            root=self.scan.root,
        )


def stored_pixels(image: npt.NDArray[np.uint8], label: int) -> Stored:
    """An image uint8 ``[C, H, W]`` as PNG, or as .npy where it is no picture."""
    channels, height, width = image.shape
    pixels, buffer = np.ascontiguousarray(image.transpose(1, 2, 0)), io.BytesIO()
    if channels in PICTURE_CHANNELS:
        Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels).save(buffer, "PNG")
        return Stored(buffer.getvalue(), ".png", label, (height, width))
    np.save(buffer, pixels, allow_pickle=False)
    return Stored(buffer.getvalue(), ARRAY_SUFFIX, label, (height, width))
