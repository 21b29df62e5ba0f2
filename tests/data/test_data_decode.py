from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from reacgan.data.dataset import DataError
from reacgan.data.decode import UnreadableImageError, decode_file, is_grey, open_header


def decode(path, resolution=8, channels=3):
    return decode_file(path, resolution=resolution, channels=channels)


def filled(mode, colour, size=(8, 8)):
    return Image.new(mode, size, colour)


def png(width, height, *, depth, kind, row):
    """A PNG written by hand, for what Pillow does not write."""

    def chunk(name, content):
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for _ in range(height))))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def test_layout_is_channels_first(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = decode(tmp_path / "a.png")
    assert found.dtype == np.uint8 and found.flags.c_contiguous
    assert (found == pixels.transpose(2, 0, 1)).all()


@pytest.mark.parametrize(
    ("mode", "colour", "suffix", "expected"),
    [
        ("L", 77, "png", (77, 77, 77)),
        ("1", 1, "png", (255, 255, 255)),
        ("LA", (77, 255), "png", (77, 77, 77)),
        ("LA", (0, 0), "png", (255, 255, 255)),
        ("RGBA", (10, 20, 30, 255), "png", (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), "webp", (255, 255, 255)),
        ("RGBA", (0, 0, 0, 51), "png", (204, 204, 204)),
        ("RGB", (10, 20, 30), "bmp", (10, 20, 30)),
        ("RGB", (10, 20, 30), "tiff", (10, 20, 30)),
        ("CMYK", (0, 0, 0, 0), "jpg", (255, 255, 255)),
        ("CMYK", (255, 0, 0, 0), "tiff", (0, 255, 255)),
        ("F", 0.5, "tiff", (128, 128, 128)),
        ("F", 128.4, "tiff", (128, 128, 128)),
        ("I", 257 * 99, "tiff", (99, 99, 99)),
    ],
)
def test_modes(tmp_path, mode, colour, suffix, expected):
    path = tmp_path / f"a.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    filled(mode, colour).save(path, **options)
    assert [plane.mean() for plane in decode(path)] == pytest.approx(expected, abs=1)
    if len(set(expected)) == 1:
        assert decode(path, channels=1).shape == (1, 8, 8)
        assert decode(path, channels=1).mean() == pytest.approx(expected[0], abs=1)


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path):
    values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(values).save(tmp_path / "grey.png")
    expected = np.round(values / 257).astype(np.uint8)
    assert (decode(tmp_path / "grey.png", channels=1)[0] == expected).all()
    assert (decode(tmp_path / "grey.png") == expected).all()
    row = np.arange(0, 24 * 2700, 2700, dtype=">u2").tobytes()
    (tmp_path / "colour.png").write_bytes(png(8, 8, depth=16, kind=2, row=row))
    upper = np.frombuffer(row, np.uint8)[::2].reshape(8, 3)
    assert (decode(tmp_path / "colour.png")[:, 0] == upper.T).all()


def test_palettes(tmp_path):
    image = filled("P", 1, (8, 8))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.save(tmp_path / "plain.png")
    image.save(tmp_path / "clear.png", transparency=1)
    assert [plane.mean() for plane in decode(tmp_path / "plain.png")] == [0, 0, 255]
    assert (decode(tmp_path / "clear.png") == 255).all()
    image.putpalette([9, 9, 9, 200, 200, 200])
    image.save(tmp_path / "greys.png")
    with open_header(tmp_path / "greys.png") as greys, open_header(tmp_path / "plain.png") as red:
        assert is_grey(greys) and not is_grey(red)


def test_exif_orientation(tmp_path):
    image = filled("L", 0)
    image.paste(255, (0, 0, 8, 4))  # upper half white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise: right half white
    image.save(tmp_path / "a.jpg", exif=exif, quality=100)
    turned = decode(tmp_path / "a.jpg", channels=1)[0]
    assert turned[:, :3].max() < 20 and turned[:, 5:].min() > 235


def test_centre_crop_keeps_the_middle(tmp_path):
    image = filled("L", 0, (31, 9))
    image.paste(255, (11, 0, 20, 9))
    image.save(tmp_path / "wide.png")
    image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "tall.png")
    assert decode(tmp_path / "wide.png", channels=1).min() == 255
    assert decode(tmp_path / "tall.png", channels=1).min() == 255


def test_resizing_is_antialiased(tmp_path):
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    Image.fromarray(board).save(tmp_path / "a.png")
    small = decode(tmp_path / "a.png", channels=1)
    assert abs(small.astype(int) - 128).max() < 6


def test_first_frame_of_an_animation(tmp_path):
    frames = [filled("RGB", colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    frames[0].save(tmp_path / "a.tiff", save_all=True, append_images=frames[1:])
    for name in ("a.webp", "a.tiff"):
        assert [plane.mean() for plane in decode(tmp_path / name)] == [255, 0, 0]


@pytest.mark.parametrize("value", [np.nan, -1.0, 1e6])
def test_values_of_unknown_scale(tmp_path, value):
    filled("F", value).save(tmp_path / "a.tiff")
    with pytest.raises(UnreadableImageError, match=r"a\.tiff: values of unknown scale"):
        decode(tmp_path / "a.tiff")


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tiff"])
def test_any_cut_or_noise_is_refused_or_decoded_and_never_crashes(tmp_path, suffix):
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8))
    path = tmp_path / f"a.{suffix}"
    noise.save(path)
    whole = path.read_bytes()
    cut = 0
    for _ in range(60):
        damaged = bytearray(whole[: rng.integers(1, len(whole))])
        for place in rng.integers(0, len(damaged), 3):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            assert decode(path).shape == (3, 8, 8)
        except UnreadableImageError as error:
            cut += 1
            assert len(error.reason) < 80
    assert cut > 40


def test_the_largest_image_is_a_choice(tmp_path, monkeypatch):
    """Pillow's own limit, which is twice this one, is no obstacle either."""
    from reacgan.config import DataConfig
    from reacgan.data import inspect_data, open_dataset, prepare_data

    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1500)
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.new("RGB", (90, 90), "red").save(tmp_path / "photos" / name / "0.png")
    config = DataConfig(path=str(tmp_path / "photos"), resolution=8)
    monkeypatch.setattr("reacgan.data.decode.MAX_PIXELS", 1000)
    with pytest.raises(DataError, match="more than 1000 pixels; REACGAN_MAX_PIXELS allows more"):
        open_dataset(config)
    monkeypatch.setenv("REACGAN_MAX_PIXELS", "1e4")
    assert len(open_dataset(config)) == 2
    assert len(inspect_data(tmp_path / "photos").files) == 2
    with pytest.raises(DataError, match="more than 99 pixels"):
        prepare_data(tmp_path / "photos", tmp_path / "p.safetensors", resolution=8, max_pixels=99)
    for wrong in ("many", "0", "1.5", "-1", "inf"):
        monkeypatch.setenv("REACGAN_MAX_PIXELS", wrong)
        with pytest.raises(DataError, match=f"REACGAN_MAX_PIXELS is '{wrong}'; needed: a whole"):
            open_dataset(config)
