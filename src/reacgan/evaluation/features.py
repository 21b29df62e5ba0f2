"""One pass over images: every extractor looks at each chunk, and nothing depends on who asks.

Chunks have a fixed size and the last one is filled up, so features have the same bits whatever
batches come in and however many processes share the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reacgan import distributed
from reacgan.config import ConfigError
from reacgan.data import ImageData
from reacgan.evaluation.sources import (
    Batch,
    DataSource,
    Images,
    Source,
    as_batch,
    in_chunks,
)
from reacgan.extractors import Extracted, Extractor
from reacgan.extractors.fitting import Shape, fitted

CHUNK = 64

Progress = Callable[[int, int | None], None]
"""Called with (images done, images in all or None)."""


@dataclass(frozen=True)
class Look:
    """What one extractor saw, image by image."""

    features: Tensor
    """float32 ``[N, D]`` on the CPU."""
    logits: Tensor | None

    def tensors(self) -> dict[str, Tensor]:
        """As named tensors, for a file."""
        held = {"features": self.features}
        return held if self.logits is None else {**held, "logits": self.logits}


@dataclass(frozen=True)
class Looked:
    """One pass: what each extractor saw, and the images where they are kept."""

    looks: tuple[Look, ...]
    labels: Tensor | None
    images: Tensor | None
    """uint8 ``[N, C, H, W]``."""
    class_names: tuple[str, ...]

    def data(self, source: str) -> ImageData | None:
        """The images as a set, where they were kept; without classes they are all of one."""
        if self.images is None:
            return None
        known = self.labels is not None and bool(self.class_names)
        labels = self.labels if known and self.labels is not None else torch.zeros(len(self.images))
        return ImageData(
            self.images.numpy(),
            labels.numpy().astype(np.int64),
            self.class_names if known else ("images",),
            source,
        )


@torch.inference_mode()
def look(
    images: Images,
    extractors: Sequence[Extractor],
    *,
    device: torch.device,
    keep_images: bool = False,
    limit: int | None = None,
    class_names: tuple[str, ...] = (),
    shape: Shape | None = None,
    progress: Progress | None = None,
) -> Looked | None:
    """Look at all images once, each extractor in the shape that it takes.

    Args:
        images: a source by place, a data set, or an iterable of batches (uint8 [N, C, H, W], alone
            or with labels); with several processes each must be given the same.
        extractors: already on the device.
        device: where they are.
        keep_images: keep the pixels.
        limit: the first so many images.
        class_names: of the labels, where the images do not say.
        shape: that images are kept in, and shown in to extractors that say of none; None for their own.
        progress: called after each chunk.

    Returns:
        On the main process; None on others, which have made their share.

    Raises:
        ConfigError: no image, batches that are none, shapes that change, features not finite.
    """
    source = DataSource(images) if isinstance(images, ImageData) else images
    source = source if isinstance(source, Source) else _Counted(source)
    total = len(source) if isinstance(source, Source) else None
    if limit is not None and total is not None:
        total = min(total, limit)
    mine = _Share()
    problem: ConfigError | None = None
    try:
        for place, (batch, labels) in _my_chunks(source, total, limit):
            filled = _filled(batch.to(device))
            seen = [
                _cut(extractor, _brought(filled, seen_as(extractor, shape)), len(batch))
                for extractor in extractors
            ]
            mine.add(seen, labels, _brought(batch, shape) if keep_images else None)
            if progress is not None:
                progress(place + len(batch), total)
        mine.check(extractors)
    except ConfigError as error:
        problem = error
    if isinstance(source, _Counted):  # asked for in any case, since the others ask
        differ = source.disagreement(device)
        problem = problem or differ
    if distributed.any_process(problem is not None, device):
        raise problem or ConfigError(
            "another process could not look at its images; see its message"
        )
    names = class_names or (source.class_names if isinstance(source, Source) else ())
    return mine.gathered(device, len(extractors), names)


class _Counted:
    """An iterable of batches that counts its images, since every process must be given the same."""

    def __init__(self, images: Iterable[Any]) -> None:
        self.images = images
        self.count = 0

    def __iter__(self) -> Iterator[Any]:
        for item in self.images:
            batch = as_batch(item)
            self.count += len(batch[0])
            yield batch

    def disagreement(self, device: torch.device) -> ConfigError | None:
        """Whether the main process was given another number of images."""
        others = distributed.share_text(str(self.count), device)
        if others == str(self.count):
            return None
        return ConfigError(
            f"process {distributed.rank()} was given {self.count} images, the main one {others}; give "
            "all processes the same, of which each looks at its share (no distributed sampler)"
        )


def _my_chunks(source: Images, total: int | None, limit: int | None) -> Iterator[tuple[int, Batch]]:
    """The chunks of this process: every ``world``-th one."""
    rank, world = distributed.rank(), distributed.world_size()
    if isinstance(source, Source) and total is not None:
        for place in range(rank * CHUNK, total, world * CHUNK):
            yield place, source.part(place, min(place + CHUNK, total))
        return
    place = 0
    for place, (batch, labels) in in_chunks(source, CHUNK):
        if limit is not None and place >= limit:
            return
        if place // CHUNK % world == rank:
            left = len(batch) if limit is None else limit - place
            yield place, (batch[:left], labels if labels is None else labels[:left])


def _filled(images: Tensor) -> Tensor:
    """Repeated up to the size of a chunk: another batch shape rounds differently."""
    return images if len(images) == CHUNK else images[torch.arange(CHUNK) % len(images)]


def seen_as(extractor: Extractor, shape: Shape | None) -> Shape | None:
    """The shape that images are brought to before an extractor sees them; None for their own.

    Both sides go to what the extractor takes, and the reference is never brought to the other's.

    Args:
        extractor: which may know one shape alone, or bring pictures of any size to its own.
        shape: of the reference.
    """
    if extractor.shape is not None:
        return extractor.shape
    return None if extractor.any_size else shape


def _brought(images: Tensor, shape: Shape | None) -> Tensor:
    return images if shape is None else fitted(images, shape)


def _cut(extractor: Extractor, images: Tensor, count: int) -> Look:
    seen = extractor(images)
    if not isinstance(seen, Extracted):
        raise ConfigError(
            f"the extractor {extractor.name} gives {type(seen).__name__}; needed: "
            "Extracted(features, logits)"
        )
    wanted = [len(images), extractor.features_dim]
    if list(seen.features.shape) != wanted:
        raise ConfigError(
            f"the extractor {extractor.name} gives features {list(seen.features.shape)}; needed: "
            f"{wanted}, as its features_dim says"
        )
    logits = seen.logits
    return Look(
        seen.features[:count].float().cpu(),
        None if logits is None else logits[:count].float().cpu(),
    )


class _Share:
    """What this process has seen, chunk by chunk."""

    def __init__(self) -> None:
        self.looks: list[list[Look]] = []
        self.labels: list[Tensor] = []
        self.images: list[Tensor] = []

    def add(self, seen: list[Look], labels: Tensor | None, images: Tensor | None) -> None:
        """One chunk."""
        self.looks.append(seen)
        if labels is not None:
            self.labels.append(labels)
        if images is not None:
            self.images.append(images)

    def check(self, extractors: Sequence[Extractor]) -> None:
        """Raise where there is nothing, labels are missing here and there, or a feature is NaN."""
        if not self.looks and distributed.world_size() == 1:
            raise ConfigError("there is no image to look at")
        if self.labels and len(self.labels) < len(self.looks):
            raise ConfigError("some batches have labels and some have none; needed: all or none")
        for place, extractor in enumerate(extractors):
            for chunk in self.looks:
                if not bool(torch.isfinite(chunk[place].features).all()):
                    raise ConfigError(
                        f"the features of {extractor.name} hold NaN or infinity; its weights are "
                        "damaged, or the numbers overflow"
                    )

    def gathered(
        self, device: torch.device, count: int, class_names: tuple[str, ...]
    ) -> Looked | None:
        """All chunks in the order of the images, on the main process."""
        looks = []
        for place in range(count):
            features = _joined([chunk[place].features for chunk in self.looks], device)
            known = [chunk[place].logits for chunk in self.looks]
            logits = [held for held in known if held is not None]
            looks.append((features, _joined(logits, device)))
        labels, images = _joined(self.labels, device), _joined(self.images, device)
        if not distributed.is_main():
            return None
        if any(features is None for features, _ in looks) or (not looks and images is None):
            raise ConfigError("there is no image to look at")
        made = tuple(Look(features, logits) for features, logits in looks if features is not None)
        return Looked(made, labels, images, class_names)


def _joined(chunks: list[Tensor], device: torch.device) -> Tensor | None:
    """Chunks of all processes in turn: process r's i-th chunk is the (i x world + r)-th of all."""
    if distributed.world_size() == 1:
        return torch.cat(chunks) if chunks else None
    parts = distributed.gather_chunks(chunks, device)
    return torch.cat(parts) if parts else None
