"""A batch worked off in parts is the whole batch, at the memory of one part."""

from __future__ import annotations

import weakref

import pytest
import torch
from accumulation import (
    assert_equal,
    cycles,
    d_gradients,
    g_gradients,
    trainer_for,
)
from members import augment_changes, begin_adapted, every_head, term_changes
from torch import nn

from reacgan.augment import AUGMENTS
from reacgan.config import ConfigError
from reacgan.training.step.losses import discriminator_loss, generator_loss

BATCH = {"training.batch": 32, "training.images": 10_000}
STEPS = pytest.mark.parametrize("step", [d_gradients, g_gradients])


def whole_and_parts(head="d2dce", parts=4, **changes):
    return [
        trainer_for(head, **{**BATCH, **changes, "training.accumulate": count})
        for count in (1, parts)
    ]


def assert_parts_equal_the_whole(step, atol=1e-10, **changes):
    (expected, sums, _), (found, parts, _) = (step(held) for held in whole_and_parts(**changes))
    assert expected
    assert_equal(expected, found, atol)
    assert sums.keys() == parts.keys()
    for name, value in sums.items():
        torch.testing.assert_close(parts[name], value, rtol=0, atol=atol, msg=name)


@STEPS
@pytest.mark.parametrize("head", every_head())
def test_gradients_of_parts_are_those_of_the_whole_batch(step, head):
    """With spectral norm and DiffAug, for coupled and uncoupled losses."""
    assert_parts_equal_the_whole(step, **every_head()[head])


@STEPS
@pytest.mark.parametrize("family, name", term_changes())
def test_with_each_further_term(step, family, name):
    """In the second step, since some terms first look at one. Those that say so see one part."""
    case = term_changes()[family, name]
    trainers = whole_and_parts(**case.values)
    for trainer in trainers:
        d_gradients(trainer)
    (expected, sums, _), (found, parts, _) = (step(trainer) for trainer in trainers)
    side = "d" if step is d_gradients else "g"
    if case.of_a_part and f"{side}/{name}" in sums:
        assert not torch.allclose(sums[f"{side}/{name}"], parts[f"{side}/{name}"], rtol=1e-6)
    else:
        assert_equal(expected, found)
        assert_equal(sums, parts)


@STEPS
@pytest.mark.parametrize("augment", AUGMENTS)
def test_with_each_augmentation(step, augment):
    """A part draws as a process would, so each image gets the draw that it has in the whole."""
    assert_parts_equal_the_whole(step, **augment_changes(augment))


@STEPS
@pytest.mark.parametrize(
    "changes",
    [
        {"loss.adversarial": "relativistic"},
        {"loss.top_k.every": 1, "loss.top_k.least": 0.3, "loss.top_k.gamma": 0.01},
        {"loss.transition.end": 64, "loss.g_conditioning_weight": 0.3},
        {"model.backbone.spectral_norm": False},
        {"apa.every": 1},
    ],
    ids=["relativistic", "top_k", "transition", "plain", "apa"],
)
def test_with_what_else_looks_at_the_whole_batch(step, changes):
    trainers = whole_and_parts(**changes)
    for trainer in trainers:
        trainer.state.images_seen = 32
        begin_adapted(trainer.state.adaptive)
    (expected, _, _), (found, _, _) = (step(trainer) for trainer in trainers)
    assert_equal(expected, found)


def test_what_d_said_is_given_back_in_order():
    (_, _, expected), (_, _, found) = (d_gradients(held) for held in whole_and_parts())
    for left, right in zip(expected, found, strict=True):
        torch.testing.assert_close(left.score, right.score, rtol=0, atol=1e-10)
        assert torch.equal(left.labels, right.labels)
    assert not torch.equal(found[0].score, found[1].score)


def test_adding_up_the_losses_of_parts_is_something_else():
    """Naive accumulation: D2D-CE never sees the pairs of different parts."""
    (expected, _, _), _ = (d_gradients(held) for held in whole_and_parts())
    trainer = whole_and_parts()[1]
    latents, players = trainer.steps.latents("latents/d"), trainer.steps.contexts(32)
    images, labels = (half.chunk(4) for half in trainer.steps.real())
    for part in range(4):
        loss = discriminator_loss(players[part], images[part], labels[part], latents[part])[0]
        (loss / 4).backward(inputs=trainer.steps.d_parameters)
    found = trainer.state.discriminator.head.embedding.weight.grad
    assert (found - expected["head.embedding.weight"]).abs().max() > 1e-3


