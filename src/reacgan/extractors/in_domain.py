"""The in-domain classifier: features from a classifier trained on the user's own images.

ImageNet's features suit digits, glyphs or X-rays badly. The features of a small classifier of the real
images suit them better, and its accuracy on held-out images shows how good they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reacgan.config import ConfigError, Device, PositiveFloat, PositiveInt
from reacgan.data import ImageData
from reacgan.devices import find_device
from reacgan.extractors.base import Extracted, Extractor
from reacgan.extractors.classifier import Expect, extract, held_out_accuracy, train_classifier
from reacgan.extractors.classifier_file import load_classifier, save_classifier
from reacgan.extractors.classifier_network import Classifier
from reacgan.files import not_kept, write_text
from reacgan.randomness import derive_seed
from reacgan.records import read_sealed, sealed
from reacgan.tensors import tensors_digest

BATCH = 128
EPOCHS = 10.0
STEPS = (600, 20_000)
"""Minimum and maximum number of training steps by default."""
_SHARE = 10
"""One of this many images is held out where no held-out images are given."""


def default_epochs(count: int) -> float:
    """Ten passes over ``count`` images, with 600 to 20,000 steps of 128 images."""
    few, many = STEPS
    return min(max(EPOCHS * count / BATCH, few), many) * BATCH / count


def hold_out(data: ImageData) -> tuple[ImageData, ImageData | None]:
    """Images to train with, and a held-out tenth of each class (at least one image).

    The choice depends on the index alone. Nothing is held out of a class of one image.
    """
    chosen: list[int] = []
    for label in range(data.num_classes):
        own = np.flatnonzero(data.labels == label)
        if len(own) > 1:
            words = np.random.Philox(derive_seed(0, "extractor/held out", label))
            order = np.argsort(words.random_raw(len(own)), kind="stable")
            chosen += own[order[: max(1, len(own) // _SHARE)]].tolist()
    if not chosen:
        return data, None
    kept = np.setdiff1d(np.arange(len(data)), chosen)
    return data.subset(kept), data.subset(sorted(chosen))


class ClassifierExtractor(Extractor):
    """A classifier and its facts as an extractor: penultimate features and class scores."""

    name = "domain"

    def __init__(self, classifier: Classifier, facts: Mapping[str, Any]) -> None:
        self._classifier = classifier
        self._facts = dict(facts)
        self._digest = tensors_digest(classifier.state_dict())
        self.features_dim = 4 * classifier.width
        self.shape = (classifier.channels, *classifier.size)
        self.class_names = tuple(facts["class_names"])
        self.notes: tuple[str, ...] = _notes(self._facts)
        """Warnings to show beside every score."""

    @property
    def data_digest(self) -> str:
        """Digest of the training images; empty where a file does not hold it."""
        return str(self._facts.get("data", ""))

    @property
    def held_out_top1(self) -> float:
        """Share of held-out images whose class has the highest score; NaN if none was held out."""
        return _number(self._facts.get("held_out_top1"))

    @property
    def held_out_top5(self) -> float:
        """Share whose class is among the five highest; NaN if none was held out."""
        return _number(self._facts.get("held_out_top5"))

    def to(self, device: Device) -> None:
        """Move the network."""
        self._classifier.to(find_device(device))

    def __call__(self, images: Tensor) -> Extracted:
        """Features [N, 4 x width] and scores [N, K] of uint8 images of the size that it was trained on.

        Raises:
            ConfigError: images of another type, size or number of channels.
        """
        needed = [self._classifier.channels, *self._classifier.size]
        if images.dtype != torch.uint8 or list(images.shape[1:]) != needed:
            raise ConfigError(
                f"images are {images.dtype} {list(images.shape)}; this extractor takes uint8 "
                f"[N, {', '.join(map(str, needed))}] only. Give images of that size, or use the "
                "extractor 'domain' with training images of theirs"
            )
        return Extracted(*extract(self._classifier, images))

    def describe(self) -> dict[str, Any]:
        """What features depend on, and the accuracy of the classifier."""
        facts = {name: value for name, value in self._facts.items() if name != "class_names"}
        return {
            "name": self.name,
            "weights": self._digest,
            "classes": self._classifier.num_classes,
            "channels": self._classifier.channels,
            "size": list(self._classifier.size),
            "resizer": "none",
            "scale": "2 x / 255 - 1",
            "type": "float32",
            **facts,
        }

    def save(self, path: Path) -> None:
        """Write the classifier and its facts as one file that :class:`FileClassifier` reads."""
        save_classifier(self._classifier, path, self._facts)


class InDomain(ClassifierExtractor):
    """The in-domain classifier, trained on the real images.

    Args:
        epochs: passes over them; None takes ten, with 600 to 20,000 steps of 128 images.
        width: channels of the first stage; features have four times as many.
        seed: of weights and order.
        flip: mirror half of the images in training; helps with photographs, unsuitable for digits,
            text, anything asymmetric.
        train: the real images.
        held_out: others of the same kind, for the accuracy; None holds out a tenth of each class of
            ``train``.
        cache: a folder for classifiers and their accuracy; None: no cache.
        device: where it is trained, and stays.
        expect: as of :func:`reacgan.extractors.classifier.train_classifier`.

    Raises:
        ConfigError: the two sets differ in classes or shape, or are the same.
    """

    def __init__(
        self,
        *,
        epochs: PositiveFloat | None = None,
        width: PositiveInt = 32,
        seed: int = 0,
        flip: bool = False,
        train: ImageData,
        held_out: ImageData | None = None,
        cache: Path | None = None,
        device: Device = "cpu",
        expect: Expect | None = None,
    ) -> None:
        training, validation, which = train, held_out, "others"
        if held_out is None:
            training, validation = hold_out(train)
            which = "a tenth of each class of the data, not trained on"
        else:
            _check(train, held_out)
        passes = default_epochs(len(training)) if epochs is None else epochs
        classifier = train_classifier(
            training,
            epochs=passes,
            batch=BATCH,
            width=width,
            seed=seed,
            flip=flip,
            cache=cache,
            device=device,
            expect=expect,
        )
        facts: dict[str, Any] = {
            "class_names": list(train.class_names),
            "data": train.digest,
            "epochs": passes,
            "width": width,
            "seed": seed,
            "flip": flip,
        }
        super().__init__(
            classifier, {**facts, **_accuracy_facts(classifier, validation, which, cache)}
        )


class FileClassifier(ClassifierExtractor):
    """The extractor from a file of :meth:`ClassifierExtractor.save`, with the same features.

    Raises:
        ConfigError: no such file, another kind of file, or a damaged one.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(*load_classifier(path))


