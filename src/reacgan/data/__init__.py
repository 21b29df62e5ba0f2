"""Labelled images: opening them, packing them, and (in ``loader``) serving them to a model."""

from __future__ import annotations

from reacgan.config import DataConfig, lookup
from reacgan.data.cifar import open_cifar10, open_cifar100
from reacgan.data.dataset import DataError, ImageData, Opener
from reacgan.data.digits import open_digits
from reacgan.data.folder import inspect_data, open_archive, open_folder, prepare_data
from reacgan.data.scan import Scan, report_refused
from reacgan.data.tiny_imagenet import open_tiny_imagenet

DATASETS: dict[str, Opener] = {
    "digits": open_digits,
    "folder": open_folder,
    "archive": open_archive,
    "cifar10": open_cifar10,
    "cifar100": open_cifar100,
    "tiny_imagenet": open_tiny_imagenet,
}

__all__ = [
    "DATASETS",
    "DataError",
    "ImageData",
    "Opener",
    "Scan",
    "inspect_data",
    "open_dataset",
    "prepare_data",
    "report_refused",
]


def open_dataset(config: DataConfig, split: str = "train") -> ImageData:
    """Open the images that a configuration asks for; ``split`` is ``train`` or ``test``.

    Folders are packed into a cache on the first call, so of several processes one calls first.

    Raises:
        DataError: the images cannot be used as they are; the message says why and what to do.
        ConfigError: an unknown data set.
    """
    opener = lookup("data set", DATASETS, config.name)
    return opener(config.path, split=split, resolution=config.resolution, channels=config.channels)
