"""A folder of images without classes, as other generators leave their samples."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from reacgan.data.dataset import DataError
from reacgan.data.names import IMAGE_SUFFIXES, is_hidden
from reacgan.data.walk import Listing, beside_note, folders, walk_folder

NO_CLASS = "images"


def is_flat(path: str | Path) -> bool:
    """Whether a folder holds files, and no visible sub-folder holds an image."""
    root = Path(path)
    if not root.is_dir() or not any(one.is_file() for one in root.iterdir()):
        return False
    return not any(holds_images(one) for one in folders(root))


def holds_images(folder: Path) -> bool:
    """Whether there is a visible file at any depth that its name calls an image."""
    for _, below, files in os.walk(folder):
        below[:] = [name for name in below if not is_hidden(name)]
        if any(is_image(name) for name in files):
            return True
    return False


def is_image(name: str) -> bool:
    """Whether a name is that of a visible image or array."""
    return not is_hidden(name) and Path(name).suffix.lower() in IMAGE_SUFFIXES


def list_flat(path: str | Path) -> Listing:
    """Every image of a folder, as one class that means nothing.

    Raises:
        DataError: not a folder.
    """
    root = Path(path)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    beside: Counter[str] = Counter()
    entries, ignored = walk_folder(root, root, label=0, beside=beside)
    notes = beside_note(beside)
    return Listing(root, "train", (NO_CLASS,), tuple(entries), ignored, notes)
