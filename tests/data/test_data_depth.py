"""Images of more than 8 bits: one value is white in the whole set, and that is said."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from reacgan.config import DataConfig
from reacgan.data import inspect_data, open_dataset


def write(root, low, high, *, kind="tif", dtype=np.uint16, held_out=None):
    """Two classes of ramps, the first image of each from low to high, the others half as bright."""
    for split, end in (("train", high), ("test", held_out)):
        for name in ("a", "b") if end is not None else ():
            folder = root / split / name
            folder.mkdir(parents=True)
            for k in range(3):
                ramp = np.linspace(low, end / (1 + k), 256).reshape(16, 16).astype(dtype)
                if kind == "npy":
                    np.save(folder / f"{k}.npy", ramp)
                else:
                    Image.fromarray(ramp).save(folder / f"{k}.{kind}")
    return root


def pixels(root, split="train"):
    data = open_dataset(DataConfig(name="folder", path=str(root), resolution=16, channels=1), split)
    return data.images[:, 0].reshape(len(data), -1)


@pytest.mark.parametrize("kind", ["tif", "png", "npy"])
@pytest.mark.parametrize(
    ("high", "white"), [(200, 255), (1000, 1023), (4000, 4095), (16000, 16383), (60000, 65535)]
)
def test_the_range_of_the_set_is_white(tmp_path, kind, high, white):
    root = write(tmp_path / "set", 0, high, kind=kind)
    found = pixels(root)
    ramp = np.linspace(0, high, 256).astype(np.uint16)
    assert (found[0] == np.round(ramp * (255 / white))).all()
    half = np.linspace(0, high / 2, 256).astype(np.uint16)
    assert (found[1] == np.round(half * (255 / white))).all()  # darker in the set, darker here
    (note,) = inspect_data(root).notes
    steps = round(255 * high / white) + 1
    assert note == (
        f"6 images hold integers of more than 8 bits, from 0 to {high:,}: 0 to {white:,} become 0 to "
        f"255, so {steps} of 256 steps are used"
    )


def test_a_narrow_part_of_the_range_is_said(tmp_path):
    root = tmp_path / "narrow" / "a"
    root.mkdir(parents=True)
    Image.fromarray(np.linspace(30000, 34000, 64).reshape(8, 8).astype(np.uint16)).save(
        root / "1.tif"
    )
    notes = inspect_data(root.parent).notes
    assert any("so 16 of 256 steps are used; rescale their values" in note for note in notes)


def test_held_out_images_have_the_white_of_the_training_images(tmp_path):
    root = write(tmp_path / "set", 0, 4000, held_out=60000)
    assert pixels(root).max() == round(4000 * 255 / 4095)
    found = pixels(root, "test")
    ramp = np.linspace(0, 60000, 256).astype(np.uint16)
    assert (found[0] == np.round(np.minimum(ramp * (255 / 4095), 255))).all()


def test_floats_have_one_white_too(tmp_path):
    root = write(tmp_path / "set", 0, 200, dtype=np.float32)
    dark = root / "train" / "a" / "2.tif"
    Image.fromarray(np.full((16, 16), 0.9, np.float32)).save(dark)
    assert pixels(root)[2].max() == 1
    (note,) = inspect_data(root).notes
    assert "6 images hold floats, from 0 to 200: 0 to 255 become 0 to 255" in note
