"""Images to score: any iterable of uint8 batches, or images by index, which processes share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.data import ImageData
from reacgan.data.dataset import PICTURE_CHANNELS
from reacgan.data.decode import MIN_SIDE
from reacgan.data.order import apportion
from reacgan.extractors.fitting import Shape
from reacgan.models.trained import TrainedGenerator
from reacgan.randomness import Draws
from reacgan.sampling import SamplingSettings
from reacgan.sampling.images import DEFAULTS, images_of
from reacgan.sampling.passes import Passes

Batch: TypeAlias = tuple[Tensor, Tensor | None]
"""uint8 ``[N, C, H, W]``, and int64 labels ``[N]`` where classes are known."""


@runtime_checkable
class Source(Protocol):
    """Images by index: each process reads or generates its own share only."""

    class_names: tuple[str, ...]
    """Empty without classes."""

    def __len__(self) -> int:
        """How many images."""
        ...

    def part(self, start: int, stop: int) -> Batch:
        """Images ``start`` to ``stop - 1``, the same at every call."""
        ...


SEEDS_APART = 10_000_000
"""Latents between the first image of one seed and that of the next."""

Images: TypeAlias = Source | ImageData | Iterable[Any]


class DataSource:
    """A data set; ``labelled`` is False where its classes are to be ignored."""

    def __init__(self, data: ImageData, *, labelled: bool = True) -> None:
        self.data = data
        self.labelled = labelled
        self.class_names = data.class_names if labelled else ()

    def __len__(self) -> int:
        return len(self.data)

    def part(self, start: int, stop: int) -> Batch:
        """A slice."""
        images = torch.tensor(np.ascontiguousarray(self.data.images[start:stop]))
        return images, torch.tensor(self.data.labels[start:stop]) if self.labelled else None


class GeneratorSource:
    """Image k of a generator: class ``labels[k]``, the latent of seed ``seed x 10^7 + k``.

    Two seeds share no latent, and each image can be reproduced by :func:`reacgan.sample`.

    Args:
        model: from :func:`reacgan.load`.
        labels: int64 ``[N]``.
        settings: how images are generated; ``seed`` is that of the whole set.
    """

    def __init__(
        self,
        model: TrainedGenerator,
        labels: Tensor,
        settings: SamplingSettings = DEFAULTS,
    ) -> None:
        self.model = settings.prepared(model)
        self.labels = labels
        self.settings = settings
        self.class_names = model.class_names
        self._passes = Passes(self.model.generator, settings)
        self._last: tuple[int, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, start: int, stop: int) -> Batch:
        """Generated now, or with an earlier part that one pass of the generator has made along with it."""
        size = self._passes.size
        if stop - start >= size:
            return self._made(start, stop), self.labels[start:stop]
        first = start // size * size
        images = torch.cat([self._block(at) for at in range(first, stop, size)])
        return images[start - first : stop - first], self.labels[start:stop]

    def _block(self, start: int) -> Tensor:
        """The images of one whole pass; the last one is kept."""
        if self._last is None or self._last[0] != start:
            self._last = start, self._made(start, start + self._passes.size)
        return self._last[1]

    def _made(self, start: int, stop: int) -> Tensor:
        labels = self.labels[start:stop]
        first = (self.settings.seed or 0) * SEEDS_APART + start
        seeds = range(first, first + len(labels))
        return images_of(self.model, labels, seeds, self.settings, self._passes)


def choose_labels(rule: str, count: int, frequencies: Sequence[int], *, seed: int = 0) -> Tensor:
    """Which classes to generate: int64 ``[count]``.

    Args:
        rule: ``reference`` follows the reference's frequencies (largest remainders, so that equal
            numbers give equal counts), spread evenly over the sequence; ``balanced`` cycles through the
            classes; ``uniform`` draws them.
        count: how many.
        frequencies: images of each class in the reference.
        seed: of the draw.
    """
    classes = len(frequencies)
    if rule == "uniform":
        return Draws(seed, "evaluation/labels", 0).integers(count, high=classes)
    if rule == "balanced":
        return torch.arange(count) % classes
    if rule != "reference":
        raise ConfigError(f"labels is {rule!r}; allowed: reference, balanced, uniform")
    counts = apportion(count, frequencies)
    # Class c's images are evenly spaced, so any prefix holds all classes.
    middles = np.concatenate([(np.arange(n) + 0.5) / n for n in counts])
    labels = np.repeat(np.arange(classes), counts)
    return torch.tensor(labels[np.argsort(middles, kind="stable")])


def as_batch(item: Any) -> Batch:
    """Read a batch: a tensor, an array, a list of one of these, or a pair with labels.

    Raises:
        ConfigError: not uint8 [N, C, H, W], or labels of another length.
    """
    listed = isinstance(item, tuple | list)
    if listed and len(item) == 1:  # from a DataLoader of a TensorDataset of images alone
        item, listed = item[0], False
    images, labels = item if listed and len(item) == 2 else (item, None)
    images = _tensor(images)
    if images.dtype != torch.uint8 or images.dim() != 4:
        hint = " (one image? [None] makes it a batch)" if images.dim() == 3 else ""
        raise ConfigError(
            f"a batch is {describe_values(images)}{hint}; needed: uint8 [N, C, H, W], values 0 to 255 (or "
            "a pair of that and labels [N])"
        )
    channels, *sides = images.shape[1:]
    if channels >= MIN_SIDE > min(sides) and images.shape[3] in PICTURE_CHANNELS:
        raise ConfigError(
            f"a batch is uint8 {list(images.shape)}, which looks like [N, H, W, C]; needed: uint8 "
            "[N, C, H, W]: images.permute(0, 3, 1, 2), of an array images.transpose(0, 3, 1, 2)"
        )
    if labels is None:
        return images, None
    labels = _tensor(labels)
    whole = not labels.dtype.is_floating_point and labels.dtype != torch.bool
    if labels.shape != images.shape[:1] or not whole:
        raise ConfigError(
            f"{len(images)} images have labels {str(labels.dtype).removeprefix('torch.')} "
            f"{list(labels.shape)}; needed: an integer each"
        )
    return images, labels.to(torch.int64)


def describe_values(images: Tensor) -> str:
    """Type, shape and range, and how to convert such values to pixels where the range suggests it."""
    text = f"{str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
    if not images.is_floating_point() or not images.numel():
        return text
    low, high = map(float, images.detach().float().aminmax())
    text += f" from {low:.3g} to {high:.3g}"
    if not (low >= -1.01 and high <= 255):
        return text
    scale = "images" if high > 1.01 else "(images + 1) * 127.5" if low < -0.01 else "images * 255"
    return f"{text} ({scale}, rounded, cut to 0 to 255 and made uint8, if that is their scale)"


def _tensor(value: Any) -> Tensor:
    try:
        return torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        raise ConfigError(
            f"a batch is or holds a {type(value).__name__}; needed: a tensor or array uint8 "
            "[N, C, H, W], or a pair of that and labels [N]"
        ) from None


def with_shape(images: Images) -> tuple[Shape, Images]:
    """The shape [C, H, W] of the first image, and all images, the first included.

    Raises:
        ConfigError: there is no image.
    """
    if isinstance(images, ImageData):
        return (images.channels, *images.size), images
    if isinstance(images, Source):
        return _shape(images.part(0, 1)[0]), images
    if isinstance(images, Tensor | np.ndarray):
        images = [images]  # all of them as one batch
    try:
        rest = iter(images)
    except TypeError:
        raise ConfigError(
            f"images are {type(images).__name__}; needed: batches, a data set or a source"
        ) from None
    first = next(rest, None)
    if first is None:
        raise ConfigError("there is no image to score")
    return _shape(as_batch(first)[0]), chain([first], rest)


def _shape(images: Tensor) -> Shape:
    channels, height, width = images.shape[1:]
    return channels, height, width


def in_chunks(images: Iterable[Any], size: int) -> Iterator[tuple[int, Batch]]:
    """Batches of any sizes as chunks of ``size``, each with the index of its first image.

    The last chunk is shorter.
    """
    start = 0
    waiting: list[Batch] = []
    shape: list[int] | None = None
    for item in images:
        batch = as_batch(item)
        shape = shape or list(batch[0].shape[1:])
        if shape != list(batch[0].shape[1:]):
            raise ConfigError(
                f"images of different shapes: {shape} and {list(batch[0].shape[1:])}; "
                "needed: one channel count and size"
            )
        waiting.append(batch)
        while sum(len(part) for part, _ in waiting) >= size:
            chunk, waiting = _split(waiting, size)
            yield start, chunk
            start += size
    if any(len(part) for part, _ in waiting):
        yield start, _split(waiting, size)[0]


def _split(batches: list[Batch], count: int) -> tuple[Batch, list[Batch]]:
    """The first ``count`` images, and the rest."""
    images = torch.cat([part for part, _ in batches])
    known = [labels for _, labels in batches if labels is not None]
    if known and len(known) < len(batches):
        raise ConfigError("some batches have labels and some have none; needed: all or none")
    labels = torch.cat(known) if known else None
    first = images[:count], labels[:count] if labels is not None else None
    rest = images[count:], labels[count:] if labels is not None else None
    return first, [rest] if len(rest[0]) else []
