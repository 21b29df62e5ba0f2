from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from reacgan.augment.ada_geometry import (
    BLIT,
    GEOMETRY,
    Blit,
    blit,
    draw_blit,
    draw_geometry,
)
from reacgan.augment.ada_resample import SYM6, bilinear, resample
from reacgan.augment.chances import Chances, reflected
from reacgan.randomness import Draws

TAPS = torch.tensor(SYM6, dtype=torch.float64)
MANY = 20_000


def pictures(count: int = 2, channels: int = 2, height: int = 8, width: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, channels, height, width, generator=generator).double() * 2 - 1


def blob(size: int = 24, x: float = 3.0, y: float = -4.0) -> Tensor:
    """A smooth picture, its middle right of and above the centre."""
    place = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    square = (place[None, :] - x).square() / 16 + (place[:, None] - y).square() / 6
    return (-square).exp()[None, None]


def chances(probability: float, count: int = MANY) -> Chances:
    return Chances(
        Draws(1, "augment", 0), torch.tensor(probability), torch.zeros(count, 1, 1, 1).double()
    )


def moved(images: Tensor, linear: list[list[float]], shift: tuple[float, float] = (0, 0)) -> Tensor:
    count = len(images)
    matrix = torch.tensor(linear, dtype=torch.float64).expand(count, 2, 2)
    return resample(images, matrix, torch.tensor(shift).double().expand(count, 2), TAPS)


def whole(value: int, count: int = 2) -> Tensor:
    return torch.full((count,), value)


def blitted(images: Tensor, mirrored: bool = False, turns: int = 0, down: int = 0, right: int = 0):
    count = len(images)
    return blit(
        images,
        Blit(whole(mirrored, count).bool(), *(whole(v, count) for v in (turns, down, right))),
    )


def mirror(place: int, length: int) -> int:
    while not 0 <= place < length:
        place = -place if place < 0 else 2 * (length - 1) - place
    return place if length > 1 else 0


@settings(max_examples=40, deadline=None)
@given(length=st.integers(2, 9), place=st.integers(-40, 40))
def test_reflection_against_loops(length: int, place: int) -> None:
    assert reflected(torch.tensor([place]), length).tolist() == [mirror(place, length)]


@settings(max_examples=40, deadline=None)
@given(
    mirrored=st.booleans(),
    turns=st.integers(0, 3),
    down=st.integers(-9, 9),
    right=st.integers(-9, 9),
    size=st.tuples(st.integers(2, 6), st.integers(2, 6)),
)
def test_blitting_against_loops(
    mirrored: bool, turns: int, down: int, right: int, size: tuple[int, int]
) -> None:
    turns = turns if size[0] == size[1] else turns // 2 * 2
    images = pictures(2, 2, *size)
    expected = images.flip(-1) if mirrored else images
    expected = torch.rot90(expected, -turns, (2, 3))  # torch's quarter turns are anticlockwise
    rows = [mirror(y - down, size[0]) for y in range(size[0])]
    columns = [mirror(x - right, size[1]) for x in range(size[1])]
    expected = expected[:, :, rows][:, :, :, columns]
    assert torch.equal(blitted(images, mirrored, turns, down, right), expected)


def test_blitting_inverts() -> None:
    images = pictures()
    assert torch.equal(blitted(blitted(images, mirrored=True), mirrored=True), images)
    turned = images
    for _ in range(4):
        turned = blitted(turned, turns=1)
        assert not turned.is_set_to(images)
    assert torch.equal(turned, images)
    assert torch.equal(blitted(blitted(images, turns=3), turns=1), images)
    back = blitted(blitted(images, down=1, right=-2), down=-1, right=2)
    assert torch.equal(back[:, :, :-1, 2:], images[:, :, :-1, 2:])


def test_each_image_is_blitted_by_its_own() -> None:
    images = pictures(1).expand(2, -1, -1, -1)
    moves = Blit(
        torch.tensor([True, False]),
        torch.tensor([0, 1]),
        torch.tensor([0, 2]),
        torch.tensor([3, 0]),
    )
    found = blit(images, moves)
    assert torch.equal(found[:1], blitted(images[:1], mirrored=True, right=3))
    assert torch.equal(found[1:], blitted(images[1:], turns=1, down=2))


