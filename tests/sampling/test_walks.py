"""Truncated styles, semantic directions, and ways between seeds and classes."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from tiny_models import Styled, trained

from reacgan.config import ConfigError
from reacgan.models import GENERATORS, Generator
from reacgan.sampling import (
    Langevin,
    SamplingSettings,
    generate,
    interpolate,
    latents_for,
    sample,
    semantic_directions,
    spherical,
    to_uint8,
    walk,
)

FIRST, LAST = (0, 0), (2, 5)


@pytest.fixture(scope="module")
def styled():
    return trained(Styled())


def image_of(model, label, seed, **options):
    return sample(model, label, 1, seed=seed, **options)[0].image


def test_psi_draws_styles_to_their_mean(styled):
    generator = styled.generator
    z, label = latents_for([4], 4), torch.tensor([1])
    w = generator.styles(z, label)
    near = 0.25 + 0.4 * (w - 0.25)
    for layers, parts in ((None, (near, near)), (0, (w, w)), (1, (near, w)), (2, (near, near))):
        expected = to_uint8(generator.draw(*parts))[0]
        assert torch.equal(image_of(styled, 1, 4, psi=0.4, layers=layers), expected)
    assert torch.equal(image_of(styled, 1, 4, psi=1.0), image_of(styled, 1, 4))
    mean = {tuple(one.image.flatten().tolist()) for one in sample(styled, "all", 9, psi=0.0)}
    assert len(mean) == 1
    alone = image_of(styled, 1, 4, psi=0.4)
    assert torch.equal([*sample(styled, "all", 9, psi=0.4)][9 + 4].image, alone)


def test_psi_of_the_real_generator():
    build = partial(GENERATORS["stylegan2"], channel_max=8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        held = build(resolution=16, channels=3, num_classes=3, latent_dim=8, style_dim=8)
    model = trained(held)
    assert (image_of(model, 0, 1, psi=1.0).int() - image_of(model, 0, 1).int()).abs().max() <= 1
    assert not torch.equal(image_of(model, 0, 1, psi=0.3), image_of(model, 0, 1))
    still = [image_of(model, label, seed, psi=0.0) for label, seed in (FIRST, LAST)]
    assert torch.equal(*still)


def test_generators_without_styles_say_so_at_once(untrained):
    with pytest.raises(ConfigError, match="has no styles w to truncate; truncate z instead"):
        sample(untrained(), psi=0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"psi": -0.1}, "psi is -0.1; allowed: 0"),
        ({"psi": 1.1}, "psi is 1.1; allowed: 0"),
        ({"psi": math.nan}, "psi is nan"),
        ({"layers": 2}, "layers is 2, but psi is not given"),
    ],
)
def test_bad_psi(styled, options, message):
    with pytest.raises(ConfigError, match=message):
        sample(styled, **options)
    with pytest.raises(ConfigError, match=message):
        generate(styled.generator, torch.zeros(1, 4), torch.tensor([0]), **options)


def test_semantic_directions_are_singular_vectors(styled):
    found = semantic_directions(styled.generator, 4)
    stacked = torch.cat(styled.generator.latent_weights()).detach().double()
    _, sizes, vectors = torch.linalg.svd(stacked)
    for place, direction in enumerate(found.double()):
        expected = vectors[place] * (vectors[place] @ direction).sign()
        torch.testing.assert_close(direction, expected, rtol=1e-5, atol=1e-6)
        reached = (stacked @ direction).norm()
        torch.testing.assert_close(reached, sizes[place], rtol=1e-5, atol=1e-6)
        assert direction[direction.abs().argmax()] > 0
    assert torch.equal(semantic_directions(styled.generator, 2), found[:2])
    with torch.no_grad():
        flipped = Styled()
        flipped.first.neg_()
        flipped.second.neg_()
    assert torch.equal(semantic_directions(flipped, 4), found)
    for count in (0, 5):
        with pytest.raises(ConfigError, match=f"directions is {count}; allowed: 1 to 4"):
            semantic_directions(styled.generator, count)


def test_directions_of_real_generators(untrained):
    generator = untrained(16).generator
    found = semantic_directions(generator, generator.latent_dim)
    eye = torch.eye(generator.latent_dim)
    torch.testing.assert_close(found @ found.T, eye, rtol=1e-5, atol=1e-5)

    class Silent(Styled):
        latent_weights = Generator.latent_weights

    with pytest.raises(ConfigError, match="does not name the layers that z enters"):
        semantic_directions(Silent(), 1)


def test_a_walk_passes_its_seed(styled):
    direction = semantic_directions(styled.generator, 1)[0]
    made = walk(styled, direction, classes="dog,cat", seed=3, span=2.0, steps=5)
    assert made.shape == (2, 5, 1, 2, 4) and made.dtype == torch.uint8
    assert torch.equal(made[0, 2], image_of(styled, "dog", 3))
    z = latents_for([3], 4)
    for column, place in enumerate((-2.0, -1.0, 0.0, 1.0, 2.0)):
        expected = generate(styled.generator, z + place * direction, torch.tensor([0]))[0]
        assert torch.equal(made[1, column], expected)
    with pytest.raises(ConfigError, match=r"direction has the shape \[1, 4\]; needed: \[4\]"):
        walk(styled, direction[None])
    with pytest.raises(ConfigError, match="span is -1; allowed: 0 or more"):
        walk(styled, direction, span=-1)
    with pytest.raises(ConfigError, match="steps is 1; allowed: 2 "):
        walk(styled, direction, steps=1)


@pytest.mark.parametrize("real", [False, True])
def test_a_way_ends_in_the_two_images(styled, untrained, real):
    model = untrained(16, 3) if real else styled
    for first, last in ((FIRST, LAST), (FIRST, (0, 5)), (FIRST, (2, 0))):
        for limit in (None, 0.7):
            made = interpolate(
                model,
                classes=(first[0], last[0]),
                seeds=(first[1], last[1]),
                steps=5,
                truncation=limit,
            )
            assert len(made) == 5
            assert torch.equal(made[0], image_of(model, *first, truncation=limit))
            assert torch.equal(made[-1], image_of(model, *last, truncation=limit))
            assert len({tuple(image.flatten().tolist()) for image in made}) == 5
    back = interpolate(model, classes=(2, 0), seeds=(5, 0), steps=5)
    there = interpolate(model, classes=(0, 2), seeds=(0, 5), steps=5)
    assert (back.flip(0).int() - there.int()).abs().max() <= 1
    same = interpolate(model, classes=(1, 1), seeds=(2, 2), steps=3)
    assert all(torch.equal(image, image_of(model, 1, 2)) for image in same)


def test_half_way_is_half_of_both(styled):
    made = interpolate(styled, classes=("cat", "cow"), seeds=(0, 5), steps=3)
    z = latents_for([0, 5], 4)
    cosine = torch.nn.functional.cosine_similarity(z[0], z[1], dim=0)
    middle = (z[0] + z[1]) / torch.sqrt(2 * (1 + cosine))  # sin(a/2) / sin(a) = 1 / (2 cos(a/2))
    expected = generate(styled.generator, middle[None], torch.tensor([[0.5, 0.0, 0.5]]))[0]
    assert (made[1].int() - expected.int()).abs().max() <= 1


def test_spherical():
    start, end = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0])
    for share in (0.0, 0.25, 0.5, 1.0):
        angle = share * math.pi / 2
        expected = 2 * torch.tensor([math.cos(angle), math.sin(angle)])
        torch.testing.assert_close(spherical(start, end, share), expected)
    assert torch.equal(spherical(start, 3 * start, 0.5), 2 * start)
    assert torch.equal(spherical(start, -start, 0.25), start / 2)
    long = torch.randn(2, 512, generator=torch.Generator().manual_seed(0))
    lengths = [spherical(*long, share).norm() for share in (0.0, 0.3, 0.5, 0.8, 1.0)]
    assert max(lengths) / min(lengths) < 1.1


def test_settings_are_one_value_for_all(styled):
    settings = SamplingSettings(truncation=0.7, psi=0.4, layers=1, seed=3)
    (image,) = (one.image for one in sample(styled, 1, 1, settings))
    assert torch.equal(image, image_of(styled, 1, 3, truncation=0.7, psi=0.4, layers=1))
    row = walk(styled, torch.ones(4), classes=[1], settings=settings, steps=3)
    assert torch.equal(row[0, 1], image)
    assert settings.facts() == {
        "weights": "average", "batch_norm": None, "truncation": 0.7, "psi": 0.4, "layers": 1,
    }  # fmt: skip
    for make, name, value in (
        (sample, "labels", "uniform"),
        (partial(interpolate, classes=(0, 1)), "seed", 1),
        (partial(walk, direction=torch.ones(4)), "langevin", Langevin(steps=1)),
    ):
        with pytest.raises(ConfigError, match=f"{name} is .*does not take; leave it out"):
            make(styled, **{name: value})
    with pytest.raises(ConfigError, match="no discriminator is given"):
        sample(styled, langevin=Langevin(steps=1))[0]


def test_bad_ways(styled):
    with pytest.raises(ConfigError, match="steps is 1; allowed: 2 "):
        interpolate(styled, classes=(0, 1), steps=1)
    with pytest.raises(ConfigError, match="unknown class 'cta'; did you mean 'cat'"):
        interpolate(styled, classes=("cta", "dog"))
    with pytest.raises(ConfigError, match="seed is -1"):
        interpolate(styled, classes=(0, 1), seeds=(-1, 0))
