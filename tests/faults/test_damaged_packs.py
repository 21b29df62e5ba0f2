"""Pixels of packed sets: any that is another than was written is named, and made anew where it can be."""

from __future__ import annotations

import argparse
import logging
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import works

from reacgan.config import DataConfig
from reacgan.data import DataError, archive, intact, open_dataset, prepare_data
from reacgan.data.archive import new_archive, pixels_of
from reacgan.data.intact import checked
from reacgan.leftovers import DAY


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def pictures(tmp_path):
    return works.pictures(tmp_path / "pictures")


def flip(path: Path, at: int, bit: int = 0) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        letter = file.read(1)[0]
        file.seek(at)
        file.write(bytes([letter ^ 1 << bit]))


def folder(path: Path) -> DataConfig:
    return DataConfig(name="folder", path=str(path), resolution=8)


def opened(path: Path) -> np.ndarray:
    return np.array(open_dataset(folder(path)).images)


def pack_of(cache: Path) -> Path:
    (path,) = (cache / "packs").glob("*.safetensors")
    return path


def test_a_damaged_pack_of_the_cache_is_named_and_made_anew(cache, pictures, caplog):
    images = opened(pictures)
    pack = pack_of(cache)
    flip(pack, pixels_of(pack).start + 700)
    assert (opened(pictures) == images).all()
    assert str(pack) in caplog.text and "images 0 to 23 are not those written" in caplog.text
    caplog.clear()
    assert (opened(pictures) == images).all() and not caplog.text


def test_a_damaged_file_of_a_person_is_refused_wherever_it_is_used(
    cache, pictures, tmp_path, reacgan
):
    packed = tmp_path / "packed.safetensors"
    prepare_data(pictures, packed, resolution=8)
    flip(packed, pixels_of(packed).start + 700, bit=3)
    words = (
        ["data", "inspect", packed],
        ["train", "--data", packed, "--images", "64", "--out", tmp_path / "run"],
        ["evaluate", packed, "--reference", packed],
    )
    for each in words:
        code, _, said = reacgan(*each)
        assert code == 1 and "packed.safetensors: damaged packed set, pixels of" in said, said
        assert "create it again" in said and "Traceback" not in said


def write(path: Path, count: int, pixels: int = 0) -> np.ndarray:
    images = np.random.default_rng(1).integers(0, 256, (count, 3, 8, 8), dtype=np.uint8)
    with new_archive(
        path, shape=(3, 8, 8), capacity=count + 3, class_names=("a", "b"), metadata={}
    ) as writer:
        for start in range(0, count, 7):
            part = images[start : start + 7]
            writer.add(part, np.arange(len(part), dtype=np.int64) % 2)
    return images


@pytest.mark.parametrize("size", [64, 1000, 192 * 5, 192 * 50 - 1, 192 * 50, 10**6])
def test_chunks_of_any_size_find_every_place(size, cache, tmp_path, monkeypatch):
    for module in (archive, intact):
        monkeypatch.setattr(module, "CHUNK", size)
    path = tmp_path / "a.safetensors"
    images = write(path, 50)
    assert (checked(path, again=True).images == images).all()
    pixels = pixels_of(path)
    assert len(pixels.chunks) == -(-pixels.size // size)
    for at in (0, size - 1, size, pixels.size // 2, pixels.size - 1):
        if at < pixels.size:
            flip(path, pixels.start + at)
            first, last = (
                min(place, pixels.size - 1) // 192
                for place in (at // size * size, at // size * size + size - 1)
            )
            with pytest.raises(DataError, match=f"images {first:,} to {last:,} are not"):
                checked(path)
            flip(path, pixels.start + at)


def test_a_file_of_an_earlier_version_is_read_in_sequence(cache, tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    monkeypatch.setattr(archive._Chunks, "hexdigests", lambda self: "")
    write(path, 50)
    assert pixels_of(path).chunks == () and len(checked(path)) == 50
    flip(path, pixels_of(path).start + 5000)
    with pytest.raises(DataError, match="pixels do not match their digest"):
        checked(path)


def test_a_whole_file_is_read_once_a_week_and_when_it_changes(cache, tmp_path, monkeypatch):
    path, read = tmp_path / "a.safetensors", []
    digest = intact._digest
    monkeypatch.setattr(intact, "_digest", lambda *words: read.append(1) or digest(*words))
    write(path, 50)
    time.sleep(2 * intact._COARSE)
    for expected in (1, 1):
        checked(path)
        assert len(read) == expected
    checked(path, again=True)
    assert len(read) == 2
    os.utime(path, (1, 1))
    checked(path)
    assert len(read) == 3
    (note,) = (cache / "checked").iterdir()
    now = time.time()
    for later, expected in ((6 * DAY, 3), (8 * DAY, 4), (-DAY, 5)):
        monkeypatch.setattr(time, "time", lambda later=later: now + later)
        checked(path)
        assert len(read) == expected
    note.write_text(note.read_text().replace('"checked"', '"chacked"'))
    checked(path)
    assert len(read) == 6


def test_without_a_cache_each_opening_reads_it(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path / "file" / "cache"))
    write(tmp_path / "a.safetensors", 50)
    assert len(checked(tmp_path / "a.safetensors")) == 50


def flips(count: int, top: Path) -> tuple[int, int]:
    """Flip so many single bits of a pack of the cache, anywhere; how many were taken, and made anew."""
    os.environ["REACGAN_CACHE"] = str(top / "cache")
    source = works.pictures(top / "pictures")
    images = opened(source)
    pack = pack_of(top / "cache")
    whole, chance = pack.read_bytes(), random.Random(count)
    taken = anew = 0
    for _ in range(count):
        flip(pack, chance.randrange(len(whole)), chance.randrange(8))
        damaged = pack.read_bytes()
        taken += bool((opened(source) != images).any())
        anew += pack.read_bytes() != damaged
        pack.write_bytes(whole)
    return taken, anew


def test_flips_anywhere_in_a_pack(tmp_path, monkeypatch):
    monkeypatch.setenv("REACGAN_CACHE", "")
    assert flips(40, tmp_path)[0] == 0


def main() -> int:
    """Print how many flips were taken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    count = parser.parse_args().count
    logging.getLogger("reacgan").setLevel(logging.ERROR)
    top = Path(tempfile.mkdtemp())
    try:
        taken, anew = flips(count, top)
    finally:
        shutil.rmtree(top)
    print(f"{count} flips: {taken} taken, {anew} made anew, {count - taken - anew} with equal bits")
    return int(taken > 0)


if __name__ == "__main__":
    sys.exit(main())
