"""One cycle from the inside: rates, streams of randomness, the average, the engine."""

from __future__ import annotations

import pytest
import torch
from tiny import experiment, images

from reacgan.assembly import complete
from reacgan.config import ConfigError
from reacgan.training.engine import Engine
from reacgan.training.journal import Journal
from reacgan.training.loop import Hooks, Trainer, run
from reacgan.training.schedules import learning_rate
from reacgan.training.state import TrainState


@pytest.fixture(scope="module")
def data():
    return images()


def trainer_for(data, **changes):
    settings = complete(experiment(**changes))
    engine = Engine("cpu")
    state = TrainState.build(settings, data.num_classes, engine)
    return Trainer(settings, state, data, engine)


def test_each_optimiser_has_its_own_settings_and_schedule(data):
    trainer = trainer_for(
        data,
        **{
            "g_optimizer.lr": 0.02,
            "g_optimizer.beta1": 0.1,
            "d_optimizer.beta2": 0.9,
            "d_optimizer.eps": 1e-3,
        },
    )
    trainer.cycle(Journal(None, 0))
    trainer.cycle(Journal(None, 0))
    state, settings = trainer.state, trainer.experiment
    held, expected = state.d_optimizer.param_groups[0], settings.d_optimizer
    # The rate of a step is that of the moment before its images count: 24 of 32.
    assert held["lr"] == learning_rate(expected, 24) < expected.lr
    assert (held["betas"], held["eps"]) == ((0.5, 0.9), 1e-3)
    held = state.g_optimizer.param_groups[0]
    assert (held["lr"], held["betas"], held["eps"]) == (0.02, (0.1, 0.999), 1e-6)


def test_streams_of_randomness_are_apart_and_move_with_the_clock(data):
    trainer = trainer_for(data)
    (for_d,), (for_g,) = trainer.steps.latents("latents/d"), trainer.steps.latents("latents/g")
    assert not torch.equal(for_d.z, for_g.z)
    assert torch.equal(for_d.z, trainer.steps.latents("latents/d")[0].z)
    trainer.state.images_seen = 8
    assert not torch.equal(for_d.z, trainer.steps.latents("latents/d")[0].z)
    labels = torch.cat([for_d.labels, for_g.labels])
    assert labels.min() >= 0
    assert labels.max() <= 2
    used = []
    whole = trainer.steps.draws
    trainer.steps.draws = lambda stream, part=0: used.append(stream) or whole(stream, part)
    trainer.cycle(Journal(None, 0))
    step = ["latents/d", "noise/d", "augment/real", "augment/fake"]
    assert used == [*step, *step, "latents/g", "noise/g", "augment/g"]


def test_the_average_is_moved_once_a_cycle_by_the_half_life(data):
    trainer = trainer_for(data, **{"ema.half_life": 8, "ema.ramp": None})
    before = trainer.state.average.input.weight.clone()
    trainer.cycle(Journal(None, 0))  # 16 images, two half-lives
    expected = before / 4 + trainer.state.generator.input.weight.detach() * 3 / 4
    torch.testing.assert_close(trainer.state.average.input.weight, expected)
    for name in ("u", "v"):  # unit vectors are not averaged
        held = getattr(trainer.state.average.input, name)
        assert torch.equal(held, getattr(trainer.state.generator.input, name))
    assert not trainer.state.average.training


def test_the_loader_serves_what_the_experiment_asks_for(data):
    asked = {"data.flip": False, "data.crop": 2, "training.seed": 5, "training.batch": 4}
    loader = trainer_for(data, **asked).steps.loader
    assert (loader.flip, loader.crop, loader.seed, loader.batch) == (False, 2, 5, 4)
    other = trainer_for(data, **{**asked, "data.flip": True, "data.crop": 0}).steps.loader
    assert (other.flip, other.crop) == (True, 0)


def test_the_clock_of_speed_starts_with_the_first_cycle(data, monkeypatch):
    trainer, journal, called = trainer_for(data), Journal(None, 0), []
    monkeypatch.setattr(journal, "start_clock", lambda: called.append("clock"))
    monkeypatch.setattr(Trainer, "cycle", lambda self, journal: called.append("cycle"))
    assert not run(trainer, journal, Hooks(), stop=lambda: True)
    assert called == ["clock", "cycle"]


def test_scaling_reaches_both_ends_and_keeps_grey_in_the_middle():
    pixels = torch.tensor([0, 255, 51], dtype=torch.uint8).reshape(1, 3, 1, 1)
    scaled = Engine("cpu").scale(pixels).flatten()
    torch.testing.assert_close(scaled, torch.tensor([-1.0, 1.0, -0.6]))
    assert scaled.max() <= 1


@pytest.mark.parametrize(("batch", "parts"), [(12, 4), (10, 2)])
def test_processes_and_parts_share_a_batch_evenly(batch, parts, data):
    """A part without its share would meet more real images than fakes, or none."""
    settings = complete(experiment(**{"training.batch": batch, "training.accumulate": parts}))
    engine = Engine("cpu")
    state = TrainState.build(settings, data.num_classes, engine)
    engine.world = 2
    with pytest.raises(
        ConfigError, match=rf"batch is {batch}, .* 2 processes x .*.{parts}. parts.*multiple"
    ):
        Trainer(settings, state, data, engine)


def test_a_step_has_its_own_gradients_and_leaves_the_other_network_none(data):
    trainer, journal = trainer_for(data), Journal(None, 0)
    fresh = trainer_for(data)
    for parameter in trainer.steps.d_parameters:
        parameter.grad = torch.ones_like(parameter)  # of an earlier step
    trainer.discriminator_step(journal)
    fresh.discriminator_step(journal)
    for mine, other in zip(trainer.steps.d_parameters, fresh.steps.d_parameters, strict=True):
        assert torch.equal(mine.grad, other.grad)
    assert all(parameter.grad is None for parameter in trainer.steps.g_parameters)


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(
        ConfigError, match=f"device is {device}, which is not usable here; usable here: cpu"
    ):
        Engine(device)
