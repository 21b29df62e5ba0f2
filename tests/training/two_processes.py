"""Started by the tests in several processes: two cycles for each case, each rank's end state to a file."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

import torch
from accumulation import plain_generator
from members import begin_adapted, every_case
from safetensors.torch import save_file
from tiny import experiment, images

from reacgan import distributed
from reacgan.assembly import complete
from reacgan.training.engine import Engine
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.monitor.diagnosis import diagnose
from reacgan.training.state import TrainState
from reacgan.training.step import averaging

CYCLES = 2


def cases() -> dict[str, dict[str, object]]:
    """Every member of every family, and kernels, which are tried on the first steps."""
    return {**every_case(), "kernels": {"speed.kernels": True}}


def end_state(changes: dict[str, object]) -> dict[str, torch.Tensor]:
    """Every tensor of the state after two cycles in float64, and what a diagnosis says of it."""
    with plain_generator():
        settings = complete(experiment(**{"training.precision": "float64", **changes}))
        engine = Engine.of(settings, "cpu")
        data = images()
        state = TrainState.build(settings, data.num_classes, engine)
    begin_adapted(state.adaptive)
    trainer = Trainer(settings, state, data, engine)
    journal = Journal(None, 0)
    for _ in range(CYCLES):
        trainer.cycle(journal)
    told = {
        name: torch.tensor(value, dtype=torch.float64)
        for name, value in diagnose(trainer.steps).items()
    }
    return {
        f"{part}/{name}": tensor.detach().clone().contiguous()
        for part, tensors in {**state.tensors(), "diagnosis": told}.items()
        for name, tensor in tensors.items()
    }


def check_messages() -> None:
    """A missing gradient counts as zero in the average; a flag of one process is every process's."""
    cpu, rank, world = torch.device("cpu"), distributed.rank(), distributed.world_size()
    reached, never = torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(1))
    if rank == 0:
        reached.grad = torch.tensor([2.0, 4.0])
    distributed.average_gradients([reached, never])
    assert reached.grad.tolist() == [2 / world, 4 / world]
    assert never.grad.tolist() == [0.0]
    assert distributed.any_process(rank == 1, cpu)
    assert not distributed.any_process(False, cpu)


def main(out: Path, prefix: str = "") -> None:
    torch.set_num_threads(1)
    Engine("cpu")
    check_messages()
    assert distributed.world_size() > 1
    averaging.BUCKET_BYTES = 4_096  # so that there are some, sent during the backward pass
    for name, changes in cases().items():
        if not name.startswith(prefix):
            continue
        place = out / f"{name}-{distributed.rank()}"
        try:
            save_file(end_state(changes), place.with_suffix(".safetensors"))
        except Exception:  # both processes fail alike; the other cases go on
            place.with_suffix(".txt").write_text(traceback.format_exc())
    distributed.leave()  # else a thread of the process group may outlive it at the end


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
