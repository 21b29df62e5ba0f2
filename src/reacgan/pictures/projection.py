"""A discriminator's features in two dimensions, and as a number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.data import ImageData
from reacgan.evaluation.sources import GeneratorSource
from reacgan.metrics.neighbours import nearest
from reacgan.models import Discriminator
from reacgan.models.trained import TrainedGenerator
from reacgan.pictures.drawing import Picture, figure_png, new_figure
from reacgan.pictures.features import (
    Seen,
    balanced_choice,
    class_purity,
    discriminator_features,
)
from reacgan.sampling import SamplingSettings

_NAMED = 10
_LETTERS = 22
_FEWEST = 8


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
    """t-SNE (van der Maaten & Hinton 2008) of what D sees, coloured by class.

    The picture depends on the seed and must not be read as distances; :func:`class_purity` of the
    high-dimensional features is among the numbers, of the embedding too where the head has one.

    Args:
        discriminator: in evaluation mode.
        data: real images that it did not learn from, with its own classes.
        model: draws a second panel of as many generated images of the same classes, which
            are placed together with the real ones.
        num: real images at most, the same number of each class.
        seed: of the choice, the generated images and t-SNE.
        of: what is drawn: the backbone's features, or the head's embedding.
        perplexity: of t-SNE; less where there are few images.

    Raises:
        ConfigError: scikit-learn or matplotlib is not installed, too few images, a head without
            an embedding, or other classes than the generator's.
    """
    _require_sklearn()
    if model is not None and model.class_names != data.class_names:
        raise ConfigError("the real images have other classes than the generator")
    places = balanced_choice(data.labels, num, seed)
    if len(places) < _FEWEST:
        raise ConfigError(f"{len(places)} images for t-SNE; needed: {_FEWEST} or more")
    labels = torch.tensor(data.labels[places])
    real = discriminator_features(discriminator, torch.tensor(data.images[places]), labels)
    fake = None
    if model is not None:
        images, _ = GeneratorSource(model, labels, SamplingSettings(seed=seed)).part(0, len(labels))
        fake = discriminator_features(discriminator, images, labels)
    chosen = [_chosen(one, of) for one in (real, fake) if one is not None]
    perplexity = min(perplexity, (sum(map(len, chosen)) - 1) / 3)
    points = _tsne(torch.cat(chosen), perplexity, seed)
    numbers = {"of": of, "seed": seed, "perplexity": perplexity, **_numbers(real, fake, labels)}
    parts = list(points.split([len(labels)] * len(chosen)))
    png = _draw(parts, labels, data.class_names)
    return Picture(png, _caption(numbers), numbers)


def _require_sklearn() -> None:
    try:
        import sklearn.manifold  # noqa: F401, PLC0415
    except ImportError:
        raise ConfigError(
            "t-SNE needs scikit-learn, which is not installed: pip install 'reacgan[plots]'"
        ) from None


def _chosen(seen: Seen, of: str) -> Tensor:
    if of == "features":
        return seen.features
    if of != "embedding":
        raise ConfigError(f"of is {of!r}; allowed: features, embedding")
    if seen.embedding is None:
        raise ConfigError("this head has no embedding; take of='features'")
    return seen.embedding


def _tsne(features: Tensor, perplexity: float, seed: int) -> Tensor:
    """Points float32 ``[N, 2]``; one thread, since the order of a sum decides where points end."""
    from sklearn.manifold import TSNE  # noqa: PLC0415
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    spread = features.std()
    scaled = (features - features.mean(0)) / (spread if spread > 0 else 1.0)
    with threadpool_limits(1):
        made = TSNE(perplexity=perplexity, init="pca", random_state=seed, n_jobs=1)
        return torch.tensor(made.fit_transform(scaled.numpy()))


def _numbers(real: Seen, fake: Seen | None, labels: Tensor) -> dict[str, Any]:
    numbers: dict[str, Any] = {"real": class_purity(real.features, labels)}
    if real.embedding is not None:
        numbers["real_embedding"] = class_purity(real.embedding, labels)
    if fake is not None:
        k = int(numbers["real"]["k"])
        found = nearest(fake.features, real.features, k=k).index
        numbers["fake"] = {
            "class_of_nearest_real": float((labels[found] == labels[:, None]).double().mean()),
            "kind": _apart(real.features, fake.features, k),
            "k": k,
        }
    return numbers


def _apart(real: Tensor, fake: Tensor, k: int) -> float:
    """Share of the k nearest others that are real for real images and fake for fake ones."""
    kinds = torch.arange(2).repeat_interleave(len(real))
    found = nearest(torch.cat([real, fake]), k=k).index
    return float((kinds[found] == kinds[:, None]).double().mean())


def _draw(parts: Sequence[Tensor], labels: Tensor, names: Sequence[str]) -> bytes:
    import matplotlib  # noqa: PLC0415

    figure = new_figure(4.9, 4.6 * len(parts) + 1.4)
    panels: Any = figure.subplots(1, len(parts), sharex=True, sharey=True, squeeze=False)[0]
    titles = ("real images", "generated images")
    low, high = torch.cat(list(parts)).aminmax(dim=0)
    middle, half = ((low + high) / 2).tolist(), 0.53 * float((high - low).max())
    few = len(names) <= _NAMED
    colours = matplotlib.colormaps["tab10"]
    scale = matplotlib.colormaps["turbo"]
    for axes, points, title in zip(panels, parts, titles[: len(parts)], strict=True):
        axes.set(title=title, xticks=[], yticks=[])
        axes.set(
            xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half)
        )
        axes.set_aspect("equal")
        if not few:
            rest = labels >= _NAMED
            axes.scatter(
                *points[rest].T.numpy(),
                c=scale(labels[rest].numpy() / (len(names) - 1)),
                s=5,
                alpha=0.6,
                linewidths=0,
            )
        for label in range(min(len(names), _NAMED)):
            held = points[labels == label].T.numpy()
            look = {"s": 9} if few else {"s": 22, "edgecolors": "black", "linewidths": 0.4}
            axes.scatter(*held, color=colours(label), label=f" {_short(names[label])}", **look)
    handles, texts = panels[0].get_legend_handles_labels()
    box = figure.legend(
        handles, texts, loc="outside right center", fontsize=8, frameon=False, markerscale=1.5
    )
    for text in box.get_texts():
        text.set_parse_math(False)
    if not few:
        box.set_title(f"first {_NAMED} of {len(names)} classes;\nothers by index")
        box.get_title().set_fontsize(8)
    return figure_png(figure)


def _short(name: str) -> str:
    text = " ".join(name.split())
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 3]}..."


def _caption(numbers: dict[str, Any]) -> str:
    real = numbers["real"]
    told = (
        f"t-SNE of the discriminator's {numbers['of']}, {real['images']:,} real images; of the "
        f"{real['k']} nearest in all dimensions {real['purity']:.1%} are of the same class "
        f"(chance {real['chance']:.1%})"
    )
    if "real_embedding" in numbers:
        told += f", in the head's embedding {numbers['real_embedding']['purity']:.1%}"
    if "fake" in numbers:
        fake = numbers["fake"]
        told += (
            f"; of the real images nearest to generated ones {fake['class_of_nearest_real']:.1%} are "
            f"of their class; {fake['kind']:.1%} of the nearest are of the same kind, real or "
            "generated (50% where D cannot tell)"
        )
    return told
