"""Generated images beside their nearest training images."""

from __future__ import annotations

from collections.abc import Sequence
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
from reacgan.pictures.samples import Picture, captioned, spread
from reacgan.sampling import generate, latents_for

_CHUNK_NUMBERS = 1 << 24
_MEASURED = 100
"""Generated and held-out images whose nearest distances are compared."""


@dataclass(frozen=True, eq=False)
class Matches:
    """The k nearest of each image, nearest first."""

    index: Tensor
    """int64 ``[N, k]``."""
    distance: Tensor
    """float64 ``[N, k]``."""
    mirrored: Tensor
    """bool ``[N, k]``: whether the mirrored training image is the nearer one."""


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
    """Generated images on the left, the nearest training images of each on the right.

    Copies are closer to training images than unseen images are: the numbers hold the median distance
    of 100 generated images to their nearest, and that of as many ``held_out`` ones. Where the run
    mirrored its images, mirrored training images count as training images.

    Args:
        model: from :func:`reacgan.load`.
        data: its training images.
        extractor: whose features are compared, or its name (``domain`` is trained on ``data``);
            None compares pixels.
        held_out: real images that it was not trained on; evenly spaced ones are compared.
        num: rows, of evenly spaced classes.
        k: training images in a row.
        seed: of the first image of a class.
        device: of the extractor.

    Raises:
        ConfigError: images of another shape, fewer than ``k``, an unknown extractor.
    """
    if isinstance(extractor, str):
        extractor = build_extractor(extractor, train=data, held_out=held_out, device=device)
    options: dict[str, Any] = {
        "extractor": extractor,
        "mirror": model.experiment.data.flip,
        "device": device,
    }

    def median_nearest(images: Tensor) -> float:
        return float(search(images, data, k=1, **options).distance.quantile(0.5))

    labels, seeds, images = _generated(model, num, seed)
    rows: list[dict[str, Any]] = [
        {"class": model.class_names[label], "seed": seed, "nearest": matches}
        for label, seed, matches in zip(
            labels, seeds, _described(search(images, data, k=k, **options), data), strict=True
        )
    ]
    same = sum(match["class"] == row["class"] for row in rows for match in row["nearest"])
    more = _generated(model, _MEASURED, seed)[2]
    numbers: dict[str, Any] = {
        "training_images": len(data),
        "k": k,
        "same_class": same / (k * len(rows)),
        "rows": rows,
        "distance": "root mean square difference of pixels, 0 to 255"
        if extractor is None
        else f"Euclidean distance of {extractor.name} features",
        "median_nearest": median_nearest(more),
        "measured_images": len(more),
    }
    if held_out is not None:
        chosen = np.linspace(0, len(held_out) - 1, min(_MEASURED, len(held_out))).round()
        others = torch.tensor(held_out.images[chosen.astype(np.int64)])
        numbers["held_out_median_nearest"] = median_nearest(others)
        numbers["held_out_images"] = len(others)
    return Picture(_draw(images, rows, data), _caption(numbers), numbers, pixels=True)


def _generated(model: TrainedGenerator, num: int, seed: int) -> tuple[list[int], list[int], Tensor]:
    """Labels, seeds and images of evenly spaced classes, repeated with the next seeds."""
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
) -> Matches:
    """The k nearest images of a set for each of ``images``, uint8 ``[N, C, H, W]``.

    Distances are exact. Of pixels: the root of the mean squared difference, 0 to 255. Of features:
    Euclidean. Ties go to the lower index.

    Args:
        images: uint8, on the CPU.
        data: the set to search.
        k: number of neighbours.
        extractor: of the features; None for pixels.
        mirror: search for the mirrored images too; the nearer one counts.
        device: of the extractor.

    Raises:
        ConfigError: images of another shape, or fewer than ``k``.
    """
    if extractor is None and images.shape[1:] != data.images.shape[1:]:
        raise ConfigError(
            f"images are {list(images.shape[1:])}, those of {data.source} "
            f"{list(data.images.shape[1:])}; needed: one shape to compare pixels"
        )
    if not 1 <= k <= len(data):
        raise ConfigError(f"k is {k}; allowed: 1 to {len(data)}, the number of images")
    samples = torch.cat([images, images.flip(-1)] if mirror else [images])
    if extractor is None:
        squared, index = _by_pixels(samples, data, k)
        squared = squared / images[0].numel()
    else:
        extracted = extract([samples], [extractor], device=find_device(device))
        if extracted is None:
            raise ConfigError("pictures need a single process; run without torchrun")
        features = _features(data, extractor, find_device(device))
        close = nearest(extracted.features[0].features, features, k=k)
        squared, index = close.squared, close.index
    return _merged(squared.view(-1, len(images), k), index.view(-1, len(images), k))


