from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from reacgan.config import ConfigError
from reacgan.extractors.resize import (
    RESIZERS,
    clean,
    friendly,
    legacy,
    legacy_tensorflow,
    to_rgb,
)

SHAPES = [(32, 32), (16, 48), (7, 5), (100, 61), (37, 37), (1, 1), (2, 300)]


def random_images(height, width, *, count=2, channels=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (count, channels, height, width)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def by_pillow(images, size, kind):
    planes = [
        np.asarray(Image.fromarray(plane.astype(np.float32)).resize((size, size), kind))
        for plane in images.flatten(0, 1).numpy()
    ]
    return torch.tensor(np.stack(planes)).reshape(*images.shape[:2], size, size)


def antialiased_weights(length, size, kernel, reach):
    """[size, length]: the kernel stretched over the footprint of a target pixel, from its formula."""
    scale = length / size
    stretch = max(scale, 1.0)
    weights = np.zeros((size, length))
    for target in range(size):
        centre = (target + 0.5) * scale
        for source in range(length):
            away = (source + 0.5 - centre) / stretch
            if abs(away) < reach:
                weights[target, source] = kernel(away)
    return weights / weights.sum(1, keepdims=True)


def cubic(x, a=-0.5):
    x = abs(x)
    if x < 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a


@pytest.mark.parametrize(("height", "width"), SHAPES)
@pytest.mark.parametrize(
    ("resize", "kind"),
    [
        (clean, Image.Resampling.BICUBIC),
        (friendly, Image.Resampling.BILINEAR),
        (lambda images, size: friendly(images, size, by="bicubic"), Image.Resampling.BICUBIC),
    ],
    ids=["clean", "friendly", "friendly bicubic"],
)
def test_antialiased_is_pillow_on_floats(height, width, resize, kind):
    images = random_images(height, width)
    for size in (37, 24, 299):
        expected = by_pillow(images, size, kind).clamp(0, 255)
        # Positions are float32 in torch and float64 in Pillow.
        torch.testing.assert_close(resize(images, size), expected, rtol=0, atol=1e-4 * 255)


@pytest.mark.parametrize(("height", "width"), [(9, 14), (20, 11)])
@pytest.mark.parametrize(
    ("resize", "kernel", "reach"),
    [(clean, cubic, 2), (friendly, lambda x: 1 - abs(x), 1)],
    ids=["clean", "friendly"],
)
def test_antialiased_is_its_formula(height, width, resize, kernel, reach):
    images = random_images(height, width, seed=1)
    rows = antialiased_weights(height, 13, kernel, reach)
    columns = antialiased_weights(width, 13, kernel, reach)
    expected = torch.tensor(rows @ images.double().numpy() @ columns.T).clamp(0, 255)
    torch.testing.assert_close(resize(images, 13).double(), expected, rtol=0, atol=0.002)


def by_loops(images, size, place_of):
    """Bilinear between the four pixels around ``place_of(target, length)``."""
    _, _, height, width = images.shape
    pixels, out = images.double(), torch.empty(*images.shape[:2], size, size, dtype=torch.float64)
    for row in range(size):
        for column in range(size):
            y, x = place_of(row, height), place_of(column, width)
            top, left = math.floor(y), math.floor(x)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            dy, dx = y - top, x - left
            out[..., row, column] = (1 - dy) * (
                (1 - dx) * pixels[..., top, left] + dx * pixels[..., top, right]
            ) + dy * ((1 - dx) * pixels[..., bottom, left] + dx * pixels[..., bottom, right])
    return out


@pytest.mark.parametrize(("height", "width"), SHAPES)
@pytest.mark.parametrize("size", [13, 31])
def test_bilinear_grids_are_their_formulas(height, width, size):
    images = random_images(height, width, count=1, channels=2, seed=2)
    centres = by_loops(images, size, lambda i, length: max((i + 0.5) * length / size - 0.5, 0.0))
    torch.testing.assert_close(legacy(images, size).double(), centres, rtol=0, atol=1e-4 * 255)
    corners = by_loops(images, size, lambda i, length: i * length / size)
    torch.testing.assert_close(
        legacy_tensorflow(images, size).double(), corners, rtol=0, atol=1e-4 * 255
    )


def test_the_table_says_what_it_holds():
    assert all(RESIZERS[name].__name__ == name for name in RESIZERS)
    assert list(RESIZERS) == ["clean", "legacy", "legacy_tensorflow", "friendly"]


def test_a_line_by_hand():
    line = torch.tensor([0, 100], dtype=torch.uint8).expand(1, 1, 4, 2)
    assert legacy(line, 4)[0, 0, 0].tolist() == [0, 25, 75, 100]
    assert legacy_tensorflow(line, 4)[0, 0, 0].tolist() == [0, 50, 100, 100]
    assert friendly(line, 4)[0, 0, 0].tolist() == [0, 25, 75, 100]
    line = torch.tensor([0, 0, 200, 200], dtype=torch.uint8).expand(1, 1, 2, 4)
    assert legacy(line, 2)[0, 0, 0].tolist() == [0, 200]
    assert legacy_tensorflow(line, 2)[0, 0, 0].tolist() == [0, 200]
    seen = friendly(line, 2)[0, 0, 0].tolist()  # three pixels of weight 3 : 3 : 1
    assert seen == pytest.approx([200 / 7, 1200 / 7])


@pytest.mark.parametrize("name", RESIZERS)
def test_no_value_leaves_0_to_255_and_nothing_is_rounded(name):
    images = torch.where(random_images(12, 12) < 128, 0, 255).to(torch.uint8)
    for size in (50, 7):
        resized = RESIZERS[name](images, size)
        assert resized.dtype == torch.float32 and resized.shape == (2, 3, size, size)
        assert resized.min() >= 0 and resized.max() <= 255.001  # of float32
        assert not torch.equal(resized, resized.round())


@pytest.mark.parametrize("name", RESIZERS)
@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    size=st.integers(1, 40),
    value=st.integers(0, 255),
)
def test_properties(name, height, width, size, value):
    resize = RESIZERS[name]
    flat = torch.full((1, 2, height, width), value, dtype=torch.uint8)
    torch.testing.assert_close(
        resize(flat, size), torch.full((1, 2, size, size), float(value)), rtol=1e-5, atol=1e-4
    )
    square = random_images(size, size)
    assert torch.equal(resize(square, size), square.float())
    images = random_images(height, width, count=3)
    whole = resize(images, size)
    assert torch.equal(whole[1:2], resize(images[1:2], size))
    swapped = resize(images.transpose(2, 3).contiguous(), size).transpose(2, 3)
    torch.testing.assert_close(swapped, whole, rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", RESIZERS)
def test_other_images_are_refused(name):
    with pytest.raises(ConfigError, match=r"torch\.float32 \[1, 3, 4, 4\]; needed: torch.uint8"):
        RESIZERS[name](torch.zeros(1, 3, 4, 4), 8)
    with pytest.raises(ConfigError, match=r"\[3, 4, 4\]; needed: torch.uint8 \[N, C, H, W\]"):
        RESIZERS[name](torch.zeros(3, 4, 4, dtype=torch.uint8), 8)


def test_channels():
    colour = random_images(5, 6)
    assert to_rgb(colour) is colour
    grey = to_rgb(colour[:, 1:2])
    assert grey.shape == (2, 3, 5, 6) and all(
        torch.equal(grey[:, i], colour[:, 1]) for i in range(3)
    )
    for channels in (2, 5, 8):
        with pytest.raises(ConfigError, match=f"images have {channels} channels; .*1 .*3 .*4"):
            to_rgb(random_images(4, 4, channels=channels))
    with pytest.raises(ConfigError, match=r"torch\.float32"):
        to_rgb(torch.zeros(1, 3, 4, 4))


def test_every_opacity_on_white_is_pillows():
    values = torch.arange(256, dtype=torch.uint8)
    colour, opacity = values[:, None].expand(256, 256), values.expand(256, 256)
    image = torch.stack((colour, colour, colour.flip(0), opacity))
    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy(), mode="RGBA")
    white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
    expected = np.asarray(Image.alpha_composite(white, picture).convert("RGB"))
    assert np.array_equal(to_rgb(image[None])[0].permute(1, 2, 0).numpy(), expected)