def test_three_cycles_in_parts_leave_the_same_state():
    """Weights, power iterations, both Adams, the average."""
    changes = {"loss.adversarial": "relativistic"}
    expected, found = (cycles(trainer, 3) for trainer in whole_and_parts(**changes))
    assert_equal(expected, found, 1e-8)


@STEPS
def test_batch_norm_sees_one_part(step):
    """With the same latents in each part it makes no difference; with others it does."""

    def repeated(trainer, parts):
        z = trainer.steps.latents("latents/d")[0].z[:8].repeat(4, 1)
        labels = trainer.steps.latents("latents/d")[0].labels[:8].repeat(4)
        kind = type(trainer.steps.latents("latents/d")[0])
        pairs = zip(z.chunk(parts), labels.chunk(parts), strict=True)
        return [kind(*pair) for pair in pairs]

    one, four = whole_and_parts(plain=False)
    expected = step(one, repeated(one, 1))[0]
    assert_equal(expected, step(four, repeated(one, 4))[0], 1e-9)
    one, four = whole_and_parts(plain=False)
    name = "blocks.0.conv1.weight" if step is g_gradients else "backbone.blocks.0.conv1.weight"
    assert not torch.allclose(step(one)[0][name], step(four)[0][name], atol=1e-6)


def test_a_loss_may_use_parameters_of_its_own(monkeypatch):
    """What does not go through the outputs is not lost."""
    trainers = whole_and_parts("projection")
    for trainer in trainers:
        head = trainer.state.discriminator.head
        head.own = nn.Parameter(torch.tensor(0.5, dtype=torch.float64))
        trainer.steps.d_parameters.append(head.own)
        monkeypatch.setattr(
            head,
            "d_loss",
            lambda real, fake, own=head.own: (real.score * own).square().mean() + own,
        )
    (expected, _, _), (found, _, _) = (d_gradients(trainer) for trainer in trainers)
    assert expected["head.own"] != 0
    assert_equal(expected, found)


class Held:
    """Bytes that graphs keep for their backward passes, now and at most."""

    def __init__(self):
        self.now = self.most = 0

    def keep(self, tensor):
        box, size = _Box(tensor), tensor.numel() * tensor.element_size()
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(box, self._let_go, size)
        return box

    def _let_go(self, size):
        self.now -= size


class _Box:
    def __init__(self, tensor):
        self.tensor = tensor


def held_at_most(trainer, step):
    held = Held()
    with torch.autograd.graph.saved_tensors_hooks(held.keep, lambda box: box.tensor):
        step(trainer)
    assert held.now < 1000  # scalars of what was given back
    return held.most


@STEPS
def test_only_one_part_is_held(step):
    one, eight = whole_and_parts(
        parts=8, plain=False, **{"training.batch": 256, "model.head.embedding_dim": 4}
    )
    assert held_at_most(eight, step) < held_at_most(one, step) / 5


def test_latents_moved_by_the_whole_batch_are_refused():
    with pytest.raises(ConfigError, match=r"latent_optimisation does not work with training\."):
        trainer_for(**{"training.accumulate": 2, "loss.latent_optimisation": {}})


@pytest.mark.slow
@STEPS
def test_512_times_4_is_2048(step):
    changes = {"training.batch": 2048, "model.head.embedding_dim": 8}
    assert_parts_equal_the_whole(step, **changes)


@pytest.mark.slow
def test_512_added_up_4_times_is_not_2048():
    one, _ = whole_and_parts(**{"training.batch": 2048, "model.head.embedding_dim": 8})
    expected = g_gradients(one)[0]
    four = whole_and_parts(**{"training.batch": 2048, "model.head.embedding_dim": 8})[1]
    for player, latents in zip(
        four.steps.contexts(4096), four.steps.latents("latents/g"), strict=True
    ):
        (generator_loss(player, latents)[0] / 4).backward(inputs=four.steps.g_parameters)
    found = four.state.generator.second.weight.grad
    assert (found - expected["second.weight"]).abs().max() > 1e-5
