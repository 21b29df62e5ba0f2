"""Generated images as a stream for training: a ``torch.utils.data.IterableDataset``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from reacgan import distributed
from reacgan.config import ConfigError, Device
from reacgan.data.order import order_of, random_words
from reacgan.generated.counts import Distribution, class_counts
from reacgan.generated.dataset import prepared
from reacgan.generated.sequence import ClassSeeds, sequence
from reacgan.models.trained import TrainedGenerator
from reacgan.sampling.images import DEFAULTS, images_of
from reacgan.sampling.passes import Passes
from reacgan.sampling.settings import SamplingSettings

Kind = Literal["uint8", "float32"]

_BLOCK = 1024
"""Positions of an endless stream that are mixed among each other, about."""


class GeneratedImages(IterableDataset[tuple[Any, int]]):
    """Pairs (image, label) of a generator, made while they are asked for.

    A class and a seed are the image of :func:`reacgan.sample`, whatever the number of workers and
    processes. Each pair comes once: processes (of ``torch.distributed``, or as the variables RANK and
    WORLD_SIZE say) and the workers of a ``DataLoader`` share the sequence among them. Every iteration
    begins anew.

    Args:
        model: from :func:`reacgan.load`, or what that takes. Workers need it on the CPU; on a GPU take
            ``num_workers=0``.
        num: images of each class; None without ``total`` never ends, all classes equally often and each
            seed once.
        total: images of all classes, instead of ``num``.
        classes: those that get images.
        distribution: of a stream that ends: see :func:`reacgan.generated.class_counts`.
        shuffle: whether classes and seeds are mixed, in an order drawn from the seed; else class by class,
            or without an end seed by seed.
        kind: of the images: ``uint8``, 0 to 255, or ``float32``, 0 to 1.
        transform: called with each image.
        settings: how images are generated; ``seed`` is the first one.
        device: where a model that is named goes.
        rank: index of this process; None asks torch and the environment now.
        world: number of processes, likewise.
        options: individual settings: seed, truncation, psi, layers, statistics, precision, langevin.

    Raises:
        ConfigError: a value out of range, or settings that do not fix an image.
    """

    def __init__(
        self,
        model: TrainedGenerator | str | Path,
        *,
        num: int | None = None,
        total: int | None = None,
        classes: Sequence[int | str] | str | int = "all",
        distribution: Distribution = "balanced",
        shuffle: bool = True,
        kind: Kind = "uint8",
        transform: Callable[[Tensor], Any] | None = None,
        settings: SamplingSettings = DEFAULTS,
        device: Device = "cpu",
        rank: int | None = None,
        world: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if kind not in get_args(Kind):
            raise ConfigError(f"kind is {kind!r}; allowed: {', '.join(get_args(Kind))}")
        self.model, self.settings = prepared(model, settings.changed(**options), device)
        self.class_names = self.model.class_names
        self.shuffle, self.kind, self.transform = shuffle, kind, transform
        self.rank, self.world = _processes(rank, world)
        seed = self.settings.seed or 0
        self._pairs: ClassSeeds | None = None
        self._labels = np.asarray(list(dict.fromkeys(self.model.class_indices(classes))))
        if num is None and total is None:
            if distribution != "balanced":
                raise ConfigError(
                    f"distribution is {distribution!r}, which needs an end: give num or total"
                )
            return
        counts = class_counts(
            self.model, classes=classes, num=num, total=total, distribution=distribution
        )
        self._pairs = sequence(counts, seed=seed, order="shuffled" if shuffle else "classes")

    def __len__(self) -> int:
        """Images of this process; TypeError where the stream never ends."""
        if self._pairs is None:
            raise TypeError("a stream without num and total never ends, so it has no length")
        return len(range(self.rank, len(self._pairs.labels), self.world))

    def __iter__(self) -> Iterator[tuple[Any, int]]:
        """The pairs of this process and worker."""
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        where = next(self.model.generator.parameters()).device
        if worker is not None and where.type != "cpu":
            raise ConfigError(
                f"the model is on {where}, where workers cannot use it; take num_workers=0, or "
                "device='cpu'"
            )
        passes = Passes(self.model.generator, self.settings)
        chunk, size = number, passes.size
        while len((pairs := self._share(chunk * size, (chunk + 1) * size)).labels):
            labels = torch.from_numpy(pairs.labels.copy())
            seeds = pairs.seeds.tolist()
            images = images_of(self.model, labels, seeds, self.settings, passes)
            for image, label in zip(images, pairs.labels.tolist(), strict=True):
                yield self._finished(image), label
            chunk += workers

    def _finished(self, image: Tensor) -> Any:
        if self.kind == "float32":
            image = image.float() / 255
        return image if self.transform is None else self.transform(image)

    def _share(self, start: int, stop: int) -> ClassSeeds:
        """Positions ``start`` to ``stop - 1`` of this process, which takes every ``world``-th of all."""
        positions = np.arange(start, stop) * self.world + self.rank
        if self._pairs is None:
            return self._endless(positions)
        positions = positions[positions < len(self._pairs.labels)]
        return ClassSeeds(self._pairs.labels[positions], self._pairs.seeds[positions])

    def _endless(self, positions: np.ndarray[Any, np.dtype[np.int64]]) -> ClassSeeds:
        """Seed by seed all classes; shuffled, blocks of some seeds are mixed within."""
        count, first = len(self._labels), self.settings.seed or 0
        if self.shuffle:
            size = count * max(1, _BLOCK // count)
            blocks = positions // size
            mixed = positions.copy()
            for block in np.unique(blocks).tolist():
                words = random_words(first, "generated/block", block, count=size)
                inside = blocks == block
                mixed[inside] = block * size + order_of(words)[positions[inside] % size]
            positions = mixed
        return ClassSeeds(self._labels[positions % count], first + positions // count)


def _processes(rank: int | None, world: int | None) -> tuple[int, int]:
    """This process among how many, asked now, since workers may not know."""
    if rank is None and world is None:
        if distributed.world_size() > 1:
            return distributed.rank(), distributed.world_size()
        rank, world = (int(os.environ.get(name, text)) for name, text in _VARIABLES)
    rank, world = rank or 0, 1 if world is None else world
    if not 0 <= rank < world:
        raise ConfigError(f"rank is {rank} of world {world}; allowed: 0 to {world - 1}")
    return rank, world


_VARIABLES = (("RANK", "0"), ("WORLD_SIZE", "1"))
