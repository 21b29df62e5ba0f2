from __future__ import annotations

import pytest
import torch
from torch import Tensor

from reacgan.augment import PseudoAugment
from reacgan.config import ApaConfig
from reacgan.randomness import Draws

SIZE = (3, 4, 4)


def draws(images_seen: int = 0, rank: int = 0, world: int = 1) -> Draws:
    return Draws(3, "apa", images_seen, rank=rank, world=world)


def apa(probability: float) -> PseudoAugment:
    member = PseudoAugment(**ApaConfig().model_dump())
    member.controller.probability.fill_(probability)
    return member


def batch(value: float, count: int) -> tuple[Tensor, Tensor]:
    images = torch.full((count, *SIZE), value) + torch.arange(count).view(-1, 1, 1, 1) / count
    return images, torch.full((count,), int(value))


def test_no_fake_poses_at_0_and_all_do_at_1() -> None:
    real, fake = batch(1, 8), batch(5, 8)
    for probability, expected in ((0.0, real), (1.0, fake)):
        images, labels = apa(probability)(real, fake, draws())
        assert torch.equal(images, expected[0])
        assert torch.equal(labels, expected[1])


def test_labels_go_with_their_images() -> None:
    count = 4000
    real, fake = batch(1, count), batch(5, count)
    images, labels = apa(0.3)(real, fake, draws())
    poses = labels == 5
    assert poses.double().mean() == pytest.approx(0.3, abs=0.03)
    assert torch.equal(images[poses], fake[0][poses])
    assert torch.equal(images[~poses], real[0][~poses])
    assert torch.equal(real[0], batch(1, count)[0])  # nothing is changed in place
    again, _ = apa(0.3)(real, fake, draws())
    other, _ = apa(0.3)(real, fake, draws(1))
    assert torch.equal(again, images)
    assert not torch.equal(other, images)


def test_fakes_bring_no_gradient_and_take_the_type() -> None:
    real, fake = batch(1, 40), batch(5, 40)
    fakes = fake[0].double().requires_grad_()
    reals = real[0].bfloat16().requires_grad_()
    images, labels = apa(0.5)((reals, real[1]), (fakes, fake[1]), draws())
    assert images.dtype == torch.bfloat16
    images.float().sum().backward()
    assert fakes.grad is None
    assert reals.grad is not None
    kept = (reals.grad != 0).flatten(1).all(dim=1)
    assert torch.equal(kept, labels == 1)


def test_two_slices_of_the_draws_make_the_whole() -> None:
    real, fake = batch(1, 8), batch(5, 8)
    whole = apa(0.5)(real, fake, draws())
    for k in range(2):
        rows = slice(4 * k, 4 * k + 4)
        halves = tuple((images[rows], labels[rows]) for images, labels in (real, fake))
        images, labels = apa(0.5)(*halves, draws(rank=k, world=2))
        assert torch.equal(images, whole[0][rows])
        assert torch.equal(labels, whole[1][rows])


def test_its_probability_follows_the_scores() -> None:
    member = PseudoAugment(target=0.6, speed=1000, every=2)
    for _ in range(4):
        member.observe(torch.ones(10), batch=10)
    assert member.probability.item() == pytest.approx(0.04)
    assert {name.partition(".")[0] for name in member.state_dict()} == {"controller"}
