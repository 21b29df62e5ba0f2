"""Started by torchrun from the tests: three cycles for each head, the end state of rank 0 to a file."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from tiny import HEADS, experiment, images

from reacgan import distributed
from reacgan.models import complete
from reacgan.training.engine import Engine
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.state import TrainState

CYCLES = 3


def end_state(head: str) -> dict[str, torch.Tensor]:
    """Every tensor of the state after three cycles in float64."""
    settings = complete(experiment(head, **{"training.precision": "float64"}))
    engine = Engine("cpu", "float64")
    data = images()
    state = TrainState.build(settings, data.num_classes, engine)
    trainer = Trainer(settings, state, data, engine)
    journal = Journal(None, 0)
    for _ in range(CYCLES):
        trainer.cycle(journal)
    return {
        f"{part}/{name}": tensor.detach().clone().contiguous()
        for part, tensors in state.tensors().items()
        for name, tensor in tensors.items()
    }


def check_messages() -> None:
    """A missing gradient counts as zero in the average; a flag of one process is every process's."""
    cpu, rank = torch.device("cpu"), distributed.rank()
    reached, never = torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(1))
    if rank == 0:
        reached.grad = torch.tensor([2.0, 4.0])
    distributed.average_gradients([reached, never])
    assert reached.grad.tolist() == [1.0, 2.0]
    assert never.grad.tolist() == [0.0]
    assert distributed.any_process(rank == 1, cpu)
    assert not distributed.any_process(False, cpu)


def main(out: Path) -> None:
    torch.set_num_threads(1)
    Engine("cpu")
    check_messages()
    for head in HEADS:
        state = end_state(head)
        assert distributed.world_size() == 2
        save_file(state, out / f"{head}-{distributed.rank()}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
