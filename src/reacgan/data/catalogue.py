"""What can be done with any registered set: open it, count its classes, find and describe it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from reacgan.config import DataConfig, check_options, load_plugins, lookup, with_home
from reacgan.data.archive import held_out_path, is_archive, read_archive
from reacgan.data.dataset import DataError, ImageData, Opener, check_request
from reacgan.data.depth import white_problem
from reacgan.data.folder import list_folder
from reacgan.data.listed import scan_listings, with_held_out
from reacgan.data.own_shape import OwnShape, own_shape
from reacgan.data.pack import open_listings
from reacgan.data.scan import Scan
from reacgan.data.walk import Listing

_GIVEN = ("split", "resolution", "channels")
WHITE = "white"
_TABLES = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".json": "jsonl"}


class Lister(Protocol):
    """The files of a set without opening them: train, followed by test where that is asked for."""

    def __call__(self, path: str | None, *, split: str) -> list[Listing]:
        """List them; further keyword-only parameters are options, as an opener's are."""
        ...


def open_from(
    table: Mapping[str, Opener],
    config: DataConfig,
    split: str,
    listers: Mapping[str, Lister] | None = None,
) -> ImageData:
    """Open what a configuration asks for with the opener of that name."""
    opener: Any = lookup("data set", table, config.name)
    lister: Any = (listers or {}).get(config.name)
    white, others = (None, {}) if lister is None else _white_of(config)
    if white is not None:
        options = check_options(lister, others, where="data.options", given=("split",))
        check_request(split=split, resolution=config.resolution, channels=config.channels)
        return open_listings(
            lister(config.path, split=split, **options),
            resolution=config.resolution,
            channels=config.channels,
            white=white,
        )
    options = check_options(opener, config.options, where="data.options", given=_GIVEN)
    return opener(
        config.path,
        split=split,
        resolution=config.resolution,
        channels=config.channels,
        **options,
    )


def survey_from(
    table: Mapping[str, Opener], listers: Mapping[str, Lister], config: DataConfig, split: str
) -> Scan | ImageData:
    """Headers of the files where the set has a lister; otherwise the set itself."""
    lookup("data set", table, config.name)
    check_request(split=split, resolution=config.resolution, channels=config.channels)
    lister: Any = listers.get(config.name)
    white, others = (None, {}) if lister is None else _white_of(config)
    if config.path is not None and config.name in ("archive", "folder") and is_archive(config.path):
        file = Path(config.path)
        return read_archive(file if split == "train" else held_out_path(file))
    if lister is None:
        return open_from(table, config, split)
    options = check_options(lister, others, where="data.options", given=("split",))
    scan = scan_listings(lister(config.path, split=split, **options), white=white)
    return with_held_out(scan, lambda: lister(config.path, split="test", **options), white=white)


def _white_of(config: DataConfig) -> tuple[Any, dict[str, Any]]:
    """``data.options.white``, which every set of files has, and the set's own options.

    Raises:
        DataError: no value that can be white.
    """
    others = dict(config.options)
    white = others.pop(WHITE, None)
    if white is not None and (problem := white_problem(white)):
        raise DataError(f"data.options.{problem}")
    packed = config.name in ("archive", "folder") and config.path is not None
    if white is not None and packed and is_archive(str(config.path)):
        raise DataError(
            f"{config.path}: a packed file, whose white was settled when it was made; leave "
            "data.options.white out, or prepare the images again with --white"
        )
    return white, others


PUBLISHED_SHAPES: Mapping[str, OwnShape] = {
    "digits": OwnShape(((8, 8),), 1),
    "cifar10": OwnShape(((32, 32),), 3),
    "cifar100": OwnShape(((32, 32),), 3),
    "glyphs": OwnShape((), 3),
}
"""Of the sets that have no files of pictures; glyphs are drawn at any size."""


def own_shape_from(
    listers: Mapping[str, Lister], config: DataConfig, split: str
) -> OwnShape | None:
    """What a set's images are before they are brought to the size that the configuration asks for.

    Raises:
        DataError: no usable image, or no such split.
    """
    path = config.path
    if config.name in ("archive", "folder") and path is not None and is_archive(path):
        file = Path(path)
        data = read_archive(file if split == "train" else held_out_path(file))
        return OwnShape((data.size,), data.channels)
    if config.name in ("cifar10", "cifar100") and path is not None and Path(path).is_dir():
        listings = _class_folders(path, split)
        return PUBLISHED_SHAPES[config.name] if listings is None else own_shape(listings)
    lister: Any = listers.get(config.name)
    if lister is None:
        return PUBLISHED_SHAPES.get(config.name)
    options = check_options(lister, _white_of(config)[1], where="data.options", given=("split",))
    return own_shape(lister(path, split=split, **options))


def _class_folders(path: str, split: str) -> list[Listing] | None:
    """Class folders in the place of a set's published files."""
    try:
        return list_folder(path, split=split)
    except DataError:
        return None


def find_set(table: Mapping[str, Opener], text: str) -> DataConfig:
    """The set that a path, a name, or NAME:PATH stands for."""
    text = with_home(text)
    place = Path(text)
    if place.is_file():
        kind = "archive" if is_archive(place) else _TABLES.get(place.suffix.lower(), "folder")
        return DataConfig(name=kind, path=text)
    load_plugins()
    name, separator, path = text.partition(":")
    if not place.exists() and name in table:
        return DataConfig(name=name, path=path if separator else None)
    return DataConfig(name="folder", path=text)


def describe_opener(opener: Opener) -> dict[str, str]:
    """``what`` a set is, the ``path`` that it wants and its ``options``, from the opener itself."""
    text = inspect.getdoc(opener) or ""
    wanted = re.search(r"^ +path: (.*?)(?=^ +\w+: |^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    options = [
        f"{one.name}={one.default}"
        for one in inspect.signature(opener).parameters.values()
        if one.kind is one.KEYWORD_ONLY and one.name not in _GIVEN
    ]
    return {
        "what": _plain(text.partition("\n\n")[0]),
        "path": _plain(wanted[1]) if wanted else "",
        "options": ", ".join(options),
    }


def _plain(text: str) -> str:
    """One line without marks."""
    return " ".join(re.sub(r":func:`(\w+)`", r"\1", text).replace("``", "").split())
