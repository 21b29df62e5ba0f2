"""Every way of computing a step gives the same training but for rounding."""

from __future__ import annotations

import pytest
import torch
from members import begin_adapted, every_case
from tiny import experiment, images

from reacgan.assembly import complete
from reacgan.config import SpeedConfig
from reacgan.hub import load
from reacgan.training import train
from reacgan.training.engine import Engine
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.state import TrainState

# Those that a CPU has, apart from where files and batches come from.
SWITCHES = (
    "merged_convolutions",
    "merged_passes",
    "fused_layers",
    "channels_last",
    "fused_optimizer",
)
EVERY = {switch: {f"speed.{switch}": False} for switch in (*SWITCHES, "resident")}
EVERY["kernels"] = {"speed.kernels": True}
PLAIN = {"speed.mode": "plain"}


def trainer(**changes):
    settings = complete(experiment(**{"training.precision": "float64", **changes}))
    engine = Engine.of(settings, "cpu")
    state = TrainState.build(settings, 3, engine)
    begin_adapted(state.adaptive)
    return Trainer(settings, state, images(), engine)


def course(cycles, **changes):
    """Losses of each cycle, and the state after the last."""
    made = trainer(**changes)
    journal, losses = Journal(None, 0), []
    for _ in range(cycles):
        made.cycle(journal)
        losses.append(journal.read(made.state.images_seen))
    made.steps.loader.close()
    tensors = {
        f"{part}/{name}": value.double()
        for part, held in made.state.tensors().items()
        for name, value in held.items()
    }
    return losses, tensors


def distance(one, other):
    """Largest difference of two courses' losses, and of their weights beside the largest weight."""
    losses = max(
        abs(ours[name] - plain[name])
        for ours, plain in zip(one[0], other[0], strict=True)
        for name in ours
    )
    weights = max(
        (one[1][name] - value).abs().max().item() / max(value.abs().max().item(), 1.0)
        for name, value in other[1].items()
        if value.numel()
    )
    return losses, weights


@pytest.fixture(scope="module")
def automatic():
    return {
        precision: course(25, **{"training.precision": precision})
        for precision in ("float64", "float32")
    }


# One switch is exact or not in float64; in float32 the two that hold all others.
@pytest.mark.parametrize(
    ("switch", "precision", "bound"),
    [
        *[(switch, "float64", 1e-11) for switch in (*EVERY, "plain")],
        *[
            pytest.param(
                switch,
                "float32",
                1e-5,
                marks=() if switch in ("kernels", "plain") else pytest.mark.slow,
            )
            for switch in (*EVERY, "plain")
        ],
    ],
)
def test_fifty_steps_of_each_network(automatic, switch, precision, bound):
    """25 cycles of two D steps. Adam moves what has no gradient but rounding: hence the weights."""
    changes = EVERY.get(switch, PLAIN)
    plain = course(25, **{"training.precision": precision}, **changes)
    losses, weights = distance(automatic[precision], plain)
    assert losses < bound and weights < 500 * bound, (losses, weights)


# Parts of a batch are normalised apart in either way, so this one needs no generator of its own.
CASES = {**every_case(), "accumulate": {"training.accumulate": 2}}


@pytest.mark.parametrize("name", CASES)
def test_two_cycles_of_every_member(name):
    changes = CASES[name]
    plain = course(2, **changes, **PLAIN)
    for way in ({}, EVERY["kernels"]):
        losses, weights = distance(course(2, **changes, **way), plain)
        assert losses < 1e-9 and weights < 1e-8, (way, losses, weights)


def orders(made, wanted):
    """Whether what each block of either network gives lies in this order of memory."""
    found = []

    def look(layer, given, result):
        if isinstance(result, torch.Tensor) and result.dim() == 4 and min(result.shape[1:]) > 1:
            found.append(result.is_contiguous(memory_format=wanted))

    for network in (made.state.generator, made.state.discriminator):
        for layer in network.modules():
            layer.register_forward_hook(look)
    made.cycle(Journal(None, 0))
    assert found
    return found


def test_plain_is_plain():
    made = trainer(**PLAIN)
    assert not any(
        getattr(made.engine.speed, name) for name in SpeedConfig.model_fields if name != "mode"
    )
    assert not any(
        getattr(layer, switch, False)
        for network in (made.state.generator, made.state.discriminator)
        for layer in network.modules()
        for switch in SWITCHES
    )
    assert all(value.is_contiguous() for value in made.state.generator.parameters())
    assert all(orders(made, torch.contiguous_format))
    assert all(orders(trainer(), torch.channels_last))
    assert not made.steps.loader.resident


def test_each_switch_alone():
    for switch in SWITCHES:
        speed = trainer(**EVERY[switch]).engine.speed
        assert [name for name in SWITCHES if not getattr(speed, name)] == [switch]


def trained(folder, *modes):
    """A run of 64 images in each of these ways, one after another."""
    for place, mode in enumerate(modes, start=1):
        changes = {
            "speed.mode": mode,
            "training.images": 64 * place,
            "training.precision": "float64",
        }
        result = train(experiment(**changes), folder, data=images(), device="cpu", quiet=True)
        assert result.images_seen == 64 * place
    return torch.cat([value.flatten() for value in load(folder / "model").generator.parameters()])


def test_a_run_may_go_on_in_another_way(tmp_path):
    """A checkpoint does not know how it was computed."""
    whole = trained(tmp_path / "whole", "auto", "auto")
    for modes in (("auto", "plain"), ("plain", "auto")):
        weights = trained(tmp_path / "-".join(modes), *modes)
        torch.testing.assert_close(weights, whole, rtol=1e-6, atol=1e-8)
