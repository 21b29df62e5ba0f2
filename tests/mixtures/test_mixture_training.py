"""Training on mixtures: a function of the seed, the heads' own losses, and the known effect."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional as F

from reacgan.config import ConfigError, component
from reacgan.mixtures.measure import measure
from reacgan.mixtures.players import PLAYERS, Players
from reacgan.mixtures.study import METHODS
from reacgan.mixtures.targets import LINE, TARGETS
from reacgan.mixtures.train import _Duel, settings_of, train_mixture
from reacgan.randomness import Draws

AC = component("auxiliary")
SHORT = {"adversarial": "non_saturating", "conditioning_weight": 1.0, "steps": 12, "batch": 32}


def test_the_same_seed_gives_the_same_points_and_touches_nothing():
    before, threads = torch.random.get_rng_state().clone(), torch.get_num_threads()
    torch.set_num_threads(2)
    first = train_mixture(LINE, AC, seed=3, **SHORT)
    torch.rand(5)
    second = train_mixture(LINE, AC, seed=3, **SHORT)
    assert torch.equal(first.sample_classes(20, 0), second.sample_classes(20, 0))
    assert first.history == second.history and first.settings == second.settings
    other = train_mixture(LINE, AC, seed=4, **SHORT)
    assert not torch.equal(first.sample_classes(20, 0), other.sample_classes(20, 0))
    assert not torch.equal(first.sample_classes(20, 0), first.sample_classes(20, 1))
    torch.random.set_rng_state(before)
    train_mixture(LINE, AC, seed=3, **SHORT)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)


def test_a_step_has_the_gradients_of_the_plain_formula():
    settings = settings_of(LINE, AC, seed=2, **{**SHORT, "conditioning_weight": 0.7})
    duel = _Duel(LINE, AC, settings, PLAYERS)
    g, d = copy.deepcopy(duel.generator), copy.deepcopy(duel.discriminator)
    duel.step(0)

    def drawn(stream):
        draws = Draws(2, f"mixtures/{stream}", 0)
        return draws, draws.integers(32, high=3)

    draws, labels = drawn("real")
    on_real = d(LINE.sample(labels, draws), labels)
    draws, fake_labels = drawn("fake/d")
    on_fake = d(g(draws.normal(32, PLAYERS.latent_dim), fake_labels).detach(), fake_labels)
    loss = F.softplus(-on_real.score).mean() + F.softplus(on_fake.score).mean()
    (loss + 0.7 * F.cross_entropy(on_real.logits, labels)).backward()
    for mine, plain in zip(duel.discriminator.parameters(), d.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, plain.grad, atol=1e-6, rtol=1e-5)

    draws, labels = drawn("fake/g")
    # D has stepped once: it is the duel's now
    output = duel.discriminator(g(draws.normal(32, PLAYERS.latent_dim), labels), labels)
    loss = F.softplus(-output.score).mean() + 0.7 * F.cross_entropy(output.logits, labels)
    for mine, plain in zip(
        duel.generator.parameters(), torch.autograd.grad(loss, list(g.parameters())), strict=True
    ):
        torch.testing.assert_close(mine.grad, plain, atol=1e-6, rtol=1e-5)


def test_the_judged_generator_is_an_average():
    settings = settings_of(LINE, AC, seed=2, **SHORT)
    duel = _Duel(LINE, AC, settings, Players(ema=0.5))
    plain = [weight.detach().clone() for weight in duel.generator.parameters()]
    for step in range(12):
        duel.step(step)
        decay = min(0.5, (step + 1) / (step + 10))
        plain = [
            decay * mean + (1 - decay) * weight.detach()
            for mean, weight in zip(plain, duel.generator.parameters(), strict=True)
        ]
    for mine, mean in zip(duel.average.parameters(), plain, strict=True):
        torch.testing.assert_close(mine, mean, atol=1e-6, rtol=1e-5)


def test_learning_rates_fall_on_a_line_at_the_end():
    settings = settings_of(LINE, AC, seed=0, **{**SHORT, "steps": 100})
    duel = _Duel(LINE, AC, settings, PLAYERS)
    assert [duel._heat(step) for step in (0, 50, 75, 99)] == pytest.approx([1, 1, 0.5, 0.02])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("adversarial", ["hinge", "relativistic"])
def test_every_method_trains_with_any_adversarial_loss(method, adversarial):
    head, weight = METHODS[method].head, METHODS[method].conditioning_weight
    given = {**SHORT, "conditioning_weight": weight, "adversarial": adversarial, "steps": 3}
    trained = train_mixture(TARGETS["ring8"], head, seed=0, **given)
    assert trained.sample_classes(5, 0).shape == (8, 5, 2)
    assert [line["step"] for line in trained.history] == [1, 2, 3]
    assert (trained.history[0]["d_condition"] == 0) == (method == "projection")


def test_ac_separates_classes_and_projection_does_not():
    found = {}
    for method in ("ac", "projection"):
        given = {"conditioning_weight": METHODS[method].conditioning_weight}
        trained = train_mixture(
            LINE, METHODS[method].head, seed=0, **{**SHORT, **given, "steps": 300, "batch": 64}
        )
        found[method] = measure(LINE, trained.sample_classes(2000, 0))
    assert found["ac"]["overall"]["separation"] > 0.2
    assert found["ac"]["by_class"]["deviation"] < 0.6
    assert abs(found["projection"]["overall"]["separation"]) < 0.1
    assert found["projection"]["by_class"]["deviation"] > 0.75


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"steps": 0}, "steps is 0; needed: 1 or more"),
        ({"batch": 1}, "batch is 1; needed: 2 or more"),
        ({"conditioning_weight": -1.0}, "conditioning_weight is -1.0"),
        ({"adversarial": "hing"}, "did you mean 'hinge'"),
    ],
)
def test_what_cannot_be_trained_is_refused(changed, message):
    with pytest.raises(ConfigError, match=message):
        train_mixture(LINE, AC, seed=0, **{**SHORT, **changed})


def test_a_loss_that_is_not_finite_stops():
    with pytest.raises(ConfigError, match=r"the loss \w+ is \S+ at step \d+; lower"):
        train_mixture(
            LINE, AC, seed=0, **{**SHORT, "steps": 50}, players=Players(learning_rate=1e25)
        )
