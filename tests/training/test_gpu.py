"""What can only be seen on a GPU: no waiting in a step, and the mathematics of the CPU."""

from __future__ import annotations

import pytest
import torch
from tiny import HEADS, experiment, images

from reacgan.models import complete
from reacgan.training.engine import Engine
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.state import TrainState
from reacgan.training.steps import generator_loss
from test_playground import KINDS
from toy import pictures

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def trainer_on(device, head="d2dce", **changes):
    settings = complete(experiment(head, **changes))
    engine = Engine(device, settings.training.precision)
    data = images()
    return Trainer(settings, TrainState.build(settings, data.num_classes, engine), data, engine)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("head", HEADS)
def test_a_cycle_never_waits_for_the_device(head, precision):
    trainer = trainer_on("cuda", head, **{"training.precision": precision})
    journal = Journal(None, 0)
    for _ in range(2):
        trainer.cycle(journal)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.cycle(journal)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    journal.read(48)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_of_member_waits_for_the_device(kind, precision):
    settings = complete(KINDS[kind].replace(**{"training.precision": precision}))
    engine, data = Engine("cuda", precision), pictures(settings)
    trainer = Trainer(settings, TrainState.build(settings, 3, engine), data, engine)
    journal = Journal(None, 0)
    trainer.cycle(journal)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.cycle(journal)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    journal.read(16)
    assert not trainer.state.non_finite()


def test_losses_and_gradients_equal_the_float64_reference():
    """The same weights and latents, float32 on the GPU against float64 on the same GPU."""
    found = {}
    for precision in ("float32", "float64"):
        trainer = trainer_on(
            "cuda", **{"training.precision": precision, "augment.name": "identity"}
        )
        (players,), (latents,) = trainer.players(16), trainer.latents("latents/g")
        loss, _, _ = generator_loss(players, latents)
        loss.backward(inputs=trainer.g_parameters)
        gradients = [parameter.grad.double().flatten() for parameter in trainer.g_parameters]
        found[precision] = (loss.double(), torch.cat(gradients))
    torch.testing.assert_close(*(found[precision][0] for precision in found), rtol=1e-4, atol=1e-4)
    single, double = (found[precision][1] for precision in found)
    assert (single - double).norm() <= 2e-3 * double.norm()
