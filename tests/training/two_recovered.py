"""Started by torchrun from the tests: a kernel fails in one process; then both diverge."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from test_recovery import DIVERGES
from tiny import experiment, images

import reacgan
from faults import inject
from reacgan import distributed
from reacgan.training.journal import NonFiniteError
from reacgan.training.loop import Trainer


def main(out: Path) -> None:
    torch.set_num_threads(1)
    whole, held = Trainer.cycle, []

    def cycle(self, journal):
        whole(self, journal)
        held[:] = [self]

    Trainer.cycle = cycle
    data = images()
    with pytest.MonkeyPatch.context() as patch:
        inject(patch, ranks=(1,))
        result = reacgan.train(experiment(), out / "run", device="cpu", data=data, quiet=True)
    assert result.complete
    (trainer,) = held
    weights = {
        name: tensor.clone().contiguous()
        for name, tensor in trainer.state.generator.state_dict().items()
    }
    rank = distributed.rank()
    save_file(weights, out / f"{rank}.safetensors")
    try:
        reacgan.train(experiment(**DIVERGES), out / "lost", device="cpu", data=data, quiet=True)
    except NonFiniteError as error:
        (out / f"{rank}.txt").write_text(str(error))
    distributed.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