def _by_pixels(samples: Tensor, data: ImageData, k: int) -> tuple[Tensor, Tensor]:
    """Squared distances and indices, in parts: a set in float32 may exceed memory."""
    rows = samples.flatten(1).float()
    step = max(1, _CHUNK_NUMBERS // rows.shape[1])
    squared = torch.full((len(rows), 0), torch.inf, dtype=torch.float64)
    index = torch.zeros((len(rows), 0), dtype=torch.int64)
    for start in range(0, len(data), step):
        part = torch.tensor(np.ascontiguousarray(data.images[start : start + step]))
        close = nearest(rows, part.flatten(1).float(), k=min(k, len(part)))
        squared, order = torch.cat([squared, close.squared], 1).sort(dim=1, stable=True)
        index = torch.cat([index, close.index + start], 1).gather(1, order)[:, :k]
        squared = squared[:, :k]
    return squared, index


def _features(data: ImageData, extractor: Extractor, device: torch.device) -> Tensor:
    """Features of a set, as evaluations cache them."""

    def make() -> dict[str, Tensor]:
        extracted = extract(data, [extractor], device=device)
        return extracted.features[0].tensors() if extracted is not None else {}

    facts = extractor.describe()
    if not is_digest(facts.get("weights")):
        return make()["features"]
    keep = FeatureCache().keep({"images": data.digest, "extractor": facts}, data.source)
    return keep("features", make)["features"]


def _merged(squared: Tensor, index: Tensor) -> Matches:
    """The k nearest images of the views ``[V, N, k]``, each once."""
    views, _, k = squared.shape
    mirrored = torch.arange(views).view(-1, 1, 1).expand_as(index) > 0
    squared, index, mirrored = (
        tensor.transpose(0, 1).flatten(1) for tensor in (squared, index, mirrored)
    )
    order = squared.argsort(dim=1, stable=True)
    ranked = index.gather(1, order)
    again = (ranked[:, :, None] == ranked[:, None]).tril(-1).any(2)
    order = order.gather(1, again.byte().argsort(dim=1, stable=True)[:, :k])
    squared, index, mirrored = (tensor.gather(1, order) for tensor in (squared, index, mirrored))
    return Matches(index, squared.sqrt(), mirrored)


def _described(matches: Matches, data: ImageData) -> list[list[dict[str, Any]]]:
    columns = (matches.index.tolist(), matches.distance.tolist(), matches.mirrored.tolist())
    return [
        [
            {
                "image": index,
                "class": data.class_names[int(data.labels[index])],
                "distance": distance,
                "mirrored": mirrored,
            }
            for index, distance, mirrored in zip(*row, strict=True)
        ]
        for row in zip(*columns, strict=True)
    ]


def _draw(images: Tensor, rows: Sequence[dict[str, Any]], data: ImageData) -> bytes:
    drawn, captions = [], []
    for image, row in zip(images, rows, strict=True):
        cells, words = [image], [f"{row['class']}\nseed {row['seed']}"]
        for match in row["nearest"]:
            cell = torch.tensor(np.ascontiguousarray(data.images[match["image"]]))
            cells.append(cell.flip(-1) if match["mirrored"] else cell)
            mark = " (m)" if match["mirrored"] else ""
            words.append(f"{match['class']}\n{match['distance']:.4g}{mark}")
        drawn.append(torch.stack(cells))
        captions.append(words)
    return captioned(torch.stack(drawn), captions)


def _caption(numbers: dict[str, Any]) -> str:
    held_out = numbers.get("held_out_median_nearest")
    beside = "" if held_out is None else f"; of held-out real images {held_out:.4g}"
    mirrored = any(match["mirrored"] for row in numbers["rows"] for match in row["nearest"])
    mark = "; (m): mirrored" if mirrored else ""
    return (
        f"generated images (left) and the nearest of {numbers['training_images']:,} training images "
        f"by {numbers['distance']}: for {numbers['measured_images']} generated "
        f"images the median of the nearest is {numbers['median_nearest']:.4g}{beside}; "
        f"{numbers['same_class']:.0%} of the neighbours are of the same class{mark}"
    )
