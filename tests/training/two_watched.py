"""Started by torchrun from the tests: a loss of one process is not finite; all go back together."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from tiny import experiment, images

import reacgan
from reacgan import distributed
from reacgan.training.loop import Trainer

CHANGES = {
    "training.images": 640,
    "watch.every": 64,
    "watch.action": "roll_back",
    "report.checkpoint_every": 128,
    "report.journal_every": 64,
}


def main(out: Path) -> None:
    torch.set_num_threads(1)
    whole, held = Trainer.cycle, []

    def cycle(self, journal):
        whole(self, journal)
        if self.state.images_seen == 320 and self.state.lr_scale == 1 and distributed.rank() == 1:
            journal.add({"d/adversarial": torch.tensor(math.nan)})
        held[:] = [self]

    Trainer.cycle = cycle
    result = reacgan.train(
        experiment(**CHANGES), out / "run", device="cpu", data=images(), quiet=True
    )
    assert result.complete
    (trainer,) = held
    weights = {
        name: tensor.clone().contiguous()
        for name, tensor in trainer.state.generator.state_dict().items()
    }
    scale = torch.tensor(trainer.state.lr_scale)
    save_file({**weights, "scale": scale}, out / f"{distributed.rank()}.safetensors")
    distributed.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
