from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from reacgan.data import DataError, ImageData, open_dataset
from reacgan.data.archive import is_archive, new_archive, read_archive, read_metadata
from reacgan.data.intact import checked

NAMES = ("häuser", "cat \u732b", "a,b")


def write(path, *, count=5, capacity=50, resolution=8, channels=3):
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (count, channels, resolution, resolution), dtype=np.uint8)
    labels = np.arange(count, dtype=np.int64) % 3
    with new_archive(
        path,
        shape=(channels, resolution, resolution),
        capacity=capacity,
        class_names=NAMES,
        metadata={"source": "noise"},
    ) as writer:
        for start in range(0, count, 2):
            writer.add(images[start : start + 2], labels[start : start + 2])
    return images, labels


def test_round_trip(tmp_path):
    path = tmp_path / "new" / "noise.safetensors"
    images, labels = write(path)
    data = read_archive(path)
    assert isinstance(data.images, np.memmap)
    assert (data.images == images).all() and (data.labels == labels).all()
    assert data.class_names == NAMES and data.labels.dtype == np.int64
    assert data.digest == ImageData(images, labels, NAMES, "memory").digest
    assert checked(path, again=True).digest == data.digest
    assert read_metadata(path)["source"] == "noise"
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    assert is_archive(path)


def test_other_readers_of_the_format_agree(tmp_path):
    images, labels = write(tmp_path / "a.safetensors", capacity=100_000)
    with safe_open(tmp_path / "a.safetensors", "np") as file:
        assert (file.get_tensor("images") == images).all()
        assert (file.get_tensor("labels") == labels).all()
        assert json.loads(file.metadata()["class_names"]) == list(NAMES)


@pytest.mark.parametrize("flip", [0x01, 0x20, 0xFF])
def test_every_damaged_header_byte_is_noticed(tmp_path, flip):
    path = tmp_path / "a.safetensors"
    write(path, capacity=10**6)
    whole = path.read_bytes()
    end = 8 + int.from_bytes(whole[:8], "little")
    for place in range(end):
        damaged = bytearray(whole)
        damaged[place] ^= flip
        path.write_bytes(damaged)
        if bytes(damaged[8:end]).rstrip() == whole[8:end].rstrip() and place >= 8:
            continue  # one kind of JSON white space for another
        with pytest.raises(DataError, match=r"a\.safetensors"):
            read_archive(path)


def test_truncated_and_lengthened_files(tmp_path):
    path = tmp_path / "a.safetensors"
    write(path)
    whole = path.read_bytes()
    for size in [*range(0, len(whole), 41), len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"a\.safetensors: (not a packed|damaged)"):
            read_archive(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(DataError, match="too long"):
        read_archive(path)


def test_damaged_labels_at_once_and_damaged_pixels_by_verify(tmp_path):
    path = tmp_path / "a.safetensors"
    write(path)
    whole = bytearray(path.read_bytes())
    whole[-8] ^= 1
    path.write_bytes(whole)
    with pytest.raises(DataError, match="labels or class names"):
        read_archive(path)
    whole[-8] ^= 1
    whole[-50] ^= 1
    path.write_bytes(whole)
    read_archive(path)
    with pytest.raises(DataError, match="images 0 to 4 are not those"):
        checked(path, again=True)


def test_foreign_files(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"images": np.zeros((2, 3, 8, 8), np.uint8)}, path)
    with pytest.raises(DataError, match="not a packed set"):
        read_archive(path)
    for content in (b"", b"PK\3\4" + b"x" * 100, b"\xff" * 100, (50).to_bytes(8, "little") * 9):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"weights\.safetensors"):
            read_archive(path)
    nested = b"[" * 100_000
    path.write_bytes(len(nested).to_bytes(8, "little") + nested)
    with pytest.raises(DataError, match="header is not readable"):
        read_archive(path)
    with pytest.raises(DataError, match="No such file"):
        read_archive(tmp_path / "absent")


def test_nothing_is_left_of_an_interrupted_write(tmp_path):
    path = tmp_path / "a.safetensors"
    write(path)
    before = path.read_bytes()
    with (
        pytest.raises(KeyboardInterrupt),
        new_archive(path, shape=(3, 8, 8), capacity=5, class_names=NAMES, metadata={}) as writer,
    ):
        writer.add(np.zeros((2, 3, 8, 8), np.uint8), np.zeros(2, np.int64))
        raise KeyboardInterrupt
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["a.safetensors"]
    assert path.read_bytes() == before


def test_a_new_file_leaves_an_open_one_alone(tmp_path):
    path = tmp_path / "a.safetensors"
    images, _ = write(path)
    opened = read_archive(path)
    write(path, count=9, resolution=16)
    assert (opened.images == images).all()
    assert len(read_archive(path)) == 9


def test_opening_by_configuration(tmp_path):
    from reacgan.config import DataConfig

    path = tmp_path / "grey.safetensors"
    images, _ = write(path, channels=1)
    for name in ("archive", "folder"):
        config = DataConfig(name=name, path=str(path), resolution=8, channels=1)
        assert (open_dataset(config).images == images).all()
    config = DataConfig(name="archive", path=str(path), resolution=8, channels=3)
    wide = open_dataset(config)
    assert wide.images.shape == (5, 3, 8, 8) and (wide.images == images).all()
    assert wide.digest == ImageData(np.repeat(images, 3, 1), wide.labels, NAMES, "").digest
    with pytest.raises(DataError, match=r"8 x 8 px, asked for: 16 x 16; set data\.resolution=8 "):
        open_dataset(config.model_copy(update={"resolution": 16}))
    with pytest.raises(DataError, match="has no test split"):
        open_dataset(config, "test")
