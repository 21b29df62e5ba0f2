"""From unconditional to conditional training, and learning from the best fakes alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from members import every_head
from tiny import experiment, images

import reacgan
from reacgan.assembly import complete
from reacgan.config import TopKConfig, TransitionConfig
from reacgan.models import power_iteration_frozen
from reacgan.training.checkpoint import list_checkpoints, read_part
from reacgan.training.engine import Engine
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.schedules import condition_strength, top_share
from reacgan.training.state import TrainState
from reacgan.training.step.gradients import (
    discriminator_gradients,
    generator_gradients,
)
from reacgan.training.step.losses import generator_loss_of
from reacgan.training.step.work import clear_gradients

TRANSITION = {"loss.transition.start": 32, "loss.transition.end": 96}


def trainer_for(**changes):
    settings = complete(experiment(**{"training.precision": "float64", **changes}))
    engine, data = Engine("cpu", "float64"), images()
    state = TrainState.build(settings, data.num_classes, engine)
    return Trainer(settings, state, data, engine)


# -- transition


def test_the_influence_of_labels_rises_linearly():
    config = TransitionConfig(start=100, end=300)
    seen = (0, 100, 150, 200, 300, 10**9)
    assert [condition_strength(config, at) for at in seen] == [0, 0, 0.25, 0.5, 1, 1]
    assert condition_strength(None, 0) == 1


def with_other_labels(trainer, which):
    """Latents and real images of a D step, with the labels as they are or turned round."""
    (latents,), (real, labels) = trainer.steps.latents("latents/d"), trainer.steps.real()
    turned = (latents.labels + 1) % 3, (labels + 1) % 3
    fake_labels, real_labels = turned if which else (latents.labels, labels)
    return replace(latents, labels=fake_labels), (real, real_labels)


def gradients(trainer, which):
    """Losses and gradients of both steps, by name."""
    latents, real = with_other_labels(trainer, which)
    state, found = trainer.state, {}
    for side, parameters, count in (
        ("d", trainer.steps.d_parameters, 8),
        ("g", trainer.steps.g_parameters, 16),
    ):
        clear_gradients(parameters)
        parts, _ = (discriminator_gradients if side == "d" else generator_gradients)(
            trainer.steps.contexts(count),
            real,
            [latents],
            parameters=parameters,
            autocast=trainer.engine.autocast,
        )
        network = state.discriminator if side == "d" else state.generator
        found |= {name: part for name, part in parts.items() if "conditioning" not in name}
        found |= {
            f"{side}/{name}": parameter.grad.clone()
            for name, parameter in network.named_parameters()
            if parameter.grad is not None
        }
    return found


def differing(trainer):
    """Names of what differs between two choices of labels."""
    trainer._set_strength()
    gradients(trainer, False)  # spectral norms have iterated once
    with (
        power_iteration_frozen(trainer.state.generator),
        power_iteration_frozen(trainer.state.discriminator),
    ):
        found = [gradients(trainer, which) for which in (False, True)]
    return {
        name for name, value in found[0].items() if not torch.allclose(value, found[1][name], 0, 0)
    }


@pytest.mark.parametrize("head", every_head())
def test_before_its_start_labels_have_no_influence(head):
    """On no image, score, loss or gradient; at full strength they have."""
    changes = {**every_head()[head], "loss.adversarial": "hinge"}
    assert differing(trainer_for(**TRANSITION, **changes)) == set()
    assert any("g/" in name and "conv1" in name for name in differing(trainer_for(**changes)))


def test_images_and_scores_follow_the_strength():
    trainer = trainer_for(**TRANSITION, **every_head()["projection"])
    generator, head = trainer.state.generator.eval(), trainer.state.discriminator.head.eval()
    z = torch.randn(3, generator.latent_dim, dtype=torch.float64)
    features = torch.randn(3, head.score.in_features, dtype=torch.float64)
    found = {}
    for seen in (0, 64, 96):
        trainer.state.images_seen = seen
        trainer._set_strength()
        pictures = [generator(z, torch.full((3,), label)) for label in (0, 1)]
        scores = [head(features, torch.full((3,), label)).score for label in (0, 1)]
        found[seen] = [(one - other).abs().mean() for one, other in (pictures, scores)]
    assert found[0] == [0, 0]
    assert 0 < found[64][0] < found[96][0]
    torch.testing.assert_close(found[64][1], found[96][1] / 2)


def test_the_conditioning_losses_are_weighed_by_the_strength():
    trainer = trainer_for(**{"loss.conditioning_weight": 0.7, "loss.g_conditioning_weight": 0.2})
    (player,), (latents,) = trainer.steps.contexts(8), trainer.steps.latents("latents/g")
    with torch.no_grad():
        fake = trainer.state.generator(latents.z, latents.labels)
        output = trainer.state.discriminator(fake, latents.labels)
        for strength in (0.0, 0.25, 1.0):
            loss, parts = generator_loss_of(replace(player, strength=strength), (output,))
            expected = parts["g/adversarial"] + 0.2 * strength * parts["g/conditioning"]
            torch.testing.assert_close(loss, expected)


def test_the_average_copies_the_strength():
    trainer = trainer_for(**TRANSITION, **{"ema.ramp": None, "ema.half_life": 1e6})
    for expected in (0, 0, 0.25, 0.5, 0.75, 1, 1):  # by the images seen in the step of G
        trainer.cycle(Journal(None, 0))
        state = trainer.state
        assert state.generator.condition_strength == expected
        assert state.average.condition_strength == expected
        assert state.discriminator.head.condition_strength == expected


def test_resuming_in_the_middle_is_exact(tmp_path):
    for folder, ends in (("whole", [96]), ("halves", [48, 96])):
        for end in ends:
            settings = experiment(**TRANSITION, **{"training.images": end})
            reacgan.train(settings, tmp_path / folder, device="cpu", data=images(), quiet=True)
    whole, halves = (
        list_checkpoints(tmp_path / folder / "checkpoints")[-1] for folder in ("whole", "halves")
    )
    for part in ("generator", "discriminator", "average"):
        expected, found = read_part(whole, part), read_part(halves, part)
        assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())
    assert read_part(halves, "average")["condition_strength"] == 1


# -- top-k


def test_the_share_falls_in_steps_to_its_least():
    config = TopKConfig(gamma=0.5, every=100, least=0.2)
    assert [top_share(config, seen) for seen in (0, 99, 100, 250, 10**6)] == [1, 1, 0.5, 0.25, 0.2]
    assert top_share(None, 10**9) == 1


@pytest.mark.parametrize("share, kept", [(1.0, 8), (0.5, 4), (0.49, 3), (0.01, 1)])
def test_g_learns_from_the_best_fakes_alone(share, kept):
    trainer = trainer_for(**every_head()["unconditional"])
    (player,), (latents,) = trainer.steps.contexts(8), trainer.steps.latents("latents/g")
    output = trainer.state.discriminator(
        trainer.state.generator(latents.z, latents.labels), latents.labels
    )
    score = output.score.detach().requires_grad_()
    loss, _ = generator_loss_of(replace(player, top_share=share), (replace(output, score=score),))
    loss.backward()
    best = score.detach().argsort(descending=True)[:kept]
    expected = torch.zeros(8, dtype=torch.float64).index_fill(0, best, -1 / kept)
    torch.testing.assert_close(score.grad, expected)


def test_top_k_is_wired_to_the_clock():
    trainer = trainer_for(**{"loss.top_k.every": 16, "loss.top_k.gamma": 0.5})
    assert [player.top_share for player in trainer.steps.contexts(8)] == [1]
    trainer.state.images_seen = 16
    assert [player.top_share for player in trainer.steps.contexts(8)] == [0.5]
