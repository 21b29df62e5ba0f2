"""Decode a set into a packed file or into memory, once for all (``packed_cache.py``)."""

from __future__ import annotations

import inspect
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from reacgan.config import Resolution, size_of
from reacgan.data.arrays import is_array
from reacgan.data.dataset import (
    PICTURE_CHANNELS,
    DataError,
    ImageData,
    Opener,
    OwnShape,
    check_request,
    no_such_channels,
)
from reacgan.data.decode import (
    MAX_PIXELS,
    Box,
    decoding_rules,
    pillow_warnings_off,
    pixel_limit,
)
from reacgan.data.images import decode_image
from reacgan.data.listing import Listing
from reacgan.data.names import plural, readable_name, shown
from reacgan.data.packed_cache import (
    Batch,
    cache_folder,
    cache_key,
    packed_once,
    read_cached,
    writable_folder,
    write_cached,
)
from reacgan.data.scan import (
    MAX_REFUSED,
    Refused,
    Scan,
    check_share,
    read_refused,
    report_refused,
    scan_listings,
)
from reacgan.data.threads import ordered_map
from reacgan.files import PATIENCE, not_kept, write_text
from reacgan.progress import counted, heard
from reacgan.records import read_sealed, sealed

Progress = Callable[[int, int], None]

logger = logging.getLogger("reacgan.data")

_BATCH = 256
_SHAPE = ("resolution", "channels")


@dataclass
class Decoder:
    """Decodes a scan's images in order, at the requested size; collects failures.

    Iterating yields ``(images [n, C, H, W], labels [n])``.

    Raises:
        DataError: before the first image, where no image has the requested channels; after the
            last, where a share over ``max_refused`` of all files was refused (listed in ``report``), or
            a class lost every image.
    """

    scan: Scan
    resolution: Resolution
    channels: int
    report: Path | None = None
    """Where the names of refused files go; None for no list."""
    max_refused: float = MAX_REFUSED
    max_pixels: int | None = None
    progress: Progress | None = None
    refused: list[Refused] = field(default_factory=list)

    def __iter__(self) -> Iterator[Batch]:
        self.refused = list(self.scan.refused)
        total = len(self.scan.files) + len(self.scan.refused)
        counts = np.zeros(len(self.scan.class_names), dtype=np.int64)
        self._check(total)
        if self.channels not in PICTURE_CHANNELS and not any(map(is_array, self.scan.files)):
            raise DataError(f"{self.scan.source}: {no_such_channels(self.channels)}")
        boxes = self.scan.boxes or (None,) * len(self.scan.files)
        items = list(zip(self.scan.files, boxes, strict=True))
        with pillow_warnings_off():
            decoded = ordered_map(self._decode, items, progress=self.progress)
            decoded = counted(decoded, f"packing {self.scan.source.resolve().name}", len(items))
            results = zip(self.scan.files, self.scan.labels, decoded, strict=True)
            for images, labels in in_batches(results, self.refused):
                counts += np.bincount(labels, minlength=len(counts))
                yield images, labels
        self._check(total)
        self._check_classes(counts)

    def _decode(self, item: tuple[str, Box | None]) -> npt.NDArray[np.uint8] | str:
        return decode_image(
            os.path.join(self.scan.root, item[0]),  # noqa: PTH118 - fast
            resolution=self.resolution,
            channels=self.channels,
            box=item[1],
            whites=self.scan.whites,
            max_pixels=self._max_pixels,
        )

    @cached_property
    def _max_pixels(self) -> int:
        return pixel_limit(self.max_pixels)

    def _check(self, total: int) -> None:
        check_share(
            tuple(self.refused),
            total,
            max_refused=self.max_refused,
            report=self.report,
            source=self.scan.source,
            root=self.scan.root,
        )

    def _check_classes(self, counts: npt.NDArray[np.int64]) -> None:
        lost = np.flatnonzero((counts == 0) & (self.scan.counts > 0))
        if len(lost):
            names = ", ".join(self.scan.class_names[label] for label in lost[:10])
            raise DataError(
                f"{self.scan.source}: every image of these classes is damaged: {names}; repair the "
                "images or remove the folders"
            )


def in_batches(
    results: Iterable[tuple[str, Any, npt.NDArray[np.uint8] | str]], refused: list[Refused]
) -> Iterator[Batch]:
    """Batches of decoded images from (name, label, pixels or reason); the others go to ``refused``."""
    images: list[npt.NDArray[np.uint8]] = []
    labels: list[int] = []
    for name, label, result in results:
        if isinstance(result, str):
            refused.append(Refused(readable_name(name), result))
            continue
        images.append(result)
        labels.append(int(label))
        if len(images) == _BATCH:
            yield np.stack(images), np.array(labels, dtype=np.int64)
            images, labels = [], []
    if images:
        yield np.stack(images), np.array(labels, dtype=np.int64)


class Lister(Protocol):
    """Lists the files of a set without opening them: train, and test if requested."""

    def __call__(self, path: str | None, *, split: str) -> list[Listing]:
        """List them; further keyword-only parameters are the keys of ``data.options``."""
        ...


