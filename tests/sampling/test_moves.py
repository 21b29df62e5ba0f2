"""Moves of a latent: towards other seeds, and along directions."""

from __future__ import annotations

import math

import pytest
import torch

import reacgan as package
from reacgan.config import ConfigError
from reacgan.sampling import Moves, interpolate, parse_moves, semantic_directions, walk
from reacgan.sampling.latents import latents_for


@pytest.fixture(scope="module")
def digits():
    return package.load("digits-reacgan", device="cpu")


def image(model, label, **options):
    (only,) = package.sample(model, label, **options)
    return only.image


def test_all_the_way_is_the_other_seed(digits):
    moved = image(digits, 3, seed=2, moves=Moves(toward=((9, 1.0),)), truncation=0.8)
    assert torch.equal(moved, image(digits, 3, seed=9, truncation=0.8))
    still = image(digits, 3, seed=2, moves=Moves(toward=((9, 0.0),)))
    assert torch.equal(still, image(digits, 3, seed=2))


def test_a_share_is_a_step_of_the_walk(digits):
    steps = interpolate(digits, classes=(4, 4), seeds=(2, 9), steps=5)
    assert torch.equal(steps[1], image(digits, 4, seed=2, moves=Moves(toward=((9, 0.25),))))


def test_an_amount_is_a_step_along_the_direction(digits):
    direction = semantic_directions(digits.generator, 3)[2]
    steps = walk(digits, direction, classes=[7], seed=5, span=2.0, steps=5)[0]
    assert torch.equal(steps[4], image(digits, 7, seed=5, moves=Moves(along=((3, 2.0),))))


def test_first_towards_then_along(digits):
    z = latents_for([2], digits.latent_dim)
    both = Moves(toward=((9, 0.5),), along=((1, 1.0), (2, -1.0)))
    halfway = Moves(toward=((9, 0.5),)).move(digits.generator, z)
    first, second = semantic_directions(digits.generator, 2)
    assert torch.allclose(both.move(digits.generator, z), halfway + first - second)


def test_they_are_part_of_a_protocol():
    from reacgan.sampling import SamplingSettings

    moves = Moves(along=((1, 2.0),))
    assert SamplingSettings(moves=moves).facts()["moves"] == {"along": [[1, 2.0]]}
    assert parse_moves(**moves.options()) == moves


@pytest.mark.parametrize(
    ("toward", "along", "words"),
    [
        ("7", None, "toward is '7'; needed: NUMBER:AMOUNT"),
        ("7:x", None, "needed: NUMBER:AMOUNT"),
        ("-1:0.5", None, "seed is -1; allowed: 0 or more"),
        ("7:1.5", None, "toward 7 the share is 1.5; allowed: 0 to 1"),
        ("7:nan", None, "allowed: 0 to 1"),
        (None, "0:1", "direction is 0; allowed: 1 or more"),
        (None, "1:inf", "along 1 the amount is inf; allowed: a finite number"),
        (None, "1:1,2:1,2:3", "along names direction 2 twice"),
        (None, "", "along is ''; needed"),
    ],
)
def test_what_is_refused(toward, along, words):
    with pytest.raises(ConfigError, match=words):
        parse_moves(toward, along)


def test_more_directions_than_there_are(digits, reacgan, tmp_path):
    moves = Moves(along=((digits.latent_dim + 1, 1.0),))
    with pytest.raises(ConfigError, match="directions is .*; allowed: 1 to"):
        moves.move(digits.generator, torch.zeros(1, digits.latent_dim))
    code, _, errors = reacgan(
        "sample", "digits-reacgan", "--along", "1:2,1:3", "--out", tmp_path / "images"
    )
    assert code == 1 and "along names direction 1 twice" in errors


@pytest.mark.parametrize("how", ["interpolate", "walk"])
def test_walks_refuse_them(digits, how):
    moves = Moves(toward=((1, 0.5),))
    with pytest.raises(ConfigError, match=f"moves is .*, which {how} does not take"):
        if how == "walk":
            walk(digits, torch.zeros(digits.latent_dim), moves=moves)
        else:
            interpolate(digits, classes=(1, 2), moves=moves)


def test_math_of_long_moves_stays_finite(digits):
    z = latents_for([0], digits.latent_dim)
    for seed in range(1, 9):
        z = Moves(toward=((seed, 0.9),)).move(digits.generator, z)
    assert math.isclose(float(z.norm()), digits.latent_dim**0.5, rel_tol=0.5)
