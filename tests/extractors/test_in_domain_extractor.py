"""The extractor of a person's own images: its training, its accuracy, its file."""

from __future__ import annotations

import json
import math
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from reacgan.config import ConfigError, DataConfig
from reacgan.data import ImageData, open_dataset
from reacgan.extractors import build_extractor, classify, load_classifier, train_classifier
from reacgan.extractors import classifier as training
from reacgan.extractors.classifier import held_out_accuracy
from reacgan.extractors.classifier_network import Classifier, stem_halvings
from reacgan.extractors.in_domain import FileClassifier, InDomain, default_epochs, hold_out
from reacgan.tensors import tensors_digest

pytestmark = pytest.mark.kernels

SHORT = {"epochs": 0.5, "width": 4}


@pytest.fixture(scope="module")
def digits():
    config = DataConfig(name="digits", resolution=8, channels=1)
    return open_dataset(config, "train"), open_dataset(config, "test")


@pytest.fixture(scope="module")
def domain(digits):
    train, held_out = digits
    return InDomain(epochs=6, width=8, train=train, held_out=held_out)


def labelled(labels, classes, size=8, seed=0):
    """Noise whose mean grey is the class."""
    random = np.random.default_rng(seed)
    labels = np.asarray(labels, dtype=np.int64)
    shade = labels[:, None, None, None] * (200 // max(classes - 1, 1))
    images = (random.integers(0, 40, (len(labels), 1, size, size)) + shade).astype(np.uint8)
    return ImageData(images, labels, tuple(f"c{k}" for k in range(classes)), "noise")


def test_it_knows_its_classes_and_says_so(digits, domain):
    _, held_out = digits
    images, labels = torch.tensor(held_out.images), torch.tensor(held_out.labels)
    seen = domain(images)
    assert seen.features.shape == (len(images), 32)
    assert domain.features_dim == 32
    right = sum(int(row.argmax()) == own for row, own in zip(seen.logits, labels, strict=True))
    among = sum(
        int(own) in row.topk(5).indices.tolist()
        for row, own in zip(seen.logits, labels, strict=True)
    )
    assert domain.held_out_top1 == right / len(images) > 0.8
    assert domain.held_out_top5 == among / len(images) > domain.held_out_top1
    assert domain.notes == ()
    assert domain.class_names == held_out.class_names


def test_a_feature_is_that_of_its_image_alone(digits, domain):
    images = torch.tensor(digits[1].images[:64])
    whole = domain(images)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    mixed = domain(images[order])
    alone = torch.cat([domain(image[None]).features for image in images])
    scale = whole.features.abs().max()
    assert (mixed.features - whole.features[order]).abs().max() < 1e-5 * scale
    assert (alone - whole.features).abs().max() < 1e-5 * scale
    assert not whole.features.requires_grad


def test_what_it_says_of_itself(digits, domain):
    train, held_out = digits
    said = json.loads(json.dumps(domain.describe()))
    assert (said["name"], said["classes"], said["size"]) == ("domain", 10, [8, 8])
    assert (said["epochs"], said["width"], said["seed"], said["flip"]) == (6, 8, 0, False)
    assert said["data"] == domain.data_digest == train.digest
    assert said["held_out"]["digest"] == held_out.digest
    assert said["held_out_top1"] == domain.held_out_top1
    other = InDomain(**SHORT, train=train, held_out=held_out).describe()
    assert other["weights"] != said["weights"]


def test_another_seed_or_mirroring_is_another_network(digits):
    train, held_out = digits
    made = [
        InDomain(**SHORT, **options, train=train, held_out=held_out).describe()["weights"]
        for options in ({}, {}, {"seed": 1}, {"flip": True})
    ]
    assert made[0] == made[1]
    assert len(set(made)) == 3


def test_without_other_images_a_tenth_of_each_class_is_held_out():
    data = labelled([0] * 40 + [1] * 20 + [2] * 3 + [3], 4)
    learned, tried = hold_out(data)
    assert learned.counts.tolist() == [36, 18, 2, 1]
    assert tried.counts.tolist() == [4, 2, 1, 0]
    rows = {image.tobytes() for image in data.images}
    parts = [{image.tobytes() for image in part.images} for part in (learned, tried)]
    assert parts[0] | parts[1] == rows and not parts[0] & parts[1]
    assert hold_out(data)[1].digest == tried.digest
    made = InDomain(**SHORT, train=data)
    assert made.describe()["held_out"]["images"] == 7
    assert "not trained on" in made.describe()["held_out"]["which"]
    assert made.data_digest == data.digest


@given(st.lists(st.integers(0, 4), min_size=1, max_size=80))
@settings(max_examples=40, deadline=None)
def test_no_class_loses_all_its_images(labels):
    data = labelled(labels, 5, size=1)
    learned, tried = hold_out(data)
    for had, kept in zip(data.counts, learned.counts, strict=True):
        assert had - kept == (max(1, had // 10) if had > 1 else 0)
    assert (tried is None) == (data.counts.max() < 2)


def test_nothing_to_hold_out_is_said():
    made = InDomain(**SHORT, train=labelled([0, 1, 2], 3))
    assert math.isnan(made.held_out_top1) and made.describe()["held_out_top1"] is None
    assert "is unknown" in made.notes[0]


def test_a_classifier_that_knows_nothing_is_noted():
    """Labels drawn at random cannot be learned."""
    random = np.random.default_rng(0)
    data = labelled(np.zeros(400, dtype=np.int64), 1)
    labels = random.integers(0, 10, 400)
    noise = ImageData(data.images, labels, tuple("abcdefghij"), "noise")
    made = InDomain(epochs=3, width=4, train=noise)
    assert made.held_out_top1 < 0.3
    assert "distances in its features are unreliable" in made.notes[0]
    one = InDomain(**SHORT, train=data)
    assert "has one class" in one.notes[0]


def test_grey_levels_of_two_classes_are_not_noted():
    made = InDomain(epochs=20, width=4, train=labelled([0, 1] * 60, 2))
    assert made.held_out_top1 > 0.75
    assert made.notes == ()


@pytest.mark.parametrize(
    ("count", "steps"),
    [(100, 600), (1_200, 600), (50_000, 3906.25), (1_281_167, 20_000)],
)
def test_small_sets_get_enough_steps_and_large_ones_not_too_many(count, steps):
    assert default_epochs(count) * count / 128 == pytest.approx(steps)


def test_images_of_another_kind_are_refused(domain):
    for images in (
        torch.zeros(2, 1, 16, 16, dtype=torch.uint8),
        torch.zeros(2, 3, 8, 8, dtype=torch.uint8),
        torch.zeros(2, 1, 8, 8),
        torch.zeros(1, 8, 8, dtype=torch.uint8),
    ):
        with pytest.raises(ConfigError, match=r"takes uint8 \[N, 1, 8, 8\] only. Give images"):
            domain(images)


def test_sets_that_do_not_fit_are_refused(digits):
    train, held_out = digits
    other = ImageData(held_out.images, held_out.labels, tuple("abcdefghij"), "others")
    with pytest.raises(ConfigError, match="differ from the training images"):
        InDomain(**SHORT, train=train, held_out=other)
    with pytest.raises(ConfigError, match="are the training images"):
        InDomain(**SHORT, train=train, held_out=train.subset(slice(None)))
    with pytest.raises(ConfigError, match="none; name the training images"):
        build_extractor("domain")


# The cache


def test_the_cache_spares_training_and_looking(digits, tmp_path, monkeypatch):
    train, held_out = digits
    first = build_extractor("domain", SHORT, train=train, held_out=held_out, cache=tmp_path)
    monkeypatch.setattr(training, "_fit", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr(
        "reacgan.extractors.in_domain.held_out_accuracy", lambda *_: pytest.fail("looked again")
    )
    again = build_extractor("domain", SHORT, train=train, held_out=held_out, cache=tmp_path)
    assert again.describe() == first.describe()


def test_every_argument_has_its_own_place(digits, tmp_path):
    train = digits[0].subset(slice(0, 64))
    usual = {"epochs": 1.0, "batch": 32, "width": 4, "seed": 0, "flip": False}
    for change in ({}, {"epochs": 2}, {"batch": 16}, {"width": 2}, {"seed": 1}, {"flip": True}):
        train_classifier(train, **{**usual, **change}, cache=tmp_path)
    train_classifier(train.subset(slice(1, None)), **usual, cache=tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) == 7


def test_another_version_of_the_training_is_made_anew(digits, tmp_path, monkeypatch):
    train = digits[0].subset(slice(0, 64))
    train_classifier(train, epochs=1, width=2, cache=tmp_path)
    monkeypatch.setattr(training, "VERSION", training.VERSION + 1)
    train_classifier(train, epochs=1, width=2, cache=tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


def test_classifiers_of_before_the_right_gradient_are_made_anew(digits, tmp_path, monkeypatch):
    """Version 1 had the shortcut whose gradient is wrong on some processors below width 8."""
    train = digits[0].subset(slice(0, 64))
    with monkeypatch.context() as before:
        before.setattr(training, "VERSION", 1)
        train_classifier(train, epochs=1, width=2, cache=tmp_path)
    train_classifier(train, epochs=1, width=2, cache=tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


def test_a_damaged_accuracy_is_measured_anew(digits, tmp_path):
    train, held_out = digits
    first = InDomain(**SHORT, train=train, held_out=held_out, cache=tmp_path)
    (file,) = tmp_path.glob("accuracy-*.json")
    for text in ("", "[", "[2.0, 3.0]", "[0.5]", "{}", "7", '["a", "b"]'):
        file.write_text(text)
        again = InDomain(**SHORT, train=train, held_out=held_out, cache=tmp_path)
        assert again.describe() == first.describe()


def _train_beside(folder, counter, ready):
    torch.set_num_threads(1)
    inner = training._fit

    def counted(*arguments):
        with counter.get_lock():
            counter.value += 1
        inner(*arguments)

    training._fit = counted
    ready.wait(60)
    train_classifier(labelled([0, 1] * 100, 2), epochs=20, width=2, cache=Path(folder))


def test_two_processes_train_once(tmp_path):
    context = multiprocessing.get_context("fork")
    counter, ready = context.Value("i", 0), context.Barrier(2)
    workers = [
        context.Process(target=_train_beside, args=(str(tmp_path), counter, ready))
        for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert counter.value == 1


def test_a_cache_that_cannot_be_written_is_said_once(digits, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    made = [
        train_classifier(digits[0], epochs=0.1, width=2, cache=tmp_path / "file" / "cache")
        for _ in range(2)
    ]
    assert tensors_digest(made[0].state_dict()) == tensors_digest(made[1].state_dict())
    assert caplog.text.count("kept in memory and trained again next time") == 1


# The network


@pytest.mark.parametrize(
    ("size", "halvings"),
    [((8, 8), 0), ((48, 48), 0), ((49, 8), 1), ((64, 64), 1), ((128, 96), 2), ((256, 256), 3)],
)
def test_large_images_are_halved_in_the_stem(size, halvings):
    assert stem_halvings(size) == halvings
    network = Classifier(channels=1, num_classes=3, width=2, size=size).eval()
    assert network(torch.zeros(1, 1, *size)).shape == (1, 3)
    after = network.stem(torch.zeros(1, 1, *size)).shape[2:]
    assert tuple(after) == tuple(math.ceil(side / 2**halvings) for side in size)


@pytest.mark.parametrize(("channels", "size", "classes"), [(1, 4, 2), (64, 8, 3), (3, 20, 2000)])
def test_any_shape_trains(channels, size, classes):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (16, channels, size, size + 3)).astype(np.uint8)
    labels = np.arange(16, dtype=np.int64) % classes
    data = ImageData(images, labels, tuple(map(str, range(classes))), "noise")
    made = train_classifier(data, epochs=2, batch=8, width=2)
    scores = classify(made, torch.tensor(images), batch=5)
    assert scores.shape == (16, classes) and bool(scores.isfinite().all())
    assert not any(value.requires_grad for value in made.parameters()) and not made.training


def test_equal_scores_are_not_right(digits):
    """A network that says nothing is right on nothing, not on the first class."""
    network = Classifier(channels=1, num_classes=10, width=2, size=(8, 8)).eval()
    torch.nn.init.zeros_(network.scores.weight)
    torch.nn.init.zeros_(network.scores.bias)
    assert held_out_accuracy(network, digits[1]) == (0, 0)
    network.scores.bias.data[3] = 1
    share = float((digits[1].labels == 3).mean())
    assert held_out_accuracy(network, digits[1], batch=100) == (share, share)


def test_the_five_highest(digits):
    data = digits[1]
    torch.manual_seed(0)
    network = Classifier(channels=1, num_classes=10, width=4, size=(8, 8)).eval()
    best = classify(network, torch.tensor(data.images)).topk(5).indices.tolist()
    labels = data.labels.tolist()
    first = sum(own == row[0] for own, row in zip(labels, best, strict=True)) / len(data)
    fifth = sum(own in row for own, row in zip(labels, best, strict=True)) / len(data)
    assert 0 < first < fifth < 1
    assert held_out_accuracy(network, data, batch=64) == (first, fifth)


def test_a_training_that_diverges_is_said(digits, monkeypatch):
    def broken(classifier, *_):
        classifier.scores.bias.data[0] = float("nan")

    monkeypatch.setattr(training, "_fit", broken)
    with pytest.raises(ConfigError, match="diverged; try another seed"):
        train_classifier(digits[0], width=2)


# The file


def test_the_file_of_an_extractor_is_that_extractor(domain, digits, tmp_path):
    file = tmp_path / "mine.safetensors"
    domain.save(file)
    read = build_extractor(str(file))
    images = torch.tensor(digits[1].images[:50])
    assert torch.equal(read(images).features, domain(images).features)
    assert torch.equal(read(images).logits, domain(images).logits)
    assert read.describe() == domain.describe()
    assert (read.class_names, read.notes) == (domain.class_names, domain.notes)
    assert read.held_out_top5 == domain.held_out_top5
    first = file.read_bytes()
    read.save(file)
    assert file.read_bytes() == first


def test_every_cut_or_changed_file_is_refused(domain, tmp_path):
    file = tmp_path / "mine.safetensors"
    domain.save(file)
    whole = file.read_bytes()
    for cut in (0, 4, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:cut])
        with pytest.raises(ConfigError, match=str(file)):
            build_extractor(str(file))
    middle = len(whole) // 2
    file.write_bytes(whole[:middle] + bytes([whole[middle] ^ 64]) + whole[middle + 1 :])
    with pytest.raises(ConfigError, match="not the weights that its header names"):
        load_classifier(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "reacgan classifier 9"}, "is of kind 'reacgan classifier 9'"),
        ({"num_classes": 11}, "does not describe a classifier"),
        ({"width": "8"}, "does not describe a classifier"),
        ({"size": [8]}, "does not describe a classifier"),
        ({"size": None}, "does not describe a classifier"),
        ({"channels": -1}, "does not describe a classifier"),
        ({"facts": []}, "does not describe a classifier"),
        ({"facts": {"class_names": [1] * 10}}, "does not describe a classifier"),
        ({"width": 9}, "damaged"),
        ({"width": 2**30}, "damaged"),
        ({"size": [64, 64]}, "not the weights|damaged"),
        ({"sha256": "0" * 64}, "not the weights that its header names"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(change, message, domain, tmp_path):
    file = tmp_path / "mine.safetensors"
    domain.save(file)
    text = json.loads(header_of(file))
    if "size" in change and change["size"] == [64, 64]:
        change = {**change, "sha256": "0" * 64}  # the stem of 64 pixels has as many tensors
    save_file(load_file(file), file, metadata={"reacgan": json.dumps({**text, **change})})
    with pytest.raises(ConfigError, match=message):
        FileClassifier(file)


def header_of(file):
    length = int.from_bytes(file.read_bytes()[:8], "little")
    return json.loads(file.read_bytes()[8 : 8 + length])["__metadata__"]["reacgan"]


def test_files_that_are_no_extractor_are_refused(tmp_path, domain):
    other = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, other)
    text = tmp_path / "names.txt"
    text.write_text("x")
    for path, message in (
        (other, "no extractor. Give a classifier saved by reacgan"),
        (text, "no extractor. Give a classifier"),
        (tmp_path / "absent.safetensors", "no such file. Give a classifier"),
    ):
        with pytest.raises(ConfigError, match=message):
            build_extractor(str(path))
    with pytest.raises(ConfigError, match="holds no classifier of reacgan"):
        load_classifier(other)
    file = tmp_path / "mine.safetensors"
    domain.save(file)
    with pytest.raises(ConfigError, match=r"extractor.seed: unknown option"):
        build_extractor(str(file), {"seed": 1})
    foreign = tmp_path / "weights.pth"
    foreign.write_text("x")
    with pytest.raises(ConfigError, match=r"extractor.weights: unknown option"):
        build_extractor(str(foreign), {"weights": "other.pth"})
    with pytest.raises(ConfigError, match=f"{foreign}: cannot be read as tensors alone"):
        build_extractor(str(foreign))
    with pytest.raises(ConfigError, match="saved as .safetensors"):
        domain.save(tmp_path / "mine.pth")
    with pytest.raises(ConfigError, match="cannot be written"):
        domain.save(text / "mine.safetensors")


# The table


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("domian", {}, "did you mean 'domain'"),
        ("domain", {"epoch": 1}, r"extractor.epoch: unknown option; did you mean 'epochs'"),
        ("domain", {"epochs": 0}, r"extractor.epochs.*greater than 0"),
        ("domain", {"cache": "x"}, r"extractor.cache: unknown option"),
        ("clip", {"resizer": "nearest"}, r"extractor.resizer"),
        ("inception", {"train": 1}, r"extractor.train: unknown option"),
    ],
)
def test_names_and_options_are_checked_before_anything_is_loaded(name, options, message, digits):
    with pytest.raises(ConfigError, match=message):
        build_extractor(name, options, train=digits[0])


def test_options_reach_the_extractor(digits, tmp_path):
    made = build_extractor(
        "domain", {**SHORT, "seed": 5, "flip": True}, train=digits[0], cache=tmp_path
    )
    assert (made.describe()["seed"], made.describe()["flip"]) == (5, True)
    assert made.features_dim == 16
