"""What can only be seen on a GPU: no waiting in a step, and the mathematics of the CPU."""

from __future__ import annotations

import pytest
import torch
from tiny import HEADS, experiment, images

from reacgan.assembly import complete
from reacgan.config import SpeedConfig
from reacgan.training.engine import Engine
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.state import TrainState
from reacgan.training.step.losses import generator_loss
from test_playground import KINDS
from toy import pictures

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


# A step is recorded when it is met for the third time, and proven then and at the next time.
UNTIL_REPLAYED = 4


def trainer_on(device, head="d2dce", **changes):
    settings = complete(experiment(head, **changes))
    engine = Engine.of(settings, device)
    data = images()
    return Trainer(settings, TrainState.build(settings, data.num_classes, engine), data, engine)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("head", HEADS)
def test_a_cycle_never_waits_for_the_device(head, precision):
    trainer = trainer_on("cuda", head, **{"training.precision": precision})
    journal = Journal(None, 0)
    for _ in range(UNTIL_REPLAYED):
        trainer.cycle(journal)
    assert trainer.ways.graphs.off is None
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.cycle(journal)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert trainer.ways.graphs.replayed
    journal.read(trainer.state.images_seen)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_of_member_waits_for_the_device(kind, precision):
    plain = {"training.precision": precision, "speed.cuda_graphs": False}
    settings = complete(KINDS[kind].replace(**plain))
    engine, data = Engine.of(settings, "cuda"), pictures(settings)
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
        (players,), (latents,) = trainer.steps.contexts(16), trainer.steps.latents("latents/g")
        loss, _, _ = generator_loss(players, latents)
        loss.backward(inputs=trainer.steps.g_parameters)
        gradients = [parameter.grad.double().flatten() for parameter in trainer.steps.g_parameters]
        found[precision] = (loss.double(), torch.cat(gradients))
    torch.testing.assert_close(*(found[precision][0] for precision in found), rtol=1e-4, atol=1e-4)
    single, double = (found[precision][1] for precision in found)
    assert (single - double).norm() <= 2e-3 * double.norm()


CASES = {
    **{f"head-{name}": {"head": name} for name in HEADS},
    "ada": {"augment.name": "ada", "augment.probability": 0.5},
    "r1 at times": {"penalties": {"r1": {"every": 3}}},
    "zcr": {"consistency": {"zcr": {}}},
    "logan": {"loss.latent_optimisation": {}},
    "apa": {"apa": {}},
    "bfloat16": {"training.precision": "bfloat16"},
}


def state_after(trainer, cycles):
    for _ in range(cycles):
        trainer.cycle(Journal(None, 0))
    torch.cuda.synchronize()
    return {
        f"{part}/{name}": held.detach().double().cpu()
        for part, tensors in trainer.state.tensors().items()
        for name, held in tensors.items()
    }


@pytest.mark.parametrize("case", CASES)
def test_replayed_steps_are_the_plain_ones(case):
    """Sums of a few operations may come in another order each time, so not to the bit."""
    near = 5e-2 if case == "bfloat16" else 1e-3
    graphs = trainer_on("cuda", **CASES[case])
    plain = trainer_on("cuda", **CASES[case], **{"speed.cuda_graphs": False})
    found, expected = state_after(graphs, 12), state_after(plain, 12)
    assert graphs.ways.graphs.off is None
    assert graphs.ways.graphs.replayed > 12
    assert plain.ways.graphs is None
    for part in ("generator", "discriminator", "average"):
        pairs = [(found[name], held) for name, held in expected.items() if name.startswith(part)]
        off = sum((one - other).square().sum() for one, other in pairs).sqrt()
        assert off <= near * sum(other.square().sum() for _, other in pairs).sqrt(), part


def test_a_replaying_run_goes_on_with_the_same_bits():
    """The second trainer begins with plain steps where the first one replays."""
    changes = {"augment.name": "identity", "head": "projection"}
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        whole, first, second = (trainer_on("cuda", **changes) for _ in range(3))
        expected = state_after(whole, 16)
        state_after(first, 8)
        second.state.load_tensors(
            {
                part: {name: held.clone() for name, held in tensors.items()}
                for part, tensors in first.state.tensors().items()
            }
        )
        second.state.images_seen = first.state.images_seen
        found = state_after(second, 8)
    finally:
        torch.use_deterministic_algorithms(False)
    assert whole.ways.graphs.replayed
    assert second.ways.graphs.replayed
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def test_without_tf32_products_are_of_float32():
    left, right = (torch.randn(256, 256, device="cuda") for _ in range(2))
    picture, taps = (
        torch.randn(4, 64, 16, 16, device="cuda"),
        torch.randn(64, 64, 3, 3, device="cuda"),
    )

    def errors(tf32):
        Engine("cuda", speed=SpeedConfig(tf32=tf32, tf32_products=tf32))
        product = (left @ right).double() - left.double() @ right.double()
        folded = torch.nn.functional.conv2d(picture, taps).double()
        folded -= torch.nn.functional.conv2d(picture.double(), taps.double())
        return float(product.abs().max()), float(folded.abs().max())

    try:
        assert max(errors(False)) < 1e-3
        if torch.cuda.get_device_capability() >= (8, 0):
            assert min(errors(True)) > 3e-3
    finally:
        Engine("cuda")
