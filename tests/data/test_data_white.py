"""Images of more than 8 bits: what they lose is said, and a person can set which value is white."""

from __future__ import annotations

import logging
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from reacgan.config import DataConfig
from reacgan.data import (
    DataError,
    inspect_data,
    open_dataset,
    prepare_data,
    refusal_of,
    survey_dataset,
)
from reacgan.data.archive import read_archive
from reacgan.data.decode import UnreadableImageError, decode_file

RAMP = np.linspace(0, 1, 1024).reshape(32, 32)


def save(path, values, **extra):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        Image.fromarray(values).save(path, **extra)


def write(root, high=4095, *, split="train", dtype=np.uint16, suffix="tif", change=None):
    """Two classes of three ramps up to ``high``; ``change`` may alter the first one of class a."""
    for name in ("a", "b"):
        for k in range(3):
            values = (RAMP * high).astype(dtype)
            if change is not None and name == "a" and k == 0:
                values = change(values)
            save(root / split / name / f"{k}.{suffix}", values)
    return root


def config(root, **options):
    return DataConfig(name="folder", path=str(root), resolution=32, channels=1, options=options)


def outlier(value):
    def change(values):
        values[3, 3] = value
        return values

    return change


@pytest.mark.parametrize(
    ("high", "dtype", "suffix", "bright", "needed"),
    [
        (4095, np.uint16, "tif", 65535, 4095),
        (4095, np.uint16, "npy", 65535, 4095),
        (1, np.float32, "tif", 900, 1),
    ],
)
def test_a_bright_outlier_is_said(tmp_path, high, dtype, suffix, bright, needed):
    root = write(tmp_path / "set", high, dtype=dtype, suffix=suffix, change=outlier(bright))
    first, second = inspect_data(root).notes
    steps = int(first.split("so ")[1].split(" of 256")[0])
    white = {65535: 65535, 900: 1023}[bright]
    assert steps == round(255 * high / white) + 2  # the ramp's, and that of the outlier
    assert "rescale their values" in first
    assert f"99.9 % of the values lie at or below {high:,}, but {white:,} is white" in second
    assert "the images will be dark" in second
    assert f"--set data.options.white={needed}" in second
    assert f"--white {needed}" in second


