"""The first operation whose result is not finite, in small networks with one fault each."""

from __future__ import annotations

import math

import pytest
import torch
from test_trainer import trainer_for
from tiny import images
from torch import nn

from reacgan.models.recompute import block_output
from reacgan.training.execution.verify import Buffers
from reacgan.training.journal import Journal
from reacgan.training.recovery.first_fault import LOSSES, first_fault


class _Bad(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values):
        return values.clone()

    @staticmethod
    def backward(ctx, gradient):
        return torch.full_like(gradient, math.nan)


class Block(nn.Module):
    """Two layers, a function between them, and a shortcut."""

    def __init__(self, between=lambda hidden: hidden):
        super().__init__()
        self.inner, self.outer, self.between = nn.Linear(3, 3), nn.Linear(3, 3), between

    def forward(self, hidden):
        return hidden + self.outer(self.between(self.inner(hidden).relu_()))


def fault(network, loss=lambda result: result.square().mean(), inputs=None):
    inputs = torch.full((2, 3), -2.5) if inputs is None else inputs
    return first_fault(lambda: loss(network(inputs)).backward(), {"generator": network})


def network(between=lambda hidden: hidden):
    torch.manual_seed(0)
    return nn.Sequential(Block(), Block(between), Block())


def test_a_finite_step_has_none():
    assert fault(network()) is None


def test_between_two_layers_it_is_the_block():
    found = fault(network(lambda hidden: hidden / 0))
    assert (found.module, found.direction, found.operation) == ("generator.1", "forward", "")
    assert 1 < found.largest_input < 5


def test_a_layer_whose_weights_are_not_finite():
    made = network()
    with torch.no_grad():
        made[2].outer.bias[1] = math.inf
    found = fault(made)
    assert (found.module, found.direction) == ("generator.2.outer", "forward")
    assert str(found).endswith("whose weights are not finite")


def test_the_operation_of_a_backward_pass():
    """The gradient of what enters the block is not finite either way: the shortcut is not to blame."""
    found = fault(network(_Bad.apply))
    assert (found.module, found.operation) == ("generator.1", "_BadBackward")
    assert found.direction == "backward"
    assert 0 < found.largest_gradient < 10
    assert "inputs up to" in str(found) and "gradients up to" in str(found)


def test_a_gradient_of_a_layer():
    """Values are finite; the root has no slope at zero."""
    found = fault(network(lambda hidden: (hidden * 0).sqrt()))
    assert (found.module, found.operation) == ("generator.1", "SqrtBackward0")


def test_the_losses():
    assert fault(network(), loss=lambda result: (result * 0).sum().sqrt()).module == LOSSES
    assert fault(network(), loss=lambda result: (result * 0).sum().sqrt()).direction == "backward"


def test_what_is_differentiated_twice():
    def penalty(result):
        (slope,) = torch.autograd.grad(result.sum(), inputs, create_graph=True)
        return slope.square().sum()

    inputs = torch.full((2, 3), -2.5, requires_grad=True)
    found = fault(network(_Bad.apply), penalty, inputs)
    assert (found.module, found.operation) == ("generator.1", "_BadBackward")


def test_a_block_that_is_worked_out_again():
    made = network(_Bad.apply)
    made.recompute = True

    def call(inputs):
        hidden = inputs
        for block in made:
            hidden = block_output(made, block, hidden)
        return hidden

    made.forward = call
    found = fault(made)
    assert (found.module, found.operation) == ("generator.1", "_BadBackward")
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in made.modules())


@pytest.mark.parametrize(
    "case",
    [
        {},
        {"penalties": {"r1": {}}},
        {"training.accumulate": 2},
        {"training.recompute": True},
        {"loss.latent_optimisation": {}, "augment.name": "ada"},
    ],
    ids=str,
)
def test_looking_moves_nothing(case):
    """Of every kind of step: gradients are those of the step without hooks, to the bit."""
    trainer = trainer_for(images(), **case)
    trainer.careful.until = 1  # the first cycle is looked at
    other = trainer_for(images(), **case)
    seen = []
    run = trainer.careful.run

    def named(work, images_seen):
        before = Buffers([*trainer.careful._modules.values()])
        assert first_fault(work.run, trainer.careful._modules) is None
        before.restore()
        seen.append(work.formula.__name__)
        return run(work, images_seen)

    trainer.careful.run = named
    for each in (trainer, other):
        each.cycle(Journal(None, 0))
    assert len(seen) == 3
    for part, tensors in other.state.tensors().items():
        for name, held in tensors.items():
            assert torch.equal(trainer.state.tensors()[part][name], held), name
