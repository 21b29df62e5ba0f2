"""Metrics on images with known faults (experiment 18)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from reacgan.config import DataConfig
from reacgan.data import ImageData
from reacgan.suites.base import PRDC, Claim, Figure, Scale, Suite, Trial
from reacgan.suites.work import OfImages


def _real(data: ImageData, chance: np.random.Generator) -> ImageData:
    return data


def _noise(data: ImageData, chance: np.random.Generator) -> ImageData:
    pixels = chance.integers(0, 256, data.images.shape, dtype=np.uint8)
    return ImageData(pixels, data.labels, data.class_names, "noise")


def _first_of_class(data: ImageData, chance: np.random.Generator) -> ImageData:
    first = {int(label): index for index, label in reversed(list(enumerate(data.labels)))}
    return data.subset([first[int(label)] for label in data.labels])


def _half(data: ImageData, chance: np.random.Generator) -> ImageData:
    kept = np.flatnonzero(data.labels < (data.num_classes + 1) // 2)
    return data.subset(np.resize(kept, len(data)))


def _wrong_labels(data: ImageData, chance: np.random.Generator) -> ImageData:
    labels = (data.labels + 1) % data.num_classes
    return ImageData(data.images, labels, data.class_names, "every label is the next one")


def _blurred(data: ImageData, chance: np.random.Generator) -> ImageData:
    images: npt.NDArray[np.floating[Any]] = data.images.astype(np.float32)
    for axis in (2, 3):
        images = (np.roll(images, 1, axis) + images + np.roll(images, -1, axis)) / 3
    return ImageData(np.round(images).astype(np.uint8), data.labels, data.class_names, "blurred")


_AS_IS = "training images"
KINDS = {
    _AS_IS: _real,
    "one image a class": _first_of_class,
    "half of the classes": _half,
    "labels shifted by one": _wrong_labels,
    "blurred (3 x 3)": _blurred,
    "noise": _noise,
}


def _metrics(scale: Scale) -> tuple[Trial, ...]:
    toy = scale == "toy"
    data = (
        DataConfig(name="digits", resolution=8, channels=1, flip=False)
        if toy
        else DataConfig(name="cifar10", resolution=32)
    )
    metrics = "fid, kid, is, prdc, f_beta, ifid, accuracy, memorisation"
    return tuple(
        Trial(
            f"{data.name}-images/{kind.replace(' ', '-')}",
            kind,
            OfImages(kind, make, data, 300 if toy else None, metrics, {"epochs": 2} if toy else {}),
            column=data.name,
        )
        for kind, make in KINDS.items()
    )


def _claim(text: str, metric: str, worse: str, better: str) -> Claim:
    return Claim(text, metric, (worse, better), source="ours")


METRICS = Suite(
    name="metrics",
    numbers=(18,),
    title="What the metrics say of images whose faults are known",
    about=(
        "Real training images as they are, and made worse in one known way, against the held-out ones: "
        "each metric should see its own fault, and none sees all."
    ),
    trials=_metrics,
    metrics=("fid", "kid", "is", *PRDC, "f_8", "f_1_8", "ifid", "top1", "memorised_share"),
    claims=(
        _claim("recall sees that variety is missing", "recall", "one image a class", _AS_IS),
        _claim(
            "precision ranks one image a class above noise",
            "precision",
            "noise",
            "one image a class",
        ),
        Claim(
            "per-class distance sees wrong labels",
            "ifid",
            ("labels shifted by one", _AS_IS),
            "above",
            source="ours",
        ),
        _claim("coverage sees that classes are missing", "coverage", "half of the classes", _AS_IS),
    ),
    figures=(Figure("bars", ("fid", "precision", "recall", "ifid"), "Known faults"),),
)
