"""Learning from fakes: generators whose score is known before anything is trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reacgan.config import ConfigError, DataConfig, check_options
from reacgan.data import ImageData, open_dataset
from reacgan.metrics.base import Comparison, FeatureSet
from reacgan.metrics.cas import Cas

SHORT = {"epochs": 8, "width": 8, "repeats": 1, "batch": 64, "flip": False}
TINY = {**SHORT, "epochs": 2, "batch": 32}


@pytest.fixture(scope="module")
def digits():
    config = DataConfig(name="digits", resolution=8, channels=1)
    return open_dataset(config, "train").subset(slice(0, 800)), open_dataset(config, "test")


def measure(fake, training, held_out, **options):
    nothing = FeatureSet(None)
    comparison = Comparison(
        fake=nothing,
        real=nothing,
        fake_data=fake,
        training_data=training,
        held_out_data=held_out,
    )
    return {value.name: value for value in Cas(**options).measure(comparison)}


def with_images(data, images):
    return ImageData(images, data.labels, data.class_names, "fakes")


def test_the_training_images_themselves(digits):
    """A generator that copies: as good as real by this score, which memorisation has to tell."""
    train, held_out = digits
    held = measure(train, train, held_out, **SHORT)
    assert list(held) == ["gan_train_top1", "gan_test_top1", "real_top1", "gan_train_ratio"]
    assert held["real_top1"].value > 0.8
    assert held["gan_train_top1"].value == held["real_top1"].value  # the same images, order aside
    assert held["gan_train_ratio"].value == 1
    assert held["gan_test_top1"].value > 0.8
    assert all(value.better == "higher" and value.notes == () for value in held.values())


def test_labels_moved_by_one(digits):
    train, held_out = digits
    moved = ImageData(train.images, (train.labels + 1) % 10, train.class_names, "moved")
    held = measure(moved, train, held_out, **SHORT)
    assert held["gan_train_top1"].value < 0.05
    assert held["gan_test_top1"].value < 0.05
    assert held["real_top1"].value > 0.8


def test_one_image_a_class(digits):
    """Mode collapse inside classes: clear and right, and little can be learned."""
    train, held_out = digits
    first = np.array([np.flatnonzero(train.labels == label)[0] for label in train.labels])
    held = measure(train.subset(first), train, held_out, **SHORT)
    assert held["gan_train_top1"].value < held["real_top1"].value - 0.2
    assert held["gan_test_top1"].value >= 0.8  # ten images: of ten, two may be hard ones
    assert held["gan_train_ratio"].value == pytest.approx(
        held["gan_train_top1"].value / held["real_top1"].value
    )


def test_noise(digits):
    train, held_out = digits
    noise = np.random.default_rng(0).integers(0, 256, train.images.shape, dtype=np.uint8)
    held = measure(with_images(train, noise), train, held_out, **SHORT)
    assert held["gan_train_top1"].value < 0.3
    assert held["gan_test_top1"].value < 0.2


def test_the_order_of_images_has_no_part(digits):
    train, held_out = digits
    draw = np.random.default_rng(0)
    fake = train.subset(slice(0, 300))
    first = measure(fake, train, held_out, **TINY)
    again = measure(
        fake.subset(draw.permutation(len(fake))),
        train.subset(draw.permutation(len(train))),
        held_out.subset(draw.permutation(len(held_out))),
        **TINY,
    )
    assert again == first


def test_repeats_and_their_interval(digits):
    train, held_out = digits
    half, other_half = train.subset(slice(0, 400)), train.subset(slice(400, None))
    held = measure(half, other_half, held_out, **{**TINY, "repeats": 3})
    for value in held.values():
        shares = value.details["repeats"]
        assert len(set(shares)) > 1
        assert (value.low, value.high) == (min(shares), max(shares))
        assert value.low <= value.value <= value.high
        assert value.settings["interval"] == "lowest and highest of the repeats"
    one = measure(half, other_half, held_out, **TINY)
    assert one["real_top1"].value == held["real_top1"].details["repeats"][0]
    other = measure(half, other_half, held_out, **TINY, seed=1)
    assert other["real_top1"].value != one["real_top1"].value


def test_both_trainings_have_equally_many_images(digits):
    train, held_out = digits
    fake = train.subset(slice(0, 240))
    held = measure(fake, train, held_out, **TINY)
    assert held["real_top1"].settings["training_images"] == 240
    assert held["real_top1"].settings["images"] == len(held_out)
    assert held["gan_test_top1"].settings["images"] == 240
    assert "240 images, of 240 fakes and 800 real ones" in held["real_top1"].notes[0]
    # The baseline is then that of fewer real images, not of all of them.
    more = measure(train, train, held_out, **TINY)
    assert more["real_top1"].value != held["real_top1"].value


def test_classes(digits):
    train, held_out = digits
    five = train.subset(np.flatnonzero(train.labels < 5))
    held = measure(five, train, held_out, **SHORT)
    learned = held["gan_train_top1"].details["classes"]
    assert list(learned) == list(train.class_names)
    assert min(learned[name] for name in "01234") > 0.5
    assert max(learned[name] for name in "56789") == 0
    assert list(held["gan_test_top1"].details["classes"]) == list("01234")
    assert "no fake of 5 of 10 classes (such as '5')" in held["gan_train_top1"].notes[1]


def test_what_does_not_belong_together(digits):
    train, held_out = digits
    for names, message in (
        (tuple("abcdefghij"), "names differ .such as '0'."),
        (train.class_names[::-1], "in another order"),
        ((*train.class_names, "10"), "10 classes, the training images 11"),
    ):
        other = ImageData(train.images, train.labels, names, "other")
        with pytest.raises(ConfigError, match=message):
            measure(train, other, held_out, **TINY)
    larger = with_images(held_out, np.zeros((len(held_out), 1, 16, 16), dtype=np.uint8))
    with pytest.raises(ConfigError, match=r"\[1, 8, 8\], the held-out images \[1, 16, 16\]"):
        measure(train, train, larger, **TINY)
    with pytest.raises(ConfigError, match="needs the fakes' pixels"):
        measure(None, train, held_out)


def test_a_baseline_of_nothing(digits):
    """Zeros called ones: no ratio can be taken."""
    train, _ = digits
    zeros = train.images[train.labels == 0][:5]
    wrong = ImageData(zeros, np.full(5, 1), train.class_names, "wrong")
    with pytest.raises(ConfigError, match="right on none of the held-out"):
        measure(train, train, wrong, **SHORT)


@pytest.mark.parametrize("options", [{"epochs": 0}, {"width": 0}, {"repeats": 0}, {"batch": 1}])
def test_options(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        check_options(Cas, options, where="metric")


def test_it_leaves_the_global_random_state(digits):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    measure(digits[0], *digits, **TINY)
    assert torch.equal(before, torch.get_rng_state())
