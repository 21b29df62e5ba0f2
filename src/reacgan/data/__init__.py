"""Labelled images: open and pack data sets, and (in ``loader``) load batches."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from reacgan.config import (
    DataConfig,
    check_options,
    load_plugins,
    lookup,
    path_of,
    with_home,
)
from reacgan.data.archive import archive_of, is_archive, read_archive
from reacgan.data.cifar import open_cifar10, open_cifar100
from reacgan.data.cub200 import list_cub200
from reacgan.data.dataset import (
    DataError,
    ImageData,
    MissingSplitError,
    Opener,
    OwnShape,
    check_request,
)
from reacgan.data.digits import open_digits
from reacgan.data.download import offline
from reacgan.data.faces import list_afhq, list_ffhq
from reacgan.data.folder import inspect_data, list_folder, open_archive, prepare_data
from reacgan.data.glyphs import open_glyphs
from reacgan.data.huggingface import open_hub
from reacgan.data.imagenet import list_imagenet
from reacgan.data.intact import checked
from reacgan.data.order import Balance, balance_of
from reacgan.data.pack import Lister, open_listings, opener_of, own_shape_of
from reacgan.data.scan import (
    OPTIONS_OF_FILES,
    Scan,
    refusal_of,
    report_refused,
    scan_listings,
    with_held_out,
)
from reacgan.data.shards import (
    is_shards,
    open_shards,
    prepare_shards,
    shape_of_shards,
    survey_shards,
)
from reacgan.data.tables import TABLE_LISTERS, TABLE_OPTIONS, list_csv, list_jsonl
from reacgan.data.tiny_imagenet import list_tiny_imagenet

DATASETS: dict[str, Opener] = {
    "digits": open_digits,
    "glyphs": open_glyphs,
    "folder": opener_of(list_folder),
    "archive": open_archive,
    "csv": opener_of(list_csv),
    "jsonl": opener_of(list_jsonl),
    "cifar10": open_cifar10,
    "cifar100": open_cifar100,
    "tiny_imagenet": opener_of(list_tiny_imagenet, pictures_only=True),
    "imagenet": opener_of(list_imagenet, pictures_only=True),
    "cub200": opener_of(list_cub200, pictures_only=True),
    "afhq": opener_of(list_afhq, pictures_only=True),
    "ffhq": opener_of(list_ffhq, pictures_only=True),
    "hub": open_hub,
    "shards": open_shards,
}

LISTERS: dict[str, Lister] = {
    "folder": list_folder,
    "csv": list_csv,
    "jsonl": list_jsonl,
    "tiny_imagenet": list_tiny_imagenet,
    "imagenet": list_imagenet,
    "cub200": list_cub200,
    "afhq": list_afhq,
    "ffhq": list_ffhq,
}
"""Listers of sets of image files, to count images without decoding."""

PUBLISHED_SHAPES = {
    "digits": OwnShape(((8, 8),), 1),
    "cifar10": OwnShape(((32, 32),), 3),
    "cifar100": OwnShape(((32, 32),), 3),
    "glyphs": OwnShape((), 3),
}
"""Shapes of sets without image files; glyphs are rendered at any size."""

__all__ = [
    "DATASETS",
    "LISTERS",
    "PUBLISHED_SHAPES",
    "Balance",
    "DataError",
    "ImageData",
    "Lister",
    "MissingSplitError",
    "Opener",
    "OwnShape",
    "Scan",
    "balance_of",
    "describe_opener",
    "files_of",
    "find_dataset",
    "inspect_data",
    "offline",
    "open_dataset",
    "own_shape",
    "prepare_data",
    "prepare_shards",
    "refusal_of",
    "refuse_inside",
    "report_refused",
    "survey_dataset",
    "survey_usable",
]

_SUPPLIED = ("split", "resolution", "channels")
_TABLES = {
    suffix: "csv" if lister is list_csv else "jsonl" for suffix, lister in TABLE_LISTERS.items()
}


def open_dataset(config: DataConfig, split: str = "train") -> ImageData:
    """Open the images of a configuration; ``split`` is ``train`` or ``test``.

    The first call packs folders into a cache; of several processes one must call it first.

    Raises:
        DataError: the images cannot be used; the message has the reason and a remedy.
        ConfigError: an unknown data set or option.
    """
    opener: Any = lookup("data set", DATASETS, config.name)
    reading, options = _reading_of(config)
    options = _checked(config, opener, options, given=_SUPPLIED)
    resolution, channels = config.resolution, config.channels
    if reading:
        check_request(split=split, resolution=resolution, channels=channels)
        listings = LISTERS[config.name](config.path, split=split, **options)
        return open_listings(listings, resolution=resolution, channels=channels, **reading)
    if config.name == "folder" and archive_of(config, split):
        opener = open_archive
    return opener(config.path, split=split, resolution=resolution, channels=channels, **options)


def survey_dataset(
    config: DataConfig, split: str = "train", *, again: bool = False
) -> Scan | ImageData:
    """Classes and counts of a set, from its files' headers, or by opening a set without files.

    Args:
        config: the set.
        split: train or test.
        again: read all pixels of a packed file, even if it was found whole a short while ago.

    Raises:
        DataError: as :func:`open_dataset`.
        ConfigError: likewise.
    """
    lookup("data set", DATASETS, config.name)
    check_request(split=split, resolution=config.resolution, channels=config.channels)
    reading, options = _reading_of(config)
    packed = archive_of(config, split)
    if packed is not None:
        return checked(packed, again=again)
    if config.name == "shards":
        return survey_shards(config.path, split, _checked(config, open_shards, options, _SUPPLIED))
    lister: Any = LISTERS.get(config.name)
    if lister is None:
        return open_dataset(config, split)
    options = _checked(config, lister, options)
    white = reading.pop("white", None)
    scan = replace(
        scan_listings(lister(config.path, split=split, **options), white=white), **reading
    )
    return with_held_out(scan, lambda: lister(config.path, split="test", **options), white=white)


def files_of(config: DataConfig) -> dict[str, list[int]]:
    """Size (bytes) and time of change (ns) of each training file, by path; empty for sets without files.

    Raises:
        DataError: as :func:`survey_dataset`.
        ConfigError: likewise.
    """
    lister: Any = LISTERS.get(config.name)
    if lister is None or archive_of(config, "train") is not None:
        return {}
    options = _checked(config, lister, _reading_of(config)[1])
    entries = lister(config.path, split="train", **options)[0].entries
    return {entry.relative: [entry.size, entry.mtime_ns] for entry in entries}


def survey_usable(config: DataConfig, split: str = "train") -> Scan | ImageData:
    """As :func:`survey_dataset`, but refuses what training would refuse.

    Raises:
        DataError: likewise, or too many unusable files.
        ConfigError: likewise.
    """
    survey = survey_dataset(config, split)
    problem = "" if isinstance(survey, ImageData) else refusal_of(survey)
    if problem:
        raise DataError(problem)
    return survey


def own_shape(config: DataConfig, split: str = "train") -> OwnShape | None:
    """Sizes and channels of a set's images as stored; None if unknown.

    Raises:
        DataError: as :func:`survey_dataset`.
        ConfigError: likewise.
    """
    packed = archive_of(config, split)
    if packed is not None:
        data = read_archive(packed)
        return OwnShape((data.size,), data.channels)
    if config.name == "shards":
        return shape_of_shards(config.path, split)
    path, lister = config.path, LISTERS.get(config.name)
    if config.name in ("cifar10", "cifar100") and path is not None and Path(path).is_dir():
        try:  # class folders instead of the published files
            listings = list_folder(path, split=split)
        except DataError:
            return PUBLISHED_SHAPES[config.name]
        return own_shape_of(listings)
    if lister is None:
        return PUBLISHED_SHAPES.get(config.name)
    options = _checked(config, lister, _reading_of(config)[1])
    return own_shape_of(lister(path, split=split, **options))


def _checked(
    config: DataConfig, member: Any, options: dict[str, Any], given: Sequence[str] = ("split",)
) -> dict[str, Any]:
    """The set's own options; an error names white where that is one, too."""
    also = OPTIONS_OF_FILES if config.name in LISTERS else ()
    column = next((name for name in options if name in TABLE_OPTIONS), None)
    if column is not None and config.name == "folder" and member is not open_archive:
        raise DataError(
            f"data.options.{column}: an option of tables, but {config.path} is a folder; give the table's "
            "file (.csv, .jsonl) as the path"
        )
    return check_options(member, options, where="data.options", given=given, also=also)