def test_the_wavelet() -> None:
    alternating = TAPS * torch.tensor([1.0, -1.0] * 6)
    place = torch.arange(12.0).double()
    assert TAPS.sum().item() == pytest.approx(math.sqrt(2), abs=1e-12)
    for shift in range(6):  # orthogonal to its even shifts
        product = (TAPS[2 * shift :] * TAPS[: 12 - 2 * shift]).sum().item()
        assert product == pytest.approx(float(shift == 0), abs=1e-11)
    for power in range(6):  # six vanishing moments
        assert (alternating * place**power).sum().item() == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("size", [(8, 8), (5, 12), (2, 3), (1, 4), (33, 20)])
def test_resampling_by_the_identity(size: tuple[int, int]) -> None:
    images = pictures(2, 3, *size)
    assert torch.allclose(moved(images, [[1, 0], [0, 1]]), images, atol=1e-10)
    taps, eye = TAPS.float(), torch.eye(2).expand(2, 2, 2)
    again = resample(images.float(), eye, torch.zeros(2, 2), taps)
    assert torch.allclose(again, images.float(), atol=1e-5)


def test_resampling_by_whole_pixels() -> None:
    images = pictures(height=12, width=16)
    found = moved(images, [[1, 0], [0, 1]], (3, -2))
    assert torch.allclose(found[..., :-2, 8:], images[..., 2:, 5:-3], atol=1e-9)
    far = moved(blob(), [[1, 0], [0, 1]], (14, -13))  # far beyond the margin: reflected
    assert (far - blitted(blob(), right=14, down=-13)).abs().max() < 0.02


def test_resampling_turns_and_mirrors_about_the_centre() -> None:
    image = blob()
    half, mirrored = [[-1.0, 0.0], [0.0, -1.0]], [[-1.0, 0.0], [0.0, 1.0]]
    # Places come from clockwise, so that the picture turns anticlockwise.
    quarter = [[0.0, -1.0], [1.0, 0.0]]
    assert (
        moved(image, half) - image.flip(-1, -2)
    ).abs().max() < 0.02  # 0.2 pixels aside would be 0.07
    assert (
        moved(image, mirrored) - image.flip(-1)
    ).abs().max() < 0.02  # 0.2 pixels aside would be 0.07
    assert (
        moved(image, quarter) - torch.rot90(image, 1, (2, 3))
    ).abs().max() < 0.02  # 0.2 pixels aside would be 0.07


def test_resampling_inverts_on_smooth_pictures() -> None:
    image, c, s = blob(), math.cos(0.7), math.sin(0.7)
    there, back = [[1.25 * c, -1.25 * s], [0.8 * s, 0.8 * c]], torch.zeros(2, 2)
    back = torch.tensor(there).inverse().tolist()
    changed = moved(image, there)
    assert (changed - image).abs().max() > 0.2
    inner = slice(4, -4)
    difference = (moved(changed, back) - image)[..., inner, inner].abs().max()
    assert difference < 0.02


def test_resampling_is_that_of_the_picture_behind_the_pixels() -> None:
    # The picture is exp(-(x - 1)^2 / 16 - (y + 1)^2 / 6); 1 / 1.3 of its size, moved right by 1.5.
    found = moved(blob(x=1.0, y=-1.0), [[1.3, 0.0], [0.0, 1.3]], (1.5, 0.0))
    place = torch.arange(24, dtype=torch.float64) - 11.5
    x, y = 1.3 * (place[None, :] - 1.5), 1.3 * place[:, None]
    expected = (-(x - 1).square() / 16 - (y + 1).square() / 6).exp()
    assert (found[0, 0] - expected)[6:18, 6:20].abs().max() < 0.02


def test_shrinking_a_chessboard_leaves_grey() -> None:
    board = (torch.arange(16)[:, None] + torch.arange(16)) % 2 * 2.0 - 1
    found = moved(board.double()[None, None], [[2.0, 0.0], [0.0, 2.0]])
    assert found[..., 5:-5, 5:-5].abs().max() < 0.15


def test_constant_pictures_stay_constant_far_outside_too() -> None:
    images = torch.full((1, 1, 6, 9), 0.7).double()
    found = moved(images, [[5.3, 2.1], [-1.7, 4.9]], (40.0, -25.0))
    assert torch.allclose(found, images, atol=1e-9)


