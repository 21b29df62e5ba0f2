"""Larger images with the same pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from reacgan.config import ConfigError
from reacgan.sampling import Enlarging


def test_whole_factors_repeat_pixels():
    image = torch.arange(5 * 2 * 3, dtype=torch.uint8).view(5, 2, 3)
    larger = Enlarging(scale=3).apply(image)
    assert larger.shape == (5, 6, 9)
    assert torch.equal(larger, image.repeat_interleave(3, 1).repeat_interleave(3, 2))
    assert Enlarging().apply(image) is image and Enlarging().describe(2, 3) == ""


def test_a_side():
    image = torch.arange(6, dtype=torch.uint8).view(1, 2, 3)
    assert torch.equal(Enlarging(side=6).apply(image), Enlarging(scale=2).apply(image))
    assert Enlarging(side=7).size(2, 3) == (5, 7)
    assert "unequal sizes" in Enlarging(side=7).describe(2, 3)
    words = "enlarged from 3 x 2 to 6 x 4, nearest neighbour: the same pixels, larger"
    assert Enlarging(side=6).describe(2, 3) == words
    assert "unequal" not in Enlarging(side=7, resample="bicubic").describe(2, 3)


def test_smooth_ones_are_pillows():
    image = torch.randint(0, 256, (3, 4, 4), dtype=torch.uint8)
    for method in ("bicubic", "lanczos"):
        larger = Enlarging(scale=4, resample=method).apply(image)
        picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
        resized = picture.resize((16, 16), Image.Resampling[method.upper()])
        assert np.array_equal(larger.permute(1, 2, 0).numpy(), np.asarray(resized))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 0}, "scale is 0; allowed: 1 to 16384"),
        ({"scale": 2, "side": 64}, "scale is 2 and side is 64; give one of them"),
        ({"resample": "box"}, "resample is 'box'; allowed: nearest, bicubic, lanczos"),
        ({"side": 8}, "side is 8, and the images are 16 x 16; allowed: 16 or more"),
        ({"scale": 2000}, "gives 32000 x 32000 pixels"),
    ],
)
def test_what_cannot_be_asked_for(options, message):
    with pytest.raises(ConfigError, match=message):
        Enlarging(**options).size(16, 16)


def test_the_command(reacgan, tmp_path):
    words = ["sample", "digits-reacgan", "--classes", "3", "--num", 1, "--out"]
    code, out, err = reacgan(*words, tmp_path / "large", "--scale", 4)
    assert code == 0 and "enlarged from 8 x 8 to 32 x 32, nearest neighbour" in out, err
    assert reacgan(*words, tmp_path / "plain")[0] == 0
    with (
        Image.open(tmp_path / "large/3/0.png") as large,
        Image.open(tmp_path / "plain/3/0.png") as own,
    ):
        assert large.size == (32, 32)
        assert np.array_equal(np.asarray(large)[::4, ::4], np.asarray(own))
    code, _, err = reacgan(*words, tmp_path / "none", "--side", 4)
    assert code == 1 and "side is 4" in err and not (tmp_path / "none").exists()
