"""The judge of labels: it learns, it is the same again, and it refuses what does not fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reacgan.config import ConfigError, DataConfig
from reacgan.data import ImageData, open_dataset
from reacgan.extractors import classifier as training
from reacgan.metrics import train_judge

SHORT = {"epochs": 0.3, "batch": 32, "width": 4}


@pytest.fixture(scope="module")
def digits():
    config = DataConfig(name="digits", resolution=8, channels=1)
    return open_dataset(config, "train"), open_dataset(config, "test")


def weights(judge):
    return judge.classifier.state_dict()


def same(left, right):
    return all(
        torch.equal(one, other)
        for one, other in zip(weights(left).values(), weights(right).values(), strict=True)
    )


def kept(cache):
    return [file for file in cache.iterdir() if file.suffix != ".lock"]


def test_it_learns_digits_and_its_own_figure_is_true(digits):
    train, held_out = digits
    judge = train_judge(train, held_out, epochs=10, batch=64, width=8)
    images, labels = torch.tensor(held_out.images), torch.tensor(held_out.labels)
    assert judge.held_out_accuracy > 0.9
    predicted = judge.predict(images, batch=100)
    assert judge.held_out_accuracy == pytest.approx((predicted == labels).double().mean().item())
    assert judge.label_accuracy(images, predicted) == 1
    assert judge.label_accuracy(images, (labels + 1) % 10) < 0.1
    assert judge.features(images, batch=100).shape == (len(images), 32)
    assert not judge.classifier.training


def test_its_arguments_alone_decide(digits):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = train_judge(*digits, **SHORT)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    assert same(one, train_judge(*digits, **SHORT))
    assert not same(one, train_judge(*digits, **SHORT, seed=1))


def test_the_cache_gives_the_same_judge_without_training(digits, tmp_path, monkeypatch):
    cache = tmp_path / "judges"
    first = train_judge(*digits, **SHORT, cache=cache)
    other = train_judge(*digits, **{**SHORT, "epochs": 0.2}, cache=cache)
    assert not same(first, other)
    monkeypatch.setattr(training, "_fit", lambda *_, **__: pytest.fail("trained again"))
    again = train_judge(*digits, **SHORT, cache=cache)
    assert same(first, again)
    assert again.held_out_accuracy == first.held_out_accuracy
    assert len(kept(cache)) == 2  # and nothing half written


def test_a_damaged_cache_is_made_anew(digits, tmp_path):
    first = train_judge(*digits, **SHORT, cache=tmp_path)
    (file,) = kept(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    assert same(first, train_judge(*digits, **SHORT, cache=tmp_path))
    assert file.read_bytes() == whole


def test_a_judge_is_that_of_its_images(digits, tmp_path):
    train, held_out = digits
    fewer = ImageData(train.images[1:], train.labels[1:], train.class_names, "fewer")
    train_judge(train, held_out, **SHORT, cache=tmp_path)
    train_judge(fewer, held_out, **SHORT, cache=tmp_path)
    assert len(kept(tmp_path)) == 2


def test_sets_that_do_not_belong_together_are_refused(digits):
    train, held_out = digits
    names = tuple("abcdefghij")
    larger = np.zeros((10, 1, 16, 16), dtype=np.uint8)
    for other in (
        ImageData(held_out.images, held_out.labels, names, "other names"),
        ImageData(larger, np.arange(10), train.class_names, "other size"),
    ):
        with pytest.raises(ConfigError, match="differ from the training images"):
            train_judge(train, other, **SHORT)


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"epochs": float("nan")}, {"batch": 0}, {"batch": 1}]
)
def test_a_judge_without_training_is_refused(wrong, digits):
    with pytest.raises(ConfigError, match="allowed: positive"):
        train_judge(*digits, **{**SHORT, **wrong})
