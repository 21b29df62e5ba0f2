"""Shards: what is written is read, in an order that nothing has to remember; damage is seen."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from shards import CLASSES, contents, make_images, make_shards, opened

from reacgan.config import ConfigError
from reacgan.data import DataError, MissingSplitError, survey_dataset
from reacgan.data.loader import Loader
from reacgan.data.order import WindowedOrder
from reacgan.data.overview import overview_of
from reacgan.data.shards import prepare_shards
from reacgan.experiments.derive import derive_experiment


@pytest.fixture
def shards(tmp_path):
    return make_shards(tmp_path)


@pytest.mark.parametrize("resolution", [None, 16])
def test_shards_hold_what_the_folder_holds(tmp_path, resolution):
    folder = make_shards(tmp_path, resolution=resolution)
    ours, theirs = opened(folder), opened(tmp_path / "images")
    assert ours.class_names == theirs.class_names == CLASSES
    assert contents(ours) == contents(theirs)
    assert len(list(folder.glob("train-*.tar"))) == 5
    assert not list(tmp_path.glob(".shards*"))


def test_files_as_they_are_are_read_at_any_size(tmp_path):
    folder = make_shards(tmp_path)
    assert contents(opened(folder, resolution=8, channels=1)) == contents(
        opened(tmp_path / "images", resolution=8, channels=1)
    )


def test_resized_images_are_not_resized_again(tmp_path):
    folder = make_shards(tmp_path, resolution=16)
    with pytest.raises(DataError, match="16 x 16 px.*data.resolution=16"):
        opened(folder, resolution=8)


def test_grey_images_and_a_held_out_part(tmp_path):
    make_images(tmp_path / "images" / "train", grey=True)
    make_images(tmp_path / "images" / "val", 3, grey=True)
    folder = make_shards(tmp_path, shards="20KB", resolution=16)
    test = opened(folder, "test", channels=1)
    assert contents(test) == contents(opened(tmp_path / "images", "test", channels=1))
    assert contents(opened(folder)) == contents(opened(tmp_path / "images"))
    assert len(list(folder.glob("train-*.tar"))) > 1


def test_without_a_held_out_part(shards):
    with pytest.raises(MissingSplitError, match="no test split"):
        opened(shards, "test")


def test_arrays_of_many_channels(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(4):
            array = rng.integers(0, 60000, (16, 16, 6), dtype=np.uint16)
            np.save(tmp_path / "images" / name / f"x{number}.npy", array)
    for resolution in (None, 16):
        out = tmp_path / f"shards {resolution}"
        prepare_shards(tmp_path / "images", out, shards=2, resolution=resolution)
        ours, theirs = opened(out, channels=6), opened(tmp_path / "images", channels=6)
        assert contents(ours) == contents(theirs)
        assert ours.white == theirs.white


def test_the_same_shards_again(tmp_path, shards):
    again = tmp_path / "again"
    prepare_shards(tmp_path / "images", again, shards=5)
    for file in shards.iterdir():
        assert file.read_bytes() == (again / file.name).read_bytes(), file.name


def test_other_readers_open_them(shards):
    webdataset = pytest.importorskip("webdataset")
    files = [str(file) for file in sorted(shards.glob("*.tar"))]
    seen = [
        (sample["png"], int(sample["cls"]))
        for sample in webdataset.WebDataset(files, shardshuffle=False)
    ]
    ours = opened(shards)
    assert [label for _, label in seen] == ours.labels.tolist()


def test_images_are_mixed_over_shards(tmp_path):
    labels = opened(make_shards(tmp_path, shards=3, each=40)).labels
    for part in np.split(labels, 3):
        assert np.bincount(part, minlength=3).min() >= 5


@pytest.mark.parametrize("window", [1, 2, 3, 8])
def test_an_epoch_shows_every_image_once(window):
    sizes = [3, 5, 1, 4, 7]
    order = WindowedOrder(sizes, window=window, seed=1)
    epochs = order.at(np.arange(60)).reshape(3, 20)
    assert (np.sort(epochs, axis=1) == np.arange(20)).all()
    assert (epochs[0] != epochs[1]).any()
    assert (WindowedOrder(sizes, window=window, seed=2).at(np.arange(20)) != epochs[0]).any()
    shard_of = np.repeat(np.arange(5), sizes)
    for position in range(40):
        here, following = order.shards_from(position)
        assert shard_of[order.at(np.array([position]))[0]] in here
        assert len(here) <= window and len(following) <= window


def test_shards_come_in_another_order_each_epoch():
    order = WindowedOrder([10] * 6, window=1, seed=0)
    epochs = [tuple(order.shards_from(60 * e + 10 * n)[0][0] for n in range(6)) for e in range(4)]
    assert len(set(epochs)) == 4 and all(sorted(epoch) == [*range(6)] for epoch in epochs)


def test_a_batch_is_of_few_shards():
    order = WindowedOrder([10] * 50, window=4, seed=0)
    for start in range(0, 480, 16):
        assert len(set(order.at(np.arange(start, start + 16)) // 10)) <= 8


def loader(data, **options):
    return Loader(data, **{"batch": 8, "seed": 3, **options})


@pytest.mark.parametrize("workers", [0, 1])
def test_a_pure_function_of_the_clock(shards, workers):
    """Any moment, in any order, from a fresh start: what resuming in the middle of a shard is."""
    straight = loader(opened(shards, workers=workers))
    batches = {t: [part.clone() for part in straight.at(t)] for t in range(0, 80, 8)}
    straight.close()
    fresh = loader(opened(shards))
    for t in (72, 0, 40, 8, 16):
        images, labels = fresh.at(t)
        assert torch.equal(images, batches[t][0]) and torch.equal(labels, batches[t][1])
    fresh.close()


def test_processes_share_one_batch(shards):
    data = opened(shards)
    whole, parts = loader(data), [loader(opened(shards), rank=r, world=2) for r in (0, 1)]
    for t in (0, 8, 16, 24):
        images, labels = whole.at(t)
        halves = [part.at(t) for part in parts]
        assert torch.equal(torch.cat([half[0] for half in halves]), images)
        assert torch.equal(torch.cat([half[1] for half in halves]), labels)
    for each in (whole, *parts):
        each.close()


def test_never_all_in_memory(shards):
    made = loader(opened(shards))
    assert not made.resident and made.data.memory_bytes == 0


def test_balanced_classes_are_refused(shards):
    with pytest.raises(ConfigError, match=r"balanced=true.*shard by shard"):
        loader(opened(shards), balanced=True)


def test_what_everything_but_training_looks_at(shards):
    data = opened(shards)
    assert contents(data.excerpt) == contents(data) and data.excerpt.part == ""
    part = opened(shards, excerpt=7).excerpt
    assert len(part) == 7 and set(contents(part)) < set(contents(data))
    assert part.part == "7 of 24 images, from 2 evenly spaced ones of 5 shards"
    assert part.digest != data.excerpt.digest != data.digest


def test_surveys_look_at_no_image(tmp_path):
    folder = make_shards(tmp_path)
    for tar in folder.glob("*.tar"):
        tar.write_bytes(b"\0" * tar.stat().st_size)
    config = derive_experiment(folder).experiment.data
    assert (config.name, config.resolution, config.balanced) == ("shards", 16, False)
    overview = overview_of(survey_dataset(config))
    assert overview.images == 24 and overview.balance.counts == (8, 8, 8)


def test_the_digest_is_of_every_image(tmp_path, shards):
    before = opened(shards)
    make_images(tmp_path / "b" / "images")
    (tmp_path / "b" / "images" / "cat" / "0.png").write_bytes(
        (tmp_path / "images" / "cat" / "1.png").read_bytes()
    )
    after = opened(make_shards(tmp_path / "b"))
    assert before.digest == opened(shards).digest != after.digest


def test_a_damaged_shard_is_named(shards):
    tar = shards / "train-000002.tar"
    content = bytearray(tar.read_bytes())
    content[1600] ^= 1  # in the first image
    tar.write_bytes(content)
    data = opened(shards)
    with pytest.raises(DataError, match=r"train-000002.tar: damaged.*prepare the shards again"):
        data.images[:]


@pytest.mark.parametrize("change", ["missing", "shorter", "other name"])
def test_a_changed_set_is_refused_at_once(shards, change):
    tar = shards / "train-000002.tar"
    if change == "shorter":
        tar.write_bytes(tar.read_bytes()[:-512])
    elif change == "missing":
        tar.unlink()
    else:
        tar.rename(shards / "train-2.tar")
    with pytest.raises(DataError, match=r"train-000002.tar: (missing|damaged)"):
        opened(shards)


def test_every_letter_of_the_index_is_sealed(shards):
    file = shards / "index.json"
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.choice(len(whole), 150, replace=False):
        content = bytearray(whole)
        content[place] ^= 1 << int(rng.integers(8))
        file.write_bytes(content)
        try:
            same = json.loads(content) == json.loads(whole)
        except ValueError:
            same = False
        if same:  # white space
            continue
        with pytest.raises(DataError):
            opened(shards)
    for end in (0, 1, 100, len(whole) // 2, len(whole) - 3):
        file.write_bytes(whole[:end])
        with pytest.raises(DataError):
            opened(shards)


def test_every_letter_of_the_table_is_checked(shards):
    file = shards / "train.members"
    whole = file.read_bytes()
    for place in np.random.default_rng(0).choice(len(whole), 50, replace=False):
        content = bytearray(whole)
        content[place] ^= 4
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"train.members: damaged"):
            opened(shards)
    file.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=r"train.members"):
        opened(shards)


@pytest.mark.parametrize("shards", ["0", "no", "5XB", "1KB", "", 10**7, "-3"])
def test_a_size_that_cannot_be(tmp_path, shards):
    with pytest.raises(DataError, match="256MB"):
        prepare_shards(make_images(tmp_path / "images"), tmp_path / "out", shards=shards)


def test_requests_that_cannot_be(tmp_path):
    images = make_images(tmp_path / "images", 2)
    with pytest.raises(DataError, match="shards is 9, but there are 6 images"):
        prepare_shards(images, tmp_path / "out", shards=9)
    with pytest.raises(DataError, match="give a resolution too"):
        prepare_shards(images, tmp_path / "out", shards=2, channels=1)
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match="exists"):
        prepare_shards(images, tmp_path / "out", shards=2)
    for option in ("window", "workers", "excerpt"):
        with pytest.raises(DataError, match=rf"data.options.{option} is -1"):
            opened(make_shards(tmp_path / option), **{option: -1})


def test_unreadable_files_are_left_out_and_listed(tmp_path):
    images = make_images(tmp_path / "images", 10)
    (images / "cat" / "3.png").write_bytes((images / "cat" / "3.png").read_bytes()[:300])
    prepare_shards(images, tmp_path / "out", shards=2)
    assert len(opened(tmp_path / "out")) == 29
    assert "cat/3.png" in (tmp_path / "out" / "train.refused.txt").read_text()
    with pytest.raises(DataError, match="share of 0 that is allowed"):
        prepare_shards(images, tmp_path / "none", shards=2, max_refused=0)
    assert not (tmp_path / "none").exists() and not list(tmp_path.glob(".none*"))


def test_the_command_line(tmp_path, reacgan):
    images, out = make_images(tmp_path / "images"), tmp_path / "out"
    code, said, _ = reacgan("data", "prepare", images, "--shards", "3", "--out", out, "--json")
    facts = json.loads(said)
    assert code == 0 and facts["splits"]["train"]["shards"] == 3
    code, said, _ = reacgan("data", "inspect", out)
    assert code == 0 and "24 colour images of 3 classes" in said and "🦊 fox (8)" in said
    code, _, said = reacgan("data", "prepare", images, tmp_path / "x.safetensors")
    assert code == 1 and "--resolution is missing" in said
    assert opened(out).digest == opened(out / "index.json").digest
