"""A reference of more than 8 bits whose white is another value than that of a run's own data."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from commands import TINY
from reacgan.config import DataConfig
from reacgan.evaluation.reference import open_reference

QUICK = ["--set", "extractor.epochs=1", "extractor.width=8", "--device", "cpu", "--quiet"]


def write(root, high):
    """Two classes of sixteen images of noise up to ``high``."""
    random = np.random.default_rng(high)
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        for k in range(16):
            values = random.integers(0, high, (8, 8), endpoint=True).astype(np.uint16)
            values[0, 0] = high
            Image.fromarray(values).save(root / name / f"{k}.tif")
    return root


@pytest.fixture(scope="module")
def whites(tmp_path_factory):
    """Sets of 12 and of 16 bits, and one of 12 bits once more."""
    root = tmp_path_factory.mktemp("whites")
    write(root / "same", 4000)
    return write(root / "twelve", 4095), write(root / "sixteen", 65535), root / "same"


def test_another_white_is_said(reacgan, whites, tmp_path, monkeypatch):
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path / "cache"))
    own, other, same = whites
    settings = [*TINY, "data.name=folder", f"data.path={own}"]
    code, _, err = reacgan(
        "train", "digits/reacgan", "--images", "64", "--out", tmp_path / "run", "--quiet", *settings
    )
    assert code == 0, err
    shown = {}
    for reference in (other, same):
        code, out, err = reacgan(
            "evaluate", tmp_path / "run", "--reference", reference, "--extractor", "domain",
            "--metrics", "fid", "--num", "16", "--out", tmp_path / reference.name, *QUICK,
        )  # fmt: skip
        assert code == 0, err
        shown[reference] = out
    said = "of the integers 65,535 is white in the reference, 4,095 in the run's data"
    shown[other] = " ".join(shown[other].split())
    assert 0 <= shown[other].find(said) < shown[other].find("FID")
    assert "is white in the reference" not in shown[same]


def test_clipped_held_out_images_are_said_with_the_scores(tmp_path, monkeypatch):
    monkeypatch.setenv("REACGAN_CACHE", str(tmp_path / "cache"))
    write(tmp_path / "set" / "train", 4095)
    write(tmp_path / "set" / "test", 9000)
    config = DataConfig(path=str(tmp_path / "set"), resolution=8, channels=1)
    (warning,) = open_reference(config).warnings
    assert warning.startswith("the reference: 32 of 32 images have values above 4,095")
    assert "are clipped to 255" in warning
