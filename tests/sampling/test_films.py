"""Films of walks, opened again by those who play them."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from reacgan.config import ConfigError
from reacgan.sampling.films import Film, frames_of, save_gif, save_mp4, there_and_back


def brighter(rows=1, steps=5, channels=1, side=8):
    """Rows of images that become brighter with each step."""
    values = torch.arange(steps).mul(40).add(20).to(torch.uint8)
    return values[None, :, None, None, None].expand(rows, steps, channels, side, side)


def mean(frame):
    return float(
        np.asarray(frame.convert("L") if isinstance(frame, Image.Image) else frame)[
            8:-8, 8:-8
        ].mean()
    )


@pytest.mark.parametrize(
    ("rows", "scale", "size"),
    [
        (1, None, (260, 260)),
        (10, 3, (132, 54)),
        (3, 2, (56, 20)),
        (7, 1, (42, 22)),
        (1, 64, (516, 516)),
    ],
)
def test_frames(rows, scale, size):
    frames = frames_of(brighter(rows), scale=scale)
    assert len(frames) == 5 and {frame.size for frame in frames} == {size}
    assert all(side % 2 == 0 for side in size)


def test_an_odd_side_is_made_even():
    images = brighter(side=7)
    assert frames_of(images, scale=3)[0].size == (26, 26)  # 21 and two gaps of 2, one pixel more


def test_there_and_back():
    assert there_and_back([0, 1, 2, 3]) == [0, 1, 2, 3, 2, 1]
    assert there_and_back([0, 1]) == [0, 1]


@pytest.mark.parametrize("channels", [1, 3, 4, 5])
def test_gif(tmp_path, channels):
    save_gif(frames_of(brighter(channels=channels)), tmp_path / "a.gif", fps=10)
    with Image.open(tmp_path / "a.gif") as film:
        assert film.n_frames == 5 and film.info["loop"] == 0
        shown = []
        for number in range(5):
            film.seek(number)
            shown.append(mean(film))
            assert film.info["duration"] == 100
    if channels != 4:  # whose fourth is opacity
        assert shown == pytest.approx([20, 60, 100, 140, 180], abs=3)


def test_mp4(tmp_path):
    imageio = pytest.importorskip("imageio.v2")
    save_mp4(there_and_back(frames_of(brighter())), tmp_path / "a.mp4", fps=12)
    with imageio.get_reader(tmp_path / "a.mp4") as film:
        facts = film.get_meta_data()
        shown = [mean(frame) for frame in film]
    assert facts["codec"] == "h264" and facts["pix_fmt"].startswith("yuv420p")
    assert facts["fps"] == 12 and facts["size"] == (260, 260)
    assert shown == pytest.approx([20, 60, 100, 140, 180, 140, 100, 60], abs=6)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(ConfigError, match=r"pip install 'reacgan\[video\]'"):
        Film(("mp4",))
    Film(("gif",))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 1}, "frames is 1; allowed: 2 to 10,000"),
        ({"fps": 0}, "fps is 0; allowed: 1 to 60"),
        ({"fps": 61.5}, "fps is 61.5; allowed: 1 to 60"),
        ({"scale": 0}, "scale is 0; allowed: 1 to 64"),
    ],
)
def test_what_cannot_be_asked_for(options, message):
    with pytest.raises(ConfigError, match=message):
        Film(("gif",), **options)


def test_the_command(reacgan, tmp_path):
    pytest.importorskip("imageio.v2")
    code, out, err = reacgan(
        "walk", "digits-reacgan", "--between", "3,7", "--num", 2, "--steps", 3, "--gif", "--mp4",
        "--frames", 4, "--directions", 1, "--classes", "5", "--out", tmp_path,
    )  # fmt: skip
    assert code == 0, err
    names = ["between.png", "direction-1.png", "between.gif", "between.mp4"]
    names += ["direction-1.gif", "direction-1.mp4"]
    assert out.split() == [str(tmp_path / name) for name in names]
    with Image.open(tmp_path / "between.gif") as film:
        assert film.n_frames == 6
    code, _, err = reacgan(
        "walk", "digits-reacgan", "--seeds", "0,1", "--gif", "--fps", 0, "--out", tmp_path
    )
    assert code == 1 and "fps is 0" in err
