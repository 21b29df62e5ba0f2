"""One pass, every metric: what scores do not depend on, and what they say they depend on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import two_evaluations
from hypothesis import given, settings
from hypothesis import strategies as st
from looking_networks import Broken, Pixels
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

import reacgan
from reacgan.config import ConfigError, DataConfig
from reacgan.data import ImageData, open_dataset
from reacgan.evaluation.cache import FeatureCache
from reacgan.evaluation.features import RealFeatures
from reacgan.evaluation.reference import Reference, open_reference
from reacgan.evaluation.sources import choose_labels, in_chunks

FREE = {"fid": {}, "kid": {"subsets": 5, "subset_size": 50}, "prdc": {}, "ifid": {}}


@pytest.fixture(scope="module")
def digits():
    config = DataConfig(name="digits", resolution=8, channels=1)
    return open_dataset(config, "train"), open_dataset(config, "test")


@pytest.fixture
def cache(tmp_path):
    return FeatureCache(tmp_path / "cache")


def batches(data: ImageData, size: int, count: int | None = None):
    for start in range(0, count or len(data), size):
        stop = min(start + size, count or len(data))
        yield torch.tensor(data.images[start:stop]), torch.tensor(data.labels[start:stop])


def values(result):
    return {score.metric: score.value for score in result.scores}


def test_batches_of_any_size_give_the_same_bits(digits, cache):
    train, held_out = digits
    network = Pixels()
    found = [
        values(
            reacgan.evaluate(
                batches(held_out, size, 300), train, metrics=FREE, extractor=network, cache=cache
            )
        )
        for size in (1, 7, 64, 300)
    ]
    assert set(found[0]) == {"fid", "kid", "precision", "recall", "density", "coverage", "ifid"}
    assert found[0] == found[1] == found[2] == found[3]
    assert network.sizes == {64}


def test_the_order_of_images_does_not_matter(digits, cache):
    train, held_out = digits
    order = np.random.default_rng(0).permutation(len(held_out))
    one = values(reacgan.evaluate(held_out, train, metrics=FREE, extractor=Pixels(), cache=cache))
    other = values(
        reacgan.evaluate(
            held_out.subset(order), train, metrics=FREE, extractor=Pixels(), cache=cache
        )
    )
    assert other == pytest.approx(one, rel=1e-8)


def test_every_score_says_what_it_depends_on(digits, cache):
    train, held_out = digits
    result = reacgan.evaluate(held_out, train, metrics="prdc", extractor=Pixels(), cache=cache)
    protocol = result.scores[0].protocol
    assert protocol["extractor"] == {"name": "pixels", "weights": Pixels.digest, "width": 16}
    assert protocol["fake"] == {"images": len(held_out), "labels": "as given"}
    assert protocol["reference"]["digest"] == train.digest[:16]
    assert protocol["reference"]["images"] == len(train)
    assert protocol["metric"]["k"] == 5
    assert protocol["software"]["torch"] == torch.__version__
    assert json.loads(result.scores[0].to_line())["metric"] == "precision"
    assert result["coverage"] == values(result)["coverage"]
    with pytest.raises(KeyError, match="'fid' was not measured; there are: precision"):
        result["fid"]


def test_the_reference_is_looked_at_once(digits, cache):
    train, held_out = digits
    network = Pixels()
    few = held_out.subset(slice(0, 64))
    reacgan.evaluate(few, train, metrics="fid", extractor=network, cache=cache)
    assert network.calls == 1 + -(-len(train) // 64)
    network.calls = 0
    reacgan.evaluate(few, train, metrics="fid", extractor=network, cache=cache)
    assert network.calls == 1
    changed = train.images.copy()
    changed[5, 0, 3, 3] ^= 1
    other = ImageData(changed, train.labels, train.class_names, train.source)
    reacgan.evaluate(few, other, metrics="fid", extractor=network, cache=cache)
    assert network.calls == 2 + -(-len(train) // 64)


def test_features_belong_to_a_set_and_an_extractor(digits, cache):
    """Another extractor is not served the features of the one before it."""
    features = RealFeatures(None, torch.device("cpu"), cache)
    network = Pixels()
    wide, narrow = (features.of(digits[1], each, "images") for each in (network, Pixels(8)))
    assert (wide.features.shape[1], narrow.features.shape[1]) == (16, 8)
    assert features.of(digits[1], network, "the same images") is wide
    unlabelled = features.of(digits[1], network, "images", labelled=False)
    assert wide.labels is not None and unlabelled.labels is None


def test_what_has_no_digest_is_not_kept(digits, cache):
    """An extractor that does not say when it changes would be served stale features."""
    network = Pixels()
    network.digest = "version 1"
    for _ in range(2):
        network.calls = 0
        reacgan.evaluate(digits[1], digits[0], metrics="fid", extractor=network, cache=cache)
        assert network.calls == -(-len(digits[0]) // 64) + -(-len(digits[1]) // 64)
    assert not cache.entries()


def test_extractors_that_are_none(digits, cache):
    class Bare(Pixels):
        name = "bare"

        def __call__(self, images):
            return super().__call__(images).features

    with pytest.raises(ConfigError, match="extractor bare gives Tensor; needed: Extracted"):
        reacgan.evaluate(digits[1], digits[0], metrics="fid", extractor=Bare(), cache=cache)

    class Wide(Pixels):
        def __call__(self, images):
            return Pixels(16)(images)

    with pytest.raises(ConfigError, match=r"features \[64, 16\]; needed: \[64, 12\]"):
        reacgan.evaluate(digits[1], digits[0], metrics="fid", extractor=Wide(12), cache=cache)
    with pytest.raises(ConfigError, match="images are 'samples/'; needed: batches"):
        reacgan.evaluate("samples/", digits[0])


def test_statistics_in_a_file_give_the_same_fid(digits, cache, tmp_path):
    train, held_out = digits
    features = Pixels()(torch.tensor(train.images)).features.double().numpy()
    file = tmp_path / "real.npz"
    np.savez(file, mu=features.mean(0), sigma=np.cov(features.T))
    whole = reacgan.evaluate(held_out, train, metrics="fid", extractor=Pixels(), cache=cache)
    found = reacgan.evaluate(held_out, file, extractor=Pixels(), cache=cache)
    assert values(found) == pytest.approx(values(whole), rel=1e-6)
    assert "statistics" in found.skipped["prdc"]
    with pytest.raises(ConfigError, match="statistics are of 16 features, the extractor pixels"):
        reacgan.evaluate(held_out, file, extractor=Pixels(8), cache=cache)


def test_what_cannot_be_measured_is_said_or_refused(digits, cache):
    train, held_out = digits
    loose = (images for images, _ in batches(held_out, 64))
    found = reacgan.evaluate(loose, train, extractor=Pixels(), cache=cache)
    assert found.skipped["ifid"] == "the images have no labels"
    assert "is" not in values(found)
    assert "class scores" in found.skipped["is"]
    with pytest.raises(ConfigError, match=r"cannot be measured here:\n  is: .*class scores"):
        reacgan.evaluate(held_out, train, metrics="is,fid", extractor=Pixels(), cache=cache)


def test_a_metric_that_fails_does_not_cost_the_others(digits, cache):
    train, held_out = digits
    few = held_out.subset(slice(0, 4))
    found = reacgan.evaluate(few, train, metrics="prdc,fid", extractor=Pixels(), cache=cache)
    assert list(values(found)) == ["fid"]
    assert "4" in found.skipped["prdc"] and "k = 5" in found.skipped["prdc"]
    with pytest.raises(ConfigError, match=r"cannot be measured here:\n  prdc: "):
        reacgan.evaluate(few, train, metrics="prdc", extractor=Pixels(), cache=cache)


def relabelled(data: ImageData, names: tuple[str, ...], labels=None) -> ImageData:
    return ImageData(data.images, data.labels if labels is None else labels, names, "other")


def test_classes_are_matched_by_name(digits, cache):
    train, held_out = digits
    turned = relabelled(held_out, held_out.class_names[::-1], 9 - held_out.labels)
    one, other = (
        reacgan.evaluate(data, train, metrics="ifid", extractor=Pixels(), cache=cache)
        for data in (held_out, turned)
    )
    assert values(one) == values(other)
    strange = relabelled(held_out, ("zero", *held_out.class_names[1:]))
    with pytest.raises(
        ConfigError, match="none called 'zero', the generated images none called '0'"
    ):
        reacgan.evaluate(strange, train, metrics="ifid", extractor=Pixels(), cache=cache)


def test_missing_classes_are_noted(digits, cache):
    train, held_out = digits
    few = held_out.subset(np.flatnonzero(held_out.labels < 8))
    result = reacgan.evaluate(few, train, metrics="fid", extractor=Pixels(), cache=cache)
    assert any(note.startswith("no image of 2 classes") for note in result.scores[0].notes)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ([], "no image"),
        ([torch.zeros(4, 1, 8, 8)], "float32 .*; needed: uint8"),
        ([torch.zeros(4, 8, 8, dtype=torch.uint8)], r"uint8 \[4, 8, 8\] \(one image\?.*; needed"),
        ([(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.zeros(3))], "4 images have labels"),
        (
            [
                torch.zeros(4, 1, 8, 8, dtype=torch.uint8),
                torch.zeros(4, 1, 9, 8, dtype=torch.uint8),
            ],
            "different shapes",
        ),
        ([(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.full((4,), 10))], "0 to 9"),
        ([(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.rand(4))], "needed: an integer each"),
        ([{"images": 1}], "a batch is or holds a dict"),
        (
            [torch.zeros(4, 8, 9, 3, dtype=torch.uint8)],
            r"looks like \[N, H, W, C\].*permute\(0, 3, 1",
        ),
        (torch.zeros(1, 8, 8, dtype=torch.uint8), r"uint8 \[1, 8, 8\] \(one image"),
        (
            [torch.linspace(0, 1, 256).view(4, 1, 8, 8)],
            r"from 0 to .*\(images \* 255.*needed: uint8",
        ),
        (None, "images are NoneType; needed: batches"),
        ([torch.zeros(1, 1, 8, 8, dtype=torch.uint8)], "2"),
    ],
)
def test_images_that_are_none(digits, cache, images, words):
    with pytest.raises(ConfigError, match=words):
        reacgan.evaluate(images, digits[0], metrics="fid", extractor=Pixels(), cache=cache)


def test_batches_as_people_give_them(digits, cache):
    """A tensor, an array, and loaders of data sets of tensors are all batches."""
    images, labels = (torch.tensor(one) for one in (digits[1].images, digits[1].labels))
    sets = TensorDataset(images), TensorDataset(images, labels)
    ways = [images, digits[1].images, *(DataLoader(one, batch_size=50) for one in sets)]
    found = [
        reacgan.evaluate(way, digits[0], metrics="fid", extractor=Pixels(), cache=cache)["fid"]
        for way in ways
    ]
    assert len(set(found)) == 1


def test_a_metric_is_named_once(digits, cache):
    few = digits[1].subset(slice(0, 3))
    found = reacgan.evaluate(
        few, digits[0], metrics={"is": {"splits": 5}, "fid": {}}, extractor=Pixels(classes=10),
        cache=cache,
    )  # fmt: skip
    assert found.skipped["is"].startswith("3 fakes in 5 splits")


def test_a_folder_as_reference_has_the_size_of_the_images(digits, cache, tmp_path):
    """Not 32 x 32 in colour, which is what a configuration would say."""
    data = digits[1]
    for place in range(60):
        (tmp_path / data.class_names[data.labels[place]]).mkdir(exist_ok=True)
        Image.fromarray(data.images[place, 0]).save(
            tmp_path / data.class_names[data.labels[place]] / f"{place}.png"
        )
    same = reacgan.evaluate(
        batches(data, 16, 60), tmp_path, metrics="fid", extractor=Pixels(), cache=cache
    )
    assert same["fid"] == pytest.approx(0, abs=1e-9)
    assert same.scores[0].protocol["reference"]["size"] == [8, 8]


def test_broken_features(digits, cache):
    with pytest.raises(ConfigError, match="features of broken hold NaN"):
        reacgan.evaluate(digits[1], digits[0], metrics="fid", extractor=Broken(), cache=cache)


def test_references_that_are_none(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no class folders; found nothing"):
        open_reference(tmp_path / "empty")
    with pytest.raises(ConfigError, match="no such folder"):
        open_reference(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="split is 'valid'"):
        open_reference(DataConfig(name="digits", resolution=8, channels=1), split="valid")


def test_a_folder_of_loose_images(digits, cache, tmp_path):
    """Images without classes: all that needs none is measured; the pixels are those of the files."""
    _, held_out = digits
    for place, image in enumerate(held_out.images[:100]):
        Image.fromarray(image[0]).save(tmp_path / f"{place:03}.png")
    loose = open_reference(tmp_path, resolution=8, channels=1)
    assert loose.data is not None
    assert (loose.data.images == held_out.images[:100]).all()
    assert loose.describe()["split"] == "all"
    result = reacgan.evaluate(
        held_out.subset(slice(100, 200)), loose, extractor=Pixels(), cache=cache
    )
    assert "ifid" in result.skipped
    assert "recall" in values(result)


@given(
    frequencies=st.lists(st.integers(0, 50), min_size=1, max_size=12).filter(sum),
    count=st.integers(1, 200),
)
@settings(max_examples=60, deadline=None)
def test_labels_follow_the_reference(frequencies, count):
    labels = choose_labels("reference", count, frequencies)
    found = np.bincount(labels, minlength=len(frequencies))
    wanted = np.array(frequencies) * count / sum(frequencies)
    assert found.sum() == count
    assert (np.abs(found - wanted) < 1).all()
    same = choose_labels("reference", sum(frequencies), frequencies)
    assert np.bincount(same, minlength=len(frequencies)).tolist() == frequencies


def test_other_label_rules():
    assert choose_labels("balanced", 5, [9, 1]).tolist() == [0, 1, 0, 1, 0]
    drawn = choose_labels("uniform", 4000, [9, 1], seed=3)
    assert 0.45 < float(drawn.double().mean()) < 0.55
    assert not torch.equal(drawn, choose_labels("uniform", 4000, [9, 1], seed=4))
    with pytest.raises(ConfigError, match="allowed: reference, balanced, uniform"):
        choose_labels("some", 4, [1])


@given(sizes=st.lists(st.integers(1, 20), min_size=1, max_size=8), size=st.integers(1, 15))
@settings(max_examples=60, deadline=None)
def test_chunks_hold_every_image_once(sizes, size):
    total = sum(sizes)
    numbers = torch.arange(total, dtype=torch.uint8).view(-1, 1, 1, 1)
    chunks = list(in_chunks(numbers.split(sizes), size))
    assert [place for place, _ in chunks] == list(range(0, total, size))
    assert all(len(images) == size for _, (images, _) in chunks[:-1])
    assert torch.equal(torch.cat([images for _, (images, _) in chunks]), numbers)


def test_two_processes_give_the_digits_of_one(tmp_path):
    """Torchrun: features are shared out by chunks, and the cache is filled once."""
    for count in (1, 2):
        (tmp_path / str(count)).mkdir()
    two_evaluations.main(tmp_path / "1")
    script = Path(two_evaluations.__file__)
    subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2",
         "--master-port=0", "--standalone", str(script), str(tmp_path / "2")],
        check=True, timeout=240, capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # threads round, processes must not
    )  # fmt: skip
    alone = json.loads((tmp_path / "1" / "0.json").read_text())
    assert len(alone) >= 8
    for rank in (0, 1):
        assert json.loads((tmp_path / "2" / f"{rank}.json").read_text()) == alone


def test_a_reference_opened_elsewhere(digits):
    held = Reference(digits[0], facts={"split": "train"})
    assert open_reference(held) is held
