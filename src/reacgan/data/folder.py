"""The user's own images: a folder with one sub-folder a class, or a packed file of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from reacgan.config import Resolution, check_options, path_of, refuse_unwritable, size_of
from reacgan.data.archive import held_out_path, is_archive, new_archive, read_archive
from reacgan.data.beside import Beside, look_beside
from reacgan.data.dataset import (
    DataError,
    ImageData,
    MissingSplitError,
    check_grid,
    check_request,
    describe_shape,
)
from reacgan.data.intact import checked
from reacgan.data.layout import Decision, decide
from reacgan.data.listing import Listing, explain, list_decided, parts_up_to, read_tree
from reacgan.data.names import is_general, plural, shown
from reacgan.data.pack import Decoder, depth_of, log_notes, logger
from reacgan.data.packed_cache import describe
from reacgan.data.scan import (
    MAX_REFUSED,
    OPTIONS_OF_FILES,
    Scan,
    report_refused,
    scan_listings,
    with_held_out,
)
from reacgan.data.tables import TABLE_LISTERS
from reacgan.data.tiny_imagenet import is_official, list_official


def open_archive(
    path: str | None, *, split: str, resolution: Resolution, channels: int
) -> ImageData:
    """A packed file of :func:`prepare_data`; ``test`` is in the file beside it.

    Grey images are expanded to three channels without a copy.

    Args:
        path: the file that ``reacgan data prepare`` wrote.
        split: train or test.
        resolution: that of the file.
        channels: those of the file, or 3 for a grey one.

    Raises:
        DataError: the file is missing, foreign or damaged, or has another resolution or channels.
    """
    check_request(split=split, resolution=resolution, channels=channels)
    if path is None:
        raise DataError("data.path is missing; give the file that `reacgan data prepare` wrote")
    file = Path(path) if split == "train" else held_out_path(Path(path))
    if split == "test" and not file.exists():
        raise MissingSplitError(f"{file}: missing, so {path} has no test split")
    data = checked(file)
    if data.size != size_of(resolution):
        size, asked = (" x ".join(map(str, sides)) for sides in (data.size, size_of(resolution)))
        value = data.size[0] if data.size[0] == data.size[1] else "x".join(map(str, data.size))
        raise DataError(
            f"{file}: holds images of {size} px, asked for: {asked}; set "
            f"data.resolution={value} or prepare the images again"
        )
    for note in data.lost:
        logger.warning("%s: %s", file, note)
    if data.channels == channels:
        return data
    if (data.channels, channels) != (1, 3):
        raise DataError(
            f"{file}: holds images of {data.channels} channels, asked for: {channels}; set "
            f"data.channels={data.channels} or prepare the images again with --channels {channels}"
        )
    wide = np.broadcast_to(data.images, (len(data), 3, *data.size))
    return replace(data, images=wide, known_digest=None)


def inspect_data(
    path: str | Path,
    *,
    split: str = "train",
    max_pixels: int | None = None,
    white: float | None = None,
    options: Mapping[str, Any] | None = None,
) -> Scan:
    """Scan a folder or table of images without decoding them: classes, counts, sizes, refused files.

    Raises:
        DataError: no class folders, no usable image; or a packed file, which needs no scan.
    """
    path = path_of(path)
    if path.is_file() and is_archive(path):
        data = read_archive(path)
        raise DataError(
            f"{path}: already a packed set of {plural(len(data), 'image')}, "
            f"{plural(data.num_classes, 'class', 'es')}, "
            f"{describe_shape(data.resolution, data.channels)}, digest {data.digest}"
        )
    labels = label_source(path, options or {})
    scan = scan_listings(labels.listings(split), max_pixels=max_pixels, white=white)
    return with_held_out(scan, lambda: labels.listings("test"), white=white)


def prepare_data(
    path: str | Path,
    out: str | Path,
    *,
    resolution: Resolution,
    channels: int | None = None,
    max_refused: float = MAX_REFUSED,
    max_pixels: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    white: float | None = None,
    options: Mapping[str, Any] | None = None,
) -> ImageData:
    """Pack a folder or table of images into one memory-mappable file: cropped, resized, labelled.

    A held-out part (test, val) is packed into a second file, ``NAME.test.SUFFIX``. Refused files are
    listed in ``OUT.refused.txt``.

    Args:
        path: class folders, as :func:`list_folder` takes them, or a table (.csv, .tsv, .jsonl).
        out: the file to write, atomically.
        resolution: side in pixels, or (height, width).
        channels: 1, 3 or 4, or those of all arrays; None takes 1 if all training images are grey,
            the arrays' number if there are only arrays, and else 3.
        max_refused: allowed share of unusable files.
        max_pixels: larger images are refused before decoding; None takes the environment
            variable REACGAN_MAX_PIXELS, or 64 million.
        progress: called with (images done, images in all) for each split.
        white: the value that becomes 255, of images of more than 8 bits; None takes the end of the
            first of 8, 10, 12, 14 or 16 bits (of floats also 0..1) that holds the training images.
        options: of a table: ``label``, ``file``, ``split_column``, ``encoding``.

    Raises:
        DataError: as :func:`inspect_data`, and where too many files are refused.
    """
    path, out = path_of(path), path_of(out)
    check_request(
        split="train", resolution=resolution, channels=3 if channels is None else channels
    )
    check_grid(resolution)
    refuse_unwritable(out, "file")
    labels = label_source(path, options or {})
    said: set[str] = set()
    for split in parts_up_to("test" if labels.has_test else "train"):
        listings = labels.listings(split)
        target = out if split == "train" else held_out_path(out)
        scan = scan_listings(listings, max_pixels=max_pixels, white=white)
        log_notes(scan, said)
        if channels is None:
            channels = scan.channels
        decoder = Decoder(
            scan,
            resolution=resolution,
            channels=channels,
            report=target.with_name(f"{target.name}.refused.txt"),
            max_refused=max_refused,
            max_pixels=max_pixels,
            progress=progress,
        )
        _pack(decoder, target, source=path.resolve().name)
    return checked(out)


def _pack(decoder: Decoder, target: Path, *, source: str) -> None:
    """Decode one split into its file, and write the list of refused files."""
    with new_archive(
        target,
        shape=(decoder.channels, *size_of(decoder.resolution)),
        capacity=len(decoder.scan.files),
        class_names=decoder.scan.class_names,
        metadata={**describe(source, decoder.scan.split), **depth_of(decoder.scan)},
    ) as writer:
        for images, labels in decoder:
            writer.add(images, labels)
    if decoder.refused and decoder.report is not None:
        report_refused(decoder.refused, decoder.report)


def list_folder(path: str | Path | None, *, split: str) -> list[Listing]:
    """Images or arrays in class folders, packed once into a cache; or a packed file.

    ``PATH/<class>/...``, or ``PATH/train/<class>/...`` beside test (val, valid, dev, eval), also below
    folders without other images (``data/layout.py``); labels may be in a table beside flat images
    (``data/beside.py``); the official layout of Tiny-ImageNet is recognised. Changed, added or removed
    files are packed again. Pictures have 1, 3 or 4 channels; arrays in .npy files any number.

    Args:
        path: the folder, or the packed file.
        split: train or test.

    Raises:
        DataError: no path, no class folders, no such split, too many unusable files.
    """
    if path is None:
        raise DataError("data.path is missing; give the folder that holds one sub-folder a class")
    return find_labels(path).listings(split)


class LabelSource(NamedTuple):
    """The source of a folder's classes: lists its splits, and whether one is held out."""

    listings: Callable[[str], list[Listing]]
    """Listings of train, and of test if requested."""
    has_test: bool


