"""Sets of the Hugging Face hub, with real ones that ``datasets`` itself saved to disk."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest

from reacgan.config import DataConfig
from reacgan.data import DataError, find_dataset, open_dataset

installed = pytest.mark.skipif(
    importlib.util.find_spec("datasets") is None,
    reason="THE EXTRA IS NOT INSTALLED, SO DATA SET 'hub' IS NOT TESTED: pip install 'reacgan[hub]'",
)
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 8, 10, 3), dtype=np.uint8)


def opened(path, split="train", resolution=(8, 10), **options):
    config = DataConfig(name="hub", path=str(path), resolution=resolution, options=options)
    return open_dataset(config, split)


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for module in ("huggingface_hub.constants", "datasets.config"):
        if module in sys.modules:  # and has read the environment: it would ask, and ask again
            monkeypatch.setattr(f"{module}.HF_HUB_OFFLINE", True)


def made(labels, *, names=None, image="image", label="label", pixels=PIXELS):
    import datasets
    from PIL import Image

    held = {image: [Image.fromarray(one) for one in pixels], label: list(labels)}
    features = None
    if names is not None:
        classes = datasets.ClassLabel(names=names)
        features = datasets.Features({image: datasets.Image(), label: classes})
    return datasets.Dataset.from_dict(held, features=features)


def test_without_the_package_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        DataError, match=r"needs the package datasets: pip install 'reacgan\[hub\]'"
    ):
        opened("owner/name")


def test_how_it_is_named():
    assert find_dataset("hub:owner/name") == DataConfig(name="hub", path="owner/name")


@installed
@pytest.mark.parametrize("columns", [("image", "label"), ("img", "fine_label")])
def test_class_labels(tmp_path, columns):
    image, label = columns
    table = made([0, 2, 0, 1, 2], names=["cat", "dog", "emu"], image=image, label=label)
    table.save_to_disk(tmp_path / "set")
    data = opened(tmp_path / "set")
    assert (data.images == PIXELS.transpose(0, 3, 1, 2)).all()
    assert data.class_names == ("cat", "dog", "emu") and data.labels.tolist() == [0, 2, 0, 1, 2]
    assert isinstance(data.images, np.memmap) and opened(tmp_path / "set").digest == data.digest
    assert opened(tmp_path / "set", resolution=8).size == (8, 8)
    with pytest.raises(DataError, match="has no split for test; it has train"):
        opened(tmp_path / "set", "test")


@installed
def test_splits_and_values_without_names(tmp_path):
    import datasets

    parts = {"train": made([10, 9, 10, 9, 9]), "validation": made([9, 10], pixels=PIXELS[:2])}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "set")
    train, test = opened(tmp_path / "set"), opened(tmp_path / "set", "test")
    assert train.class_names == test.class_names == ("9", "10")
    assert train.labels.tolist() == [1, 0, 1, 0, 0] and test.labels.tolist() == [0, 1]
    made(["b", "a", "b", "a", "a"], label="class").save_to_disk(tmp_path / "text")
    text = opened(tmp_path / "text")
    assert text.class_names == ("a", "b") and text.labels.tolist() == [1, 0, 1, 0, 0]


@installed
def test_labels_that_are_missing(tmp_path):
    import datasets

    parts = {"train": made([0, 1] * 2 + [0], names=["a", "b"]), "test": made([-1] * 5)}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "set")
    with pytest.raises(
        DataError, match=r"5 of 5 images have no class.*such a set has no test here"
    ):
        opened(tmp_path / "set", "test")
    parts["test"] = made([0, 1, 2, 1, 0], names=["a", "b", "c"])
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "more")
    with pytest.raises(DataError, match="1 of 5 images have no class"):
        opened(tmp_path / "more", "test")
    made([0.5] * 5).save_to_disk(tmp_path / "floats")
    with pytest.raises(DataError, match="label holds float, needed: whole numbers or texts"):
        opened(tmp_path / "floats")


@installed
def test_columns(tmp_path):
    made([0, 1, 0, 1, 0], image="photo", label="breed").save_to_disk(tmp_path / "set")
    with pytest.raises(DataError, match=r"no column image.*are photo, breed.*data\.options\.image"):
        opened(tmp_path / "set")
    with pytest.raises(DataError, match=r"no column phto; did you mean 'photo'"):
        opened(tmp_path / "set", image="phto")
    with pytest.raises(DataError, match=r"breed holds .*Value.*needed: datasets\.Image"):
        opened(tmp_path / "set", image="breed", label="breed")
    assert opened(tmp_path / "set", image="photo", label="breed").counts.tolist() == [3, 2]


@installed
def test_images_that_are_damaged(tmp_path):
    import datasets

    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["a"])}
    )
    rows = {"image": [{"bytes": b"no image", "path": None}] * 3, "label": [0] * 3}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "set")
    with pytest.raises(DataError, match=r"3 of 3 files were refused.*content is none of PNG"):
        opened(tmp_path / "set")


@installed
def test_what_cannot_be_loaded(tmp_path):
    (tmp_path / "empty").mkdir()
    for place in ("owner/name-that-is-not-there", tmp_path / "empty"):
        with pytest.raises(DataError, match=r"cannot be loaded with datasets.*OWNER/NAME"):
            opened(place)
