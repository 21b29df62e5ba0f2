from __future__ import annotations

import colorsys
import math

import pytest
import torch
from torch import Tensor

from reacgan.augment.ada_colour import (
    COLOUR,
    brightness,
    change_colour,
    contrast,
    draw_colour,
    hue,
    luma_flip,
    saturation,
)
from reacgan.augment.chances import Chances
from reacgan.randomness import Draws

MANY = 20_000


def number(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def pictures(count: int = 3, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, channels, 5, 4, generator=generator).double() * 2 - 1


def applied(images: Tensor, matrix: Tensor) -> Tensor:
    matrix = matrix.expand(len(images), -1, -1)
    return change_colour(images, matrix, torch.ones(len(images), dtype=torch.bool))


def drawn(names: tuple[str, ...], channels: int = 3, probability: float = 1.0):
    images = torch.zeros(MANY, channels, 1, 1).double()
    chances = Chances(Draws(2, "augment", 0), torch.tensor(probability), images)
    return draw_colour(chances, names, channels)


@pytest.mark.parametrize("channels", [1, 3])
def test_each_is_written_out(channels: int) -> None:
    images = pictures(channels=channels)
    mean = images.mean(dim=1, keepdim=True)
    found = {
        "brightness": (brightness(number(0.3), channels), images + 0.3),
        "contrast": (contrast(number(1.7), channels), images * 1.7),
        "luma flip": (luma_flip(number(1), channels), images - 2 * mean),
        "no luma flip": (luma_flip(number(0), channels), images),
        "saturation": (saturation(number(0.4), channels), mean + 0.4 * (images - mean)),
    }
    for name, (matrix, expected) in found.items():
        assert torch.allclose(applied(images, matrix), expected, atol=1e-12), name


def test_hue_is_a_rotation_about_grey() -> None:
    images, angle = pictures(), number(0.9)
    axis = number(1, 1, 1) / math.sqrt(3)
    turned = applied(images, hue(angle))
    for n in range(3):
        for y in range(5):
            for x in range(4):
                colour = images[n, :, y, x]
                expected = colour * math.cos(0.9)
                expected = expected + torch.linalg.cross(axis, colour) * math.sin(0.9)
                expected = expected + axis * (axis @ colour) * (1 - math.cos(0.9))
                assert torch.allclose(turned[n, :, y, x], expected, atol=1e-12)
    third = applied(images, hue(number(2 * math.pi / 3)))
    assert torch.allclose(third, images[:, [2, 0, 1]], atol=1e-12)  # red becomes green
    grey = images[:, :1].expand(-1, 3, -1, -1)
    assert torch.allclose(applied(grey, hue(angle)), grey, atol=1e-12)
    red = applied(number(0.6, 0.4, 0.4).view(1, 3, 1, 1), hue(number(math.pi / 3))).flatten()
    assert colorsys.rgb_to_hsv(*red.tolist())[0] == pytest.approx(1 / 6, abs=0.01)


def test_each_inverts() -> None:
    images = pictures()
    for there, back in [
        (hue(number(0.8)), hue(number(-0.8))),
        (luma_flip(number(1), 3), luma_flip(number(1), 3)),
        (contrast(number(1.6), 3), contrast(number(1 / 1.6), 3)),
        (saturation(number(2.5), 3), saturation(number(0.4), 3)),
        (brightness(number(0.2), 3), brightness(number(-0.2), 3)),
    ]:
        changed = applied(images, there)
        assert not torch.allclose(changed, images, atol=0.1)
        assert torch.allclose(applied(changed, back), images, atol=1e-12)


def test_images_that_no_coin_meant_stay() -> None:
    images, fired = pictures().float(), torch.tensor([True, False, True])
    matrix = brightness(number(0.5), 3).float().expand(3, -1, -1)
    changed = change_colour(images, matrix, fired)
    assert torch.equal(changed[1], images[1])
    assert torch.allclose(changed[::2], images[::2] + 0.5)


@pytest.mark.parametrize(
    ("name", "deviation", "entry"),
    [
        ("brightness", 0.2, lambda m: m[:, 0, 3]),
        ("contrast", 0.5, lambda m: m[:, 0, 0].log2()),
        ("saturation", 1.0, lambda m: (m[:, 0, 0] - m[:, 0, 1]).log2()),
    ],
)
def test_normal_and_log_normal_draws(name: str, deviation: float, entry) -> None:
    matrix, fired = drawn((name,))
    assert bool(fired.all())
    values = entry(matrix)
    assert values.mean() == pytest.approx(0, abs=0.03 * deviation)
    assert values.std() == pytest.approx(deviation, rel=0.03)
    assert ((values / deviation) ** 4).mean() == pytest.approx(3, rel=0.1)


def test_draws_of_hue_and_luma_flip() -> None:
    matrix, _ = drawn(("hue",))
    cosine = (matrix[:, 0, 0] + matrix[:, 1, 1] + matrix[:, 2, 2] - 1) / 2
    sine = (matrix[:, 1, 0] - matrix[:, 0, 1]) * math.sqrt(3) / 2
    angle = torch.atan2(sine, cosine)
    assert angle.mean() == pytest.approx(0, abs=0.05)
    assert angle.std() == pytest.approx(math.pi / math.sqrt(3), rel=0.02)
    matrix, fired = drawn(("luma_flip",), probability=0.5)
    assert fired.double().mean() == pytest.approx(0.5, abs=0.015)
    flipped = torch.isclose(matrix[:, 0, 0], torch.tensor(1 / 3).double())
    assert flipped.double().mean() == pytest.approx(0.25, abs=0.015)


def test_coins_are_independent() -> None:
    matrix, fired = drawn(("brightness", "saturation"), probability=0.3)
    bright, vivid = matrix[:, 0, 3] != 0, matrix[:, 0, 1] != 0
    assert bright.double().mean() == pytest.approx(0.3, abs=0.015)
    assert vivid.double().mean() == pytest.approx(0.3, abs=0.015)
    assert (bright & vivid).double().mean() == pytest.approx(0.09, abs=0.01)
    assert torch.equal(fired, bright | vivid)


def test_order_of_the_operations() -> None:
    whole, _ = drawn(COLOUR)
    # What is added first is multiplied by all that follows; luma is flipped or not.
    luma = whole[:, :3, :3].sum(dim=2)  # of a grey of 1
    added = whole[:, :3, 3]
    assert torch.allclose(luma, luma[:, :1].expand(-1, 3), atol=1e-9)
    assert (added[:, 0] / luma[:, 0]).std() == pytest.approx(0.2, rel=0.03)
    assert torch.equal(whole[:, 3], number(0, 0, 0, 1).expand(MANY, -1))


@pytest.mark.parametrize(("channels", "defined"), [(1, 3), (2, 2), (3, 5), (4, 2)])
def test_what_is_defined_for_other_channels(channels: int, defined: int) -> None:
    changed = 0
    for name in COLOUR:
        matrix, fired = drawn((name,), channels)
        eye = torch.eye(channels + 1).double()
        changed += bool((matrix - eye).abs().max() > 1e-9)
        assert fired.all() or not fired.any()
    assert changed == defined
