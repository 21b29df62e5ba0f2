"""Statistics of batch norms, against PyTorch's own and against loops."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from reacgan.config import ConfigError
from reacgan.models import power_iteration_frozen, statistics_frozen
from reacgan.models.norm_statistics import normalises_by_batch
from reacgan.models.norms import BatchNorm
from reacgan.randomness import Draws
from reacgan.sampling import (
    batch_statistics,
    generate,
    latents_for,
    sample,
    standing_statistics,
    to_uint8,
    with_statistics,
)


def norms(generator):
    return [layer for layer in generator.modules() if isinstance(layer, BatchNorm)]


def batches(generator, count, sizes, seed):
    """The z and labels that statistics are collected from."""
    for index in range(count):
        draws = Draws(seed, "standing statistics", index)
        size = int(draws.integers(1, low=1, high=sizes + 1)) if seed == 9 else sizes
        yield draws.normal(size, generator.latent_dim), draws.integers(size, high=3)


@pytest.fixture
def generator(untrained):
    return untrained(16).generator


def test_equal_weights(generator):
    """PyTorch's training mode with momentum 1 gives each batch's statistics; their mean is ours."""
    state = copy.deepcopy(generator.state_dict())
    made = standing_statistics(generator, 3, batches=5, batch=6, seed=2)
    training = copy.deepcopy(generator).train()
    found = []
    for layer in norms(training):
        layer.momentum = 1.0
    with power_iteration_frozen(training), torch.no_grad():
        for z, labels in batches(generator, 5, 6, 2):
            training(z, labels)
            found.append([(n.running_mean.clone(), n.running_var.clone()) for n in norms(training)])
    for place, layer in enumerate(norms(made)):
        for held, which in ((layer.running_mean, 0), (layer.running_var, 1)):
            expected = torch.stack([one[place][which] for one in found]).mean(0)
            torch.testing.assert_close(held, expected, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(state[key], held) for key, held in generator.state_dict().items())
    assert made is not generator and not made.training
    assert not normalises_by_batch(made)


def test_the_moving_form(generator):
    """Reset, then training mode with momentum 0.1 over batches of random sizes."""
    made = standing_statistics(generator, 3, batches=12, batch=5, seed=9, momentum=0.1)
    training = copy.deepcopy(generator).train()
    for layer in norms(training):
        layer.running_mean.zero_()
        layer.running_var.fill_(1)
        assert layer.momentum == 0.1
    sizes = set()
    with power_iteration_frozen(training), torch.no_grad():
        for z, labels in batches(generator, 12, 5, 9):
            sizes.add(len(z))
            training(z, labels)
    for one, other in zip(norms(made), norms(training), strict=True):
        torch.testing.assert_close(one.running_mean, other.running_mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(one.running_var, other.running_var, rtol=1e-4, atol=1e-5)
    assert len(sizes) > 2 and sizes <= set(range(1, 6))


def test_a_seed_decides(generator):
    options = {"batches": 2, "batch": 4}
    random = torch.random.get_rng_state()
    one, again, other = (
        standing_statistics(generator, 3, seed=seed, **options) for seed in (0, 0, 1)
    )
    assert torch.equal(random, torch.random.get_rng_state())
    same = [torch.equal(a, b) for a, b in zip(one.buffers(), again.buffers(), strict=True)]
    assert all(same)
    assert not torch.equal(norms(one)[0].running_mean, norms(other)[0].running_mean)
    anew = standing_statistics(batch_statistics(generator), 3, seed=0, **options)
    assert torch.equal(norms(anew)[1].running_var, norms(one)[1].running_var)
    assert not normalises_by_batch(anew)


def test_a_copy_can_still_be_differentiated(generator):
    made = standing_statistics(generator, 3, batches=1, batch=2)
    z = latents_for([0], generator.latent_dim).requires_grad_(True)
    made(z, torch.tensor([0])).sum().backward()
    assert z.grad.abs().sum() > 0


def test_batch_statistics_are_those_of_training(generator):
    made = batch_statistics(generator)
    assert normalises_by_batch(made) and not normalises_by_batch(generator) and not made.training
    z, labels = latents_for(list(range(70)), generator.latent_dim), torch.arange(70) % 3
    company = Draws(0, "company", 0).normal(58, generator.latent_dim)
    chunks = [  # of 64 on every device: the images depend on it
        (z[:64], labels[:64]),
        (torch.cat([z[64:], company]), torch.cat([labels[64:], torch.arange(58) % 3])),
    ]
    training = copy.deepcopy(generator).train()
    with power_iteration_frozen(training), statistics_frozen(training), torch.no_grad():
        expected = torch.cat([to_uint8(training(*chunk)) for chunk in chunks])[:70]
    assert (generate(made, z, labels).int() - expected.int()).abs().max() <= 1
    assert torch.equal(generate(made, z, labels), generate(made, z, labels))
    assert not torch.equal(generate(generator, z, labels), expected)


def test_company_may_be_mixtures(generator):
    made = batch_statistics(generator)
    z, labels = latents_for([0, 1], generator.latent_dim), torch.tensor([2, 0])
    mixed = nn.functional.one_hot(labels, 3).float()
    assert torch.equal(generate(made, z, mixed), generate(made, z, labels))


def test_order_with_batch_statistics(untrained):
    model = untrained()
    mixed = with_statistics(model, "batch")
    made = [(one.label, one.seed) for one in sample(mixed, "all", 2)]
    assert made == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]
    assert [(one.label, one.seed) for one in sample(model, "0,1", 2)] == [
        (0, 0), (0, 1), (1, 0), (1, 1),
    ]  # fmt: skip


def test_kinds(untrained):
    model = untrained()
    assert with_statistics(model, "moving") is model
    standing = with_statistics(model, "standing", seed=3)
    assert replace(standing, generator=model.generator, norms=None) == model
    expected = standing_statistics(model.generator, 3, seed=3)
    assert torch.equal(norms(standing.generator)[0].running_var, norms(expected)[0].running_var)
    with pytest.raises(
        ConfigError, match="statistics is 'median'; allowed: auto, own, moving, batch"
    ):
        with_statistics(model, "median")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batches": 0}, "batches is 0; allowed: 1 or more"),
        ({"batch": 0}, "batch is 0; allowed: 1 or more"),
        ({"momentum": 0.0}, "momentum is 0.0; allowed: above 0 to 1"),
        ({"momentum": 1.1}, "momentum is 1.1"),
    ],
)
def test_bad_values(generator, options, message):
    with pytest.raises(ConfigError, match=message):
        standing_statistics(generator, 3, **options)
