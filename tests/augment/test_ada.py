from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from reacgan.augment import augment_options, build_augment
from reacgan.augment.ada import PRESETS, Ada, Operation, Preset
from reacgan.config import Component, ConfigError, parse_experiment
from reacgan.randomness import Draws

ALL = PRESETS["bgcfnc"]


def pictures(count: int = 4, channels: int = 3, height: int = 8, width: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, channels, height, width, generator=generator) * 1.8 - 0.9


def draws(images_seen: int = 0, rank: int = 0, world: int = 1) -> Draws:
    return Draws(3, "augment/real", images_seen, rank=rank, world=world)


@pytest.mark.parametrize("preset", get_args(Preset))
@pytest.mark.parametrize("size", [(3, 8, 8), (1, 9, 6), (4, 1, 5)])
def test_probability_0_is_the_identity_to_the_bit(preset: Any, size: tuple[int, int, int]) -> None:
    for images in (pictures(5, *size), pictures(5, *size).bfloat16()):
        assert torch.equal(Ada(operations=preset)(images, draws()), images)


def test_an_image_without_a_coin_stays_to_the_bit() -> None:
    images = pictures(400)
    changed = Ada(operations="bgcfnc", probability=0.05)(images, draws())
    same = (changed == images).flatten(1).all(dim=1).float().mean()
    assert 0.38 < same < 0.58  # 0.95^16.5 = 0.43, and some moves are by nothing


def test_presets_and_names() -> None:
    assert set(get_args(Operation)) == set(ALL) == set().union(*PRESETS.values())
    assert set(get_args(Preset)) == set(PRESETS)
    assert set(PRESETS["bgc"]) == {
        *PRESETS["blit"],
        *PRESETS["geom"],
        *PRESETS["color"],
    }
    images = pictures()
    by_name = Ada(operations=("hue", "flip"), probability=1.0)(images, draws())
    assert torch.equal(Ada(operations=("flip", "hue"), probability=1.0)(images, draws()), by_name)


@pytest.mark.parametrize("name", ALL)
def test_each_operation_works_by_itself(name: Any) -> None:
    images = pictures(32)
    changed = Ada(operations=(name,), probability=1.0)(images, draws())
    share = (changed != images).flatten(1).any(dim=1).float().mean()
    least = {"flip": 0.3, "luma_flip": 0.3, "rotate90": 0.6, "shift": 0.6}.get(name, 1.0)
    assert share >= least
    assert bool(changed.isfinite().all())


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("channels", [1, 2])
def test_grey_and_other_images_get_what_is_defined(name: Any, channels: int) -> None:
    images = pictures(32, channels)
    changed = Ada(operations=(name,), probability=1.0)(images, draws())
    undefined = {1: {"hue", "saturation"}, 2: {"luma_flip", "hue", "saturation"}}[channels]
    assert torch.allclose(changed, images, atol=1e-6) is (name in undefined)


def test_real_and_fake_get_the_same_change_from_the_same_draws() -> None:
    # Every operation is affine in the images: f(a + b) + f(0) = f(a) + f(b) if all four f are one.
    augment = Ada(operations="bgcfnc", probability=0.7)
    a, b = pictures(16), pictures(17)[1:]
    whole = augment(a + b, draws()) + augment(torch.zeros_like(a), draws())
    parts = augment(a, draws()) + augment(b, draws())
    assert torch.allclose(whole, parts, atol=2e-4)
    other = augment(a, draws()) + augment(b, draws(1))
    assert not torch.allclose(whole, other, atol=0.1)


def test_two_slices_of_the_draws_make_the_whole() -> None:
    augment, images = Ada(operations="bgcfnc", probability=0.8), pictures(6)
    halves = [augment(images[3 * k : 3 * k + 3], draws(rank=k, world=2)) for k in range(2)]
    assert torch.allclose(torch.cat(halves), augment(images, draws()), atol=1e-5)


