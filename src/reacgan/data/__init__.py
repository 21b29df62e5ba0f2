"""Labelled images: opening them, packing them, and (in ``loader``) serving them to a model."""

from __future__ import annotations

from reacgan.config import DataConfig, lookup
from reacgan.data.dataset import DataError, ImageData, Opener
from reacgan.data.digits import open_digits

DATASETS: dict[str, Opener] = {
    "digits": open_digits,
}

__all__ = ["DATASETS", "DataError", "ImageData", "Opener", "open_dataset"]


def open_dataset(config: DataConfig, split: str = "train") -> ImageData:
    """The images that a configuration asks for; ``split`` is ``train`` or ``test``.

    Raises:
        DataError: the images cannot be used as they are; the message says why and what to do.
        ConfigError: an unknown data set.
    """
    opener = lookup("data set", DATASETS, config.name)
    return opener(config.path, split=split, resolution=config.resolution, channels=config.channels)
