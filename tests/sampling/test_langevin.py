"""The chain against closed forms, and its moments against the target's."""

from __future__ import annotations

import importlib
import math

import pytest
import torch
from tiny_models import Identity, Judge

from reacgan.config import ConfigError
from reacgan.heads import HeadOutput
from reacgan.models import build_discriminator
from reacgan.randomness import Draws
from reacgan.sampling import Langevin, batch_statistics, langevin, latents_for, sample

PRECISION, CENTRE = 4.0, torch.tensor([0.5, -1.0], dtype=torch.float64)
MODES = torch.tensor([[1.2, 0.0], [-0.8, 0.6]], dtype=torch.float64)
WEIGHTS, SPREAD = torch.tensor([0.7, 0.3], dtype=torch.float64), 0.6


def prior(z):
    return -z.square().sum(1) / 2


def gaussian(z, labels):
    """log p_data - log p_0 up to a constant; class 1 is mirrored."""
    sign = (1 - 2 * labels).double()[:, None]
    return -PRECISION / 2 * (z - sign * CENTRE).square().sum(1) - prior(z)


def mixture(z, labels):
    squares = (z[:, None] - MODES).square().sum(2) / (2 * SPREAD**2)
    return (WEIGHTS.log() - squares).logsumexp(1) - prior(z)


def starts(count):
    return latents_for(list(range(count)), 2).double()


def noise(seed, step):
    return Draws(seed, "langevin", step).normal(1, 2)[0].double()


def test_each_step_is_the_papers():
    """Energy k/2 |z - c|^2: z <- z - rate/2 k (z - c) + sqrt(rate) noise n, with decay."""
    z, labels = starts(20), torch.arange(20) % 2
    options = {"rate": 0.1, "noise": 0.7, "decay": 0.5, "decay_every": 3}
    given = z.clone()
    made = langevin(Identity(), Judge(gaussian), z, labels, seeds=range(7, 27), steps=8, **options)
    for row in range(20):
        centre = CENTRE * (1 - 2 * int(labels[row]))
        expected = z[row]
        for step in range(8):
            rate, strength = 0.1 * 0.5 ** (step // 3), 0.7 * 0.5 ** (step // 3)
            expected = (
                expected
                - rate / 2 * PRECISION * (expected - centre)
                + math.sqrt(rate) * strength * noise(7 + row, step)
            )
        torch.testing.assert_close(made[row], expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(z, given) and made.dtype == torch.float64


@pytest.mark.parametrize("at_target", [False, True], ids=["from the prior", "from the target"])
def test_it_samples_the_target(at_target, monkeypatch):
    module = importlib.import_module("reacgan.sampling.langevin")
    monkeypatch.setattr(module, "chunk_size", lambda device: 400)
    count, seeds = 400, range(1000, 1400)
    random = torch.Generator().manual_seed(1)
    drawn = torch.multinomial(WEIGHTS, count, replacement=True, generator=random)
    shaken = torch.randn(count, 2, generator=random, dtype=torch.float64) * SPREAD
    z = MODES[drawn] + shaken if at_target else starts(count)
    labels = torch.zeros(count, dtype=torch.int64)
    steps = 30 if at_target else 120
    made = langevin(Identity(), Judge(mixture), z, labels, seeds=seeds, steps=steps, rate=0.1)
    mean = WEIGHTS @ MODES
    spread = MODES - mean
    covariance = SPREAD**2 * torch.eye(2) + (
        WEIGHTS[:, None, None] * (spread[:, :, None] * spread[:, None, :])
    ).sum(0)
    error = 4 * covariance.diagonal().sqrt() / math.sqrt(count)
    assert ((made.mean(0) - mean).abs() < error).all()
    torch.testing.assert_close(made.T.cov(), covariance, rtol=0.25, atol=0.1)
    near = (made[:, None] - MODES).square().sum(2).argmin(1)
    exact = MODES[torch.multinomial(WEIGHTS, 40_000, replacement=True, generator=random)]
    exact = exact + torch.randn(40_000, 2, generator=random, dtype=torch.float64) * SPREAD
    expected = (exact[:, None] - MODES).square().sum(2).argmin(1).double().mean()
    assert abs(near.double().mean() - expected) < 0.1


def test_one_seed_is_one_chain_in_any_batch(untrained):
    model = untrained(names=tuple("abc"))
    judge = discriminator_of(model)
    chain = Langevin(judge, steps=3, rate=0.05)
    together = {(one.label, one.seed): one.image for one in sample(model, num=7, langevin=chain)}
    (alone,) = sample(model, "b", 1, seed=5, langevin=chain)
    assert torch.equal(alone.image, together[1, 5])
    (plain,) = sample(model, "b", 1, seed=5)
    assert not torch.equal(plain.image, alone.image)
    with torch.inference_mode():
        (inside,) = sample(model, "b", 1, seed=5, langevin=chain)
    assert torch.equal(inside.image, alone.image)
    (unmoved,) = sample(model, "b", 1, seed=5, langevin=Langevin(judge, steps=0))
    assert torch.equal(unmoved.image, plain.image)


def test_more_steps_continue_fewer(untrained):
    model = untrained()
    judge, z, labels = discriminator_of(model), latents_for([0, 1], 4), torch.tensor([0, 2])
    random = torch.random.get_rng_state()
    options = {"seeds": [0, 1], "rate": 0.001, "noise": 0.0}
    once = langevin(model.generator, judge, z, labels, steps=4, **options)
    first = langevin(model.generator, judge, z, labels, steps=3, **options)
    second = langevin(model.generator, judge, first, labels, steps=1, **options)
    assert torch.equal(once, second)
    assert torch.equal(random, torch.random.get_rng_state())
    assert all(held.grad is None for held in model.generator.parameters())

    def energy(at):
        with torch.no_grad():
            output: HeadOutput = judge(model.generator(at, labels), labels)
        return -prior(at) - output.score

    assert (energy(once) < energy(z)).all()


def discriminator_of(model):
    held = model.experiment.model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = build_discriminator(
            held.backbone.model_copy(update={"width": 4}), held.head, model.experiment.data, 3
        )
    images = latents_for(list(range(8)), 64).view(8, 1, 8, 8)
    for _ in range(30):  # spectral norms settle
        network(images, torch.zeros(8, dtype=torch.int64))
    return network.eval()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": -1}, "steps is -1; allowed: 0 or more"),
        ({"rate": 0.0}, r"rate is 0.0; allowed: above 0"),
        ({"rate": math.nan}, "rate is nan"),
        ({"noise": -0.1}, "noise is -0.1; allowed: 0 or more"),
        ({"decay": 1.5}, "decay is 1.5; allowed: above 0 to 1"),
        ({"decay_every": 0}, "decay_every is 0; allowed: 1 or more"),
    ],
)
def test_bad_values(options, message):
    with pytest.raises(ConfigError, match=message):
        Langevin(Judge(gaussian), **options)


def test_what_cannot_be_moved(untrained):
    z, labels = starts(2), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(ConfigError, match="1 seeds for 2 latents"):
        langevin(Identity(), Judge(gaussian), z, labels, seeds=[0], steps=1)
    coupled = batch_statistics(untrained().generator)
    with pytest.raises(ConfigError, match="use moving or standing statistics"):
        langevin(coupled, Judge(gaussian), z, labels, seeds=[0, 1], steps=1)
    assert langevin(Identity(), Judge(gaussian), z[:0], labels[:0], seeds=[], steps=1).shape == (
        0,
        2,
    )
