"""Generated images beside the training images that are nearest to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reacgan.config import ConfigError, Device
from reacgan.data import ImageData
from reacgan.devices import find_device
from reacgan.evaluation.cache import FeatureCache
from reacgan.evaluation.features import extract
from reacgan.evaluation.scores import is_digest
from reacgan.extractors import Extractor, build_extractor
from reacgan.metrics.neighbours import nearest
from reacgan.models.trained import TrainedGenerator
from reacgan.pictures.drawing import Picture, captioned, image_png
from reacgan.pictures.samples import spread
from reacgan.sampling import generate, latents_for

_CHUNK_NUMBERS = 1 << 24
_MEASURED = 100
"""Generated and held-out images whose nearest distances are compared."""


@dataclass(frozen=True, eq=False)
class Found:
    """The k nearest of each image, nearest first."""

    index: Tensor
    """int64 ``[N, k]``."""
    distance: Tensor
    """float64 ``[N, k]``."""
    mirrored: Tensor
    """bool ``[N, k]``: whether the training image is nearest when it is mirrored."""


def neighbours(
    model: TrainedGenerator,
    data: ImageData,
    *,
    extractor: Extractor | str | None = None,
    held_out: ImageData | None = None,
    num: int = 10,
    k: int = 8,
    seed: int = 0,
    device: Device = "cpu",
) -> Picture:
    """Generated images at the left, the nearest training images of each at the right.

    Copies lie nearer to their training images than images that nobody learned from do: the median
    distance of 100 generated images to their nearest is among the numbers, and that of as many
    ``held_out`` ones. Where the run
    mirrored its images, mirrored training images count as training images.

    Args:
        model: from :func:`reacgan.load`.
        data: what it learned from.
        extractor: whose features are compared, or its name (``domain`` is trained on ``data``);
            None compares pixels.
        held_out: real images that it did not learn from; evenly spaced ones are looked at.
        num: rows, of evenly spaced classes.
        k: training images in a row.
        seed: of the first image of a class.
        device: where an extractor that is named goes, or where the given one is.

    Raises:
        ConfigError: images of another shape, fewer than ``k``, an unknown extractor.
    """
    labels, seeds, images = _generated(model, num, seed)
    if isinstance(extractor, str):
        extractor = build_extractor(extractor, train=data, held_out=held_out, device=device)
    options: dict[str, Any] = {
        "extractor": extractor,
        "mirror": model.experiment.data.flip,
        "device": device,
    }
    found = search(images, data, k=k, **options)
    names = [model.class_names[label] for label in labels]
    numbers = _numbers(found, data, names, seeds)
    numbers["distance"] = _kind(extractor)
    more = _generated(model, _MEASURED, seed)[2]
    distances = search(more, data, k=1, **options).distance
    numbers |= {"median_nearest": _median(distances), "measured_images": len(more)}
    if held_out is not None:
        places = np.linspace(0, len(held_out) - 1, min(_MEASURED, len(held_out))).round()
        others = torch.tensor(held_out.images[places.astype(np.int64)])
        distances = search(others, data, k=1, **options).distance
        numbers["held_out_median_nearest"] = _median(distances)
        numbers["held_out_images"] = len(others)
    drawn = captioned(*_cells(images, found, data, names, seeds))
    return Picture(image_png(drawn), _caption(numbers, len(data)), numbers, pixels=True)


def _generated(model: TrainedGenerator, num: int, seed: int) -> tuple[list[int], list[int], Tensor]:
    """Labels, seeds and images of evenly spaced classes, over again with the next seeds."""
    labels = spread(len(model.class_names), num)
    seeds = [seed + row // len(model.class_names) for row in range(num)]
    z = latents_for(seeds, model.latent_dim)
    names = model.class_names
    images = generate(model.generator, z, torch.tensor(labels), seeds=seeds, class_names=names)
    return labels, seeds, images


def search(
    images: Tensor,
    data: ImageData,
    *,
    k: int,
    extractor: Extractor | None = None,
    mirror: bool = False,
    device: Device = "cpu",
) -> Found:
    """The k nearest images of a set for each of ``images``, uint8 ``[N, C, H, W]``.

    Distances are exact. Of pixels: the root of the mean squared difference, 0 to 255. Of features:
    Euclidean. Of equal ones the first counts.

    Args:
        images: uint8, on the CPU.
        data: where to look.
        k: how many.
        extractor: whose features; None for pixels.
        mirror: look for the mirrored images too; the nearer one counts.
        device: where the extractor is.

    Raises:
        ConfigError: images of another shape, or fewer than ``k``.
    """
    if extractor is None and images.shape[1:] != data.images.shape[1:]:
        raise ConfigError(
            f"images are {list(images.shape[1:])}, those of {data.source} "
            f"{list(data.images.shape[1:])}; needed: one shape to compare pixels"
        )
    if not 1 <= k <= len(data):
        raise ConfigError(f"k is {k}; allowed: 1 to {len(data)}, the images to look among")
    views = [images, images.flip(-1)] if mirror else [images]
    samples = torch.cat(views)
    if extractor is None:
        squared, index = _pixels(samples, data, k)
        squared = squared / images[0].numel()
    else:
        extracted = extract([samples], [extractor], device=find_device(device))
        if extracted is None:
            raise ConfigError("pictures are drawn by one process; start them without torchrun")
        theirs = _features(data, extractor, find_device(device))
        close = nearest(extracted.features[0].features, theirs, k=k)
        squared, index = close.squared, close.index
    return _merged(squared.view(len(views), -1, k), index.view(len(views), -1, k), k)


def _pixels(samples: Tensor, data: ImageData, k: int) -> tuple[Tensor, Tensor]:
    """Squared distances and places, part by part: a set may be larger than memory as numbers."""
    rows = samples.flatten(1).float()
    step = max(1, _CHUNK_NUMBERS // rows.shape[1])
    squared = torch.full((len(rows), 0), torch.inf, dtype=torch.float64)
    index = torch.zeros((len(rows), 0), dtype=torch.int64)
    for start in range(0, len(data), step):
        part = torch.tensor(np.ascontiguousarray(data.images[start : start + step]))
        close = nearest(rows, part.flatten(1).float(), k=min(k, len(part)))
        both = torch.cat([squared, close.squared], 1)
        squared, order = both.sort(dim=1, stable=True)
        index = torch.cat([index, close.index + start], 1).gather(1, order)[:, :k]
        squared = squared[:, :k]
    return squared, index


def _features(data: ImageData, extractor: Extractor, device: torch.device) -> Tensor:
    """Features of a set, as evaluations keep them."""

    def make() -> dict[str, Tensor]:
        extracted = extract(data, [extractor], device=device)
        return extracted.features[0].tensors() if extracted is not None else {}

    said = extractor.describe()
    if not is_digest(said.get("weights")):
        return make()["features"]
    keep = FeatureCache().keep({"images": data.digest, "extractor": said}, data.source)
    return keep("features", make)["features"]


def _merged(squared: Tensor, index: Tensor, k: int) -> Found:
    """Of the views ``[V, N, k]`` the k nearest images, each once."""
    views, count, _ = squared.shape
    mirrored = torch.arange(views).view(-1, 1, 1).expand_as(index) > 0
    flat = [held.transpose(0, 1).reshape(count, -1) for held in (squared, index, mirrored)]
    chosen = torch.empty(count, k, dtype=torch.int64)
    for row in range(count):
        seen: set[int] = set()
        ranked = sorted(range(views * k), key=flat[0][row].tolist().__getitem__)
        once = []
        for place in ranked:
            image = int(flat[1][row, place])
            if image not in seen:
                once.append(place)
                seen.add(image)
        chosen[row] = torch.tensor(once[:k])
    near, places, turned = (held.gather(1, chosen) for held in flat)
    return Found(places, near.sqrt(), turned)


def _numbers(found: Found, data: ImageData, names: list[str], seeds: list[int]) -> dict[str, Any]:
    rows = []
    same = 0
    for row, (name, seed) in enumerate(zip(names, seeds, strict=True)):
        near = []
        for place, distance, turned in zip(
            found.index[row].tolist(),
            found.distance[row].tolist(),
            found.mirrored[row].tolist(),
            strict=True,
        ):
            theirs = data.class_names[int(data.labels[place])]
            same += theirs == name
            near.append({"image": place, "class": theirs, "distance": distance, "mirrored": turned})
        rows.append({"class": name, "seed": seed, "nearest": near})
    return {
        "training_images": len(data),
        "k": found.index.shape[1],
        "same_class": same / found.index.numel(),
        "rows": rows,
    }


def _cells(
    images: Tensor, found: Found, data: ImageData, names: list[str], seeds: list[int]
) -> tuple[Tensor, list[list[str]]]:
    rows, captions = [], []
    for row, image in enumerate(images):
        cells, words = [image], [f"{names[row]}\nseed {seeds[row]}"]
        for place, distance, turned in zip(
            found.index[row].tolist(), found.distance[row], found.mirrored[row], strict=True
        ):
            theirs = torch.tensor(np.ascontiguousarray(data.images[place]))
            cells.append(theirs.flip(-1) if turned else theirs)
            name = data.class_names[int(data.labels[place])]
            words.append(f"{name}\n{float(distance):.4g}{' (m)' if turned else ''}")
        rows.append(torch.stack(cells))
        captions.append(words)
    return torch.stack(rows), captions


def _median(distances: Tensor) -> float:
    return float(distances.quantile(0.5))


def _kind(extractor: Extractor | None) -> str:
    if extractor is None:
        return "root mean square difference of pixels, 0 to 255"
    return f"Euclidean distance of {extractor.name} features"


def _caption(numbers: dict[str, Any], count: int) -> str:
    held_out = numbers.get("held_out_median_nearest")
    beside = "" if held_out is None else f"; of held-out real images {held_out:.4g}"
    mirrored = any(one["mirrored"] for row in numbers["rows"] for one in row["nearest"])
    turned = "; (m): mirrored" if mirrored else ""
    return (
        f"generated images (left) and the nearest of {count:,} training images by "
        f"{numbers['distance']}: for {numbers['measured_images']} generated "
        f"images the median of the nearest is {numbers['median_nearest']:.4g}{beside}; "
        f"{numbers['same_class']:.0%} of the neighbours are of the same class{turned}"
    )