def _reading_of(config: DataConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of every set of files that are given (:data:`OPTIONS_OF_FILES`), and the set's own.

    Raises:
        DataError: an invalid value.
    """
    options = dict(config.options)
    if config.name not in LISTERS:
        return {}, options
    given = {name: options.pop(name, None) for name in OPTIONS_OF_FILES}
    reading = {name: value for name, value in given.items() if value is not None}
    for name, value in reading.items():
        if problem := OPTIONS_OF_FILES[name](value):
            raise DataError(f"data.options.{problem}")
    if reading and archive_of(config, "train"):
        name = next(iter(reading))
        again = f"--{name.replace('_', '-')}"
        raise DataError(
            f"{config.path}: a packed file, whose {name} is fixed; leave "
            f"data.options.{name} out, or prepare the images again with {again}"
        )
    return reading, options


def find_dataset(text: str, *, options: Mapping[str, Any] | None = None) -> DataConfig:
    """Find a set by a path, a registered name, or ``NAME:PATH``.

    An existing path is a packed file, a table (.csv, .tsv, .jsonl, dataset.json), a folder of shards or a
    folder of classes; an address (https://...) is that of shards.

    Args:
        text: the path or name.
        options: ``data.options`` of the set, such as the columns of a table.
    """
    config = _find_dataset(text)
    return config.model_copy(update={"options": dict(options)}) if options else config


def _find_dataset(text: str) -> DataConfig:
    text = with_home(text)
    path = Path(text)
    if is_shards(text):
        return DataConfig(name="shards", path=text)
    if path.is_file():
        kind = "archive" if is_archive(path) else _TABLES.get(path.suffix.lower(), "folder")
        return DataConfig(name=kind, path=text)
    load_plugins()
    name, separator, rest = text.partition(":")
    if not path.exists() and name in DATASETS:
        return DataConfig(name=name, path=rest if separator else None)
    return DataConfig(name="folder", path=text)


def describe_opener(opener: Opener) -> dict[str, str]:
    """``what``, ``path`` and ``options`` of a set, from the docstring and signature of its opener."""
    text = inspect.getdoc(opener) or ""
    wanted = re.search(r"^ +path: (.*?)(?=^ +\w+: |^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    options = [
        parameter.name + ("" if parameter.default is None else f"={parameter.default}")
        for parameter in inspect.signature(opener).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.name not in _SUPPLIED
    ]
    return {
        "what": _plain(text.partition("\n\n")[0]),
        "path": _plain(wanted[1]) if wanted else "",
        "options": ", ".join(options),
    }


def _plain(text: str) -> str:
    """One line without marks."""
    return " ".join(re.sub(r":func:`(\w+)`", r"\1", text).replace("``", "").split())


def refuse_inside(out: str | Path, images: str | Path | None) -> None:
    """Check that ``out`` is outside of a folder of images; ``images`` may be another kind of set.

    Raises:
        DataError: it is inside, where output would be read as images of a class.
    """
    folder = path_of(images) if images is not None else None
    if folder is None or not folder.is_dir():
        return
    inner, outer = path_of(out).resolve(), folder.resolve()
    if inner.is_relative_to(outer):
        raise DataError(
            f"{out}: lies inside {folder}, where images are read from, so output would "
            f"be read as images; choose an --out elsewhere, such as {outer.parent / inner.name}"
        )
