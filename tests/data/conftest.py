"""What the data tests share: a private cache, small image sets, the real images where present."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reacgan.data import ImageData

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def private_cache(tmp_path, monkeypatch):
    """No test touches a person's cache."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("REACGAN_CACHE", str(cache))
    return cache


@pytest.fixture
def numbered():
    """37 images whose pixels tell their number and whose left half differs from the right."""
    images = np.zeros((37, 3, 8, 8), dtype=np.uint8)
    images += np.arange(37, dtype=np.uint8)[:, None, None, None]
    images[..., 4:] += 100
    images[:, :, 4:] += 50
    return ImageData(images, np.arange(37, dtype=np.int64) % 5, tuple("abcde"), "numbered")


@pytest.fixture
def two_classes(tmp_path):
    """A folder of two classes, three images each, RGB of 20 x 12."""
    rng = np.random.default_rng(0)
    root = tmp_path / "pets"
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for number in range(3):
            noise = rng.integers(0, 256, (12, 20, 3), dtype=np.uint8)
            Image.fromarray(noise).save(root / name / f"{number}.png")
    return root


@pytest.fixture
def real_data(tmp_path):
    """Unpacks one of the archives of real images (some members of it), or skips."""

    def unpack(archive, keep=lambda name: True):
        data = Path(os.environ.get("REACGAN_DATA") or REPOSITORY.parent / "shared" / "data")
        if not (data / archive).is_file():
            pytest.skip(f"REAL IMAGES NOT FOUND: {archive}; set REACGAN_DATA to their folder")
        with tarfile.open(data / archive, "r:xz") as tar:
            chosen = [one for one in tar if keep(one.name)]
            tar.extractall(tmp_path / "real", members=chosen, filter="data")
        return tmp_path / "real"

    return unpack
