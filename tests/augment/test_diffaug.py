from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from reacgan.augment import AUGMENTS, Augment, build_augment
from reacgan.augment.diffaug import DiffAug, change_colors, cut_out, translate
from reacgan.config import Component, ConfigError
from reacgan.randomness import Draws

OFF: dict[str, Any] = {"color": False, "translation": 0.0, "cutout": 0.0}


def pictures(count: int = 4, channels: int = 3, height: int = 8, width: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, channels, height, width, generator=generator) * 1.8 - 0.9


def draws(images_seen: int = 0, rank: int = 0, world: int = 1) -> Draws:
    return Draws(3, "augment/real", images_seen, rank=rank, world=world)


def augment(**options: Any) -> Augment:
    return build_augment(Component(name="diffaug", **options))


def test_identity_and_everything_off_change_nothing() -> None:
    images = pictures()
    assert build_augment(Component(name="identity"))(images, draws()) is images
    assert torch.equal(augment(**OFF)(images, draws()), images)


@pytest.mark.parametrize("part", OFF)
def test_each_part_works_by_itself(part: str) -> None:
    images = pictures(count=8)
    default = {"color": True, "translation": 0.125, "cutout": 0.5}[part]
    changed = augment(**{**OFF, part: default})(images, draws())
    assert (changed != images).flatten(1).any(dim=1).float().mean() > 0.8
    zeros = bool((changed == 0).any())
    assert zeros is (part != "color")


@settings(max_examples=40, deadline=None)
@given(
    shift=st.tuples(st.integers(-9, 9), st.integers(-9, 9)),
    size=st.tuples(st.integers(1, 8), st.integers(1, 8)),
)
def test_translation_against_loops(shift: tuple[int, int], size: tuple[int, int]) -> None:
    images = pictures(2, 2, *size)
    down, right = torch.tensor([shift[0], 0]), torch.tensor([shift[1], 1])
    moved = translate(images, down, right)
    for n in range(2):
        for y in range(size[0]):
            for x in range(size[1]):
                source = y - int(down[n]), x - int(right[n])
                inside = 0 <= source[0] < size[0] and 0 <= source[1] < size[1]
                expected = images[n, :, source[0], source[1]] if inside else torch.zeros(2)
                assert torch.equal(moved[n, :, y, x], expected)


@settings(max_examples=40, deadline=None)
@given(
    corner=st.tuples(st.integers(-5, 9), st.integers(-5, 9)),
    sides=st.tuples(st.integers(0, 6), st.integers(0, 6)),
)
def test_cutout_against_loops(corner: tuple[int, int], sides: tuple[int, int]) -> None:
    images = pictures(2, 2, 7, 6)
    tops, lefts = torch.tensor([corner[0], 1]), torch.tensor([corner[1], 2])
    cut = cut_out(images, tops, lefts, sides)
    for n in range(2):
        for y in range(7):
            for x in range(6):
                top, left = int(tops[n]), int(lefts[n])
                within = top <= y < top + sides[0] and left <= x < left + sides[1]
                expected = torch.zeros(2) if within else images[n, :, y, x]
                assert torch.equal(cut[n, :, y, x], expected)


def test_colors_are_written_out() -> None:
    images = pictures(1)
    brightness, saturation, contrast = (torch.tensor(v).view(1, 1, 1, 1) for v in (0.25, 1.75, 0.6))
    changed = change_colors(images, brightness, saturation, contrast)[0]
    bright = images[0] + 0.25
    grey = (bright[0] + bright[1] + bright[2]) / 3
    vivid = torch.stack([grey + 1.75 * (channel - grey) for channel in bright])
    level = vivid.sum() / vivid.numel()
    assert torch.allclose(changed, level + 0.6 * (vivid - level), atol=1e-6)