def test_the_white_that_a_person_sets(tmp_path):
    root = write(tmp_path / "set", change=outlier(65535))
    images = open_dataset(config(root, white=4095)).images
    assert images[1].max() == 255
    assert images[1, 0, 16, 0] == round(RAMP[16, 0] * 4095 // 1 * 255 / 4095)
    assert open_dataset(config(root)).images[1].max() == 16  # another white is another pack
    notes = survey_dataset(config(root, white=4095)).notes
    assert notes == inspect_data(root, white=4095).notes
    assert "0 to 4,095 become 0 to 255, so 256 of 256 steps" in notes[0]
    assert "1 of 6 images has values above 4,095, which is white: 1 of 6,144 values" in notes[1]
    assert "are clipped to 255" in notes[1]
    packed = prepare_data(root, tmp_path / "set.safetensors", resolution=32, white=4095)
    assert (packed.images == images).all()
    assert packed.whites == (4095, None)
    assert packed.lost == notes[1:]
    assert read_archive(tmp_path / "set.safetensors").lost == notes[1:]


@pytest.mark.parametrize("white", [0, -1, 65536, "bright", True, float("nan")])
def test_no_such_white(tmp_path, white):
    root = write(tmp_path / "set")
    with pytest.raises(DataError, match="white is .*; allowed: the value that becomes 255"):
        open_dataset(config(root, white=white))


def test_a_packed_file_has_its_white_already(tmp_path):
    root = write(tmp_path / "set")
    prepare_data(root, tmp_path / "set.safetensors", resolution=32)
    packed = config(tmp_path / "set.safetensors", white=300)
    for look in (open_dataset, survey_dataset):
        with pytest.raises(DataError, match=r"white is fixed.* prepare the images again"):
            look(packed)


def png_of_16_bits(path, values):
    """RGB of 16 bits a channel, which Pillow reads but does not write."""
    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def part(kind, content):
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    content = part(b"IHDR", header) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


def tiff_of_16_bits(path, values, photometric=2):
    """RGB or grey of 16 bits, little-endian, as one strip."""
    height, width, channels = values.shape
    data = values.astype("<u2").tobytes()
    bits = 8 + len(data)
    directory = bits + 2 * channels
    one = b"".join
    entries = [
        (256, 3, 1, width),
        (257, 3, 1, height),
        (258, 3, channels, bits if channels > 2 else 16),
        (259, 3, 1, 1),
        (262, 3, 1, photometric),
        (273, 4, 1, 8),
        (277, 3, 1, channels),
        (278, 3, 1, height),
        (279, 4, 1, len(data)),
    ]
    path.write_bytes(
        b"II*\0"
        + struct.pack("<I", directory)
        + data
        + struct.pack("<H", 16) * channels
        + struct.pack("<H", len(entries))
        + one(struct.pack("<HHII", *entry) for entry in entries)
        + b"\0\0\0\0"
    )


@pytest.mark.parametrize(("name", "writer"), [("png", png_of_16_bits), ("tif", tiff_of_16_bits)])
@pytest.mark.parametrize("high", [4095, 65535])
def test_colour_of_16_bits(tmp_path, name, writer, high):
    values = (RAMP * high).astype(np.uint16)[:, :, None].repeat(3, axis=2)
    for label in ("a", "b"):
        (tmp_path / "set" / label).mkdir(parents=True)
        writer(tmp_path / "set" / label / f"1.{name}", values)
    scan = inspect_data(tmp_path / "set")
    assert scan.modes == ("RGB;16", "RGB;16")
    (note,) = scan.notes
    assert note.startswith("2 images hold 16 bits a channel in colour; only the upper 8 are read")
    dark = "99.9 % of these lie at or below 15 of 255: the images will be dark"
    assert (dark in note) == (high == 4095)
    assert ".npy" in note


def test_colour_of_8_bits_has_no_note(tmp_path):
    save(tmp_path / "set" / "a" / "1.tif", np.full((32, 32, 3), 9, np.uint8))
    save(tmp_path / "set" / "b" / "2.png", np.full((32, 32, 3), 9, np.uint8))
    assert inspect_data(tmp_path / "set").notes == ()


def test_held_out_images_above_white_are_said_everywhere(tmp_path, caplog):
    root = write(tmp_path / "set", 4095)
    write(root, 16000, split="test")
    over = int((np.floor(RAMP * 16000) > 4095).sum()) * 6
    said = (
        "6 of 6 images have values above 4,095, which is white, as in the training images: "
        f"{over:,} of 6,144 values ({over / 6144:.2%}) are clipped to 255. --set "
        "data.options.white=16000 (reacgan data prepare --white 16000) keeps them: each of 256 steps "
        "is then 62.7 wide, instead of 16.1"
    )
    assert f"held-out images: {said}" in inspect_data(root).notes
    assert f"held-out images: {said}" in survey_dataset(config(root)).notes
    assert inspect_data(root, split="test").notes == (said,)
    caplog.set_level(logging.WARNING)
    for _ in range(2):  # also from the cache
        caplog.clear()
        assert open_dataset(config(root), "test").lost == (said,)
        assert said in caplog.text
    caplog.clear()
    prepare_data(root, tmp_path / "set.safetensors", resolution=32)
    assert said in caplog.text
    assert read_archive(tmp_path / "set.test.safetensors").lost == (said,)
    assert inspect_data(root, white=16000).notes[1:] == ()


def test_held_out_images_far_below_white_are_said(tmp_path):
    root = write(tmp_path / "set", 60000)
    write(root, 4095, split="test")
    (note,) = inspect_data(root, split="test").notes
    assert "lie at or below 4,090, but 65,535 is white, as in the training images" in note
    assert "these images will be dark" in note
    assert f"held-out images: {note}" in inspect_data(root).notes


@pytest.mark.parametrize("high", [4095, 65535])
def test_zero_as_white_is_turned(tmp_path, high):
    folder = tmp_path / "set" / "a"
    folder.mkdir(parents=True)
    values = (RAMP * high).round().astype(np.uint16)[:, :, None]
    tiff_of_16_bits(folder / "0.tif", high - values, photometric=0)
    tiff_of_16_bits(folder / "1.tif", values, photometric=1)
    floats = Image.fromarray((high - values[:, :, 0]).astype(np.float32))
    floats.save(folder / "2.tif", tiffinfo={262: 0})
    images = open_dataset(config(folder.parent)).images.astype(int)
    assert abs(images[0] - images[1]).max() <= 1
    assert abs(images[2] - images[1]).max() <= 1
    assert images[1, 0, 0, 0] == 0
    assert (
        "2 TIFF images are stored with zero as white and inverted"
        in inspect_data(folder.parent).notes
    )


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (RAMP * 2000 - 1000, np.float32),
        (RAMP * 1e6, np.float32),
        (np.where(RAMP > 0.5, np.nan, RAMP), np.float32),
        (RAMP * 2**30, np.int32),
        (RAMP - 0.001, np.float32),
    ],
)
def test_values_of_unknown_scale_are_refused_before_training(tmp_path, values, dtype):
    root = tmp_path / "set"
    write(root, dtype=np.uint16)
    for k in range(2):
        save(root / "train" / "a" / f"deep{k}.tif", values.astype(dtype))
    scan = inspect_data(root)
    assert len(scan.refused) == 2
    (reason,) = scan.reasons
    assert reason.startswith("values of unknown scale")
    assert "rescale them, integers to 0..65535, floats to 0..1" in reason
    with pytest.raises(DataError, match="values of unknown scale"):
        open_dataset(config(root))
    assert "2 of 8 files were refused" in refusal_of(scan)
    for name in ("a", "b"):
        for k in range(3):
            (root / "train" / name / f"{k}.tif").unlink()
    with pytest.raises(DataError, match="no usable image among 2 files: 2 x values of unknown"):
        inspect_data(root)


