from __future__ import annotations

import errno
import json
import logging
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from reacgan.config import ConfigError
from reacgan.data import ImageData
from reacgan.evaluation import cache as cache_files
from reacgan.evaluation.cache import FeatureCache
from reacgan.metrics.base import FeatureSet

KEY = {"images": "ab" * 32, "extractor": {"name": "domain", "weights": "cd" * 32}}
fork = multiprocessing.get_context("fork")


def tensors(value=1.0, count=1000):
    return {"features": torch.full((count,), value), "count": torch.tensor(3)}


class Maker:
    """Says how often it was asked."""

    def __init__(self, value=1.0, count=1000):
        self.times, self.value, self.count = 0, value, count

    def __call__(self):
        self.times += 1
        return tensors(self.value, self.count)


@pytest.fixture
def cache(tmp_path):
    return FeatureCache(tmp_path / "features", 10**9)


def only_file(cache):
    [path] = cache._files()
    return path


def age(path, days):
    then = time.time() - 86400 * days
    os.utime(path, (then, then))


def test_made_once_then_read(cache):
    make = Maker()
    first = cache.keep(KEY, "pets (train)")("radii k=5", make)
    again = FeatureCache(cache.root, 10**9).keep(dict(reversed(KEY.items())))("radii k=5", make)
    assert make.times == 1
    assert first.keys() == again.keys()
    for name, value in tensors().items():
        assert torch.equal(first[name], value) and torch.equal(again[name], value)
        assert again[name].dtype == value.dtype
    [entry] = cache.entries()
    assert entry.key == {**KEY, "result": "radii k=5"} and entry.source == "pets (train)"
    assert entry.size == only_file(cache).stat().st_size == cache.total_bytes
    assert time.time() - 60 < entry.created <= entry.used < time.time() + 60


@pytest.mark.parametrize(
    "other",
    [
        {**KEY, "images": "ac" * 32},
        {**KEY, "extractor": {"name": "domain", "weights": "ce" * 32}},
        {**KEY, "extractor": {"name": "domain", "weights": "cd" * 32, "size": 8}},
        {**KEY, "more": 1},
    ],
)
def test_another_content_is_another_key(cache, other):
    cache.keep(KEY)("moments", Maker(1.0))
    assert cache.keep(other)("moments", Maker(2.0))["features"][0] == 2
    assert cache.keep(KEY)("moments k", Maker(3.0))["features"][0] == 3
    assert cache.keep(KEY, "another place")("moments", Maker(4.0))["features"][0] == 1


def test_one_pixel_is_another_content(cache):
    def features_of(pixels):
        data = ImageData(pixels, np.zeros(4, np.int64), ("a",), "here")
        keep = cache.keep({"images": data.digest}, data.source)
        return keep("mean", lambda: {"mean": torch.tensor(pixels.mean())})["mean"].item()

    pixels = np.zeros((4, 3, 8, 8), np.uint8)
    assert features_of(pixels) == 0
    changed = pixels.copy()
    changed[3, 2, 7, 7] = 1
    assert features_of(changed) == changed.mean()
    assert features_of(pixels) == 0


def test_a_feature_set_keeps_in_it(cache):
    features = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    first = FeatureSet(features, keep_in=cache.keep(KEY)).moments
    wrong = FeatureSet(features + 1, keep_in=cache.keep(KEY)).moments  # the key decides
    assert torch.equal(first.covariance, wrong.covariance) and wrong.count == 50


def test_any_tensors(cache):
    base = torch.arange(12.0)
    held = {
        "a": base[2:5],
        "b": base.reshape(3, 4).T,
        "same storage": base[:4],
        "c": torch.zeros(0, 7),
        "d": torch.tensor([True, False]),
        "e": torch.ones(3, dtype=torch.bfloat16),
        "f": torch.nn.Parameter(torch.ones(2)),
    }
    first = cache.keep(KEY)("x", lambda: held)
    again = cache.keep(KEY)("x", Maker())
    for name, value in held.items():
        assert torch.equal(first[name], value) and torch.equal(again[name], value)
        assert again[name].dtype == value.dtype and not first[name].requires_grad


def test_changing_what_was_given_does_not_change_the_file(cache):
    cache.keep(KEY)("x", Maker())
    cache.keep(KEY)("x", Maker())["features"].zero_()
    assert cache.keep(KEY)("x", Maker())["features"][0] == 1


def cut(path):
    path.write_bytes(path.read_bytes()[:-8])


def emptied(path):
    path.write_bytes(b"")


def flipped(path):
    held = bytearray(path.read_bytes())
    held[-1] ^= 1
    path.write_bytes(held)


def header(path):
    path.write_bytes(b"\xff" * 200)


def without_facts(path):
    save_file(load_file(path), path)


