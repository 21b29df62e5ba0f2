"""What is written stays out of the folders that images are read from."""

from __future__ import annotations

from pathlib import Path

from reacgan.config import path_of
from reacgan.data.dataset import DataError


def refuse_inside(out: str | Path, images: str | Path | None) -> None:
    """See that ``out`` lies outside of a folder of images; what is no folder, such as a name, is passed.

    Raises:
        DataError: it lies inside, where pictures that are written would be read as images of a class.
    """
    folder = path_of(images) if images is not None else None
    if folder is None or not folder.is_dir():
        return
    inner, outer = path_of(out).resolve(), folder.resolve()
    if inner.is_relative_to(outer):
        raise DataError(
            f"{out}: lies inside {folder}, where images are read from, so that what is written there "
            f"would be read as images; choose an --out elsewhere, such as {outer.parent / inner.name}"
        )
