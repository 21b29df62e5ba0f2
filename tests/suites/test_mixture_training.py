"""Training on mixtures: a function of the seed, the heads' own losses, and the known effect."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional as F

from reacgan.config import ConfigError, component
from reacgan.randomness import Draws
from reacgan.suites.mixtures import METHODS
from reacgan.suites.mixtures.measure import measure
from reacgan.suites.mixtures.targets import LINE, TARGETS
from reacgan.suites.mixtures.train import NETWORKS, MixtureMethod, Networks, PointTrainer

AC = METHODS["ac"]
SHORT = {"adversarial": "non_saturating", "steps": 12, "batch": 32}


def trained(target, method, **settings):
    """A trainer that has trained, and the history of its losses."""
    trainer = PointTrainer(target, method, **{**SHORT, **settings})
    return trainer, trainer.train()


def test_the_same_seed_gives_the_same_points_and_touches_nothing():
    before, threads = torch.random.get_rng_state().clone(), torch.get_num_threads()
    torch.set_num_threads(2)
    first, history = trained(LINE, AC, seed=3)
    torch.rand(5)
    second, again = trained(LINE, AC, seed=3)
    assert torch.equal(first.sample_classes(20, 0), second.sample_classes(20, 0))
    assert history == again
    other, _ = trained(LINE, AC, seed=4)
    assert not torch.equal(first.sample_classes(20, 0), other.sample_classes(20, 0))
    assert not torch.equal(first.sample_classes(20, 0), first.sample_classes(20, 1))
    torch.random.set_rng_state(before)
    trained(LINE, AC, seed=3)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)


def test_a_step_has_the_gradients_of_the_plain_formula():
    trainer = PointTrainer(LINE, MixtureMethod("AC", component("auxiliary"), 0.7), seed=2, **SHORT)
    g, d = copy.deepcopy(trainer.generator), copy.deepcopy(trainer.discriminator)
    trainer.step(0)

    def drawn(stream):
        draws = Draws(2, f"mixtures/{stream}", 0)
        return draws, draws.integers(32, high=3)

    draws, labels = drawn("real")
    on_real = d(LINE.sample(labels, draws), labels)
    draws, fake_labels = drawn("fake/d")
    on_fake = d(g(draws.normal(32, NETWORKS.latent_dim), fake_labels).detach(), fake_labels)
    loss = F.softplus(-on_real.score).mean() + F.softplus(on_fake.score).mean()
    (loss + 0.7 * F.cross_entropy(on_real.logits, labels)).backward()
    for mine, plain in zip(trainer.discriminator.parameters(), d.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, plain.grad, atol=1e-6, rtol=1e-5)

    draws, labels = drawn("fake/g")
    # D has stepped once: it is the trainer's now
    output = trainer.discriminator(g(draws.normal(32, NETWORKS.latent_dim), labels), labels)
    loss = F.softplus(-output.score).mean() + 0.7 * F.cross_entropy(output.logits, labels)
    for mine, plain in zip(
        trainer.generator.parameters(), torch.autograd.grad(loss, list(g.parameters())), strict=True
    ):
        torch.testing.assert_close(mine.grad, plain, atol=1e-6, rtol=1e-5)


def test_the_measured_generator_is_an_average():
    trainer = PointTrainer(LINE, AC, seed=2, networks=Networks(ema=0.5), **SHORT)
    plain = [weight.detach().clone() for weight in trainer.generator.parameters()]
    for step in range(12):
        trainer.step(step)
        decay = min(0.5, (step + 1) / (step + 10))
        plain = [
            decay * mean + (1 - decay) * weight.detach()
            for mean, weight in zip(plain, trainer.generator.parameters(), strict=True)
        ]
    for mine, mean in zip(trainer.average.parameters(), plain, strict=True):
        torch.testing.assert_close(mine, mean, atol=1e-6, rtol=1e-5)


def test_learning_rates_fall_on_a_line_at_the_end():
    trainer = PointTrainer(LINE, AC, seed=0, **{**SHORT, "steps": 100})
    assert [trainer.rate(step) for step in (0, 50, 75, 99)] == pytest.approx([1, 1, 0.5, 0.02])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("adversarial", ["hinge", "relativistic"])
def test_every_method_trains_with_any_adversarial_loss(method, adversarial):
    result, history = trained(
        TARGETS["ring8"], METHODS[method], seed=0, adversarial=adversarial, steps=3
    )
    assert result.sample_classes(5, 0).shape == (8, 5, 2)
    assert [line["step"] for line in history] == [1, 2, 3]
    assert (history[0]["d_condition"] == 0) == (method == "projection")


def test_ac_separates_classes_and_projection_does_not():
    measures = {}
    for method in ("ac", "projection"):
        result, _ = trained(LINE, METHODS[method], seed=0, steps=300, batch=64)
        measures[method] = measure(LINE, result.sample_classes(2000, 0))
    assert measures["ac"]["overall"]["separation"] > 0.2
    assert measures["ac"]["by_class"]["deviation"] < 0.6
    assert abs(measures["projection"]["overall"]["separation"]) < 0.1
    assert measures["projection"]["by_class"]["deviation"] > 0.75


def test_a_loss_that_is_not_finite_stops():
    with pytest.raises(ConfigError, match=r"the loss \w+ is \S+ at step \d+; lower"):
        trained(LINE, AC, seed=0, steps=50, networks=Networks(learning_rate=1e25))
