"""Labelled images: opening them, packing them, and (in ``loader``) serving them to a model."""

from __future__ import annotations

from reacgan.config import DataConfig
from reacgan.data.balance import Balance, balance_of
from reacgan.data.catalogue import (
    Lister,
    describe_opener,
    find_set,
    open_from,
    own_shape_from,
    survey_from,
)
from reacgan.data.cifar import open_cifar10, open_cifar100
from reacgan.data.cub200 import list_cub200, open_cub200
from reacgan.data.dataset import DataError, ImageData, MissingSplitError, Opener
from reacgan.data.digits import open_digits
from reacgan.data.faces import list_afhq, list_ffhq, open_afhq, open_ffhq
from reacgan.data.folder import inspect_data, list_folder, open_archive, open_folder, prepare_data
from reacgan.data.glyphs import open_glyphs
from reacgan.data.huggingface import open_hub
from reacgan.data.imagenet import list_imagenet, open_imagenet
from reacgan.data.outside import refuse_inside
from reacgan.data.own_shape import OwnShape
from reacgan.data.scan import Scan, refusal_of, report_refused
from reacgan.data.table import list_csv, list_jsonl, open_csv, open_jsonl
from reacgan.data.tiny_imagenet import list_tiny_imagenet, open_tiny_imagenet

DATASETS: dict[str, Opener] = {
    "digits": open_digits,
    "glyphs": open_glyphs,
    "folder": open_folder,
    "archive": open_archive,
    "csv": open_csv,
    "jsonl": open_jsonl,
    "cifar10": open_cifar10,
    "cifar100": open_cifar100,
    "tiny_imagenet": open_tiny_imagenet,
    "imagenet": open_imagenet,
    "cub200": open_cub200,
    "afhq": open_afhq,
    "ffhq": open_ffhq,
    "hub": open_hub,
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
"""Of the sets that lie as files on the disk: which files they are, so that none is decoded to count."""

__all__ = [
    "DATASETS",
    "LISTERS",
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
    "find_dataset",
    "inspect_data",
    "open_dataset",
    "own_shape",
    "prepare_data",
    "refusal_of",
    "refuse_inside",
    "report_refused",
    "survey_dataset",
    "survey_usable",
]


def open_dataset(config: DataConfig, split: str = "train") -> ImageData:
    """Open the images that a configuration asks for; ``split`` is ``train`` or ``test``.

    Folders are packed into a cache on the first call, so of several processes one calls first.

    Raises:
        DataError: the images cannot be used as they are; the message says why and what to do.
        ConfigError: an unknown data set or option.
    """
    return open_from(DATASETS, config, split, LISTERS)


def survey_dataset(config: DataConfig, split: str = "train") -> Scan | ImageData:
    """Classes and counts of a set: from its files' headers where it has files, else by opening it.

    Raises:
        DataError: as :func:`open_dataset`.
        ConfigError: likewise.
    """
    return survey_from(DATASETS, LISTERS, config, split)


def own_shape(config: DataConfig, split: str = "train") -> OwnShape | None:
    """Sizes and channels of a set's images as they lie there; None where that is not known.

    Raises:
        DataError: as :func:`survey_dataset`.
        ConfigError: likewise.
    """
    return own_shape_from(LISTERS, config, split)


def survey_usable(config: DataConfig, split: str = "train") -> Scan | ImageData:
    """As :func:`survey_dataset`, of a set that training does not refuse.

    Raises:
        DataError: as there, and where more files cannot be used than are allowed.
        ConfigError: likewise.
    """
    found = survey_dataset(config, split)
    problem = "" if isinstance(found, ImageData) else refusal_of(found)
    if problem:
        raise DataError(problem)
    return found


def find_dataset(text: str) -> DataConfig:
    """The set that a person names: a path, a registered name, or ``NAME:PATH``.

    A path that exists is a packed file, a table (.csv, .tsv, .jsonl, dataset.json) or a folder of classes.
    """
    return find_set(DATASETS, text)
