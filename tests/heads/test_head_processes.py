from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from small_heads import CLASSES, VARIANTS, WIDTH, build, latents

from reacgan.distributed import average_gradients

WORLD, LOCAL = 2, 4


def gradients_of_half(rank: int, folder: str) -> None:
    """Each process: every head's gradients on its half of the batch, averaged."""
    torch.set_num_threads(1)
    store = dist.FileStore(f"{folder}/store", WORLD)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=WORLD)
    half = slice(rank * LOCAL, (rank + 1) * LOCAL)
    found = [gradients(name, options, half) for name, options in VARIANTS]
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def gradients(name: str, options: dict[str, Any], rows: slice) -> dict[str, Any]:
    head = build(name, **options).double()
    generator = torch.Generator().manual_seed(1)
    count = WORLD * LOCAL
    features = torch.randn(2, count, WIDTH, generator=generator, dtype=torch.float64)
    labels = torch.randint(CLASSES, (2, count), generator=generator)
    real, fake = (head(features[k, rows], labels[k, rows]) for k in range(2))
    fake = replace(fake, latents=latents(count)[rows])
    loss = head.d_loss(real, fake) + 0.7 * head.g_loss(fake) + (real.score - fake.score).mean()
    loss.backward()
    average_gradients(head.parameters())
    return {key: parameter.grad for key, parameter in head.named_parameters()}


def test_two_halves_give_the_gradient_of_the_whole(tmp_path: Path) -> None:
    mp.start_processes(gradients_of_half, (str(tmp_path),), nprocs=WORLD, start_method="spawn")
    for rank in range(WORLD):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for (name, options), held in zip(VARIANTS, found, strict=True):
            whole = gradients(name, options, slice(None))
            assert whole.keys() == held.keys()
            for key, gradient in whole.items():
                difference = (gradient - held[key]).abs().max().item()
                assert difference < 1e-12, (name, options, key, difference)
