"""Real handwritten digits included in the package: 1,797 grey images of 8 x 8 pixels.

Origin: the test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak,
UCI Machine Learning Repository, 1998, doi 10.24432/C50P49), licensed CC BY 4.0; the same images
and order as scikit-learn's ``load_digits``. Changed here: values 0 to 16 are kept as uint8 in
``digits.npz``. Each is the count of ink in blocks of 4 x 4 of a 32 x 32 scan.
"""

from __future__ import annotations

from importlib import resources

import numpy as np
import numpy.typing as npt
from PIL import Image

from reacgan.config import Resolution, size_of
from reacgan.data.dataset import DataError, ImageData, check_request
from reacgan.data.decode import crop_window

CLASS_NAMES = tuple("0123456789")


def open_digits(
    path: str | None, *, split: str, resolution: Resolution, channels: int
) -> ImageData:
    """Handwritten digits that travel with the package: 1,201 training and 596 test images.

    Every third image of each class is ``test``, the rest ``train``. Values 0..16 become 0..255.
    Other sizes are interpolated bicubically (after a centre crop, where height and width differ),
    three channels are repeated, a fourth is opaque.

    Args:
        path: None, since the images are part of the package.
        split: train or test.
        resolution: side, or (height, width); 8 as published.
        channels: 1, 3 or 4.

    Raises:
        DataError: a path was given, or an unknown split, resolution or number of channels.
    """
    check_request(split=split, resolution=resolution, channels=channels, pictures_only=True)
    if path is not None:
        raise DataError(f"the digits are part of the package: omit the path {path!r}")
    with resources.files("reacgan.data").joinpath("digits.npz").open("rb") as file:
        stored = np.load(file, allow_pickle=False)
        inked, labels = stored["images"], stored["labels"].astype(np.int64)
    chosen = np.flatnonzero(held_out_mask(labels) == (split == "test"))
    grey = np.round(inked[chosen].astype(np.float64) * (255 / 16)).astype(np.uint8)
    height, width = size_of(resolution)
    if (height, width) != grey.shape[1:]:
        box = crop_window((8, 8), (width, height))
        grey = np.stack(
            [
                np.asarray(
                    Image.fromarray(image).resize(
                        (width, height), Image.Resampling.BICUBIC, box=box
                    )
                )
                for image in grey
            ]
        )
    images = np.repeat(grey[:, None], channels, axis=1)
    if channels == 4:
        images[:, 3] = 255
    return ImageData(images, labels[chosen], CLASS_NAMES, source=f"digits ({split})")


def held_out_mask(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """True for every third image of each class, in order: ``[N]``."""
    mask = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        mask[np.flatnonzero(labels == label)[2::3]] = True
    return mask
