"""Moves of z against closed forms, loops and finite differences."""

from __future__ import annotations

import pytest
import torch
from small_players import (
    COUNT,
    LATENT,
    WAITING,
    Operations,
    SmallD,
    SmallG,
    batch,
    differences,
    draws_for,
)
from torch import Tensor

from reacgan.config import LatentOptimisationConfig
from reacgan.losses.latent_optimisation import optimised_latents

TARGET = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)


def bowl(z: Tensor) -> Tensor:
    """-|z - t|^2 / 2 plus z_1^3, whose gradient is known."""
    return -0.5 * (z - TARGET.to(z.dtype)).square().sum(dim=1) + z[:, 0] ** 3


@pytest.mark.parametrize(("steps", "limit"), [(1, None), (3, None), (3, 1.0)])
def test_moves_against_a_loop(steps: int, limit: float | None) -> None:
    config = LatentOptimisationConfig(rate=0.7, damping=0.3, share=0.6, steps=steps, limit=limit)
    z, stream = batch()["z"], draws_for()("z")
    expected = [row.tolist() for row in z]
    for _ in range(steps):
        drawn = stream.uniform(COUNT, LATENT).tolist()
        for i in range(COUNT):
            slope = [TARGET[k].item() - expected[i][k] for k in range(LATENT)]
            slope[0] += 3 * expected[i][0] ** 2
            square = sum(value**2 for value in slope)
            for k in range(LATENT):
                if drawn[i][k] < 0.6:
                    expected[i][k] += 0.7 * slope[k] / (0.3 + square)
                if limit is not None:
                    expected[i][k] = min(max(expected[i][k], -limit), limit)
    before = z.clone()
    moved, cost = optimised_latents(config, bowl, z, draws_for()("z"))
    torch.testing.assert_close(moved, torch.tensor(expected, dtype=torch.float64))
    begin = z if limit is None else z.clamp(-limit, limit)
    torch.testing.assert_close(cost, (moved - begin).square().sum(dim=1).mean())
    assert torch.equal(z, before)
    assert not z.requires_grad


def test_clipping_what_began_outside_costs_nothing() -> None:
    """A normal z has a third of its entries outside of [-1, 1]."""
    z = torch.linspace(-3, 3, 24, dtype=torch.float64).view(8, LATENT)
    still = LatentOptimisationConfig(rate=1e-9, limit=1.0)
    moved, cost = optimised_latents(still, bowl, z, draws_for()("z"))
    torch.testing.assert_close(moved, z.clamp(-1, 1))
    assert cost.item() < 1e-12
    # Where z is within the limit, as the paper draws it, the cost is that of the whole move.
    within = z / 3
    config = LatentOptimisationConfig(limit=1.0)
    moved, cost = optimised_latents(config, bowl, within, draws_for()("z"))
    torch.testing.assert_close(cost, (moved - within).square().sum(dim=1).mean())


def test_share_and_direction() -> None:
    z = torch.zeros(400, LATENT, dtype=torch.float64)
    config = LatentOptimisationConfig(share=0.8)
    moved, _ = optimised_latents(config, bowl, z, draws_for()("z"))
    rested = (moved == z).double().mean().item()
    assert rested == pytest.approx(0.2, abs=0.03)
    assert (bowl(moved) >= bowl(z)).all()
    everything, _ = optimised_latents(
        LatentOptimisationConfig(share=1.0), bowl, z, draws_for()("z")
    )
    assert not (everything == z).any()


def test_both_networks_learn_through_the_move() -> None:
    judge, generator, held = SmallD(), SmallG(), batch()
    config = LatentOptimisationConfig(steps=2)

    def score(z: Tensor) -> Tensor:
        return judge(generator(z, held["fake_labels"]), held["fake_labels"]).score

    def loss() -> Tensor:
        moved, cost = optimised_latents(config, score, held["z"], draws_for()("z"))
        return (moved * TARGET).sum() + 0.1 * cost  # of the move alone

    loss().backward()
    for parameter in (judge.convolution.weight, judge.labels.weight, generator.weight):
        expected = differences(loss, parameter)
        assert expected.abs().max() > 1e-3
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-5, atol=1e-7)


def test_without_recording_there_is_no_graph() -> None:
    z = batch()["z"]
    recorded, _ = optimised_latents(LatentOptimisationConfig(steps=2), bowl, z, draws_for()("z"))
    with torch.no_grad():
        moved, cost = optimised_latents(
            LatentOptimisationConfig(steps=2), bowl, z, draws_for()("z")
        )
    assert not moved.requires_grad
    assert not cost.requires_grad
    assert torch.equal(moved, recorded)


def test_autocast_does_not_reach_the_move_and_the_host_never_waits() -> None:
    judge, generator, held = SmallD(torch.float32), SmallG(torch.float32), batch(torch.float32)
    config = LatentOptimisationConfig(steps=2, limit=1.0)

    def score(z: Tensor) -> Tensor:
        return judge(generator(z, held["fake_labels"]), held["fake_labels"]).score

    plain, _ = optimised_latents(config, score, held["z"], draws_for()("z"))
    with torch.autocast("cpu", dtype=torch.bfloat16), Operations() as seen:
        inside, cost = optimised_latents(config, score, held["z"], draws_for()("z"))
        (inside.sum() + cost).backward()
    assert inside.dtype == cost.dtype == torch.float32
    assert torch.equal(inside, plain)
    assert not WAITING & set(seen.names)