@pytest.mark.parametrize("size", [(3, 4, 4), (1, 3, 5)])
def test_first_and_second_derivatives(size: tuple[int, int, int]) -> None:
    augment = Ada(operations="bgcfnc", probability=0.7).double()
    images = pictures(2, *size).double().requires_grad_()

    def changed(images: Tensor) -> Tensor:
        return augment(images, draws(5))

    def bent(images: Tensor) -> Tensor:  # so that there is a second derivative
        return augment(images, draws(5)).pow(3)

    assert torch.autograd.gradcheck(changed, (images,), fast_mode=True)
    assert torch.autograd.gradgradcheck(bent, (images,), fast_mode=True)


def test_r1_goes_through_the_augmentation() -> None:
    augment = Ada(operations="bgcfnc", probability=0.9).double()
    images = pictures(3, 3, 6, 6).double().requires_grad_()
    judge = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 1)).double()
    weight = judge[0].weight

    def penalty() -> Tensor:
        scores = judge(augment(images, draws()))
        (slope,) = torch.autograd.grad(scores.sum(), [images], create_graph=True)
        return slope.square().sum()

    (found,) = torch.autograd.grad(penalty(), [weight])
    step = torch.zeros_like(weight)
    step[1, 2, 0, 1] = 1e-5
    with torch.no_grad():
        weight += step
    above = penalty().item()
    with torch.no_grad():
        weight -= 2 * step
    below = penalty().item()
    assert found[1, 2, 0, 1].item() == pytest.approx((above - below) / 2e-5, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("size", [(1, 8, 8), (3, 9, 13), (4, 16, 8)])
def test_type_shape_and_memory_format_stay(dtype: torch.dtype, size: tuple[int, int, int]) -> None:
    augment = Ada(operations="bgcfnc", probability=0.8)
    images = pictures(3, *size).to(dtype)
    before = images.clone()
    changed = augment(images, draws())
    assert torch.equal(images, before)
    assert changed.shape == images.shape
    assert changed.dtype == dtype
    wide = images.to(torch.promote_types(dtype, torch.float32))
    assert torch.equal(changed, augment(wide, draws()).to(dtype))  # worked out in float32 at least
    last = augment(images.contiguous(memory_format=torch.channels_last), draws())
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(last.float(), changed.float(), atol=1e-2 if dtype.itemsize == 2 else 1e-5)


def test_autocast_makes_no_difference() -> None:
    augment, images = Ada(operations="bgcfnc", probability=0.8), pictures()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        changed = augment(images, draws())
    assert torch.equal(changed, augment(images, draws()))


class Operations(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def test_nothing_waits_for_a_value() -> None:
    augment = Ada(operations="bgcfnc", probability=0.5)
    images = pictures().requires_grad_()
    with Operations() as seen:
        changed = augment(images, draws())
        torch.autograd.grad(changed.sum(), images)
        augment.observe(torch.ones(4), batch=4)
    assert {"gather", "convolution"} <= seen.names
    assert not seen.names & {"_local_scalar_dense", "nonzero", "masked_select", "equal"}


def test_options_are_checked_and_read_back() -> None:
    with pytest.raises(ConfigError, match=r"augment\.operations.*'bgc'"):
        build_augment(Component(name="ada", operations="all"))
    with pytest.raises(ConfigError, match=r"augment\.operations"):
        build_augment(Component(name="ada", operations=("hue", "zoom")))
    with pytest.raises(ConfigError, match=r"augment\.operations"):
        build_augment(Component(name="ada", operations=()))
    with pytest.raises(ConfigError, match=r"augment\.probability"):
        build_augment(Component(name="ada", probability=1.2))
    with pytest.raises(ConfigError, match=r"images: torch.uint8 \[2, 3, 8, 8\]"):
        Ada()(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), draws())
    experiment = parse_experiment(
        {"name": "x", "augment": {"name": "ada", "operations": ["hue", "flip"], "target": None}}
    )
    assert augment_options(experiment.augment) == {
        "operations": ("hue", "flip"),
        "probability": 0.0,
        "target": None,
        "speed": 500_000,
        "every": 4,
    }


def test_constants_are_no_part_of_the_state() -> None:
    assert {name.partition(".")[0] for name in Ada().state_dict()} == {"controller"}
