"""Do generated images carry the label asked for? Judged by a classifier trained on the real ones.

The classifier never sees the generator; its own accuracy on held-out real images belongs beside every
figure it gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.data import ImageData
from reacgan.extractors.classifier import (
    Classifier,
    classify,
    held_out_accuracy,
    look,
    train_classifier,
)


@dataclass(frozen=True)
class Judge:
    """A trained classifier and how far it can be trusted."""

    classifier: Classifier
    held_out_accuracy: float
    """On real images that it did not see."""

    def predict(self, images: Tensor, batch: int = 256) -> Tensor:
        """Most likely class [N] of uint8 images [N, C, H, W]."""
        return classify(self.classifier, images, batch).argmax(1)

    def features(self, images: Tensor, batch: int = 256) -> Tensor:
        """Features [N, D] of uint8 images, for :func:`reacgan.metrics.prdc`."""
        return torch.cat([look(self.classifier, part)[0] for part in images.split(batch)])

    def label_accuracy(self, images: Tensor, labels: Tensor) -> float:
        """Share of uint8 images [N, C, H, W] that the classifier gives their label [N]."""
        return float((self.predict(images) == labels).float().mean())


def train_judge(
    train: ImageData,
    held_out: ImageData,
    *,
    epochs: float = 10.0,
    batch: int = 128,
    width: int = 32,
    seed: int = 0,
    cache: Path | None = None,
) -> Judge:
    """Train a classifier on real images; deterministic in its arguments.

    Args:
        train: what it learns from.
        held_out: what its accuracy is measured on.
        epochs: passes over ``train``.
        batch: images in a step.
        width: channels of the first stage.
        seed: of weights and order.
        cache: a folder that keeps classifiers by the digest of the data and these arguments.

    Raises:
        ConfigError: the two sets differ in classes or shape, or a number is not positive.
    """
    if (
        train.class_names != held_out.class_names
        or train.images.shape[1:] != held_out.images.shape[1:]
    ):
        raise ConfigError("the held-out images differ from the training images in classes or shape")
    classifier = train_classifier(
        train, epochs=epochs, batch=batch, width=width, seed=seed, cache=cache
    )
    return Judge(classifier, held_out_accuracy(classifier, held_out)[0])


__all__ = ["Classifier", "Judge", "train_judge"]
