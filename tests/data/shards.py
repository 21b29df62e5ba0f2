"""Small sets of shards for tests, and plain ways to compare sets."""

from __future__ import annotations

import numpy as np
from PIL import Image

from reacgan.data import find_dataset, open_dataset
from reacgan.data.shards import prepare_shards

CLASSES = ("cat", "naïve", "🦊 fox")


def make_images(root, each=8, *, side=16, grey=False):
    """A folder of three classes of noise, one with an emoji in its name."""
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (root / name).mkdir(parents=True)
        for number in range(each):
            shape = (side, side) if grey else (side, side, 3)
            noise = rng.integers(0, 256, shape, dtype=np.uint8)
            Image.fromarray(noise).save(root / name / f"{number}.png")
    return root


def make_shards(tmp_path, *, shards=5, each=8, **options):
    """A folder of shards of :func:`make_images`."""
    folder = tmp_path / "images"
    if not folder.exists():
        make_images(folder, each)
    out = tmp_path / "shards"
    prepare_shards(folder, out, shards=shards, **options)
    return out


def opened(place, split="train", *, resolution=16, channels=3, **options):
    """A set at a path or address."""
    config = find_dataset(str(place), options=options)
    shape = {"resolution": resolution, "channels": channels}
    return open_dataset(config.model_copy(update=shape), split)


def contents(data):
    """Pixels and class of every image, in an order of their own."""
    names = data.class_names
    pairs = zip(data.labels.tolist(), data.images[:], strict=True)
    return sorted((names[label], pixels.tobytes()) for label, pixels in pairs)
