from __future__ import annotations

import pytest
import torch
from torch import Tensor

from reacgan.augment import second_view
from reacgan.randomness import Draws


def pictures(count: int = 3, channels: int = 3, height: int = 16, width: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, channels, height, width, generator=generator) * 2 - 1


def draws(images_seen: int = 0, rank: int = 0, world: int = 1) -> Draws:
    return Draws(3, "view/real", images_seen, rank=rank, world=world)


def mirror(place: int, length: int) -> int:
    return abs(place) if place < length else 2 * (length - 1) - place


def test_every_view_is_a_mirroring_and_a_shift() -> None:
    count, height, width = 3000, 16, 8
    image = pictures(1)[0]
    candidates, names = [], []
    for mirrored in (False, True):
        for down in range(-2, 3):
            for right in range(-1, 2):
                rows = [mirror(y - down, height) for y in range(height)]
                columns = [mirror(x - right, width) for x in range(width)]
                source = image.flip(-1) if mirrored else image
                candidates.append(source[:, rows][:, :, columns])
                names.append((mirrored, down, right))
    views = second_view(image.expand(count, -1, -1, -1), draws())
    same = torch.stack([(views == one).flatten(1).all(dim=1) for one in candidates])  # [30, N]
    assert torch.equal(same.sum(dim=0), torch.ones(count, dtype=torch.int64))
    share = same.double().mean(dim=1)
    assert torch.allclose(share, torch.full_like(share, 1 / 30), atol=0.015)
    half = sum(s for s, name in zip(share.tolist(), names, strict=True) if name[0])
    assert half == pytest.approx(0.5, abs=0.03)


def test_small_images_are_mirrored_only() -> None:
    images = pictures(200, 1, 1, 5)
    views = second_view(images, draws())
    stays = (views == images).flatten(1).all(dim=1)
    flips = (views == images.flip(-1)).flatten(1).all(dim=1)
    assert bool((stays | flips).all())
    assert stays.any()
    assert flips.any()


def test_draws_alone_decide_and_slices_make_the_whole() -> None:
    images = pictures(6)
    whole = second_view(images, draws())
    assert torch.equal(whole, second_view(images, draws()))
    assert not torch.equal(whole, second_view(images, draws(1)))
    halves = [second_view(images[3 * k : 3 * k + 3], draws(rank=k, world=2)) for k in range(2)]
    assert torch.equal(torch.cat(halves), whole)


def test_type_and_memory_format_stay() -> None:
    images = pictures().bfloat16().contiguous(memory_format=torch.channels_last)
    view = second_view(images, draws())
    assert view.dtype == torch.bfloat16
    assert view.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(view, second_view(images.contiguous(), draws()))


def test_gradient() -> None:
    images = pictures(2, 1, 9, 8).double().requires_grad_()

    def view(images: Tensor) -> Tensor:
        return second_view(images, draws()).pow(2)

    assert torch.autograd.gradcheck(view, (images,), fast_mode=True)
    assert torch.autograd.gradgradcheck(view, (images,), fast_mode=True)
