"""Training by interpreted kernels, tried on its own first steps as a run on a GPU is."""

from __future__ import annotations

import pytest
import torch

import reacgan
from reacgan.assembly import complete
from reacgan.data import open_dataset
from reacgan.training.engine import Engine
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.state import TrainState


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_kernels_are_right_by_the_proof_of_a_run(interpreter, precision):
    changes = {"training.precision": precision, "training.batch": 16, "speed.kernels": True}
    experiment = complete(reacgan.experiment("digits/reacgan").replace(**changes))
    data, engine = open_dataset(experiment.data), Engine.of(experiment, "cpu")
    trainer = Trainer(
        experiment, TrainState.build(experiment, data.num_classes, engine), data, engine
    )
    for _ in range(2):
        trainer.cycle(Journal(None, 0))
    assert trainer.ways.tried.off is None
    weights = trainer.state.generator.parameters()
    assert all(bool(torch.isfinite(weight).all()) for weight in weights)