def _check(train: ImageData, held_out: ImageData) -> None:
    if (
        train.class_names != held_out.class_names
        or train.images.shape[1:] != held_out.images.shape[1:]
    ):
        raise ConfigError("the held-out images differ from the training images in classes or shape")
    if len(train) == len(held_out) and train.digest == held_out.digest:
        raise ConfigError(
            "the held-out images are the training images: the accuracy of the extractor would be "
            "meaningless. Give another split, or none, which holds out a tenth of each class"
        )


def _accuracy_facts(
    classifier: Classifier, held_out: ImageData | None, which: str, cache: Path | None
) -> dict[str, Any]:
    """The facts about accuracy, from the cache or measured."""
    if held_out is None:
        nothing = {"images": 0, "which": "none: no class has two images"}
        return {"held_out": nothing, "held_out_top1": None, "held_out_top5": None}
    facts = {"images": len(held_out), "which": which, "digest": held_out.digest}
    guess = np.bincount(held_out.labels).max() / len(held_out)
    facts["largest_class"] = float(guess)
    kept = None
    if cache is not None:
        weights = tensors_digest(classifier.state_dict())
        kept = cache / f"accuracy-{weights[:16]}-{held_out.digest[:16]}.json"
    shares = _read_shares(kept)
    if shares is None:
        shares = held_out_accuracy(classifier, held_out)
        if kept is not None:
            try:
                write_text(kept, json.dumps(sealed({"shares": shares})))
            except OSError as error:
                not_kept(kept.parent, error, "accuracies are measured again next time")
    return {"held_out": facts, "held_out_top1": shares[0], "held_out_top5": shares[1]}


def _read_shares(kept: Path | None) -> tuple[float, float] | None:
    """The cached accuracies; None where they are missing or damaged."""
    if kept is None or not kept.is_file():
        return None
    try:
        first, fifth = read_sealed(kept)["shares"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    fits = all(isinstance(share, float) and 0 <= share <= 1 for share in (first, fifth))
    return (first, fifth) if fits else None


def _number(value: Any) -> float:
    return float(value) if isinstance(value, float | int) else float("nan")


def _notes(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """A warning where accuracy is unknown, or below three times chance (half way to 1 from it)."""
    held_out = facts.get("held_out")
    top1 = _number(facts.get("held_out_top1"))
    if len(facts["class_names"]) == 1:
        return (
            "the in-domain classifier has one class: its accuracy does not measure the quality of features",
        )
    if np.isnan(top1) or not isinstance(held_out, dict):
        return ("the accuracy of the in-domain classifier is unknown",)
    chance = max(1 / len(facts["class_names"]), _number(held_out.get("largest_class")))
    if top1 < min(3 * chance, (1 + chance) / 2):
        return (
            f"the in-domain classifier is right on {top1:.1%} of held-out images, where predicting one "
            f"class is on {chance:.1%}: distances in its features are unreliable",
        )
    return ()
