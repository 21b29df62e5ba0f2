from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from reacgan.augment.ada import Ada
from reacgan.augment.controller import Controller
from reacgan.config import ApaConfig

WORLD = 2


def controller(
    probability: float = 0.0,
    target: float | None = 0.6,
    speed: float = 1000,
    every: int = 4,
) -> Controller:
    return Controller(probability=probability, target=target, speed=speed, every=every)


def scores(step: int, count: int = 10) -> Tensor:
    generator = torch.Generator().manual_seed(step)
    return torch.randn(count, generator=generator) + 0.6


def test_the_rule_against_a_loop() -> None:
    member, expected, signs = controller(0.01, target=0.4, every=3), 0.01, []
    moves = []
    for step in range(60):
        found = scores(step)
        member.observe(found, batch=10)
        signs += [(value > 0) - (value < 0) for value in found.tolist()]
        if step % 3 == 2:
            mean = sum(signs) / len(signs)
            moves.append((mean > 0.4) - (mean < 0.4))
            expected = min(max(expected + moves[-1] * 30 / 1000, 0.0), 1.0)
            signs = []
        assert member.probability.item() == pytest.approx(expected, abs=1e-6)
    assert {-1, 1} <= set(moves)


def test_speed_and_limits() -> None:
    member = controller(speed=1000, every=4)
    for _ in range(100):  # 1000 images
        member.observe(torch.ones(10), batch=10)
    assert member.probability.item() == pytest.approx(1, abs=1e-5)
    member.observe(torch.ones(10), batch=4000)
    for _ in range(7):
        member.observe(torch.ones(10), batch=10)
    assert member.probability.item() == 1
    for _ in range(40):
        member.observe(-torch.ones(10), batch=400)
    assert member.probability.item() == 0


def test_scores_of_zero_and_of_half_precision() -> None:
    member = controller(0.5, target=0.0, every=1)
    member.observe(torch.zeros(4, dtype=torch.bfloat16), batch=4)
    assert member.probability.item() == 0.5  # the mean sign is the target: nothing to do
    member.observe(torch.tensor([3.0, 0.0, 0.0], dtype=torch.bfloat16), batch=3)
    assert member.probability.item() == pytest.approx(0.503)


def test_it_reaches_its_target() -> None:
    # A D that is sure of real images the less, the more they are changed: r = 1 - p.
    member, generator, found = controller(target=0.6, speed=20_000), torch.Generator(), []
    generator.manual_seed(0)
    for _ in range(1000):
        sure = 1 - member.probability.item()
        positive = torch.rand(64, generator=generator) < (1 + sure) / 2
        member.observe(positive.float() * 2 - 1, batch=64)
        found.append(member.probability.item())
    settled = torch.tensor(found[400:])
    assert settled.mean().item() == pytest.approx(0.4, abs=0.03)
    assert settled.min() > 0.25
    assert settled.max() < 0.55


def test_without_a_target_p_is_fixed() -> None:
    ada = Ada(probability=0.3, target=None)
    for step in range(20):
        ada.observe(scores(step), batch=1000)
    assert ada.probability.item() == pytest.approx(0.3)


def test_it_goes_on_exactly_from_its_state() -> None:
    whole, first = controller(), controller()
    for step in range(30):
        whole.observe(scores(step), batch=10)
    for step in range(14):  # between two adjustments
        first.observe(scores(step), batch=10)
    state = {name: value.clone() for name, value in first.state_dict().items()}
    second = controller(probability=0.9)
    second.load_state_dict(state)
    for step in range(14, 30):
        second.observe(scores(step), batch=10)
    for name, value in whole.state_dict().items():
        assert torch.equal(second.state_dict()[name], value), name


def test_it_keeps_no_graph() -> None:
    member, found = controller(every=1), scores(0).requires_grad_()
    member.observe(found * 2, batch=10)
    assert not member.probability.requires_grad


def test_what_the_configuration_says_of_apa_is_what_it_takes() -> None:
    assert set(ApaConfig.model_fields) == {"target", "speed", "every"}


def half_of_each_batch(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    store = dist.FileStore(f"{folder}/store", WORLD)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=WORLD)
    member = controller()
    for step in range(30):
        member.observe(scores(step)[5 * rank : 5 * rank + 5], batch=10)
    torch.save(member.state_dict(), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_are_one(tmp_path: Path) -> None:
    mp.start_processes(half_of_each_batch, (str(tmp_path),), nprocs=WORLD, start_method="spawn")
    whole = controller()
    for step in range(30):
        whole.observe(scores(step), batch=10)
    assert whole.steps.item() == 2
    for rank in range(WORLD):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name, value in whole.state_dict().items():
            assert torch.equal(found[name], value), (rank, name)


def test_ada_follows_the_scores() -> None:
    ada = Ada(probability=0.3, target=0.5, speed=1000, every=2)
    for _ in range(4):
        ada.observe(torch.ones(10), batch=10)
    assert ada.probability.item() == pytest.approx(0.34)
