"""Generated images as a stream: the images of `reacgan.sample`, each once, whoever asks for them."""

from __future__ import annotations

from itertools import islice
from multiprocessing.reduction import ForkingPickler

import pytest
import torch
from torch.utils.data import DataLoader

import reacgan
from reacgan.config import ConfigError
from reacgan.generated import GeneratedImages


def keyed(pairs, truth):
    """The (class, seed) of each pair, recognised by its pixels."""
    by_pixels = {
        (label, image.numpy().tobytes()): (label, seed) for (label, seed), image in truth.items()
    }
    assert len(by_pixels) == len(truth)
    return [by_pixels[label, image.numpy().tobytes()] for image, label in pairs]


@pytest.fixture(scope="module")
def truth(digits):
    return {(item.label, item.seed): item.image for item in reacgan.sample(digits, num=40, seed=2)}


def test_a_stream_that_ends(digits, truth):
    stream = GeneratedImages(digits, num=5, seed=2)
    assert len(stream) == 50 and stream.class_names == digits.class_names
    keys = keyed(stream, truth)
    assert sorted(keys) == [(label, seed) for label in range(10) for seed in range(2, 7)]
    assert keys != sorted(keys) and keys == keyed(stream, truth)
    plain = GeneratedImages(digits, num=5, seed=2, shuffle=False)
    assert keyed(plain, truth) == sorted(keys)


@pytest.mark.parametrize(
    ("workers", "how"), [(0, None), (2, "fork"), pytest.param(2, "spawn", marks=pytest.mark.slow)]
)
def test_in_a_loader(digits, truth, workers, how):
    stream = GeneratedImages(digits, num=9, seed=2, truncation=None)
    loader = DataLoader(stream, batch_size=32, num_workers=workers, multiprocessing_context=how)
    assert len(loader) == 3
    batches = list(loader)
    assert all(
        images.dtype == torch.uint8 and labels.dtype == torch.int64 for images, labels in batches
    )
    pairs = [
        (image, int(label))
        for images, labels in batches
        for image, label in zip(images, labels, strict=True)
    ]
    assert sorted(keyed(pairs, truth)) == [(n, seed) for n in range(10) for seed in range(2, 11)]


def test_a_copy_for_a_worker_gives_the_same(digits):
    stream = GeneratedImages(digits, num=2, seed=2)
    sent = ForkingPickler.loads(ForkingPickler.dumps(stream))
    for (image, label), (other, same) in zip(stream, sent, strict=True):
        assert torch.equal(image, other) and label == same


def test_processes_and_workers_share_without_duplicates(digits, truth, monkeypatch):
    parts = []
    for rank in range(3):
        stream = GeneratedImages(digits, num=7, seed=2, rank=rank, world=3)
        loader = DataLoader(stream, batch_size=None, num_workers=2, multiprocessing_context="fork")
        keys = keyed([(image, int(label)) for image, label in loader], truth)
        assert len(keys) == len(stream)
        parts += keys
    assert sorted(parts) == [(label, seed) for label in range(10) for seed in range(2, 9)]
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "3")
    second = GeneratedImages(digits, num=7, seed=2)
    assert keyed(second, truth) == keyed(
        GeneratedImages(digits, num=7, seed=2, rank=1, world=3), truth
    )


def test_a_stream_without_end(digits, truth, monkeypatch):
    monkeypatch.setattr("reacgan.generated.stream._BLOCK", 40)
    stream = GeneratedImages(digits, seed=2, classes="3,7,1")
    keys = keyed(islice(stream, 78), truth)
    # Blocks of 39, that is 13 seeds of 3 classes: each pair once, all classes equally often.
    assert sorted(keys[:39]) == [(label, seed) for label in (1, 3, 7) for seed in range(2, 15)]
    assert sorted(keys[39:]) == [(label, seed) for label in (1, 3, 7) for seed in range(15, 28)]
    assert keys[:39] != sorted(keys[:39])
    with pytest.raises(TypeError, match="never ends"):
        len(stream)
    plain = GeneratedImages(digits, seed=2, classes="3,7,1", shuffle=False)
    expected = [(label, seed) for seed in range(2, 4) for label in (3, 7, 1)]
    assert keyed(islice(plain, 6), truth) == expected
    shares = [
        keyed(islice(GeneratedImages(digits, seed=2, classes="3,7,1", rank=r, world=2), n), truth)
        for r, n in ((0, 20), (1, 19))
    ]
    assert sorted([*shares[0], *shares[1]]) == sorted(keys[:39])


def test_kinds_and_transforms(digits):
    whole = [image for image, _ in GeneratedImages(digits, num=1)]
    real = [image for image, _ in GeneratedImages(digits, num=1, kind="float32")]
    assert all(
        image.dtype == torch.float32 and 0 <= image.min() <= image.max() <= 1 for image in real
    )
    assert all(torch.equal((r * 255).round().byte(), w) for r, w in zip(real, whole, strict=True))
    changed = GeneratedImages(digits, num=1, transform=lambda image: image.float().mean().item())
    assert [value for value, _ in changed] == [image.float().mean().item() for image in whole]


def test_shares_of_classes(digits):
    stream = GeneratedImages(digits, total=8, distribution="3=3,7=1")
    assert sorted(label for _, label in stream) == [3] * 6 + [7] * 2


def test_by_name_and_the_last_shares(digits):
    stream = reacgan.GeneratedImages("digits-reacgan", num=1, classes="4")
    assert [label for _, label in stream] == [4]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "float64"}, "kind is 'float64'; allowed: uint8, float32"),
        ({"distribution": "training"}, "needs an end: give num or total"),
        ({"rank": 2, "world": 2}, "rank is 2 of world 2; allowed: 0 to 1"),
        ({"statistics": "batch"}, "do not fix an image"),
        ({"num": 0}, "num is 0"),
    ],
)
def test_what_cannot_be_asked_for(digits, options, message):
    with pytest.raises(ConfigError, match=message):
        GeneratedImages(digits, **options)
