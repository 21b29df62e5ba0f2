"""Do generated images carry the label asked for? Judged by a classifier trained on the real ones.

The classifier is a small residual network that never sees the generator; its own accuracy on
held-out real images belongs beside every figure it gives.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from reacgan.config import ConfigError
from reacgan.data import ImageData
from reacgan.data.loader import Loader
from reacgan.files import replacing
from reacgan.randomness import derive_seed


class Classifier(nn.Module):
    """Images [N, C, R, R] in [-1, 1] to class scores [N, K]: stem, three residual stages, mean."""

    def __init__(self, *, channels: int, num_classes: int, width: int = 32) -> None:
        super().__init__()
        stages = (width, 2 * width, 4 * width)
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.stages = nn.ModuleList(
            _Stage(before, after) for before, after in zip((width, *stages), stages, strict=False)
        )
        self.scores = nn.Linear(stages[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Class scores; `features` before them."""
        return self.scores(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """[N, 4 x width]: what neighbours are measured in."""
        hidden = self.stem(images)
        for stage in self.stages:
            hidden = stage(hidden)
        return hidden.mean((2, 3))


class _Stage(nn.Module):
    """3x3 with stride 2, 3x3, both normalised, and a 1x1 shortcut."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride=2, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        hidden = F.relu(self.norm1(self.conv1(images)))
        return F.relu(self.norm2(self.conv2(hidden)) + self.shortcut(images))


@dataclass(frozen=True)
class Judge:
    """A trained classifier and how far it can be trusted."""

    classifier: Classifier
    held_out_accuracy: float
    """On real images that it did not see."""

    @torch.inference_mode()
    def predict(self, images: Tensor, batch: int = 256) -> Tensor:
        """Most likely class [N] of uint8 images [N, C, R, R]."""
        return torch.cat([self.classifier(_scale(part)).argmax(1) for part in images.split(batch)])

    @torch.inference_mode()
    def features(self, images: Tensor, batch: int = 256) -> Tensor:
        """Features [N, D] of uint8 images, for :func:`reacgan.metrics.prdc`."""
        return torch.cat([self.classifier.features(_scale(part)) for part in images.split(batch)])

    def label_accuracy(self, images: Tensor, labels: Tensor) -> float:
        """Share of uint8 images [N, C, R, R] that the classifier gives their label [N]."""
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

    SGD with Nesterov momentum 0.9 and weight decay 5e-4, one-cycle learning rate up to 0.1, flips
    and shifts of R / 8 pixels.

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
    if not epochs > 0 or batch < 1:
        raise ConfigError(f"epochs is {epochs:g} and batch {batch}; allowed: positive numbers")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "judge", 0))
        classifier = Classifier(channels=train.channels, num_classes=train.num_classes, width=width)
    kept = _cache_file(cache, train, epochs=epochs, batch=batch, width=width, seed=seed)
    classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if kept is None or not _load(classifier, kept):
        _fit(classifier, train, epochs=epochs, batch=batch, seed=seed)
        if kept is not None:
            tensors = {name: value.contiguous() for name, value in classifier.state_dict().items()}
            with replacing(kept) as temporary:
                save_file(tensors, temporary)
    judge = Judge(classifier.eval().requires_grad_(False), 0.0)
    images, labels = torch.tensor(held_out.images), torch.tensor(held_out.labels)
    return Judge(classifier, judge.label_accuracy(images, labels))


def _fit(classifier: Classifier, data: ImageData, *, epochs: float, batch: int, seed: int) -> None:
    classifier.train()
    steps = max(1, round(epochs * len(data) / batch))
    loader = Loader(data, batch=batch, seed=seed, flip=True, crop=min(data.size) // 8)
    optimizer = torch.optim.SGD(
        classifier.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=steps)
    for step in range(steps):
        images, labels = loader.at(step * batch)
        loss = F.cross_entropy(classifier(_scale(images)), labels, label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def _scale(images: Tensor) -> Tensor:
    return (images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def _load(classifier: Classifier, kept: Path) -> bool:
    """Whether the cache gave the weights; a damaged file is made anew."""
    try:
        classifier.load_state_dict(load_file(kept))
    except (OSError, SafetensorError, RuntimeError):
        return False
    return True


def _cache_file(cache: Path | None, data: ImageData, **arguments: float) -> Path | None:
    if cache is None:
        return None
    text = f"{data.digest}{sorted(arguments.items())}"
    return cache / f"judge-{hashlib.sha256(text.encode()).hexdigest()[:16]}.safetensors"
