"""A run that is resumed on changed images says what has changed."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import reacgan
from reacgan.training.checkpoint import CheckpointError


def draw(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def test_the_changes_are_named(tmp_path):
    photos, run = tmp_path / "photos", tmp_path / "run"
    for number in range(8):
        draw(photos / ("cat" if number % 2 else "dog") / f"{number}.png", number)
    small = {"name": "dcgan", "width": 4}
    experiment = reacgan.experiment("digits/reacgan").replace(
        **{
            "data": {"name": "folder", "path": str(photos), "resolution": 8},
            "model.generator": {**small, "latent_dim": 4},
            "model.backbone": small,
            "training.batch": 4,
            "training.images": 8,
        }
    )
    reacgan.train(experiment, run, quiet=True, device="cpu")
    longer = experiment.replace(**{"training.images": 16})
    draw(photos / "cat" / "1.png", 99)
    with pytest.raises(CheckpointError) as same_count:
        reacgan.train(longer, run, quiet=True, device="cpu")
    text = str(same_count.value)
    assert text.startswith(f"{run}: the images are not those") and f"--out {run}-2" in text
    assert "\n  files changed (1): cat/1.png\n" in text
    (photos / "cat" / "3.png").unlink()
    draw(photos / "horse" / "new.png", 5)
    draw(photos / "horse" / "newer.png", 6)
    with pytest.raises(CheckpointError) as other:
        reacgan.train(longer, run, quiet=True, device="cpu")
    assert str(other.value).splitlines()[1:-1] == [
        "  8 images then, 9 now",
        "  classes added (1): horse",
        "  images of classes: cat 4 -> 3",
        "  files added (2): horse/new.png, horse/newer.png",
        "  files removed (1): cat/3.png",
        "  files changed (1): cat/1.png",
    ]
