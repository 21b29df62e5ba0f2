"""What the tests of gradient accumulation share: a generator without batch norm, and gradients."""

from __future__ import annotations

import contextlib

import torch
from tiny import experiment, images
from torch import nn

from reacgan import models
from reacgan.assembly import complete
from reacgan.models import Generator
from reacgan.training.engine import Engine
from reacgan.training.journal import Journal
from reacgan.training.loop import Trainer
from reacgan.training.state import TrainState
from reacgan.training.step.gradients import (
    discriminator_gradients,
    generator_gradients,
)
from reacgan.training.step.work import clear_gradients

DOUBLE = {"training.precision": "float64"}


class PlainGenerator(Generator):
    """Two spectral or plain linear layers without any normalisation over the batch."""

    def __init__(self, *, resolution: int, channels: int, num_classes: int) -> None:
        super().__init__(num_classes)
        self.latent_dim = 6
        self.shape = (channels, resolution, resolution)
        self.table = nn.Embedding(num_classes, 6)
        self.first = models.layers.SpectralLinear(6, 16)
        self.second = nn.Linear(16, channels * resolution * resolution)

    def forward(self, z, labels, draws=None):
        hidden = torch.relu(self.first(z + self.class_vectors(self.table, labels)))
        return torch.tanh(self.second(hidden)).view(-1, *self.shape)


@contextlib.contextmanager
def plain_generator():
    """Within the block the generator ``plain`` is registered."""
    models.GENERATORS["plain"] = PlainGenerator
    try:
        yield
    finally:
        del models.GENERATORS["plain"]


def trainer_for(head="d2dce", *, plain=True, **changes):
    """A trainer in float64, of a generator without batch norm unless ``plain`` is False."""
    named = {"model.generator.name": "plain"} if plain else {}
    settings = experiment(head, **DOUBLE)
    with plain_generator():
        settings = complete(settings.replace(**{**named, **changes}))
        engine, data = Engine.of(settings, "cpu"), images()
        return Trainer(settings, TrainState.build(settings, data.num_classes, engine), data, engine)


def d_gradients(trainer, latents=None):
    """Gradients of one D step by name, its parts, and what D said."""
    clear_gradients(trainer.steps.d_parameters)
    parts, outputs = discriminator_gradients(
        trainer.steps.contexts(trainer.experiment.training.batch),
        trainer.steps.real(),
        latents or trainer.steps.latents("latents/d"),
        parameters=trainer.steps.d_parameters,
        autocast=trainer.engine.autocast,
    )
    return gradients(trainer.state.discriminator), parts, outputs


def g_gradients(trainer, latents=None):
    """The same for one G step."""
    clear_gradients(trainer.steps.g_parameters)
    parts, outputs = generator_gradients(
        trainer.steps.contexts(trainer.experiment.cycle_images),
        trainer.steps.real() if trainer.steps.objective.g_needs_real else None,
        latents or trainer.steps.latents("latents/g"),
        parameters=trainer.steps.g_parameters,
        autocast=trainer.engine.autocast,
    )
    return gradients(trainer.state.generator), parts, outputs


def gradients(network):
    return {
        name: parameter.grad.clone()
        for name, parameter in network.named_parameters()
        if parameter.grad is not None
    }


def assert_equal(left, right, atol=1e-10):
    assert left.keys() == right.keys()
    for name, value in left.items():
        torch.testing.assert_close(right[name], value, rtol=0, atol=atol, msg=name)


def cycles(trainer, count):
    """The state after so many cycles, as one flat mapping."""
    journal = Journal(None, 0)
    for _ in range(count):
        trainer.cycle(journal)
    return {
        f"{part}/{name}": tensor.detach().clone()
        for part, tensors in trainer.state.tensors().items()
        for name, tensor in tensors.items()
    }