def label_source(path: Path, options: Mapping[str, Any]) -> LabelSource:
    """The classes of a folder, or of a table with its options."""
    lister: Any = TABLE_LISTERS.get(path.suffix.lower()) if path.is_file() else None
    chosen = check_options(
        lister or list_folder,
        options,
        where="data.options",
        given=("split",),
        also=OPTIONS_OF_FILES,
    )
    if lister is None:
        return find_labels(path)

    def listings(split: str) -> list[Listing]:
        listed: list[Listing] = lister(str(path), split=split, **chosen)
        return listed

    try:
        listings("test")
    except MissingSplitError:
        return LabelSource(listings, has_test=False)
    return LabelSource(listings, has_test=True)


def find_labels(path: str | Path) -> LabelSource:
    """Tiny-ImageNet's own files, a table beside the images, or sub-folders that are the classes.

    Raises:
        DataError: no such folder, no classes, or ambiguous ones.
    """
    root = Path(path)
    tree = None if is_official(root) else read_tree(root)
    decision = Decision() if tree is None else decide(tree)
    for folder in (root.joinpath(*way) for way in decision.levels):
        if is_official(folder):
            has_test = (folder / "val" / "val_annotations.txt").is_file()
            return LabelSource(partial(list_official, folder), has_test)
    assert tree is not None
    beside = look_beside(root, tree, decision)
    if beside.list_table is not None:
        return LabelSource(beside.list_table, beside.has_test)
    tables = " or ".join(map(str, beside.unread[:3]))
    doubtful = _doubt(root, decision, beside, tables)
    if doubtful:
        raise DataError(doubtful)
    if decision.train is None:
        reasons = [explain(root, decision), *beside.refusals]
        if tables:
            reasons.append(f"if one of the files beside them has the classes, give it: {tables}")
        raise DataError("\n".join(reasons))
    notes = (*decision.notes, *beside.notes)
    if len(decision.classes) == 1 and tables:
        notes += (f"give {tables} if it has the labels",)
    decision = replace(decision, notes=notes)
    return LabelSource(partial(list_decided, root, decision), decision.test is not None)


def _doubt(root: Path, decision: Decision, beside: Beside, tables: str) -> str:
    """Why a file beside the folders rather than the folders may hold the classes, or empty."""
    names = decision.classes
    if decision.train is None:
        return ""
    reasons = "".join(f"\n{reason}" for reason in beside.refusals)
    if len(names) == 1 and is_general(names[0]) and reasons:
        return (
            f"{root}: {names[0]}/ names no class, and the table beside it is not usable:{reasons}"
        )
    if len(names) > 1 and decision.are_pieces and (tables or reasons):
        return (
            f"{root}: the folders are called as parts of one set ({shown(names)}), and files beside "
            "them may hold the classes. "
            + (f"Give {tables}" if tables else "Rename the folders if they are classes")
            + reasons
        )
    return ""