def test_bilinear_against_loops() -> None:
    images = pictures(1, 1, 4, 5)
    rows, columns = torch.tensor([[[0.0, 1.25, 3.0]]]), torch.tensor([[[4.0, 2.5, 0.75]]])
    found = bilinear(images, rows.double(), columns.double())[0, 0, 0]
    p = images[0, 0]
    between = 0.75 * (p[1, 2] + p[1, 3]) / 2 + 0.25 * (p[2, 2] + p[2, 3]) / 2
    expected = torch.stack([p[0, 4], between, 0.25 * p[3, 0] + 0.75 * p[3, 1]])
    assert torch.allclose(found, expected)


def test_draws_of_blitting() -> None:
    found = draw_blit(chances(0.5), BLIT, (32, 16))
    assert found.mirrored.double().mean() == pytest.approx(0.25, abs=0.015)
    assert found.turns.unique().tolist() == [0, 2]
    assert (found.turns == 2).double().mean() == pytest.approx(0.25, abs=0.015)
    assert found.down.unique().tolist() == list(range(-4, 5))
    assert found.right.unique().tolist() == list(range(-2, 3))
    assert (found.down == 3).double().mean() == pytest.approx(0.5 / 8, abs=0.01)
    assert (found.down == 4).double().mean() == pytest.approx(0.5 / 16, abs=0.01)
    square = draw_blit(chances(1.0), BLIT, (8, 8)).turns
    shares = square.bincount().double() / MANY
    assert torch.allclose(shares, torch.full((4,), 0.25).double(), atol=0.015)


def test_draws_of_scale_and_stretch() -> None:
    found = draw_geometry(chances(0.4), ("scale",), (8, 8))
    factors = 1 / found.linear[:, 0, 0]
    assert torch.equal(found.linear[:, 0, 0], found.linear[:, 1, 1])
    assert torch.equal(found.fired, factors != 1)
    assert found.fired.double().mean() == pytest.approx(0.4, abs=0.015)
    octaves = factors[found.fired].log2()
    assert octaves.mean() == pytest.approx(0, abs=0.01)
    assert octaves.std() == pytest.approx(0.2, abs=0.01)
    stretch = draw_geometry(chances(1.0), ("stretch",), (8, 8)).linear
    assert torch.allclose(stretch[:, 0, 0] * stretch[:, 1, 1], torch.ones(MANY).double())
    assert stretch[:, 0, 0].log2().std() == pytest.approx(0.2, abs=0.01)


def test_draws_of_turns_and_translation() -> None:
    found = draw_geometry(chances(0.36), ("rotate",), (8, 8))
    angles = torch.atan2(found.linear[:, 1, 0], found.linear[:, 0, 0])
    assert found.fired.double().mean() == pytest.approx(0.36, abs=0.015)  # of both together
    turned = angles[found.fired]
    assert turned.abs().max() == pytest.approx(math.pi, abs=0.01)
    assert turned.mean() == pytest.approx(0, abs=0.06)
    assert turned.std() == pytest.approx(math.pi / math.sqrt(3), abs=0.05)
    assert torch.allclose(torch.linalg.det(found.linear), torch.ones(MANY).double())
    found = draw_geometry(chances(0.5), ("translate",), (16, 40))
    assert torch.equal(found.fired, (found.shift != 0).all(dim=1))
    spread = found.shift[found.fired].std(dim=0)
    assert spread.tolist() == pytest.approx([5, 2], rel=0.03)  # an eighth of width and height


def test_the_matrix_is_the_inverse_of_what_is_done() -> None:
    count = 50
    found = draw_geometry(chances(1.0, count), GEOMETRY, (8, 8)).linear
    one = chances(1.0, count)
    done = torch.eye(2).double().expand(count, 2, 2)
    for name in ("scale", "rotate", "stretch", "rotate"):
        one.fires()
        if name == "rotate":
            angle = one.uniform(-math.pi, math.pi)
            row = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=1)
            step = row.unflatten(1, (2, 2))
        else:
            factor = one.log_normal(0.2)
            other = factor if name == "scale" else 1 / factor
            step = torch.diag_embed(torch.stack([factor, other], dim=1))
        done = step @ done  # each acts on what the others left
    assert torch.allclose(found @ done, torch.eye(2).double().expand(count, 2, 2), atol=1e-12)
