"""Started on each host by the tests: trains for some cycles, says so after each, and leaves its state.

    python host_training.py OUT CYCLES [slow]

``slow``: the second host reads each batch from files that answer late.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import save_file
from tiny import experiment, images

from reacgan import distributed
from reacgan.assembly import complete
from reacgan.training.engine import Engine
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.state import TrainState

SECONDS = 10
"""After which a process gives up waiting for the others."""


class LatePixels(np.ndarray):
    """Pixels that take a while to be read."""

    reads = 0

    def __getitem__(self, key):
        LatePixels.reads += 1
        time.sleep(0.05)
        return np.asarray(self).__getitem__(key)


def main(out: Path, cycles: int, *, slow: bool) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", timeout=timedelta(seconds=SECONDS))
    settings = complete(experiment(**{"speed.resident": False}))
    engine, data = Engine.of(settings, "cpu"), images()
    late = slow and distributed.rank() == 1
    if late:
        data = replace(data, images=data.images.view(LatePixels))
    trainer = Trainer(settings, TrainState.build(settings, data.num_classes, engine), data, engine)
    journal = Journal(None, 0)
    for cycle in range(cycles):
        trainer.cycle(journal)
        print(f"cycle {cycle}", flush=True)
    assert not late or LatePixels.reads
    tensors = {
        f"{part}/{name}": tensor.detach().clone().contiguous()
        for part, of_part in trainer.state.tensors().items()
        for name, tensor in of_part.items()
    }
    save_file(tensors, out / f"{distributed.rank()}.safetensors")
    distributed.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), slow="slow" in sys.argv[3:])
