"""A small residual classifier of the user's images: training, cache, inference."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan.config import ConfigError, Device
from reacgan.data import ImageData
from reacgan.data.loader import Loader
from reacgan.devices import find_device
from reacgan.extractors.arithmetic import exact
from reacgan.extractors.classifier_file import read_kept, save_classifier
from reacgan.extractors.classifier_network import Classifier
from reacgan.files import locked, not_kept
from reacgan.progress import stage
from reacgan.randomness import derive_seed

VERSION = 2
"""Of the network and its training: incremented with every change that affects weights."""

Expect = Callable[[float], None]
"""Told how many seconds a training will take."""

_WARM, _TIMED = 2, 5
"""Steps before the timing of a training, and of it."""


@dataclass(frozen=True)
class _Recipe:
    """Everything that a training depends on besides its images."""

    epochs: float
    batch: int
    width: int
    seed: int
    flip: bool
    device: str
    """Kind of device: rounding depends on it."""

    def check(self) -> None:
        if not self.epochs > 0 or self.epochs == float("inf") or self.batch < 2 or self.width < 1:
            raise ConfigError(
                f"epochs is {self.epochs:g}, batch {self.batch} and width {self.width}; "
                "allowed: positive numbers, and a batch of 2 or more"
            )


def train_classifier(
    train: ImageData,
    *,
    epochs: float = 10.0,
    batch: int = 128,
    width: int = 32,
    seed: int = 0,
    flip: bool = True,
    cache: Path | None = None,
    device: Device = "cpu",
    expect: Expect | None = None,
) -> Classifier:
    """A classifier trained on real images, frozen; deterministic on a CPU.

    SGD with Nesterov momentum 0.9 and weight decay 5e-4, one-cycle learning rate up to 0.1, labels
    smoothed by 0.1, shifts of an eighth of the shorter side, mirroring with ``flip``.

    Args:
        train: the training images.
        epochs: passes over ``train``.
        batch: images in a step.
        width: channels of the first stage.
        seed: of weights and order.
        flip: mirror half of the images; unsuitable for digits, text, anything asymmetric.
        cache: a folder for classifiers, keyed by the digest of the images and all arguments. Of two
            processes that need the same one, the second waits.
        device: where it is trained, and stays.
        expect: called after the first steps with the seconds that all of them will take; not called
            where the classifier is in the cache.

    Raises:
        ConfigError: a number is out of range, or the training diverged.
    """
    device = find_device(device)
    recipe = _Recipe(float(epochs), batch, width, seed, flip, device.type)
    recipe.check()
    if cache is None:
        return _trained(train, recipe, device, expect)
    facts = {
        "class_names": list(train.class_names),
        "data": train.digest,
        "recipe": {**asdict(recipe), "version": VERSION},
    }
    key = json.dumps([facts["data"], facts["recipe"]], sort_keys=True)
    kept = cache / f"classifier-{hashlib.sha256(key.encode()).hexdigest()[:16]}.safetensors"
    classifier = read_kept(kept, facts)
    if classifier is None:
        with _alone(kept, train.source):
            classifier = read_kept(kept, facts)  # another process was faster
            if classifier is None:
                classifier = _trained(train, recipe, device, expect)
                try:
                    save_classifier(classifier, kept, facts)
                except ConfigError as error:
                    _say_not_kept(kept, error.__cause__ or error.__context__ or error)
    return classifier.to(device)


def classify(classifier: Classifier, images: Tensor, batch: int = 256) -> Tensor:
    """Class scores [N, K] of uint8 images [N, C, H, W], on the device of the classifier."""
    parts = [extract(classifier, part)[1] for part in images.split(batch)]
    return torch.cat(parts)


def extract(classifier: Classifier, images: Tensor) -> tuple[Tensor, Tensor]:
    """Features [N, 4 x width] and class scores [N, K] of uint8 images, in one pass."""
    device = classifier.scores.weight.device
    with exact(device):
        features = classifier.features(scale(images.to(device)))
        return features, classifier.scores(features)


def class_scores(classifier: Classifier, data: ImageData, batch: int = 256) -> Tensor:
    """Class scores [N, K] of all images of a set, on the CPU."""
    scores = []
    with stage("class scores of real images", len(data)) as progress:
        for at in range(0, len(data), batch):
            images = torch.tensor(data.images[at : at + batch])
            scores.append(classify(classifier, images, batch).cpu())
            progress.advance(len(images))
    return torch.cat(scores)


def in_top(logits: Tensor, labels: Tensor, k: int) -> Tensor:
    """Whether the label is among the k highest scores, bool ``[N]``.

    A class with an equal score counts as higher, so equal scores predict no class.

    Args:
        logits: ``[N, K]``.
        labels: int64 ``[N]``.
        k: 1 or more.
    """
    own = logits.gather(1, labels[:, None])
    return (logits >= own).sum(1) <= k


def held_out_accuracy(
    classifier: Classifier, data: ImageData, batch: int = 256
) -> tuple[float, float]:
    """Top-1 and top-5 accuracy on these images."""
    scores, labels = class_scores(classifier, data, batch), torch.tensor(data.labels)
    first, fifth = (int(in_top(scores, labels, k).sum()) / len(data) for k in (1, 5))
    return first, fifth


def scale(images: Tensor) -> Tensor:
    """0..255 to [-1, 1], float32, channels last in memory."""
    return (images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


@contextmanager
def _alone(kept: Path, source: str) -> Iterator[None]:
    lock = kept.with_name(f".{kept.name}.lock")
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(lock, f"trains the classifier of {source}"))
        except (OSError, NotImplementedError) as error:
            _say_not_kept(kept, error)
        yield


def _say_not_kept(kept: Path, error: BaseException) -> None:
    not_kept(kept.parent, error, "the classifier is kept in memory and trained again next time")


def _trained(
    train: ImageData, recipe: _Recipe, device: torch.device, expect: Expect | None
) -> Classifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(recipe.seed, "judge", 0))
        classifier = Classifier(
            channels=train.channels,
            num_classes=train.num_classes,
            width=recipe.width,
            size=train.size,
        )
    classifier.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    _fit(classifier, train, recipe, device, expect)
    if not all(bool(value.isfinite().all()) for value in classifier.state_dict().values()):
        raise ConfigError(
            f"the classifier of {train.source} diverged; try another seed (it was {recipe.seed}) or "
            f"a larger batch (it was {recipe.batch})"
        )
    return classifier.eval().requires_grad_(False)


def _fit(
    classifier: Classifier,
    data: ImageData,
    recipe: _Recipe,
    device: torch.device,
    expect: Expect | None,
) -> None:
    classifier.train()
    batch = recipe.batch
    steps = max(1, round(recipe.epochs * len(data) / batch))
    crop = min(data.size) // 8
    with stage(f"training a classifier of {len(data):,} images", steps, "steps") as progress:
        loader = Loader(
            data, batch=batch, seed=recipe.seed, device=device, flip=recipe.flip, crop=crop
        )
        optimizer = torch.optim.SGD(
            classifier.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=steps)
        began = time.monotonic()
        for step in range(steps):
            images, labels = loader.at(step * batch)
            loss = F.cross_entropy(classifier(scale(images)), labels, label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            progress.advance()
            if step == _WARM:
                began = time.monotonic()
            elif step == _WARM + _TIMED and expect is not None:
                loss.detach().item()  # a GPU has then done all that was asked of it
                expect((time.monotonic() - began) / _TIMED * steps)
        loader.close()
