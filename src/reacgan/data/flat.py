"""A folder of images without classes, as other generators leave their samples."""

from __future__ import annotations

from pathlib import Path

from reacgan.data.dataset import DataError
from reacgan.data.walk import Listing, folders, walk_folder

NO_CLASS = "images"


def is_flat(path: str | Path) -> bool:
    """Whether a folder holds files and no visible sub-folder."""
    root = Path(path)
    return root.is_dir() and not folders(root) and any(one.is_file() for one in root.iterdir())


def list_flat(path: str | Path) -> Listing:
    """Every image of a folder, as one class that means nothing.

    Raises:
        DataError: not a folder.
    """
    root = Path(path)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    entries, ignored = walk_folder(root, root, label=0)
    return Listing(root, "train", (NO_CLASS,), tuple(entries), ignored)
