"""Photos of telephones: HEIC and AVIF are read where there is a decoder, and else named."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image, features

from reacgan.data import decode, find_dataset, inspect_data, open_dataset

heif = pytest.importorskip("pillow_heif")
READERS = ("pi_heif", "pillow_heif")

needs_avif = pytest.mark.skipif(
    "avif" not in features.modules or not features.check("avif"),
    reason="this Pillow was built without AVIF",
)
EXIF_TURNED = 6
"""Orientation of a picture that has to be turned by a quarter, clockwise."""


def photo(width=48, height=32):
    """Left half dark, right half bright."""
    pixels = np.full((height, width, 3), 30, np.uint8)
    pixels[:, width // 2 :] = 220
    return Image.fromarray(pixels)


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """A cache of its own, and the formats looked up again."""
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path / "cache"))
    decode.readable_formats.cache_clear()
    yield monkeypatch
    decode.readable_formats.cache_clear()


def save(image, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".avif":
        image.save(path, "AVIF", **options)
    else:
        heif.from_pillow(image).save(path, quality=95, **options)


def pixels_of(path):
    return decode.decode_file(path, resolution=16, channels=3)


@pytest.mark.parametrize(
    "name",
    ["a.heic", "a.HEIC", "a.heif", "heic-called.jpg", pytest.param("a.avif", marks=needs_avif)],
)
def test_photos_of_telephones_are_read(tmp_path, fresh, name):
    save(photo(), tmp_path / name)
    pixels = pixels_of(tmp_path / name)
    assert pixels.shape == (3, 16, 16)
    assert abs(int(pixels[0, 8, 2]) - 30) < 12 and abs(int(pixels[0, 8, 13]) - 220) < 12


def test_a_turned_photo_is_upright(tmp_path, fresh):
    exif = Image.Exif()
    exif[0x0112] = EXIF_TURNED
    save(photo(32, 32), tmp_path / "a.heic", exif=exif.tobytes())
    pixels = pixels_of(tmp_path / "a.heic")
    # Turned clockwise the left half is the upper one.
    assert pixels[0, 2].max() < 60 and pixels[0, 13].min() > 180


def folder_of(root, kinds=("heic", "png")):
    for kind, name in zip(kinds, ("cat", "dog"), strict=True):
        for number in range(4):
            image = photo() if number % 2 else photo().transpose(Image.Transpose.ROTATE_180)
            if kind == "png":
                (root / name).mkdir(parents=True, exist_ok=True)
                image.save(root / name / f"{number}.png")
            else:
                save(image, root / name / f"{number}.{kind}")
    return root


def without_decoder(monkeypatch):
    """As where neither reader is installed."""
    for name in READERS:
        monkeypatch.setitem(sys.modules, name, None)
    decode.readable_formats.cache_clear()


def test_without_the_decoder_files_are_named_with_the_remedy(tmp_path, fresh):
    root = folder_of(tmp_path / "pets")
    without_decoder(fresh)
    scan = inspect_data(root)
    assert scan.class_names == ("dog",)
    assert {each.path for each in scan.refused} == {f"cat/{number}.heic" for number in range(4)}
    assert all("pip install 'reacgan[heif]'" in each.reason for each in scan.refused)


def test_what_is_packed_follows_an_installation(tmp_path, fresh):
    root = folder_of(tmp_path / "pets", ("heic", "png"))
    for number in range(200):  # so that few are refused
        photo().save(root / "dog" / f"more{number}.png")
    config = find_dataset(str(root)).model_copy(update={"resolution": 8})
    without_decoder(fresh)
    assert len(open_dataset(config)) == 204
    for name in READERS:
        fresh.delitem(sys.modules, name)
    decode.readable_formats.cache_clear()
    assert len(open_dataset(config)) == 208


def test_a_damaged_photo_is_damaged(tmp_path, fresh):
    save(photo(), tmp_path / "a.heic")
    content = (tmp_path / "a.heic").read_bytes()
    (tmp_path / "a.heic").write_bytes(content[: len(content) // 2])
    with pytest.raises(decode.UnreadableImageError) as error:
        pixels_of(tmp_path / "a.heic")
    assert "pip" not in error.value.reason
