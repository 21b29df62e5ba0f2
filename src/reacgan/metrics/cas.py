"""Classification Accuracy Score: how much a classifier learns from fakes.

Ravuri and Vinyals 2019 ("Classification Accuracy Score for Conditional Generative Models"), and
Shmelkov et al. 2018 ("How good is my GAN?"), whose names GAN-train and GAN-test are used here.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.data import ImageData
from reacgan.extractors.classifier import class_scores, in_top, train_classifier
from reacgan.extractors.classifier_network import Classifier
from reacgan.metrics.base import Comparison, Metric, Value, share_of
from reacgan.metrics.label_accuracy import class_shares
from reacgan.metrics.order import balanced_order
from reacgan.randomness import derive_seed


@dataclass(kw_only=True, eq=False)
class Cas(Metric):
    """Classifiers trained on fakes and on real images, tested on the other and on held-out ones.

    ``gan_train_top1``   trained on fakes, tested on held-out real images: diversity and labels
    ``gan_test_top1``    trained on real images, tested on fakes: image quality and labels
    ``real_top1``        trained on real images, tested on held-out real ones: upper bound
    ``gan_train_ratio``  ``gan_train_top1 / real_top1``

    Both trainings use the same recipe, seeds and number of images: of the larger set, the first in a
    class-balanced order of hashes. ``low`` and ``high`` are the lowest and highest of the repeats,
    which differ in the seed of weights and order alone. The device is that of the fakes' features.

    Args:
        epochs: passes over the images of a training.
        width: channels of the classifier's first stage.
        repeats: seeds.
        batch: images in a step.
        flip: mirror half of the training images; unsuitable for digits, text, anything asymmetric.
        seed: from which the repeats' seeds are derived.
    """

    needs = frozenset({"images", "labels", "training", "held out"})

    epochs: Annotated[float, Field(gt=0)] = 10.0
    width: Annotated[int, Field(ge=1)] = 16
    repeats: Annotated[int, Field(ge=1)] = 3
    batch: Annotated[int, Field(ge=2)] = 128
    flip: bool = True
    seed: int = 0

    def measure(self, comparison: Comparison) -> list[Value]:
        """Values ``gan_train_top1``, ``gan_test_top1``, ``real_top1`` and ``gan_train_ratio``.

        Raises:
            ConfigError: images are missing, or the sets differ in classes or size.
        """
        fake, training = comparison.fake_data, comparison.training_data
        held_out = comparison.held_out_data
        if fake is None or training is None or held_out is None:
            raise ConfigError(
                "cas needs the fakes' pixels, the training images and held-out real images"
            )
        check_alike(fake, {"training": training, "held-out": held_out})
        count = min(len(fake), len(training))
        fakes, reals = _first(fake, count), _first(training, count)
        device = torch.device("cpu")
        if comparison.fake.features is not None:
            device = comparison.fake.features.device
        right: dict[str, list[Tensor]] = {
            name: [] for name in ("gan_train_top1", "gan_test_top1", "real_top1")
        }
        for repeat in range(self.repeats):
            seed = derive_seed(self.seed, "cas", repeat)
            of_fakes, of_reals = (self._train(images, seed, device) for images in (fakes, reals))
            right["gan_train_top1"].append(right_on(of_fakes, held_out))
            right["gan_test_top1"].append(right_on(of_reals, fake))
            right["real_top1"].append(right_on(of_reals, held_out))
        settings: dict[str, Any] = {
            **asdict(self),
            "training_images": count,
            "held_out_images": len(held_out),
            "interval": "lowest and highest of the repeats",
        }
        notes = _notes(fake, training, count)
        values = [
            _value(name, repeats, fake if name == "gan_test_top1" else held_out, settings, notes)
            for name, repeats in right.items()
        ]
        return [*values, _ratio(values[0], values[2])]

    def _train(self, images: ImageData, seed: int, device: torch.device) -> Classifier:
        return train_classifier(
            images,
            epochs=self.epochs,
            batch=self.batch,
            width=self.width,
            seed=seed,
            flip=self.flip,
            device=device,
        )


def right_on(classifier: Classifier, data: ImageData) -> Tensor:
    """Whether each image is classified correctly, bool ``[N]``."""
    return in_top(class_scores(classifier, data), torch.tensor(data.labels), 1)


def _value(
    name: str,
    runs: list[Tensor],
    data: ImageData,
    settings: Mapping[str, Any],
    notes: tuple[str, ...],
) -> Value:
    shares = [share_of(run) for run in runs]
    labels = torch.tensor(data.labels)
    every = torch.cat(runs), labels.repeat(len(runs)), data.class_names
    return Value(
        name,
        statistics.fmean(shares),
        "higher",
        min(shares),
        max(shares),
        settings={**settings, "images": len(data)},
        details={"repeats": shares, "classes": class_shares(*every)},
        notes=notes,
    )


def _ratio(gan_train: Value, real: Value) -> Value:
    """Ratio of the means; the interval is that of the ratios of each seed."""
    if real.value == 0:
        raise ConfigError(
            "the classifier of real images is right on none of the held-out ones; "
            "raise epochs or width, or check their labels"
        )
    ratios = [
        score / other if other else float("inf")
        for score, other in zip(gan_train.details["repeats"], real.details["repeats"], strict=True)
    ]
    return Value(
        "gan_train_ratio",
        gan_train.value / real.value,
        "higher",
        min(ratios),
        max(ratios),
        settings=real.settings,
        details={"repeats": ratios},
        notes=gan_train.notes,
    )


def _first(data: ImageData, count: int) -> ImageData:
    """The first ``count`` in a class-balanced order that depends on the images alone."""
    return data.subset(balanced_order(data.images, data.labels)[:count])


def check_alike(fake: ImageData, others: Mapping[str, ImageData]) -> None:
    """Check that a classifier of one set can be tested on the others.

    Raises:
        ConfigError: other classes, another order of them, or another size.
    """
    for name, data in others.items():
        if data.class_names != fake.class_names:
            only = sorted(set(data.class_names) ^ set(fake.class_names))
            what = f"such as {only[0]!r}" if only else "in another order"
            raise ConfigError(
                f"the fakes have {fake.num_classes} classes, the {name} images "
                f"{data.num_classes}, and the names differ ({what}); needed: the same classes"
            )
        if data.images.shape[1:] != fake.images.shape[1:]:
            raise ConfigError(
                f"fakes are {list(fake.images.shape[1:])}, the {name} images "
                f"{list(data.images.shape[1:])}; needed: the same channels and size"
            )


def _notes(fake: ImageData, training: ImageData, count: int) -> tuple[str, ...]:
    notes = []
    if len(fake) != len(training):
        notes.append(
            f"both trainings had {count} images, of {len(fake)} fakes and {len(training)} real ones"
        )
    absent = [
        name for name, images in zip(fake.class_names, fake.counts, strict=True) if not images
    ]
    if absent:
        notes.append(
            f"no fake of {len(absent)} of {fake.num_classes} classes (such as {absent[0]!r}): "
            "the classifier has no training images of them"
        )
    return tuple(notes)
