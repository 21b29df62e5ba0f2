"""Features of images: one pass in chunks, and the features of real images once for each extractor.

Chunks have a fixed size and the last one is padded, so features have the same bits for any batch
size and any number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reacgan import distributed
from reacgan.config import ConfigError
from reacgan.data import ImageData
from reacgan.evaluation.cache import FeatureCache
from reacgan.evaluation.scores import is_digest
from reacgan.evaluation.sources import Batch, DataSource, Images, Source, as_batch, in_chunks
from reacgan.extractors import Extracted, Extractor
from reacgan.extractors.fitting import RULE, Shape, fitted
from reacgan.metrics import FeatureSet
from reacgan.metrics.base import Keep
from reacgan.progress import Task, stage

CHUNK = 64
_TOGETHER = 16
"""Chunks whose features come from the device in one copy."""

Progress = Callable[[int, int | None], None]
"""Called with (images done, images in all or None)."""


@dataclass(frozen=True)
class Features:
    """Features and class scores of images, in their order."""

    features: Tensor
    """float32 ``[N, D]`` on the CPU."""
    logits: Tensor | None

    def tensors(self) -> dict[str, Tensor]:
        """As named tensors, for a file."""
        named = {"features": self.features}
        return named if self.logits is None else {**named, "logits": self.logits}


@dataclass(frozen=True)
class Pass:
    """The features of each extractor after one pass, and the images where they were kept."""

    features: tuple[Features, ...]
    labels: Tensor | None
    images: Tensor | None
    """uint8 ``[N, C, H, W]``."""
    class_names: tuple[str, ...]

    def data(self, source: str) -> ImageData | None:
        """The images as a data set, where they were kept; without labels they are all of one class."""
        if self.images is None:
            return None
        labels = self.labels if self.class_names else None
        return ImageData(
            self.images.numpy(),
            (torch.zeros(len(self.images)) if labels is None else labels).numpy().astype(np.int64),
            ("images",) if labels is None else self.class_names,
            source,
        )


@torch.inference_mode()
def extract(
    images: Images,
    extractors: Sequence[Extractor],
    *,
    device: torch.device,
    keep_images: bool = False,
    limit: int | None = None,
    class_names: tuple[str, ...] = (),
    shape: Shape | None = None,
    progress: Progress | None = None,
) -> Pass | None:
    """Run all extractors over the images once, each in the shape that it takes.

    Args:
        images: a source by index, a data set, or an iterable of batches (uint8 [N, C, H, W], alone
            or with labels); with several processes each must be given the same.
        extractors: already on the device.
        device: where they are.
        keep_images: keep the pixels.
        limit: use the first ``limit`` images only.
        class_names: of the labels, where the images have none.
        shape: in which images are kept, and given to extractors without one of their own; None: unchanged.
        progress: called after each chunk.

    Returns:
        The pass on the main process, None on others.

    Raises:
        ConfigError: no image, invalid batches, images of several shapes, or features that are not finite.
    """
    source = DataSource(images) if isinstance(images, ImageData) else images
    source = source if isinstance(source, Source) else _Counted(source)
    total = len(source) if isinstance(source, Source) else None
    if limit is not None and total is not None:
        total = min(total, limit)
    share = _Share()
    problem: ConfigError | None = None
    try:
        for start, (batch, labels) in _own_chunks(source, total, limit):
            filled = _filled(_moved(batch, device))
            features = [
                _run(extractor, _fitted(filled, input_shape(extractor, shape)), len(batch))
                for extractor in extractors
            ]
            share.add(features, labels, _fitted(batch, shape) if keep_images else None)
            if progress is not None:
                progress(start + len(batch), total)
        share.fetch()
        share.check(extractors)
    except ConfigError as error:
        problem = error
    if isinstance(source, _Counted):  # a collective call: the other processes make it, too
        differ = source.disagreement(device)
        problem = problem or differ
    if distributed.any_process(problem is not None, device):
        raise problem or ConfigError("another process failed on its images; see its message")
    names = class_names or (source.class_names if isinstance(source, Source) else ())
    return share.gathered(device, len(extractors), names)


class _Counted:
    """An iterable of batches that counts its images: every process must get the same."""

    def __init__(self, images: Iterable[Any]) -> None:
        self.images = images
        self.count = 0

    def __iter__(self) -> Iterator[Any]:
        for item in self.images:
            batch = as_batch(item)
            self.count += len(batch[0])
            yield batch

    def disagreement(self, device: torch.device) -> ConfigError | None:
        """An error where the main process got another number of images."""
        main = distributed.share_text(str(self.count), device)
        if main == str(self.count):
            return None
        return ConfigError(
            f"process {distributed.rank()} was given {self.count} images, the main process {main}; give "
            "all processes the same, of which each takes its share (no distributed sampler)"
        )


def _own_chunks(
    source: Source | _Counted, total: int | None, limit: int | None
) -> Iterator[tuple[int, Batch]]:
    """The chunks of this process, every ``world``-th, each with the index of its first image."""
    rank, world = distributed.rank(), distributed.world_size()
    if isinstance(source, Source) and total is not None:
        for start in range(rank * CHUNK, total, world * CHUNK):
            yield start, source.part(start, min(start + CHUNK, total))
        return
    for start, (batch, labels) in in_chunks(source, CHUNK):  # type: ignore[arg-type]
        if limit is not None and start >= limit:
            return
        if start // CHUNK % world == rank:
            left = len(batch) if limit is None else limit - start
            yield start, (batch[:left], labels if labels is None else labels[:left])


def _moved(images: Tensor, device: torch.device) -> Tensor:
    """The images on the device; to CUDA out of pinned memory, so that nobody waits for what runs there."""
    if device.type != "cuda" or images.device.type != "cpu":
        return images.to(device)
    return images.pin_memory().to(device, non_blocking=True)


def _filled(images: Tensor) -> Tensor:
    """Images repeated up to the size of a chunk: another batch shape rounds differently."""
    return images if len(images) == CHUNK else images[torch.arange(CHUNK) % len(images)]


def input_shape(extractor: Extractor, shape: Shape | None) -> Shape | None:
    """The shape that images are converted to for an extractor; None: unchanged.

    Both sides are converted to the extractor's input; the reference is never converted to the fakes' shape.

    Args:
        extractor: takes one shape alone, or resizes images itself.
        shape: of the reference.
    """
    if extractor.shape is not None:
        return extractor.shape
    return None if extractor.any_size else shape


def _fitted(images: Tensor, shape: Shape | None) -> Tensor:
    return images if shape is None else fitted(images, shape)


def _run(extractor: Extractor, images: Tensor, count: int) -> Features:
    """The features of the first ``count`` images; their shape is checked."""
    output = extractor(images)
    if not isinstance(output, Extracted):
        raise ConfigError(
            f"the extractor {extractor.name} gives {type(output).__name__}; needed: "
            "Extracted(features, logits)"
        )
    wanted = [len(images), extractor.features_dim]
    if list(output.features.shape) != wanted:
        raise ConfigError(
            f"the extractor {extractor.name} gives features {list(output.features.shape)}; needed: "
            f"{wanted}, as its features_dim says"
        )
    logits = None if output.logits is None else output.logits[:count].float()
    return Features(output.features[:count].float(), logits)


class _Share:
    """The part of a pass that this process has made, chunk by chunk.

    Features stay on the device until some chunks are there, since each copy waits for the device.
    """

    def __init__(self) -> None:
        self.features: list[list[Features]] = []
        self._waiting: list[list[Features]] = []
        self.labels: list[Tensor] = []
        self.images: list[Tensor] = []

    def add(self, features: list[Features], labels: Tensor | None, images: Tensor | None) -> None:
        """Add a chunk."""
        self._waiting.append(features)
        if len(self._waiting) == _TOGETHER:
            self.fetch()
        if labels is not None:
            self.labels.append(labels)
        if images is not None:
            self.images.append(images)

    def fetch(self) -> None:
        """Copy what waits on the device to the CPU."""
        columns = [
            zip(
                _fetched([chunk[index].features for chunk in self._waiting]),
                _fetched([chunk[index].logits for chunk in self._waiting]),
                strict=True,
            )
            for index in range(len(self._waiting[0]) if self._waiting else 0)
        ]
        rows = zip(*columns, strict=True) if columns else ([] for _ in self._waiting)
        self.features += [[Features(*pair) for pair in row] for row in rows]
        self._waiting = []

    def check(self, extractors: Sequence[Extractor]) -> None:
        """Raise where there is no image, some batches lack labels, or a feature is NaN."""
        if not self.features and distributed.world_size() == 1:
            raise ConfigError("there is no image to score")
        if self.labels and len(self.labels) < len(self.features):
            raise ConfigError("some batches have labels and some have none; needed: all or none")
        for index, extractor in enumerate(extractors):
            for chunk in self.features:
                if not bool(torch.isfinite(chunk[index].features).all()):
                    raise ConfigError(
                        f"the features of {extractor.name} hold NaN or infinity; its weights are "
                        "damaged, or the numbers overflow"
                    )

    def gathered(self, device: torch.device, count: int, names: tuple[str, ...]) -> Pass | None:
        """All chunks in the order of the images, on the main process."""
        pairs = []
        for index in range(count):
            features = _joined([chunk[index].features for chunk in self.features], device)
            logits = [chunk[index].logits for chunk in self.features]
            pairs.append((features, _joined([part for part in logits if part is not None], device)))
        labels, images = _joined(self.labels, device), _joined(self.images, device)
        if not distributed.is_main():
            return None
        if any(features is None for features, _ in pairs) or (not pairs and images is None):
            raise ConfigError("there is no image to score")
        made = tuple(Features(known, logits) for known, logits in pairs if known is not None)
        return Pass(made, labels, images, names)


def _fetched(chunks: list[Tensor | None]) -> list[Tensor | None]:
    """The chunks on the CPU, in one copy; each is None or all are."""
    parts = [chunk for chunk in chunks if chunk is not None]
    if not parts or parts[0].device.type == "cpu":
        return chunks
    sizes = [len(part) for part in parts]
    return [*torch.cat(parts).cpu().split(sizes)]


def _joined(chunks: list[Tensor], device: torch.device) -> Tensor | None:
    """Chunks of all processes in turn: process r's i-th chunk is the (i x world + r)-th of all."""
    if distributed.world_size() == 1:
        return torch.cat(chunks) if chunks else None
    parts = distributed.gather_chunks(chunks, device)
    return torch.cat(parts) if parts else None