def opener_of(lister: Lister, *, pictures_only: bool = False) -> Opener:
    """The opener of a set that consists of files; its docstring is the lister's."""

    @wraps(lister)
    def open_files(
        path: str | None, *, split: str, resolution: Resolution, channels: int, **options: Any
    ) -> ImageData:
        check_request(
            split=split, resolution=resolution, channels=channels, pictures_only=pictures_only
        )
        listings = lister(path, split=split, **options)
        return open_listings(listings, resolution=resolution, channels=channels)

    own = inspect.signature(lister)
    shape = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in _SHAPE]
    parameters = [*own.parameters.values(), *shape]
    open_files.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    return open_files


def own_shape_of(listings: list[Listing]) -> OwnShape:
    """Sizes and channels of the last listing's usable files; cached, since every header is read.

    Raises:
        DataError: no usable image.
    """
    key = cache_key("own shape", MAX_PIXELS, decoding_rules(), stamps_of(listings))
    cached = cache_folder() / f"{key}.json"
    try:
        known = read_sealed(cached)
        sizes = tuple((int(high), int(wide)) for high, wide in known["sizes"])
        return OwnShape(sizes, int(known["channels"]))
    except (OSError, ValueError, TypeError, KeyError):
        pass
    scan = scan_listings(listings)
    shape = OwnShape(tuple(sorted({(high, wide) for wide, high in scan.sizes})), scan.channels)
    with suppress(OSError):
        write_text(cached, json.dumps(sealed(shape._asdict())))
    return shape


def open_listings(
    listings: list[Listing],
    *,
    resolution: Resolution,
    channels: int,
    max_refused: float = MAX_REFUSED,
    white: float | None = None,
) -> ImageData:
    """The images of the last listing from the cache of packed files, packed now if missing."""
    allowed = () if max_refused == MAX_REFUSED else (max_refused,)
    key = cache_key(
        *(decoding_rules(), size_of(resolution), channels, pixel_limit()),
        *(stamps_of(listings), white, *allowed),
    )
    source = f"{listings[-1].source} ({listings[-1].split})"

    def read() -> ImageData | None:
        cached = read_cached(key, source)
        for note in cached.lost if cached is not None else ():
            logger.warning("%s: %s", listings[-1].source, note)
        if cached is not None:
            _warn_of_refused(listings[-1].source, read_refused(_report_of(key)))
        return cached

    def make() -> ImageData:
        return _pack_listings(
            listings,
            key,
            source,
            resolution=resolution,
            channels=channels,
            max_refused=max_refused,
            white=white,
        )

    return packed_once(key, source, read, make)


def _pack_listings(
    listings: list[Listing],
    key: str,
    source: str,
    *,
    resolution: Resolution,
    channels: int,
    max_refused: float,
    white: float | None,
) -> ImageData:
    scan = scan_listings(listings, white=white)
    log_notes(scan)
    decoder = Decoder(
        scan,
        resolution=resolution,
        channels=channels,
        max_refused=max_refused,
        progress=log_progress(source),
    )
    data = write_cached(
        key,
        decoder,
        shape=(channels, *size_of(resolution)),
        capacity=len(scan.files),
        class_names=scan.class_names,
        source=source,
        depth=depth_of(scan),
    )
    data = replace(data, whites=scan.whites, lost=scan.lost)
    if decoder.refused:
        try:
            report_refused(decoder.refused, _report_of(key))  # for who opens the packed file later
        except OSError as error:
            not_kept(cache_folder(), error, "which files were refused is said this time alone")
    _warn_of_refused(scan.source, decoder.refused)
    return data


def _report_of(key: str) -> Path:
    return writable_folder() / f"{key}.refused.txt"


def _warn_of_refused(root: Path, refused: Sequence[Refused]) -> None:
    """Say how many files are left out, and why; of few by name."""
    if not refused:
        return
    reasons = Counter(each.reason for each in refused).most_common()
    listed = ", ".join(f"{number:,} {reason}" for reason, number in reasons)
    names = f" ({shown([each.path for each in refused], 3)})"
    logger.warning("%s: %s refused: %s%s", root, plural(len(refused), "file"), listed, names)


def stamps_of(listings: list[Listing]) -> list[Any]:
    """Everything that a listing's content depends on, without opening a file."""
    return [
        [
            listing.class_names,
            [(e.relative, e.label, e.size, e.mtime_ns, e.ctime_ns, e.box) for e in listing.entries],
        ]
        for listing in listings
    ]


def depth_of(scan: Scan) -> dict[str, str]:
    """Metadata of a packed file whose images had more than 8 bits: whites, and what was lost."""
    if scan.whites is None and not scan.lost:
        return {}
    return {"whites": json.dumps(scan.whites), "lost": json.dumps(scan.lost)}


def log_notes(scan: Scan, said: set[str] | None = None) -> None:
    """Log the notes of a scan but those in ``said``, which they join."""
    said = set() if said is None else said
    for note in scan.notes:
        if note not in said:
            logger.warning("%s: %s", scan.source, note)
    said.update(scan.notes)


def log_progress(source: str) -> Progress:
    """A progress callback that logs every tenth part of a long work, and says once that it takes long."""
    tenths, began, warned = 0, time.monotonic(), False

    def report(done: int, total: int) -> None:
        nonlocal tenths, warned
        if heard():  # a listener shows it
            return
        if not warned and time.monotonic() - began > PATIENCE:
            warned = True
            logger.warning(
                "packing %s once into %s: %d of %d images so far",
                source,
                cache_folder(),
                done,
                total,
            )
        if total >= 5000 and done * 10 // total > tenths:
            tenths = done * 10 // total
            logger.info("packing %s: %d of %d images", source, done, total)

    return report
