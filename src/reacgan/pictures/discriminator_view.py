"""Features of a discriminator: extraction, separation of classes, and a t-SNE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan.config import ConfigError
from reacgan.data import ImageData
from reacgan.evaluation.sources import GeneratorSource
from reacgan.metrics.neighbours import nearest
from reacgan.models import Discriminator
from reacgan.models.trained import TrainedGenerator
from reacgan.pictures.samples import Picture
from reacgan.pictures.scatter import draw_points
from reacgan.randomness import Draws
from reacgan.sampling import SamplingSettings

_CHUNK = 64
_MOST_NEIGHBOURS = 10
_FEWEST = 8


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """Features of N images."""

    features: Tensor
    """float32 ``[N, F]``: features of the backbone."""
    embedding: Tensor | None
    """float32 ``[N, E]`` of length 1: where the head compares images with classes; else None."""


@torch.inference_mode()
def discriminator_features(
    discriminator: Discriminator, images: Tensor, labels: Tensor
) -> ImageFeatures:
    """Features of uint8 images [N, C, H, W] under labels int64 [N], on the CPU.

    Batches have a fixed size; the last one is padded by repetition. Neither features nor embedding
    depend on labels in any head here.

    Raises:
        ConfigError: no image.
    """
    if not len(images):
        raise ConfigError("no images; needed: 1 or more")
    weight = next(discriminator.parameters())
    features, embeddings = [], []
    for start in range(0, len(images), _CHUNK):
        count = min(_CHUNK, len(images) - start)
        chunk = start + torch.arange(_CHUNK) % count
        pixels = images[chunk].to(weight.device, weight.dtype) / 127.5 - 1
        output = discriminator(pixels, labels[chunk].to(weight.device))
        features.append(output.features[:count].float().cpu())
        if output.embedding is not None:
            embeddings.append(F.normalize(output.embedding[:count].float(), dim=1).cpu())
    return ImageFeatures(torch.cat(features), torch.cat(embeddings) if embeddings else None)


def class_purity(features: Tensor, labels: Tensor, k: int | None = None) -> dict[str, float | int]:
    """How often the nearest neighbours of an image have its class.

    Computed on the features themselves, not on a projection, which may show spurious groups.

    Args:
        features: ``[N, F]``.
        labels: int64 ``[N]``.
        k: neighbours to count; None takes 10, or fewer where the smallest class has no 10 others.

    Returns:
        ``purity``: mean share of the k nearest neighbours (Euclidean) that have the same class;
        ``chance``: the expected share for random neighbours; ``k`` and ``images``.

    Raises:
        ConfigError: not more than k images.
    """
    counts = labels.bincount()
    smallest = int(counts[counts > 0].min())
    k = min(_MOST_NEIGHBOURS, max(1, smallest - 1)) if k is None else k
    purity = _same(nearest(features, k=k).index, labels, labels)
    total = len(labels)
    sizes = counts.double()
    chance = float((sizes * (sizes - 1)).sum() / (total * (total - 1)))
    return {"purity": purity, "chance": chance, "k": k, "images": total}


def _same(index: Tensor, labels: Tensor, own: Tensor) -> float:
    """Share of neighbours ``[N, k]`` that have the label of the image."""
    return float((labels[index] == own[:, None]).double().mean())


def balanced_choice(labels: npt.NDArray[np.int64], num: int, seed: int) -> npt.NDArray[np.int64]:
    """Indices of ``num`` images drawn by the seed, balanced over classes where possible, shuffled."""
    order = Draws(seed, "pictures/choice", 0).uniform(len(labels)).argsort(stable=True).numpy()
    shuffled = labels[order]
    by_class = np.argsort(shuffled, kind="stable")
    counts = np.bincount(shuffled)
    turn = np.empty(len(labels), dtype=np.int64)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    turn[by_class] = np.arange(len(labels)) - starts
    return order[np.argsort(turn, kind="stable")][:num]


def projection_tsne(
    discriminator: Discriminator,
    data: ImageData,
    *,
    model: TrainedGenerator | None = None,
    num: int = 2000,
    seed: int = 0,
    of: Literal["features", "embedding"] = "features",
    perplexity: float = 30.0,
) -> Picture:
    """t-SNE (van der Maaten & Hinton 2008) of D's features, coloured by class.

    The picture depends on the seed and does not preserve distances; the numbers hold
    :func:`class_purity` of the high-dimensional features, and of the head's embedding if it has one.

    Args:
        discriminator: in evaluation mode.
        data: real images that it was not trained on, with its own classes.
        model: adds a panel of as many generated images of the same classes, in the same layout.
        num: maximum number of real images, balanced over classes.
        seed: of the choice, the generated images and t-SNE.
        of: the backbone's features, or the head's embedding.
        perplexity: of t-SNE; less where there are few images.

    Raises:
        ConfigError: scikit-learn or matplotlib is not installed, too few images, a head without
            an embedding, or other classes than the generator's.
    """
    try:
        import sklearn.manifold  # noqa: F401, PLC0415
    except ImportError:
        raise ConfigError(
            "t-SNE needs scikit-learn, which is not installed: pip install 'reacgan[plots]'"
        ) from None
    if model is not None and model.class_names != data.class_names:
        raise ConfigError("the real images have other classes than the generator")
    chosen = balanced_choice(data.labels, num, seed)
    if len(chosen) < _FEWEST:
        raise ConfigError(f"{len(chosen)} images for t-SNE; needed: {_FEWEST} or more")
    labels = torch.tensor(data.labels[chosen])
    seen = [discriminator_features(discriminator, torch.tensor(data.images[chosen]), labels)]
    if model is not None:
        images, _ = GeneratorSource(model, labels, SamplingSettings(seed=seed)).part(0, len(labels))
        seen.append(discriminator_features(discriminator, images, labels))
    shown = [_shown(features, of) for features in seen]
    perplexity = min(perplexity, (sum(map(len, shown)) - 1) / 3)
    points = _tsne(torch.cat(shown), perplexity, seed).split(len(labels))
    numbers = {"of": of, "seed": seed, "perplexity": perplexity, **_numbers(seen, labels)}
    parts = dict(zip(("real images", "generated images"), points, strict=False))
    return Picture(draw_points(parts, labels, data.class_names), _caption(numbers), numbers)


def _shown(seen: ImageFeatures, of: str) -> Tensor:
    if of == "features":
        return seen.features
    if of != "embedding":
        raise ConfigError(f"of is {of!r}; allowed: features, embedding")
    if seen.embedding is None:
        raise ConfigError("this head has no embedding; take of='features'")
    return seen.embedding


def _tsne(features: Tensor, perplexity: float, seed: int) -> Tensor:
    """Points float32 ``[N, 2]``; one thread, since the layout depends on the order of sums."""
    from sklearn.manifold import TSNE  # noqa: PLC0415
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    deviation = features.std()
    scaled = (features - features.mean(0)) / (deviation if deviation > 0 else 1.0)
    with threadpool_limits(1):
        tsne = TSNE(perplexity=perplexity, init="pca", random_state=seed, n_jobs=1)
        return torch.tensor(tsne.fit_transform(scaled.numpy()))


def _numbers(seen: Sequence[ImageFeatures], labels: Tensor) -> dict[str, Any]:
    """Purity, and ``kind``: share of the k nearest neighbours of the same kind, real or fake."""
    real = seen[0]
    purity = class_purity(real.features, labels)
    numbers: dict[str, Any] = {"real": purity}
    if real.embedding is not None:
        numbers["real_embedding"] = class_purity(real.embedding, labels)
    for fake in seen[1:]:
        k = int(purity["k"])
        kinds = torch.arange(2).repeat_interleave(len(labels))
        near = nearest(fake.features, real.features, k=k).index
        beside = nearest(torch.cat([real.features, fake.features]), k=k).index
        numbers["fake"] = {
            "class_of_nearest_real": _same(near, labels, labels),
            "kind": _same(beside, kinds, kinds),
            "k": k,
        }
    return numbers


def _caption(numbers: dict[str, Any]) -> str:
    real = numbers["real"]
    words = (
        f"t-SNE of the discriminator's {numbers['of']}, {real['images']:,} real images; of the "
        f"{real['k']} nearest in all dimensions {real['purity']:.1%} are of the same class "
        f"(chance {real['chance']:.1%})"
    )
    if "real_embedding" in numbers:
        words += f", in the head's embedding {numbers['real_embedding']['purity']:.1%}"
    if "fake" in numbers:
        fake = numbers["fake"]
        words += (
            f"; of the real images nearest to generated ones {fake['class_of_nearest_real']:.1%} are "
            f"of their class; {fake['kind']:.1%} of the nearest are of the same kind, real or "
            "generated (50% where D cannot tell)"
        )
    return words