@dataclass(eq=False)
class RealFeatures:
    """Features of sets of real images: once for each set and extractor, from the cache or computed now."""

    shape: Shape | None
    """Of the reference; all sets are compared in it."""
    device: torch.device
    cache: FeatureCache
    _known: dict[tuple[str, bool, Extractor], FeatureSet | None] = field(default_factory=dict)

    def of(
        self, data: ImageData, extractor: Extractor, name: str, *, labelled: bool = True
    ) -> FeatureSet | None:
        """The features of a set, on the main process (None on others); every process calls it.

        Args:
            data: the images.
            extractor: on the device.
            name: of the set, for messages.
            labelled: whether it has classes.
        """
        key = data.digest, labelled, extractor
        if key not in self._known:
            keep = self._keep(data, extractor)
            with stage(f"features of {name}", len(data)) as progress:
                self._known[key] = self._made(data, extractor, keep, progress, labelled=labelled)
        return self._known[key]

    def _keep(self, data: ImageData, extractor: Extractor) -> Keep | None:
        """The cache, where the extractor has a digest to identify it."""
        description = extractor.describe()
        if not is_digest(description.get("weights")):
            return None
        shape = input_shape(extractor, self.shape)
        differs = shape is not None and data.images.shape[1:] != shape
        fitting = {"brought_to": f"{shape}: {RULE}"} if differs else {}
        key = {"images": data.digest, **fitting, "extractor": description}
        return self.cache.keep(key, data.source)

    def _made(
        self,
        data: ImageData,
        extractor: Extractor,
        keep: Keep | None,
        progress: Task,
        *,
        labelled: bool,
    ) -> FeatureSet | None:
        def make() -> dict[str, Tensor]:
            made = extract(
                data, [extractor], device=self.device, shape=self.shape, progress=progress.at
            )
            return made.features[0].tensors() if made is not None else {}

        tensors = _kept_together(keep, "features", make, self.device)
        if tensors is None:
            return None
        return FeatureSet(
            tensors["features"],
            logits=tensors.get("logits"),
            labels=torch.tensor(data.labels) if labelled else None,
            class_names=data.class_names if labelled else (),
            keep_in=keep,
            device=metrics_device(self.device),
        )


_ROOM = 8 * 2**30
"""Bytes: two sets of 50,000 features of length 2,048 in float32, one of them in float64, and distances."""


def metrics_device(device: torch.device) -> torch.device:
    """Where distances, moments and factors of features are worked out: on CUDA if there is room."""
    if device.type != "cuda":
        return torch.device("cpu")
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return device if torch.cuda.mem_get_info(device)[0] + unused > _ROOM else torch.device("cpu")


def _kept_together(
    keep: Keep | None, name: str, make: Callable[[], dict[str, Tensor]], device: torch.device
) -> Mapping[str, Tensor] | None:
    """The cached tensors, on the main process; missing ones are computed by all processes together."""
    if keep is None:
        made = make()
        return made if distributed.is_main() else None
    if distributed.world_size() == 1:
        return keep(name, make)
    if not distributed.is_main():
        if distributed.share_text(None, device) == "make":
            make()
        return None
    asked = False

    def together() -> dict[str, Tensor]:
        nonlocal asked
        asked = True
        distributed.share_text("make", device)
        return make()

    kept = keep(name, together)
    if not asked:
        distributed.share_text("kept", device)
    return kept
