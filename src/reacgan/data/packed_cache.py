"""The cache of packed files: each set is decoded once, checked when it is opened, made anew if damaged."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL

from reacgan.data.archive import new_archive, read_archive
from reacgan.data.dataset import DataError, ImageData
from reacgan.data.decode import RESIZE
from reacgan.data.intact import checked
from reacgan.files import cache_root, locked, not_kept

Batch = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]

logger = logging.getLogger("reacgan.data")


def describe(source: str, split: str) -> dict[str, str]:
    """Metadata of a packed file: source, split, resize rule, versions."""
    return {
        "source": source,
        "split": split,
        "resize": RESIZE,
        "pillow": PIL.__version__,
        "numpy": np.__version__,
    }


def cache_folder() -> Path:
    """``$REACGAN_CACHE/packs``, by default ``~/.cache/reacgan/packs``; may be deleted at any time."""
    return cache_root() / "packs"


def cache_key(*parts: object) -> str:
    """A hash of everything that the content of a packed file depends on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def packed_once(
    key: str,
    source: str,
    read: Callable[[], ImageData | None],
    make: Callable[[], ImageData],
) -> ImageData:
    """What ``read`` gives, or else ``make``: of processes that start together one packs, the others wait.

    Args:
        key: of the packed file.
        source: what is packed, for people.
        read: the packed file, or None.
        make: packs it.
    """
    packed = read()
    if packed is not None:
        return packed
    with ExitStack() as stack:
        try:
            lock = cache_root() / "locks" / f"{key}.lock"
            stack.enter_context(locked(lock, f"packs the images of {source}"))
        except (OSError, NotImplementedError):
            return make()  # which says that the cache cannot be written
        packed = read()
        return packed if packed is not None else make()


def read_cached(key: str, source: str) -> ImageData | None:
    """The packed file of that key, or None where it is missing or damaged."""
    path = cache_folder() / f"{key}.safetensors"
    if not path.exists():
        return None
    try:
        return replace(checked(path), source=source)
    except DataError as error:
        logger.warning("%s: packing again, since the packed file is unfit: %s", source, error)
        return None


def write_cached(
    key: str,
    batches: Iterable[Batch],
    *,
    shape: tuple[int, int, int],
    capacity: int,
    class_names: tuple[str, ...],
    source: str,
    depth: Mapping[str, str] | None = None,
) -> ImageData:
    """Pack into the cache and memory-map it; in memory where the cache cannot be written."""
    path = cache_folder() / f"{key}.safetensors"
    try:
        with new_archive(
            path,
            shape=shape,
            capacity=capacity,
            class_names=class_names,
            metadata={**describe(Path(source).name, "cache"), **(depth or {})},
        ) as writer:
            for images, labels in batches:
                writer.add(images, labels)
        return replace(read_archive(path), source=source)
    except OSError as error:
        not_kept(path.parent, error, "the images are kept in memory and packed again next time")
    parts = list(batches)
    return ImageData(
        np.concatenate([images for images, _ in parts]),
        np.concatenate([labels for _, labels in parts]),
        class_names,
        source=source,
    )


def writable_folder() -> Path:
    """The cache's folder, or that of the system for temporary files where it cannot be written."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.gettempdir())
    return folder if os.access(folder, os.W_OK) else Path(tempfile.gettempdir())