def test_damaged_deep_images_are_refused_in_inspection(tmp_path):
    root = write(tmp_path / "set")
    path = root / "train" / "a" / "0.tif"
    path.write_bytes(path.read_bytes()[:1200])
    with pytest.raises(UnreadableImageError) as training:
        decode_file(path, resolution=32, channels=1)
    assert set(inspect_data(root).reasons) == {training.value.reason}


def test_a_dry_run_refuses_what_inspection_refuses(tmp_path, reacgan):
    root = write(tmp_path / "set", 2000, dtype=np.float32)
    for path in root.rglob("*.tif"):
        save(path, (RAMP * 2000 - 1000).astype(np.float32))
    for words in (["data", "inspect"], ["train", "--dry-run", "--device", "cpu", "--data"]):
        code, _, err = reacgan(*words, root)
        assert code != 0
        assert "floats to 0..1" in " ".join(err.split())


def test_a_white_from_the_command_line(tmp_path, reacgan):
    root = write(tmp_path / "set", change=outlier(65535))
    code, out, err = reacgan("data", "inspect", root, "--set", "white=4095")
    out = " ".join(out.split())
    assert (code, "are clipped to 255" in out, "will be dark" in out) == (0, True, False), err
    code, out, err = reacgan(
        "train", "--data", root, "--dry-run", "--device", "cpu", "--set", "data.options.white=4095"
    )
    assert (code, "are clipped to 255" in err, "will be dark" in err) == (0, True, False), err
    assert '"white": 4095' in out
    packed = tmp_path / "set.safetensors"
    code, _, err = reacgan("data", "prepare", root, packed, "--resolution", "32", "--white", "4095")
    assert code == 0, err
    assert read_archive(packed).whites == (4095, None)
