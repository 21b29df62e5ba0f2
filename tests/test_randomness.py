from __future__ import annotations

import pytest
import torch

from reacgan.randomness import Draws, derive_seed


def test_golden_values():
    """Frozen: another value would change every run and every sample."""
    assert derive_seed(0, "sample", 0) == 1170510158946665638
    drawn = Draws(0, "latents/d", 64).normal(2, 2).flatten().tolist()
    assert drawn == pytest.approx([-0.4926021, 0.8030763, 0.0267858, -1.4093221], abs=1e-6)
    assert Draws(1, "order", 0).integers(6, high=10).tolist() == [0, 9, 5, 1, 5, 1]


def test_uniform_draws_are_those_of_pytorch():
    raw = torch.rand(5, generator=Draws(0, "a", 1).generator)
    assert torch.equal(Draws(0, "a", 1).uniform(5), raw)
    assert torch.equal(Draws(0, "a", 1).uniform(5, low=-1, high=3), raw * 4 - 1)


def test_seeds_depend_on_all_three():
    keys = [
        (seed, stream, seen)
        for seed in (0, 1, 10)
        for stream in ("a", "b", "0", "0/1")
        for seen in (0, 1, 11)
    ]
    seeds = {derive_seed(*key) for key in keys}
    assert len(seeds) >= len(keys) - 1  # 0/0/1/... may be spelt in two ways
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_processes_share_one_draw(world):
    def parts(take):
        return torch.cat([take(Draws(3, "x", 7, rank=rank, world=world)) for rank in range(world)])

    count = 6 // world
    alone = Draws(3, "x", 7)
    assert torch.equal(parts(lambda one: one.normal(count, 2)), alone.normal(6, 2))
    alone = Draws(3, "x", 7)
    assert torch.equal(parts(lambda one: one.uniform(count)), alone.uniform(6))
    alone = Draws(3, "x", 7)
    assert torch.equal(
        parts(lambda one: one.integers(count, 3, high=9)), alone.integers(6, 3, high=9)
    )


def test_history_and_global_seed_do_not_matter():
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first = Draws(0, "x", 0).normal(4)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(2)
    Draws(0, "x", 0).normal(100)
    assert torch.equal(Draws(0, "x", 0).normal(4), first)
    assert not torch.equal(Draws(0, "x", 1).normal(4), first)
    assert not torch.equal(Draws(0, "y", 0).normal(4), first)


def test_ranges_and_types():
    draws = Draws(0, "x", 0)
    uniform = draws.uniform(10_000, low=-2, high=3)
    assert uniform.min() >= -2 and uniform.max() < 3 and abs(uniform.mean() - 0.5) < 0.1
    whole = draws.integers(1000, low=2, high=4)
    assert whole.dtype == torch.int64 and set(whole.tolist()) == {2, 3}
    assert draws.normal(3, 4, dtype=torch.float64).dtype == torch.float64
    assert draws.normal(3, 4).shape == (3, 4)
    wide, narrow = Draws(0, "x", 0).normal(5, dtype=torch.float64), Draws(0, "x", 0).normal(5)
    assert torch.equal(wide.float(), narrow)
