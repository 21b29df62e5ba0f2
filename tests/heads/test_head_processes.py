from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from reacgan.config import Component
from reacgan.distributed import average_gradients
from reacgan.heads import HEADS, Head, build_head

WORLD, LOCAL, WIDTH, CLASSES = 2, 4, 6, 3


def gradients_of_half(rank: int, folder: str) -> None:
    """Each process: every head's gradients on its half of the batch, averaged."""
    torch.set_num_threads(1)
    store = dist.FileStore(f"{folder}/store", WORLD)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=WORLD)
    half = slice(rank * LOCAL, (rank + 1) * LOCAL)
    found = {name: gradients(name, half) for name in HEADS}
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def gradients(name: str, rows: slice) -> dict[str, Any]:
    torch.manual_seed(0)
    head: Head = build_head(Component(name=name), in_features=WIDTH, num_classes=CLASSES).double()
    generator = torch.Generator().manual_seed(1)
    count = WORLD * LOCAL
    features = torch.randn(2, count, WIDTH, generator=generator, dtype=torch.float64)
    labels = torch.randint(CLASSES, (2, count), generator=generator)
    real, fake = (head(features[k, rows], labels[k, rows]) for k in range(2))
    loss = head.d_loss(real, fake) + head.g_loss(fake) + (real.score - fake.score).mean()
    loss.backward()
    average_gradients(head.parameters())
    return {key: parameter.grad for key, parameter in head.named_parameters()}


def test_two_halves_give_the_gradient_of_the_whole(tmp_path: Path) -> None:
    mp.start_processes(gradients_of_half, (str(tmp_path),), nprocs=WORLD, start_method="spawn")
    for rank in range(WORLD):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name in HEADS:
            whole = gradients(name, slice(None))
            assert whole.keys() == found[name].keys()
            for key, gradient in whole.items():
                difference = (gradient - found[name][key]).abs().max().item()
                assert difference < 1e-12, (name, key, difference)