def test_ranges_of_the_draws() -> None:
    count, side = 3000, 16
    ramp = torch.arange(1.0, side + 1).view(1, 1, side, 1).expand(count, 1, side, side)
    moved = augment(**{**OFF, "translation": 0.125})(ramp, draws())
    shifts = (moved[:, 0, 8, 8] - ramp[:, 0, 8, 8]).unique().tolist()
    assert shifts == [-2.0, -1.0, 0.0, 1.0, 2.0]
    cut = augment(**{**OFF, "cutout": 0.5})(torch.ones(count, 1, side, side), draws())
    areas = (cut == 0).sum(dim=(1, 2, 3))
    assert areas.max() == 64
    assert areas.min() == 16  # the centre lies in the corner: a quarter of the square is inside
    for axis in (2, 3):
        hit = (cut[:, 0] == 0).any(dim=axis - 1).float()
        assert hit.argmax(dim=1).max() == 12  # the highest and the lowest square, clipped
        assert hit.flip(1).argmax(dim=1).max() == 12
    flat = augment(**{**OFF, "color": True})(torch.zeros(count, 3, 8, 8), draws())
    assert -0.5 <= flat.min() < -0.49
    assert 0.49 < flat.max() < 0.5
    # Around a zero mean, contrast multiplies and saturation does nothing to one channel.
    checks = torch.ones(count, 1, 8, 8)
    checks[:, :, ::2] = -1
    spread = augment(**{**OFF, "color": True})(checks, draws()).amax(dim=(1, 2, 3))
    spread = spread - flat[:, 0, 0, 0]
    assert 0.499 <= spread.min() < 0.51
    assert 1.49 < spread.max() <= 1.501
    # Pure red: saturation from 0 (grey) to 2, times contrast.
    red = torch.zeros(count, 3, 8, 8)
    red[:, 0] = 1
    gap = augment(**{**OFF, "color": True})(red, draws())
    gap = (gap[:, 0] - gap[:, 1])[:, 0, 0]
    assert 0 <= gap.min() < 0.02
    assert 2.7 < gap.max() <= 3


def test_gradient_is_the_linear_map_itself() -> None:
    images = pictures(3).double().requires_grad_()

    def changed(images: Tensor) -> Tensor:
        return augment()(images, draws())

    assert torch.autograd.gradcheck(changed, (images,))
    (slope,) = torch.autograd.grad(changed(images).sum(), [images], create_graph=True)
    assert torch.count_nonzero(slope) > 0
    # Cut pixels and pixels that moved out receive nothing.
    moved = augment(**{**OFF, "translation": 0.5, "cutout": 0.5})(images, draws())
    (slope,) = torch.autograd.grad(moved.sum(), [images])
    assert set(slope.unique().tolist()) == {0.0, 1.0}
    assert slope.sum() == torch.count_nonzero(moved)


def test_draws_alone_decide() -> None:
    images = pictures()
    assert torch.equal(augment()(images, draws(7)), augment()(images, draws(7)))
    assert not torch.equal(augment()(images, draws(7)), augment()(images, draws(8)))
    same = images[:1].expand(4, -1, -1, -1)
    changed = augment()(same, draws())
    assert not any(torch.equal(changed[0], changed[k]) for k in range(1, 4))


@pytest.mark.parametrize("name", AUGMENTS)
def test_two_processes_see_the_halves_of_one(name: str) -> None:
    images = pictures(6)
    transform = build_augment(Component(name=name))
    whole = transform(images, draws())
    halves = [transform(images[3 * k : 3 * k + 3], draws(rank=k, world=2)) for k in range(2)]
    assert torch.equal(torch.cat(halves), whole)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [(8, 8), (9, 13), (32, 32)])
def test_type_shape_and_memory_format_stay(
    dtype: torch.dtype, channels: int, size: tuple[int, int]
) -> None:
    images = pictures(2, channels, *size).to(dtype)
    changed = augment()(images, draws())
    assert changed.shape == images.shape
    assert changed.dtype == dtype
    last = augment()(images.contiguous(memory_format=torch.channels_last), draws())
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(last.float(), changed.float(), atol=1e-2 if dtype.itemsize == 2 else 1e-6)


def test_one_channel_has_no_saturation() -> None:
    images = pictures(channels=1)
    brightness, contrast = torch.zeros(4, 1, 1, 1), torch.ones(4, 1, 1, 1)
    changed = change_colors(images, brightness, torch.full((4, 1, 1, 1), 1.9), contrast)
    assert torch.allclose(changed, images, atol=1e-6)


def test_nothing_waits_for_a_value() -> None:
    # Tensors without data: whatever asked for a value would raise.
    images = pictures().to("meta")
    whole, real = torch.zeros(4, dtype=torch.int64, device="meta"), images[:, :1, :1, :1]
    changed = cut_out(
        translate(change_colors(images, real, real, real), whole, whole), whole, whole, (3, 3)
    )
    assert changed.shape == images.shape


def test_wrong_use_is_named() -> None:
    with pytest.raises(ConfigError, match=r"images: torch.uint8 \[2, 3, 8, 8\]"):
        DiffAug()(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), draws())
    with pytest.raises(ConfigError, match="did you mean 'diffaug'"):
        build_augment(Component(name="difaug"))
    with pytest.raises(ConfigError, match=r"augment\.cutout"):
        build_augment(Component(name="diffaug", cutout=1.5))
    with pytest.raises(ConfigError, match="Allowed: none"):
        build_augment(Component(name="identity", color=True))
