"""Two processes on half batches are one process on the whole, and no term makes the host wait."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from small_players import (
    COUNT,
    TERMS,
    WAITING,
    Operations,
    SmallD,
    SmallG,
    draws_for,
    is_penalty,
    step_for,
    total,
)

from reacgan import distributed
from reacgan.losses import CONSISTENCY, PENALTIES, Term, build_terms
from reacgan.randomness import Draws

WORLD = 2
OPTIONS: dict[str, dict[str, Any]] = {"lecam": {"start": 0}}


def term_called(name: str) -> Term:
    chosen = {name: OPTIONS.get(name, {})}
    terms = build_terms(chosen, {}) if is_penalty(name) else build_terms({}, chosen)
    return terms[name]


def results(name: str, rank: int, world: int) -> dict[str, torch.Tensor]:
    """Value (averaged), gradients and state after three observations and one backward pass."""
    judge, generator, term = SmallD(), SmallG(), term_called(name)
    local = COUNT // world
    rows = slice(rank * local, (rank + 1) * local)
    how = {"rows": rows, "draws": draws_for(rank, world)}
    for _ in range(2):
        total(term, judge, generator, **how)
    value = total(term, judge, generator, **how)
    if value.requires_grad:
        value.backward()
    parameters = [*judge.parameters(), *generator.parameters()]
    distributed.average_gradients(parameters)
    mean = distributed.sum_over_processes(value.detach()) / world
    found = {f"gradient/{i}": p.grad for i, p in enumerate(parameters) if p.grad is not None}
    return {"value": mean, **found, **{f"state/{k}": v for k, v in term.state_dict().items()}}


def half(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    store = dist.FileStore(f"{folder}/store", WORLD)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=WORLD)
    torch.save({name: results(name, rank, WORLD) for name in TERMS}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_halves_are_the_whole(tmp_path: Path) -> None:
    mp.start_processes(half, (str(tmp_path),), nprocs=WORLD, start_method="spawn")
    for rank in range(WORLD):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name in TERMS:
            whole = results(name, 0, 1)
            assert whole.keys() <= found[name].keys()
            for key, expected in whole.items():
                difference = (expected - found[name][key]).abs().max().item()
                assert difference < (1e-6 if name == "lecam" else 1e-11), (name, key, difference)


@pytest.mark.parametrize("name", TERMS)
def test_the_host_never_waits(name: str) -> None:
    judge, generator, term = SmallD(), SmallG(), term_called(name)
    step, step_of_g = step_for(judge, generator), step_for(judge, generator, of_d=False)
    assert step.on_real is not None
    with Operations() as seen:
        term.observe(step.on_real, step.on_fake)
        for value in (term.d_term(step), term.g_term(step_of_g)):
            if value is not None:
                value.backward()
        term.after_d_step(judge)
    assert seen.names
    assert not WAITING & set(seen.names)


def test_every_member_is_in_its_table() -> None:
    assert set(TERMS) <= set(PENALTIES) | set(CONSISTENCY)
    assert not set(PENALTIES) & set(CONSISTENCY)
    assert isinstance(draws_for()("z"), Draws)
