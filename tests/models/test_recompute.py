"""Blocks that are computed again: the same bits, no traces, less memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from reacgan.assembly import complete
from reacgan.models import BACKBONES, GENERATORS, set_switches
from reacgan.models.recompute import recomputed
from reacgan.training.engine import Engine
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.state import TrainState

sys.path.append(str(Path(__file__).parents[1] / "training"))
from tiny import experiment, images

TWICE = {"training.recompute": True}
NETWORKS = {
    "biggan": {},
    "biggan_deep": {"depth": 2},
    "resnet": {},
    "dcgan": {},
    "r3gan": {"blocks": 1},
    "stylegan2": {"channel_base": 64},
}
STYLES = {"model.generator.name": "stylegan2", "model.generator.channel_base": 64}
SETTINGS = {
    "plain": {"speed.mode": "plain"},
    "bfloat16": {"training.precision": "bfloat16"},
    "batch norm in D": {"model.backbone.name": "resnet", "model.backbone.norm": "batch"},
    "ADA": {"augment.name": "ada"},
    "parts": {"training.accumulate": 2},
    "frozen": {"training.freeze_d": 2},
    "moved latents": {"loss.latent_optimisation": {}},
    "r1": {"penalties.r1.weight": 1.0, "penalties.r2.weight": 1.0},
    "gradient penalty": {"penalties": ["gradient_penalty"], "consistency": ["bcr"]},
    "path length": {"penalties": {"path_length": {"every": 1}}, **STYLES},
}


def named(generator, backbone):
    changes = {"model.generator.name": generator, "model.backbone.name": backbone}
    for part, name in (("generator", generator), ("backbone", backbone)):
        held = {} if name == "stylegan2" else {"width": 4}
        if part == "generator":
            held["latent_dim"] = 8
        changes |= {f"model.{part}.{key}": v for key, v in {**held, **NETWORKS[name]}.items()}
    return changes


def trainer_for(**changes):
    settings = complete(experiment(**changes))
    engine, data = Engine.of(settings, "cpu"), images()
    return Trainer(settings, TrainState.build(settings, data.num_classes, engine), data, engine)


def after(cycles, **changes):
    """The whole state after some cycles, and the gradients of the last steps."""
    trainer, journal = trainer_for(**changes), Journal(None, 0)
    for _ in range(cycles):
        trainer.cycle(journal)
    held = trainer.state.tensors()
    state = {f"{part}/{name}": value for part in held for name, value in held[part].items()}
    for part in ("generator", "discriminator"):
        for name, parameter in getattr(trainer.state, part).named_parameters():
            if parameter.grad is not None:
                state[f"gradient/{part}/{name}"] = parameter.grad
    return state


def assert_same_bits(one, other):
    assert one.keys() == other.keys()
    wrong = [name for name in one if not torch.equal(one[name], other[name])]
    assert not wrong, wrong[:5]


def test_every_network_is_tried():
    assert NETWORKS.keys() == GENERATORS.keys() == BACKBONES.keys()


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_trains_with_the_same_bits(name):
    changes = {"training.precision": "float64", **named(name, name)}
    assert_same_bits(after(2, **changes), after(2, **changes, **TWICE))


@pytest.mark.parametrize("case", SETTINGS)
def test_every_kind_of_step_has_the_same_bits(case):
    assert_same_bits(after(2, **SETTINGS[case]), after(2, **SETTINGS[case], **TWICE))


def kept_bytes(trainer):
    """What a generator step keeps between its two passes, weights left out; and its output."""
    storages = {}

    def keep(tensor):
        held = tensor.untyped_storage()
        storages[held.data_ptr()] = held.nbytes()
        return tensor

    state = trainer.state
    weights = {p.untyped_storage().data_ptr() for p in state.generator.parameters()}
    weights |= {p.untyped_storage().data_ptr() for p in state.discriminator.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        fake = state.generator(
            torch.randn(32, state.generator.latent_dim),
            torch.arange(32) % 3,
            trainer.steps.draws("noise"),
        )
        score = state.discriminator(fake, torch.arange(32) % 3).score
    return sum(size for place, size in storages.items() if place not in weights), score


@pytest.mark.parametrize("name", NETWORKS)
def test_blocks_of_every_network_are_computed_twice(name):
    """Each of them, when the gradient is wanted; and once without a graph or in evaluation."""
    calls = []
    trainer = trainer_for(**named(name, name), **TWICE)
    for network in (trainer.state.generator, trainer.state.discriminator.backbone):
        for layer in network.modules():
            if type(layer).__name__ in (
                *("GeneratorBlock", "BackboneBlock", "DeepGeneratorBlock", "DeepBackboneBlock"),
                *("ConvolutionStage", "InvertedBlock", "SynthesisBlock", "SelfAttention"),
            ):
                layer.register_forward_pre_hook(lambda layer, _: calls.append(id(layer)))
    _, score = kept_bytes(trainer)
    once = sorted(calls)
    assert len(once) == len(set(once)) > 0
    score.sum().backward()
    assert sorted(calls) == sorted(once * 2)
    calls.clear()
    with torch.no_grad():
        kept_bytes(trainer)
    assert sorted(calls) == once
    trainer.state.generator.eval(), trainer.state.discriminator.eval()
    calls.clear()
    kept_bytes(trainer)[1].sum().backward()
    assert sorted(calls) == once


class Twice(nn.Module):
    """Changes its input in place, and so what was kept of it."""

    def __init__(self):
        super().__init__()
        self.recompute = True
        self.factor = nn.Parameter(torch.ones(()))

    def forward(self, given):
        return recomputed(self, (self,), lambda x: (x * self.factor).sin(), given)


def test_an_input_that_was_changed_in_place_is_noticed():
    layer = Twice()
    given = torch.rand(3, requires_grad=True) * 2
    out = layer(given).sum()
    given.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.backward()


def test_what_was_in_force_at_first_is_in_force_again():
    """Switches, needs of gradients and attributes may change between the two passes."""
    trainer = trainer_for(**named("biggan", "resnet"), **TWICE)
    plain = trainer_for(**named("biggan", "resnet"))
    found = []
    for one in (trainer, plain):
        network = one.state.discriminator.backbone
        given = one.steps.real()[0].clone().requires_grad_()
        network.requires_grad_(False)
        output = network(given).square().sum()
        network.requires_grad_(True)
        set_switches(network, merged_convolutions=False, fused_layers=False, iterate=False)
        network(one.steps.real()[0])
        output.backward()
        assert all(parameter.requires_grad for parameter in network.parameters())
        assert all(parameter.grad is None for parameter in network.parameters())
        assert not any(getattr(layer, "iterate", False) for layer in network.modules())
        found.append(given.grad)
    assert torch.equal(*found)


@pytest.mark.slow
def test_two_processes_compute_again_in_step(tmp_path):
    """Batch norm over processes is worked out again too, in the same order on both."""
    here = Path(__file__).parent
    places = os.pathsep.join([str(here), *filter(None, sys.path)])
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, str(here / "two_recomputed.py")],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": places},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