def of_another_key(path):
    about = {"key": {**KEY, "result": "y"}, "source": "", "created": 0.0}
    about["digest"] = cache_files.digest(tensors(9.0))
    save_file(tensors(9.0), path, {"about": json.dumps(about)})


@pytest.mark.parametrize("damage", [cut, emptied, flipped, header, without_facts, of_another_key])
def test_damaged_files_are_made_anew(cache, caplog, damage):
    cache.keep(KEY)("x", Maker())
    path = only_file(cache)
    damage(path)
    make = Maker()
    with caplog.at_level(logging.WARNING):
        assert cache.keep(KEY)("x", make)["features"][0] == 1
    assert make.times == 1 and "computed again" in caplog.text
    assert cache.keep(KEY)("x", make)["features"][0] == 1
    assert make.times == 1 and cache._files() == [path]


def test_what_fails_is_not_kept(cache):
    def fail():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.keep(KEY)("x", fail)
    assert cache.total_bytes == 0
    assert cache.keep(KEY)("x", Maker(2.0))["features"][0] == 2


def slow_make(root, log, go):
    go.wait()

    def make():
        with log.open("a") as file:
            file.write("made\n")
        time.sleep(0.2)
        return tensors()

    held = FeatureCache(root, 10**9).keep(KEY)("x", make)
    os._exit(0 if torch.equal(held["features"], tensors()["features"]) else 1)


def test_two_processes_make_it_once(cache, tmp_path):
    log, go = tmp_path / "log", fork.Event()
    both = [fork.Process(target=slow_make, args=(cache.root, log, go)) for _ in range(2)]
    for one in both:
        one.start()
    go.set()
    for one in both:
        one.join(20)
    assert [one.exitcode for one in both] == [0, 0]
    assert log.read_text() == "made\n"


def never_done(root, path, wrote):
    def half_written(name, *rest):
        path.write_bytes(b"half")
        (root / f".{path.name}.{os.getpid()}").write_bytes(b"half a file")
        wrote.set()
        time.sleep(60)

    path = root / path
    cache_files.save_file = half_written
    path.unlink(missing_ok=True)
    FeatureCache(root, 10**9).keep(KEY)("x", Maker(5.0))


def test_a_killed_writer_leaves_nothing_that_counts(cache):
    wrote = fork.Event()
    name = cache_files.name_of_key({**KEY, "result": "x"})
    writer = fork.Process(target=never_done, args=(cache.root, cache.root / name, wrote))
    writer.start()
    assert wrote.wait(20)
    assert cache.clear() == 0  # just being written: neither the file nor its beginning goes
    os.kill(writer.pid, signal.SIGKILL)
    writer.join(20)
    make = Maker()
    assert cache.keep(KEY)("x", make)["features"][0] == 1 and make.times == 1
    assert len(cache._unfinished()) == 1
    assert cache.clear(older_than_days=1) == len(b"half a file")
    assert cache._unfinished() == [] and len(cache.entries()) == 1


def fill(cache, count, size):
    """``count`` entries, the first one used longest ago."""
    for place in range(count):
        cache.keep(KEY)(f"x{place}", Maker(float(place), size))
    for entry in cache.entries():
        age(entry.path, 10 - int(entry.key["result"][1:]))


def kept(cache):
    return sorted(entry.key["result"] for entry in cache.entries())


def test_the_least_recently_used_go_first(tmp_path):
    cache = FeatureCache(tmp_path, 4 * 4600)
    fill(cache, 4, 1000)
    assert kept(cache) == ["x0", "x1", "x2", "x3"]
    cache.keep(KEY)("x0", Maker())  # used again
    cache.keep(KEY)("x4", Maker())
    assert kept(cache) == ["x0", "x2", "x3", "x4"]
    assert cache.total_bytes <= cache.limit_bytes
    cache.keep(KEY)("large", Maker(1.0, 3000))
    assert kept(cache) == ["large", "x4"]


def test_what_killed_writers_left_goes_before_anything_else(tmp_path):
    cache = FeatureCache(tmp_path, 3 * 4600)
    fill(cache, 2, 1000)
    left = tmp_path / f".{cache_files.name_of_key(KEY)}.1234"
    left.write_bytes(bytes(4600))
    cache.keep(KEY)("x2", Maker())
    assert kept(cache) == ["x0", "x1", "x2"] and not left.exists()


def test_what_is_in_use_stays(tmp_path):
    cache = FeatureCache(tmp_path, 2 * 4600)
    fill(cache, 2, 1000)
    held = cache.keep(KEY)("x0", Maker())
    age(tmp_path / cache_files.name_of_key({**KEY, "result": "x0"}), 99)
    cache.keep(KEY)("x2", Maker(2.0))
    assert kept(cache) == ["x0", "x2"]
    assert held["features"][0] == 0
    del held
    age(tmp_path / cache_files.name_of_key({**KEY, "result": "x0"}), 99)
    cache.keep(KEY)("x3", Maker())
    assert "x0" not in kept(cache)


