"""Sizes that are not square or no power of two, and numbers of channels beside 1 and 3."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors import safe_open

from reacgan.config import DataConfig
from reacgan.data import DataError, ImageData, inspect_data, open_dataset, prepare_data
from reacgan.data.archive import new_archive, read_archive
from reacgan.data.arrays import decode_array, open_array
from reacgan.data.decode import UnreadableImageError, crop_window, decode_file
from reacgan.data.intact import checked
from reacgan.data.loader import Loader

RNG = np.random.default_rng(0)


def opened(path, split="train", **changes):
    name = changes.pop("name", "folder")
    return open_dataset(DataConfig(name=name, path=str(path), **changes), split)


@pytest.mark.parametrize("resolution", [8, 10, 12, 24, 96, (24, 32), (32, 24), (16, 8), (12, 16)])
def test_folders_at_any_size_the_grid_allows(two_classes, resolution):
    data = opened(two_classes, resolution=resolution)
    height, width = (resolution, resolution) if isinstance(resolution, int) else resolution
    assert data.images.shape == (6, 3, height, width)
    assert data.size == (height, width) and data.resolution == resolution
    again = opened(two_classes, resolution=resolution)
    assert isinstance(again.images, np.memmap) and again.digest == data.digest


def test_height_comes_first_and_each_size_has_its_own_cache(two_classes, private_cache):
    wide, tall = opened(two_classes, resolution=(8, 16)), opened(two_classes, resolution=(16, 8))
    assert wide.images.shape[2:] == (8, 16) and tall.images.shape[2:] == (16, 8)
    assert len(list((private_cache / "packs").iterdir())) == 2
    pixels = np.asarray(Image.open(two_classes / "cat" / "0.png"))  # 20 wide, 12 high
    cut = Image.fromarray(pixels[:, 7:13]).resize((8, 16), Image.Resampling.LANCZOS)
    assert (tall.images[0] == np.asarray(cut).transpose(2, 0, 1)).all()


def test_a_size_that_no_network_grows_to(two_classes):
    for wrong, said in ((7, "sides of 8 to 1024"), (33, "multiple of 8, such as 32 or 40")):
        with pytest.raises(DataError, match=said):
            prepare_data(two_classes, two_classes / "x.safetensors", resolution=wrong)
    with pytest.raises(DataError, match=r"24 x 30.*multiple of 4"):
        prepare_data(two_classes, two_classes / "x.safetensors", resolution=(24, 30))


@given(
    st.tuples(st.integers(8, 300), st.integers(8, 300)),
    st.tuples(st.integers(8, 64), st.integers(8, 64)),
)
def test_the_part_that_is_cut_is_the_largest_centred_one(size, wanted):
    left, top, right, bottom = crop_window(size, wanted)
    width, height = right - left, bottom - top
    assert min(left, top) >= 0 and right <= size[0] and bottom <= size[1]
    assert abs(left - (size[0] - right)) <= 1 and abs(top - (size[1] - bottom)) <= 1
    assert width == size[0] or height == size[1]
    # Within a pixel of the proportions: width / height = wanted width / wanted height.
    assert abs(width * wanted[1] - height * wanted[0]) <= max(wanted)


@given(
    st.tuples(st.integers(8, 200), st.integers(8, 200)),
    st.tuples(*[st.floats(-20, 220, allow_nan=False)] * 2, *[st.floats(1, 200)] * 2),
    st.tuples(st.integers(8, 64), st.integers(8, 64)),
)
def test_a_box_is_widened_within_the_picture(size, box, wanted):
    inside = [min(size[a], box[a] + box[a + 2]) - max(0, box[a]) for a in (0, 1)]
    if min(inside) < 1:
        with pytest.raises(UnreadableImageError, match="lies outside"):
            crop_window(size, wanted, box)
        return
    left, top, right, bottom = crop_window(size, wanted, box)
    assert 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]


def test_a_box_inside_is_kept_whole_where_there_is_room():
    assert crop_window((100, 80), (8, 8), (40, 30, 20, 10)) == (40, 25, 60, 45)
    assert crop_window((100, 80), (16, 8), (40, 30, 10, 10)) == (35, 30, 55, 40)
    assert crop_window((100, 80), (8, 8), (0, 0, 10, 40)) == (0, 0, 40, 40)
    assert crop_window((100, 20), (8, 8), (50, 0, 40, 20)) == (60, 0, 80, 20)


@pytest.mark.parametrize(("size", "channels", "count"), [((10, 14), 5, 3), ((8, 24), 1, 7)])
def test_packed_files_of_any_shape(tmp_path, size, channels, count):
    images = RNG.integers(0, 256, (count, channels, *size), dtype=np.uint8)
    labels = np.arange(count, dtype=np.int64) % 2
    path = tmp_path / "a.safetensors"
    with new_archive(
        path, shape=(channels, *size), capacity=9, class_names=("a", "b"), metadata={}
    ) as writer:
        writer.add(images, labels)
    data = checked(path, again=True)
    assert (data.images == images).all() and data.size == size and data.resolution == size
    with safe_open(path, "np") as file:
        assert (file.get_tensor("images") == images).all()
        assert (file.get_tensor("labels") == labels).all()
    same = opened(path, name="archive", resolution=size, channels=channels)
    assert same.digest == ImageData(images, labels, ("a", "b"), "memory").digest
    shown = f"{size[0]}x{size[1]}"
    with pytest.raises(DataError, match=rf"asked for: 8 x 8; set data\.resolution={shown}"):
        opened(path, name="archive", resolution=8, channels=channels)
    if channels == 5:
        with pytest.raises(DataError, match=r"5 channels, asked for: 3; set data\.channels=5"):
            opened(path, name="archive", resolution=size)


def test_prepare_with_height_and_width(two_classes, tmp_path):
    out = tmp_path / "pets.safetensors"
    assert prepare_data(two_classes, out, resolution=(12, 16)).size == (12, 16)
    assert read_archive(out).digest == opened(two_classes, resolution=(12, 16)).digest


def test_opacity_is_kept_where_four_channels_are_asked_for(tmp_path):
    half = Image.new("RGBA", (16, 8), (200, 100, 50, 0))
    half.paste((200, 100, 50, 255), (8, 0, 16, 8))
    half.save(tmp_path / "half.png")
    found = decode_file(tmp_path / "half.png", resolution=(8, 16), channels=4)
    assert found.shape == (4, 8, 16)
    assert (found[3, :, :8] == 0).all() and (found[3, :, 8:] == 255).all()
    assert (found[0] == 200).all()
    white = decode_file(tmp_path / "half.png", resolution=(8, 16), channels=3)
    assert (white[:, :, :8] == 255).all()
    for mode in ("L", "RGB", "P", "1", "CMYK"):
        path = tmp_path / f"{mode}.tiff"
        Image.new("L", (8, 8), 255).convert(mode).save(path)
        assert (decode_file(path, resolution=8, channels=4) == 255).all(), mode
    # Half-transparent edges do not mix in the colour of what is not seen.
    Image.new("RGBA", (16, 16), (0, 255, 0, 0)).save(tmp_path / "edge.png")
    edge = Image.open(tmp_path / "edge.png")
    edge.paste((200, 0, 0, 255), (0, 0, 7, 16))
    edge.save(tmp_path / "edge.png")
    found = decode_file(tmp_path / "edge.png", resolution=8, channels=4)
    seen = found[3] > 100
    assert seen.any() and found[1][seen].max() == 0


def test_grey_and_opaque_digits():
    data = open_dataset(DataConfig(name="digits", resolution=(8, 12), channels=4))
    assert data.images.shape == (1201, 4, 8, 12) and (data.images[:, 3] == 255).all()
    assert (data.images[:, 0] == data.images[:, 2]).all()
    with pytest.raises(DataError, match=r"channels is 2; allowed: 1 .*npy files into class folder"):
        open_dataset(DataConfig(name="digits", resolution=8, channels=2))


@pytest.fixture
def spectra(tmp_path):
    """Two classes of arrays of five channels, 12 x 16."""
    arrays = RNG.integers(0, 256, (4, 12, 16, 5), dtype=np.uint8)
    for number, array in enumerate(arrays):
        folder = tmp_path / "spectra" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{number}.npy", array)
    return tmp_path / "spectra", arrays


def test_arrays_of_any_number_of_channels(spectra, tmp_path):
    root, arrays = spectra
    scan = inspect_data(root)
    assert scan.channels == 5 and set(scan.modes) == {"uint8 x 5"} and not scan.grey
    data = opened(root, resolution=(12, 16), channels=5)
    assert (data.images == arrays[[0, 2, 1, 3]].transpose(0, 3, 1, 2)).all()
    assert data.counts.tolist() == [2, 2]
    small = opened(root, resolution=8, channels=5)
    plane = Image.fromarray(np.ascontiguousarray(arrays[0, :, 2:14, 3]))
    expected = np.asarray(plane.resize((8, 8), Image.Resampling.LANCZOS))
    assert (small.images[0, 3] == expected).all()
    assert prepare_data(root, tmp_path / "s.safetensors", resolution=8).digest == small.digest
    batch, _ = Loader(data, batch=4, seed=0, flip=True, crop=11).at(0)
    assert batch.shape == (4, 5, 12, 16) and batch.dtype == torch.uint8
    with pytest.raises(ValueError, match="crop is 12; allowed: 0 to 11"):
        Loader(data, batch=4, seed=0, crop=12)
    with pytest.raises(DataError, match=r"4 x an array of 5 channels, asked for: 3"):
        opened(root, resolution=8)


def test_arrays_of_sixteen_bits_and_of_pictures(tmp_path):
    wide = np.arange(0, 65536, 65535 // 191, dtype=np.uint16)[:192].reshape(8, 8, 3)
    np.save(tmp_path / "a.npy", wide)
    found = decode_array(tmp_path / "a.npy", resolution=8, channels=3)
    assert (found == np.round(wide / 257).astype(np.uint8).transpose(2, 0, 1)).all()
    np.save(tmp_path / "b.npy", np.asfortranarray(wide[:, :, 0]))
    grey = decode_array(tmp_path / "b.npy", resolution=8, channels=3)
    assert (grey == found[0]).all()
    assert decode_array(tmp_path / "b.npy", resolution=8, channels=4)[3].min() == 255


def test_arrays_that_are_refused(spectra, tmp_path):
    path = tmp_path / "x.npy"
    for array, reason in (
        (np.zeros((8, 8), np.float32), "array of float32 in 2 dimensions, needed: uint8 or uint16"),
        (np.zeros((2, 8, 8, 3), np.uint8), "in 4 dimensions"),
        (np.zeros((3, 64, 64), np.uint8), "a side below 8 pixels"),
        (np.zeros((8, 8, 65), np.uint8), "65 channels .*allowed: 1 to 64"),
        (np.zeros((8, 8, 0), np.uint8), r"not a \.npy array|an array of 0 channels"),
        (np.array([["a"] * 8] * 8, dtype=object), r"not a \.npy array"),
    ):
        np.save(path, array, allow_pickle=True)
        with pytest.raises(UnreadableImageError, match=reason):
            open_array(path)
    np.save(path, np.zeros((8, 8), np.uint8))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UnreadableImageError, match=r"not a \.npy array"):
        open_array(path)
    with pytest.raises(UnreadableImageError, match="more than"):
        np.save(path, np.zeros((16, 16, 40), np.uint8))
        open_array(path, max_pixels=2000)


def test_channels_come_last(tmp_path):
    """What an earlier `sample` wrote, channels first, is named and never read the other way round."""
    for shape, reason in (
        ((5, 16, 16), r"below 8 pixels: \[5, 16, 16\] was read as .*If it is \[channels, height,"),
        (
            (16, 16, 16),
            r"name of a sample, whose first dimension may be its channels.*asfortranarray",
        ),
        ((12, 16, 16), "whose first dimension may be its channels"),
        ((12, 16, 24), "whose first dimension may be its channels"),
    ):
        np.save(tmp_path / "7.npy", np.zeros(shape, np.uint8))
        with pytest.raises(UnreadableImageError, match=reason):
            open_array(tmp_path / "7.npy")
    for name, array in (
        ("cube.npy", np.zeros((16, 16, 16), np.uint8)),
        ("007.npy", np.zeros((16, 16, 16), np.uint8)),
        ("7.npy", np.zeros((16, 16, 16), np.uint8, order="F")),
        ("7.npy", np.zeros((24, 24, 16), np.uint8)),
        ("7.npy", np.zeros((16, 24, 5), np.uint8)),
    ):
        np.save(tmp_path / name, array)
        assert open_array(tmp_path / name).shape == array.shape
    with pytest.raises(UnreadableImageError, match=r"16 channels, asked for: 24.*\[24, 24, 16\]"):
        np.save(tmp_path / "wide.npy", np.zeros((24, 24, 16), np.uint8))
        decode_array(tmp_path / "wide.npy", resolution=16, channels=24)


def test_pictures_have_no_other_number_of_channels(two_classes):
    with pytest.raises(DataError, match=r"channels is 5; allowed.*\[height, width, 5\].*\.npy"):
        opened(two_classes, resolution=8, channels=5)
    np.save(two_classes / "cat" / "x.npy", np.zeros((8, 8, 5), np.uint8))
    with pytest.raises(DataError, match=r"6 of 7 files.*6 x a picture, which has no 5 channels"):
        opened(two_classes, resolution=8, channels=5)


def test_real_images_at_24_by_32(real_data):
    root = real_data(
        "tiny-imagenet-200-subset.tar.xz", lambda name: "n01443537" in name or ".txt" in name
    )
    files = sorted((root / "tiny-imagenet-200" / "train" / "n01443537" / "images").iterdir())
    for path in files[:5]:
        found = decode_file(path, resolution=(24, 32), channels=3)
        part = Image.open(path).convert("RGB").crop((0, 8, 64, 56))
        expected = np.asarray(part.resize((32, 24), Image.Resampling.LANCZOS))
        assert (found == expected.transpose(2, 0, 1)).all()
