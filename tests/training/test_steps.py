"""The two formulas and the loop around them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from tiny import HEADS, experiment, images

from reacgan.assembly import complete
from reacgan.augment import build_augment
from reacgan.config import EmaConfig, OptimizerConfig
from reacgan.losses import adversarial
from reacgan.training.ema import ema_decay, update_average
from reacgan.training.engine import Engine
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.schedules import due, learning_rate, snapshot_due
from reacgan.training.state import TrainState
from reacgan.training.step.losses import discriminator_loss, generator_loss
from reacgan.training.step.work import Objective
from waiting import WAITING, Operations


def trainer_for(head="d2dce", **changes):
    settings = complete(experiment(head, **changes))
    engine = Engine.of(settings, "cpu")
    data = images()
    return Trainer(settings, TrainState.build(settings, data.num_classes, engine), data, engine)


@pytest.mark.parametrize("head", HEADS)
def test_a_cycle_never_makes_the_host_wait(head):
    trainer, journal = trainer_for(head), Journal(None, 0)
    trainer.cycle(journal)
    with Operations() as seen:
        trainer.cycle(journal)
    assert "convolution" in seen.names
    assert "_fused_adam_" in seen.names
    assert not WAITING & set(seen.names)


def test_the_detector_of_waiting_detects():
    with Operations() as seen:
        float(torch.ones(1).sum())
        torch.ones(3)[torch.tensor([True, False, True])]
    assert {"_local_scalar_dense", "nonzero"} & set(seen.names) == {"_local_scalar_dense"} | (
        {"nonzero"} & set(seen.names)
    )
    assert WAITING & set(seen.names)


def test_the_discriminator_runs_once_on_real_and_fake_together():
    trainer, sizes = trainer_for(), []
    trainer.state.discriminator.backbone.register_forward_hook(
        lambda module, inputs, output: sizes.append(len(inputs[0]))
    )
    trainer.discriminator_step(Journal(None, 0))
    assert sizes == [16]
    trainer.generator_step(Journal(None, 0))
    assert sizes == [16, 8]


@pytest.mark.parametrize("head", HEADS)
def test_the_losses_are_the_sums_that_the_docstring_says(head):
    trainer = trainer_for(head, **{"training.precision": "float64"})
    state = trainer.state
    objective = Objective(adversarial("hinge"), 0.7, build_augment(experiment().augment))
    (players,) = trainer.steps.contexts(8)
    players = replace(players, objective=objective)
    real, labels = trainer.steps.real()
    (latents,) = trainer.steps.latents("latents/d")
    state.discriminator.eval()  # the same spectral norms in every call below
    state.generator.eval()
    loss, parts, _ = discriminator_loss(players, real, labels, latents)
    fake = state.generator(latents.z, latents.labels)
    seen = objective.augment(fake, trainer.steps.draws("augment/fake"))
    on_real = state.discriminator(
        objective.augment(real, trainer.steps.draws("augment/real")), labels
    )
    on_fake = state.discriminator(seen, latents.labels)
    hinge = (1 - on_real.score).relu().mean() + (1 + on_fake.score).relu().mean()
    conditioning = state.discriminator.head.d_loss(on_real, on_fake)
    torch.testing.assert_close(loss, hinge + 0.7 * conditioning)
    torch.testing.assert_close(parts["d/adversarial"], hinge)

    loss, _, _ = generator_loss(players, latents)
    seen = objective.augment(fake, trainer.steps.draws("augment/g"))
    on_fake = state.discriminator(seen, latents.labels)
    expected = -on_fake.score.mean() + 0.7 * state.discriminator.head.g_loss(on_fake)
    torch.testing.assert_close(loss, expected)
    loss, _, _ = generator_loss(
        replace(players, objective=replace(objective, g_conditioning_weight=0.1), strength=0.5),
        latents,
    )
    expected = -on_fake.score.mean() + 0.05 * state.discriminator.head.g_loss(on_fake)
    torch.testing.assert_close(loss, expected)


def test_each_step_moves_only_its_own_network():
    trainer, journal = trainer_for(), Journal(None, 0)

    def weights(module):
        return {name: value.detach().clone() for name, value in module.named_parameters()}

    def changed(before, module):
        now = dict(module.named_parameters())
        return {name for name, value in before.items() if not torch.equal(value, now[name])}

    state = trainer.state
    g_before, d_before = weights(state.generator), weights(state.discriminator)
    statistics = state.generator.norm.running_mean.clone()
    trainer.discriminator_step(journal)
    assert changed(d_before, state.discriminator) == set(d_before) - {
        name
        for name in d_before
        if ".query." in name or ".key." in name or ".value." in name or ".out." in name
    }
    assert not changed(g_before, state.generator)
    assert torch.equal(statistics, state.generator.norm.running_mean)
    d_before = weights(state.discriminator)
    trainer.generator_step(journal)
    assert changed(g_before, state.generator)
    assert not changed(d_before, state.discriminator)
    assert not torch.equal(statistics, state.generator.norm.running_mean)


def test_bfloat16_trains_and_keeps_losses_in_float32():
    trainer, journal = trainer_for(**{"training.precision": "bfloat16"}), Journal(None, 0)
    trainer.cycle(journal)
    assert all(value.dtype == torch.float32 for value in journal._sums.values())
    assert all(parameter.dtype == torch.float32 for parameter in trainer.steps.g_parameters)
    journal.read(16)


def test_the_average_after_three_updates_is_the_closed_form():
    average, current = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    with torch.no_grad():
        average.weight.fill_(0.0)
        for value in (1.0, 2.0, 4.0):
            current.weight.fill_(value)
            update_average(average, current, 0.5)
    assert average.weight.item() == pytest.approx(1 / 8 + 2 / 4 + 4 / 2)


def test_power_iteration_vectors_are_copied_into_the_average():
    trainer, journal = trainer_for(), Journal(None, 0)
    for _ in range(2):
        trainer.cycle(journal)
    average, current = trainer.state.average.state_dict(), trainer.state.generator.state_dict()
    assert torch.equal(average["input.u"], current["input.u"])
    assert not torch.equal(average["input.weight"], current["input.weight"])
    assert not torch.equal(average["norm.running_mean"], current["norm.running_mean"])


def test_schedules():
    falling = OptimizerConfig(lr=1.0, decay_from=100, decay_to=300)
    assert [learning_rate(falling, seen) for seen in (0, 100, 200, 300, 400)] == [1, 1, 0.5, 0, 0]
    assert learning_rate(OptimizerConfig(lr=0.3), 10**9) == 0.3
    plain = EmaConfig(half_life=1000, start=50, ramp=None)
    assert ema_decay(plain, 49, 10) == 0
    assert ema_decay(plain, 50, 1000) == 0.5
    assert ema_decay(EmaConfig(half_life=1000, ramp=0.1), 100, 10) == 0.5
    assert ema_decay(EmaConfig(half_life=1000, ramp=0.1), 10**6, 1000) == 0.5
    assert [due(10, *span) for span in ((0, 9), (5, 10), (10, 19), (10, 20), (9, 31))] == [
        False, True, False, True, True,
    ]  # fmt: skip
    early = [seen for seen in range(64, 40_001, 64) if snapshot_due(None, seen - 64, seen, 150_000)]
    assert early == [512, 1024, 2048, 4032, 8000, 10_048, 20_032, 30_016, 40_000]
    long = [k for k in range(1, 600) if snapshot_due(None, (k - 1) * 1000, k * 1000, 64_000_000)]
    assert long == [1, 2, 4, 8, 16, 32, 64, 128, 256, 384, 512]  # every 128,000 in the end
    often = [seen for seen in range(4, 1301, 4) if snapshot_due(600, seen - 4, seen, 10**9)]
    assert often == [500, 600, 1200]
    assert [seen for seen in range(4, 33, 4) if snapshot_due(16, seen - 4, seen, 10**9)] == [16, 32]
    assert ema_decay(
        EmaConfig(half_life=640 * math.log(0.5) / math.log(0.9999), ramp=None), 1, 640
    ) == (pytest.approx(0.9999))
