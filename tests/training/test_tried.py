"""A faster way counts once its first steps were seen to be as near as the plain way is, or not at all."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from tiny import experiment, images

from reacgan.assembly import complete
from reacgan.kernels.elementwise import biased
from reacgan.models import layers
from reacgan.training.engine import Engine
from reacgan.training.execution.tried import PROOFS, Tried, kernels
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.state import TrainState


def trainer_for(**changes):
    settings = complete(experiment(**{"training.d_steps": 1, **changes}))
    engine, data = Engine.of(settings, "cpu"), images()
    return Trainer(settings, TrainState.build(settings, 3, engine), data, engine)


def longer(factor):
    """A way whose gradients are all too long."""

    def way(work):
        result = work.run()
        for parameter in work.parameters:
            parameter.grad = parameter.grad * factor
        return result

    return way


def reference(work):
    return replace(work, autocast=nullcontext).run()


def tried(trainer, fast, **options):
    state = trainer.state
    modules = (state.generator, state.discriminator, state.adaptive)
    way = Tried("haste", modules, fast=fast, plain=lambda work: work.run(), **options)
    trainer.ways.tried, trainer.ways._way = way, way.run
    for _ in range(3):
        trainer.cycle(Journal(None, 0))
    return way


@pytest.mark.parametrize("factor", [1.0, 1.02, 1.5])
def test_bfloat16_may_be_as_far_from_float32_as_it_is_by_itself(factor):
    """A tolerance of rounding alone would refuse a way that rounds in other places."""
    options = {"training.precision": "bfloat16"}
    way = tried(trainer_for(**options), longer(factor), tolerance=1e-6, reference=reference)
    assert (way.off is None) == (factor < 1.5), way.off
    strict = tried(trainer_for(**options), longer(factor), tolerance=1e-6)
    assert (strict.off is None) == (factor == 1.0)


def test_where_memory_does_not_hold_a_reference_the_tolerance_is_wider():
    def too_large(work):
        raise torch.OutOfMemoryError("tried to allocate")

    wide = tried(trainer_for(), longer(1.004), tolerance=1e-3, reference=too_large)
    assert wide.off is None
    narrow = tried(trainer_for(), longer(1.01), tolerance=1e-3, reference=too_large)
    assert "allowed: 0.005" in narrow.off


def test_a_way_is_proven_at_more_than_the_first_step_of_each_kind():
    calls = []

    def fast(work):
        calls.append(work.kind())
        return work.run()

    plain = []

    trainer = trainer_for()
    state = trainer.state
    modules = (state.generator, state.discriminator, state.adaptive)

    def trusted(work):
        plain.append(work.kind())
        return work.run()

    way = Tried("haste", modules, fast=fast, plain=trusted, tolerance=1e-4)
    trainer.ways.tried, trainer.ways._way = way, way.run
    for _ in range(PROOFS + 3):
        trainer.cycle(Journal(None, 0))
    assert len(plain) == 2 * PROOFS  # of D and of G
    assert len(calls) == 2 * (PROOFS + 3)


def test_kernels_are_off_in_the_step_that_they_are_compared_with():
    trainer = trainer_for(**{"speed.kernels": True})
    state = trainer.state
    networks = state.generator, state.discriminator
    way = kernels(networks, (*networks, state.adaptive), "float32")
    work = trainer.steps.discriminator()

    def switched(made):
        on = []
        handle = state.generator.register_forward_hook(
            lambda *_: on.append(
                any(getattr(layer, "kernels", False) for layer in state.generator.modules())
            )
        )
        made(work)
        handle.remove()
        return on[0]

    ways = (way._fast, way._plain, way._reference)
    assert [switched(made) for made in ways] == [True, False, False]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_wrong_kernel_is_disabled_and_leaves_no_trace(monkeypatch, precision):
    """Off by a hundredth: seen in float32, where bfloat16's own rounding would hide it."""
    changes = {"training.precision": precision}
    right, plain = trainer_for(**changes, **{"speed.kernels": True}), trainer_for(**changes)
    messages = []
    right.say = messages.append
    for _ in range(3):
        right.cycle(Journal(None, 0))
    assert right.ways.tried.off is None
    assert not messages

    monkeypatch.setattr(
        layers, "biased", lambda images, bias, **options: 1.01 * biased(images, bias, **options)
    )
    wrong = trainer_for(**changes, **{"speed.kernels": True})
    wrong.say = messages.append
    for _ in range(3):
        wrong.cycle(Journal(None, 0))
        plain.cycle(Journal(None, 0))
    assert wrong.ways.tried.off is not None
    assert len(messages) == 1
    assert messages[0].startswith("note: kernels disabled: ")
    networks = wrong.state.generator, wrong.state.discriminator, wrong.state.average
    switches = (getattr(layer, "kernels", False) for one in networks for layer in one.modules())
    assert not any(switches)
    for part, tensors in plain.state.tensors().items():
        for name, value in tensors.items():
            assert torch.equal(wrong.state.tensors()[part][name], value), f"{part}/{name}"
