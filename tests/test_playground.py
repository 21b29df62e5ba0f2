"""Every member with every other: shapes, finite values, and a gradient for every parameter."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

import reacgan
from reacgan.assembly import complete
from reacgan.augment import AUGMENTS
from reacgan.config import Experiment
from reacgan.heads import HEADS
from reacgan.losses import ADVERSARIAL, CONSISTENCY, PENALTIES
from reacgan.models import BACKBONES, GENERATORS
from reacgan.training.engine import Engine
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.state import TrainState
from reacgan.training.step.gradients import (
    discriminator_gradients,
    generator_gradients,
)
from reacgan.training.step.work import clear_gradients
from toy import members, pictures
from waiting import WAITING, Operations

# One backbone that couples samples, one that does not; two generators with styles and without.
TWO_BACKBONES = ("biggan", "stylegan2")
# Of these losses real and fake scores pull the offset with equal force, while none is saturated.
BALANCED = ("hinge", "wasserstein", "relativistic")
# A gate at zero hides what lies behind it until it has moved.
HIDDEN = (".query.", ".key.", ".value.", ".out.")


def trainer_for(experiment: Experiment) -> Trainer:
    settings = complete(experiment)
    engine = Engine.of(settings, "cpu")
    data = pictures(settings)
    return Trainer(settings, TrainState.build(settings, 3, engine), data, engine)


def without_gradient(module: torch.nn.Module, *, balanced: bool = False) -> list[str]:
    """Parameters that no gradient has reached; may be zero where symmetry makes it so."""
    found = []
    for name, parameter in module.named_parameters():
        may_be_zero = any(part in f"{name}." for part in HIDDEN) or (
            balanced and name.endswith("score.bias")
        )
        if parameter.grad is None or not (may_be_zero or bool((parameter.grad != 0).any())):
            found.append(name)
    return found


def check_gradients(trainer: Trainer) -> None:
    """One D and one G step; every parameter of either network must have been reached."""
    state, engine = trainer.state, trainer.engine
    clear_gradients(trainer.steps.d_parameters)
    parts, outputs = discriminator_gradients(
        trainer.steps.contexts(8),
        trainer.steps.real(),
        trainer.steps.latents("latents/d"),
        parameters=trainer.steps.d_parameters,
        autocast=engine.autocast,
    )
    assert outputs[0].score.shape == outputs[1].score.shape == (8,)
    balanced = trainer.experiment.loss.adversarial in BALANCED
    assert without_gradient(state.discriminator, balanced=balanced) == []
    clear_gradients(trainer.steps.g_parameters)
    more, _ = generator_gradients(
        trainer.steps.contexts(8),
        trainer.steps.real() if trainer.steps.objective.g_needs_real else None,
        trainer.steps.latents("latents/g"),
        parameters=trainer.steps.g_parameters,
        autocast=engine.autocast,
    )
    assert without_gradient(state.generator) == []
    for name, value in {**parts, **more}.items():
        assert torch.isfinite(value).all(), name
        assert value.dim() == 0, name
    for parameter in (*trainer.steps.d_parameters, *trainer.steps.g_parameters):
        assert torch.isfinite(parameter.grad).all()


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_head_and_adversarial_loss(backbone, head):
    for adversarial in ADVERSARIAL:
        if adversarial == "none" and not HEADS[head].is_adversarial:
            continue
        experiment = members("biggan", backbone, head, **{"loss.adversarial": adversarial})
        check_gradients(trainer_for(experiment))


@pytest.mark.parametrize("generator", GENERATORS)
def test_every_generator(generator):
    trainer = trainer_for(members(generator))
    (latents,) = trainer.steps.latents("latents/g")
    images = trainer.state.generator(latents.z, latents.labels)
    assert images.shape == (8, 3, 16, 16)
    assert images.abs().max() <= 1 or generator in ("stylegan2", "r3gan")  # no tanh in theirs
    check_gradients(trainer)


def extras() -> dict[str, dict[str, object]]:
    """Every penalty, consistency, augmentation and technique, as changes of an experiment."""
    found: dict[str, dict[str, object]] = {
        **{name: {"penalties": {name: {}}} for name in PENALTIES},
        **{name: {"consistency": {name: {}}} for name in CONSISTENCY},
        **{name: {"augment.name": name} for name in AUGMENTS},
        "ada full": {"augment.name": "ada", "augment.probability": 0.8},
        "apa": {"apa": {}},
        "top_k": {"loss.top_k": {"every": 8, "gamma": 0.5}},
        "logan": {"loss.latent_optimisation": {}},
        "transition": {"loss.transition": {"start": 0, "end": 64}},
        "accumulate": {"training.accumulate": 2},
        "balanced": {"data.balanced": True},
    }
    found["ada full"]["augment.operations"] = "bgcfnc"
    return found


EXTRAS = extras()


@pytest.mark.parametrize("backbone", TWO_BACKBONES)
@pytest.mark.parametrize("extra", EXTRAS)
def test_every_extra(extra, backbone):
    generator = "stylegan2" if extra == "path_length" else "biggan"
    trainer = trainer_for(members(generator, backbone, **EXTRAS[extra]))
    if extra == "transition":  # at its start labels have no influence, and no gradient
        trainer.state.images_seen = 32
        trainer._set_strength()
    check_gradients(trainer)
    assert not trainer.state.non_finite()


def all_kinds() -> dict[str, Experiment]:
    """Each member of each family once."""
    found = {f"generator {name}": members(name) for name in GENERATORS}
    found |= {f"backbone {name}": members(backbone=name) for name in BACKBONES}
    found |= {f"head {name}": members(head=name) for name in HEADS}
    for name in ADVERSARIAL:
        head = "d2dce" if name != "none" else "multihinge"
        found[f"loss {name}"] = members(head=head, **{"loss.adversarial": name})
    for extra, changes in EXTRAS.items():
        generator = "stylegan2" if extra == "path_length" else "biggan"
        found[extra] = members(generator, **changes)
    return found


KINDS = all_kinds()


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_makes_the_host_wait(kind):
    trainer, journal = trainer_for(KINDS[kind]), Journal(None, 0)
    trainer.cycle(journal)
    with Operations() as seen:
        trainer.cycle(journal)
    assert "convolution" in seen.names
    assert not WAITING & set(seen.names)


@pytest.mark.parametrize("kind", KINDS)
def test_four_cycles_equal_two_and_two(kind, tmp_path):
    """The state goes through files in between; every tensor has the same bits at the end."""
    whole, first = trainer_for(KINDS[kind]), trainer_for(KINDS[kind])
    for _ in range(4):
        whole.cycle(Journal(None, 0))
    for _ in range(2):
        first.cycle(Journal(None, 0))
    saved = {}
    for part, tensors in first.state.tensors().items():
        file = tmp_path / f"{part}.safetensors"
        save_file({name: value.detach().contiguous() for name, value in tensors.items()}, file)
        saved[part] = file
    second = trainer_for(KINDS[kind])
    parts = {part: load_file(file) for part, file in saved.items()}
    second.state.load_tensors(parts)
    second.state.images_seen = first.state.images_seen
    for _ in range(2):
        second.cycle(Journal(None, 0))
    expected = whole.state.tensors()
    for part, tensors in second.state.tensors().items():
        for name, value in tensors.items():
            assert torch.equal(value, expected[part][name]), f"{part}/{name}"


@pytest.mark.parametrize("generator", GENERATORS)
def test_a_saved_generator_makes_the_same_images(generator, tmp_path):
    experiment = members(generator, **{"training.images": 16})
    reacgan.train(experiment, tmp_path, device="cpu", data=pictures(experiment), quiet=True)
    once = [held.image for held in reacgan.sample(reacgan.load(tmp_path, device="cpu"), num=2)]
    again = [held.image for held in reacgan.sample(reacgan.load(tmp_path, device="cpu"), num=2)]
    assert len(once) == 6
    for one, other in zip(once, again, strict=True):
        assert torch.equal(one, other)
        assert one.shape == (3, 16, 16)
