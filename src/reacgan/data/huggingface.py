"""Any image set of the Hugging Face hub, through its ``datasets`` package (``reacgan[hub]``)."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reacgan.config import Resolution, size_of, suggest
from reacgan.data.dataset import DataError, ImageData, MissingSplitError, check_request
from reacgan.data.decode import (
    UnreadableImageError,
    decode_file,
    decoding_rules,
    pillow_warnings_off,
)
from reacgan.data.download import is_offline
from reacgan.data.pack import in_batches
from reacgan.data.packed_cache import (
    Batch,
    cache_key,
    packed_once,
    read_cached,
    write_cached,
)
from reacgan.data.scan import MAX_REFUSED, Refused, check_share

logger = logging.getLogger("reacgan.data")

_IMAGES = ("image", "img", "images", "picture")
_LABELS = ("label", "labels", "fine_label", "class", "target")
_TESTS = ("test", "validation", "valid", "val")
_ROWS = 256


def open_hub(
    path: str | None,
    *,
    split: str,
    resolution: Resolution,
    channels: int,
    subset: str | None = None,
    image: str | None = None,
    label: str | None = None,
) -> ImageData:
    """An image set by its name on the hub, or as ``datasets`` saved it to disk.

    Args:
        path: OWNER/NAME, or a folder that ``save_to_disk`` wrote (of a set or of its splits).
        split: train, or test; where there is no test, validation is taken.
        resolution: side, or (height, width).
        channels: 1, 3 or 4.
        subset: the configuration of a set with several.
        image: column of the images; by default image or img.
        label: column of the classes; by default label or fine_label. Whole numbers with class
            names beside them, whole numbers, or texts.

    Raises:
        DataError: ``datasets`` is not installed, the set is unavailable, or has no such columns.
    """
    check_request(split=split, resolution=resolution, channels=channels, pictures_only=True)
    name = (path or "").removeprefix("hub:")
    if not name:
        raise DataError("data.path is missing; give the set's name on the hub, such as OWNER/NAME")
    train = _load(name, "train", subset)
    table = train if split == "train" else _load(name, split, subset)
    image = _column(table, image, _IMAGES, name, "image")
    label = _column(table, label, _LABELS, name, "label")
    classes = _class_names(train, label, name)
    labels = _labels(table, label, classes, name)
    source = f"{name} ({split})"
    key = cache_key(
        "hub",
        table._fingerprint,
        image,
        label,
        decoding_rules(),
        size_of(resolution),
        channels,
        classes,
    )
    return packed_once(
        key,
        source,
        lambda: read_cached(key, source),
        lambda: write_cached(
            key,
            _Decoded(_undecoded(table, image), image, labels, resolution, channels, source),
            shape=(channels, *size_of(resolution)),
            capacity=len(labels),
            class_names=classes,
            source=source,
        ),
    )


def _load(name: str, split: str, subset: str | None) -> Any:
    """One split as a ``datasets.Dataset``."""
    if is_offline() and not Path(name).is_dir():
        raise DataError(
            f"{name}: a set of the Hugging Face hub, and nothing is downloaded now; give a folder that "
            "save_to_disk wrote as data.path"
        )
    try:
        import datasets  # noqa: PLC0415 - optional, and slow to import
    except ImportError:
        raise DataError(
            "the data set 'hub' needs the package datasets: pip install 'reacgan[hub]'"
        ) from None
    try:
        if Path(name).is_dir():
            stored: Any = datasets.load_from_disk(name)
            parts = {"train": stored} if isinstance(stored, datasets.Dataset) else dict(stored)
            splits = list(parts)
        else:
            splits = list(datasets.get_dataset_split_names(name, subset))
            parts = {}
        wanted = ("train",) if split == "train" else _TESTS
        chosen = next((part for part in wanted if part in splits), None)
        if chosen is not None:
            return parts[chosen] if parts else datasets.load_dataset(name, subset, split=chosen)
    except Exception as error:  # network, hub and loading scripts raise anything
        reason = " ".join(str(error).split())
        raise DataError(
            f"{name}: cannot be loaded with datasets ({type(error).__name__}: {reason:.300}). Needed: "
            "a set's name on the hub, OWNER/NAME, or a folder that save_to_disk wrote; a set of "
            "several configurations also needs data.options.subset"
        ) from None
    raise MissingSplitError(
        f"{name}: has no split for {split}; it has {', '.join(splits) or 'none'}"
    )


def _column(table: Any, asked: str | None, known: tuple[str, ...], name: str, option: str) -> str:
    there = list(table.column_names)
    chosen = next((column for column in known if column in there), None) if asked is None else asked
    if chosen not in there:
        near = suggest(chosen, there) if chosen else "."
        raise DataError(
            f"{name}: has no column {chosen or ' or '.join(known)}{near} Its columns are "
            f"{', '.join(there)}; set data.options.{option} to one of them"
        )
    return str(chosen)


def _class_names(train: Any, label: str, name: str) -> tuple[str, ...]:
    """The names of the set, or its values: sorted as numbers if all are, else as text."""
    names = getattr(train.features[label], "names", None)
    if names:
        return tuple(map(str, names))
    values = train.unique(label)
    if not all(type(value) in (int, str) for value in values):
        raise DataError(
            f"{name}: the column {label} holds {type(values[0]).__name__}, needed: whole numbers or "
            "texts, one class an image; set data.options.label to another column"
        )
    whole = all(type(value) is int for value in values)
    return tuple(str(value) for value in (sorted(values) if whole else sorted(map(str, values))))


def _labels(table: Any, label: str, classes: tuple[str, ...], name: str) -> npt.NDArray[np.int64]:
    values = list(table[label])
    if not getattr(table.features[label], "names", None):
        numbers = {text: label for label, text in enumerate(classes)}
        values = [numbers.get(str(value), -1) for value in values]
    labels = np.array([-1 if value is None else value for value in values], dtype=np.int64)
    unknown = int(((labels < 0) | (labels >= len(classes))).sum())
    if unknown:
        raise DataError(
            f"{name}: {unknown} of {len(labels)} images have no class of the training split in the "
            f"column {label}; a published test split often has none: such a set has no test here"
        )
    return labels


def _undecoded(table: Any, image: str) -> Any:
    """The table with images as undecoded bytes."""
    import datasets  # noqa: PLC0415 - as above

    if not isinstance(table.features[image], datasets.Image):
        raise DataError(
            f"the column {image} holds {table.features[image]!r:.80}, needed: datasets.Image; set "
            "data.options.image to a column of images"
        )
    return table.select_columns([image]).cast_column(image, datasets.Image(decode=False))


@dataclass
class _Decoded:
    """Batches of decoded images; may be iterated repeatedly."""

    table: Any
    column: str
    labels: npt.NDArray[np.int64]
    resolution: Resolution
    channels: int
    source: str
    refused: list[Refused] = field(default_factory=list)

    def __iter__(self) -> Iterator[Batch]:
        self.refused = []
        with pillow_warnings_off():
            yield from in_batches(self._results(), self.refused)
        if self.refused:
            logger.warning("%s: %d images refused", self.source, len(self.refused))
        check_share(
            self.refused,
            len(self.labels),
            max_refused=MAX_REFUSED,
            source=self.source,
            settable=False,
        )

    def _results(self) -> Iterator[tuple[str, int, npt.NDArray[np.uint8] | str]]:
        for start in range(0, len(self.labels), _ROWS):
            items = self.table[start : start + _ROWS][self.column]
            for number, item in enumerate(items, start=start):
                yield f"row {number}", int(self.labels[number]), self._decode(item or {})

    def _decode(self, item: Mapping[str, Any]) -> npt.NDArray[np.uint8] | str:
        """The pixels of a row, or why it is refused."""
        content, path = item.get("bytes"), item.get("path")
        if content is None and path is None:
            return "no image"
        try:
            return decode_file(
                str(path),
                content=None if content is None else io.BytesIO(content),
                resolution=self.resolution,
                channels=self.channels,
            )
        except UnreadableImageError as error:
            return error.reason
