"""Compiled networks train as the plain ones do; where they cannot, nothing is left of the try."""

from __future__ import annotations

import pytest
import torch
from members import network_changes
from tiny import experiment, images
from torch import nn

from reacgan.assembly import complete
from reacgan.training.engine import Engine
from reacgan.training.execution.tried import compiled as compiled_way
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.state import TrainState


def trainer_for(compiled=False, **changes):
    settings = complete(experiment(**changes))
    engine = Engine.of(settings.replace(**{"speed.compile": compiled}), "cpu")
    data = images()
    return Trainer(settings, TrainState.build(settings, 3, engine), data, engine)


def tensors(trainer):
    found = trainer.state.tensors()
    return {f"{part}/{name}": compiler for part in found for name, compiler in found[part].items()}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("changes", "near"),
    [
        ({}, 1e-5),
        ({"training.precision": "float64", "consistency": {"zcr": {}}}, 1e-5),
        ({"training.precision": "bfloat16"}, 3e-2),
        ({**network_changes()["backbone-resnet-batch"], "training.d_steps": 1}, 1e-5),
    ],
    ids=["d2dce", "float64-zcr", "bfloat16", "batch-norm"],
)
def test_a_few_cycles_on_compiled_networks_are_those_of_plain_ones(changes, near):
    """Losses of each cycle.

    Weights are no measure: biases in front of a batch norm have a gradient of rounding alone, which
    Adam makes a step of. In float64 compiled code keeps some constants in float32 (torch 2.13).
    """
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled, plain = trainer_for(True, **changes), trainer_for(**changes)
    assert not compiled.engine.speed.fused_layers
    for _ in range(3):
        journals = Journal(None, 0), Journal(None, 0)
        compiled.cycle(journals[0])
        plain.cycle(journals[1])
        assert journals[0].read(1) == pytest.approx(journals[1].read(1), rel=near, abs=near)
    assert compiled.ways.tried.off is None
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 2
    assert list(tensors(compiled)) == list(tensors(plain))


class Wrong(nn.Module):
    """Stands for code that a compiler got wrong: other gradients when it may be compiled."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def compile(self, **options):
        forward = self.inner.forward

        def compiled(*inputs):
            if torch._dynamo.eval_frame._stance.stance == "force_eager":
                return forward(*inputs)
            return self.outcome(forward, *inputs)

        self.inner.forward = compiled

    def outcome(self, forward, *inputs):
        return forward(inputs[0] * 1.01, *inputs[1:])


class Failing(Wrong):
    def outcome(self, forward, *inputs):
        forward(*inputs)
        raise RuntimeError("no compiler\nmore")


@pytest.mark.parametrize(
    ("kind", "why"), [(Wrong, "differ from the plain step"), (Failing, "RuntimeError: no compiler")]
)
def test_what_goes_wrong_is_given_up_without_a_trace(kind, why):
    trainer, plain = trainer_for(), trainer_for()
    state = trainer.state
    modules = (state.generator, state.discriminator, state.adaptive)
    compiler = compiled_way([kind(state.discriminator.backbone)], modules, "float32")
    trainer.ways.tried, trainer.ways._way = compiler, compiler.run
    told = []
    trainer.say = told.append
    for _ in range(2):
        trainer.cycle(Journal(None, 0))
        plain.cycle(Journal(None, 0))
    assert why in compiler.off
    assert len(told) == 1
    for name, value in tensors(plain).items():
        assert torch.equal(tensors(trainer)[name], value), name