def test_tensors_outlive_their_file(cache):
    cache.keep(KEY)("x", Maker(7.0, 100_000))
    held = cache.keep(KEY)("x", Maker())
    assert cache.clear() > 400_000
    assert held["features"].sum() == 700_000


def test_what_is_larger_than_the_limit_is_not_kept(tmp_path, caplog):
    cache = FeatureCache(tmp_path, 5000)
    cache.keep(KEY)("x", Maker())
    with caplog.at_level(logging.WARNING):
        cache.keep(KEY)("y", Maker(1.0, 5000))
    assert "over its limit of 5,000" in caplog.text and kept(cache) == ["x"]
    nothing = FeatureCache(tmp_path / "none", 0)
    make = Maker()
    nothing.keep(KEY)("x", make), nothing.keep(KEY)("x", make)
    assert make.times == 2 and not nothing.root.exists()


@pytest.mark.parametrize("kind", ["a file where a folder is needed", "a full disk"])
def test_a_cache_that_cannot_be_written(tmp_path, caplog, monkeypatch, kind):
    root = tmp_path / "features"
    if kind == "a full disk":

        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(cache_files, "save_file", full)
    else:
        root.write_text("")
    cache, make = FeatureCache(root, 10**9), Maker(2.0)
    with caplog.at_level(logging.WARNING):
        for name in ("x", "x", "y"):
            assert cache.keep(KEY)(name, make)["features"][0] == 2
    assert make.times == 3
    assert caplog.text.count("cannot be written (") == 1 and "REACGAN_CACHE" in caplog.text
    assert cache.entries() == [] and cache.total_bytes == 0 and cache.clear() == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_only_be_read(cache, caplog):
    cache.keep(KEY)("x", Maker(2.0))
    for folder in (cache.root / "locks", cache.root):
        folder.chmod(0o555)
    try:
        make = Maker(3.0)
        assert cache.keep(KEY)("x", make)["features"][0] == 2
        assert cache.keep(KEY)("y", make)["features"][0] == 3
    finally:
        for folder in (cache.root, cache.root / "locks"):
            folder.chmod(0o755)


def test_clearing_by_age(cache):
    fill(cache, 4, 10)
    (cache.root / "mine.txt").write_text("not of the cache")
    before = cache.total_bytes
    freed = cache.clear(older_than_days=8.5)
    assert kept(cache) == ["x2", "x3"] and freed == before - cache.total_bytes > 0
    assert cache.clear(older_than_days=8.5) == 0
    assert cache.clear() == before - freed
    assert cache.entries() == [] and (cache.root / "mine.txt").exists()
    assert list((cache.root / "locks").iterdir()) == []


def test_limit_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path))
    monkeypatch.setenv("REACGAN_CACHE_GB", "0.5")
    assert FeatureCache().limit_bytes == 5 * 10**8
    assert FeatureCache().root == tmp_path / "features"
    monkeypatch.setenv("REACGAN_CACHE_GB", "")
    assert FeatureCache().limit_bytes == 20 * 10**9
    for bad in ("much", "-1", "nan", "inf"):
        monkeypatch.setenv("REACGAN_CACHE_GB", bad)
        with pytest.raises(ConfigError, match=f"REACGAN_CACHE_GB is '{bad}'"):
            FeatureCache()


def test_commands(reacgan, tmp_path, monkeypatch):
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path))
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs" / "a.safetensors").write_bytes(bytes(2_500_000))
    cache = FeatureCache()
    fill(cache, 2, 300_000)
    code, out, _ = reacgan("cache")
    assert code == 0
    lines = out.split("\n")
    assert lines[0].split() == ["what", "extractor", "of", "MB", "last", "used"]
    assert lines[1].split()[:4] == ["x1", "domain", "cdcdcdcd", "1.2"]
    assert [line.split()[0] for line in lines[5:10]] == [
        "features",
        "packs",
        "shards",
        "downloads",
        "extractors",
    ]
    assert " 2.4 " in lines[5] and " 2.5 " in lines[6] and str(tmp_path / "packs") in lines[6]
    assert reacgan("cache", "clear", "--older-than", "9.5")[1].startswith("freed 1.2 MB")
    assert kept(cache) == ["x1"]
    assert reacgan("cache", "clear", "--older-than", "-1")[0] == 2
    assert reacgan("cache", "clear")[0] == 0 and kept(cache) == []
    assert (tmp_path / "packs" / "a.safetensors").exists()
    assert reacgan("cache")[1].startswith("kept")
