"""What is said of cropping is what the loader keeps."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from reacgan.config import grid_of, size_of
from reacgan.data.cropping import advice, better, cut_in_words, kept_share
from reacgan.data.decode import crop_window, decode_file

SHAPES = [
    *((96, 72), (72, 96), (300, 200), (1920, 1080), (1080, 1920), (640, 480), (100, 100)),
    *((101, 97), (500, 50), (50, 500), (33, 65), (1000, 618), (4000, 3000), (256, 144), (8, 40)),
]


def loaded_share(size, resolution, tmp_path):
    """The share of a picture's pixels that the loader reads: each tells its place by its values."""
    width, height = size
    rows, columns = np.mgrid[:height, :width]
    red, green = 255 * columns / max(1, width - 1), 255 * rows / max(1, height - 1)
    pixels = np.stack([red, green, 0 * red], axis=-1).round().astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    image = decode_file(tmp_path / "x.png", resolution=resolution, channels=3).astype(float)
    high, wide = size_of(resolution)
    # A cell of a resized picture is the mean of its part: ends lie half a cell outside of the outer two.
    across = np.ptp(image[0].mean(0)) * wide / (wide - 1) / 255
    down = np.ptp(image[1].mean(1)) * high / (high - 1) / 255
    return across * down


@pytest.mark.parametrize("size", SHAPES)
def test_the_stated_share_is_what_the_loader_keeps(size, tmp_path):
    found = better({size: 1}, 32)
    for resolution in (32, *((found[0],) if found else ())):
        kept = kept_share({size: 1}, resolution)
        assert kept == pytest.approx(loaded_share(size, resolution, tmp_path), abs=0.06)


@pytest.mark.parametrize("side", [8, 16, 32, 64, 100, 128])
@pytest.mark.parametrize("size", SHAPES)
def test_a_proposal_is_true_and_networks_can_have_it(size, side):
    said = advice({size: 3}, side)
    found = better({size: 3}, side)
    proposed = re.search(r"data\.resolution=(\d+)x(\d+) keeps (the whole|\d+%)", said)
    assert bool(said) == (kept_share({size: 3}, side) <= 0.8)
    if not said or found is None:
        assert proposed is None
        return
    high, wide = int(proposed[1]), int(proposed[2])
    assert found[0] == (high, wide) and grid_of((high, wide))
    left, top, right, bottom = crop_window(size, (wide, high))
    share = (right - left) * (bottom - top) / (size[0] * size[1])
    assert proposed[3] == ("the whole" if share >= 0.995 else f"{share:.0%}")
    assert share >= kept_share({size: 3}, side) + 0.05


def test_the_share_of_a_mixed_set_is_the_mean():
    mixed = {(96, 72): 1, (72, 96): 1, (72, 72): 2}
    assert kept_share(mixed, 32) == pytest.approx((0.75 + 0.75 + 1 + 1) / 4)
    assert cut_in_words(mixed, 32) == "about 12% of an image is cut off at the edges"
    assert cut_in_words({(96, 72): 1}, (24, 32)) == ""
