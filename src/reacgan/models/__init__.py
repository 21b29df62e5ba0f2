"""Generators, discriminator backbones, and how a configuration builds them."""

from __future__ import annotations

from typing import Any

from torch import nn

from reacgan.augment import augment_options
from reacgan.config import Component, DataConfig, Experiment, check_options, lookup
from reacgan.heads import build_head, head_options
from reacgan.losses import adversarial, term_options
from reacgan.models.base import Backbone, Generator
from reacgan.models.biggan import BigGANBackbone, BigGANGenerator
from reacgan.models.discriminator import Discriminator
from reacgan.models.layers import power_iteration_frozen, statistics_frozen

GENERATORS: dict[str, type[Generator]] = {
    "biggan": BigGANGenerator,
}

BACKBONES: dict[str, type[Backbone]] = {
    "biggan": BigGANBackbone,
}

__all__ = [
    "BACKBONES",
    "GENERATORS",
    "Backbone",
    "Discriminator",
    "Generator",
    "build_discriminator",
    "build_generator",
    "complete",
    "count_parameters",
    "power_iteration_frozen",
    "statistics_frozen",
]

_GENERATOR_GIVEN = ("resolution", "channels", "num_classes")
_BACKBONE_GIVEN = ("resolution", "channels")


def build_generator(component: Component, data: DataConfig, num_classes: int) -> Generator:
    """The generator that a configuration names: ``forward(z, labels) -> images in [-1, 1]``."""
    member: Any = lookup("generator", GENERATORS, component.name)
    options = check_options(
        member, component.options, where="model.generator", given=_GENERATOR_GIVEN
    )
    built: Generator = member(
        resolution=data.resolution, channels=data.channels, num_classes=num_classes, **options
    )
    return built


def build_discriminator(
    backbone: Component, head: Component, data: DataConfig, num_classes: int
) -> Discriminator:
    """The backbone and head that a configuration names; the head normalises as its backbone does."""
    member: Any = lookup("backbone", BACKBONES, backbone.name)
    options = check_options(member, backbone.options, where="model.backbone", given=_BACKBONE_GIVEN)
    network: Backbone = member(resolution=data.resolution, channels=data.channels, **options)
    built = build_head(
        head,
        in_features=network.out_features,
        num_classes=num_classes,
        layers=network.head_layers,
    )
    return Discriminator(network, network.initialise(built))


def complete(experiment: Experiment) -> Experiment:
    """The experiment with every option of every member written out, and every name checked.

    Raises:
        ConfigError: a name or option is unknown, or a value is out of range.
    """
    adversarial(experiment.loss.adversarial)
    model = experiment.model
    generator: Any = lookup("generator", GENERATORS, model.generator.name)
    backbone: Any = lookup("backbone", BACKBONES, model.backbone.name)
    full = {
        "model.generator": check_options(
            generator, model.generator.options, where="model.generator", given=_GENERATOR_GIVEN
        ),
        "model.backbone": check_options(
            backbone, model.backbone.options, where="model.backbone", given=_BACKBONE_GIVEN
        ),
        "model.head": head_options(model.head),
        "augment": augment_options(experiment.augment),
    }
    changes = {f"{part}.{key}": value for part, held in full.items() for key, value in held.items()}
    changes["penalties"] = term_options("penalties", experiment.penalties)
    changes["consistency"] = term_options("consistency", experiment.consistency)
    return experiment.replace(**changes)


def count_parameters(module: nn.Module) -> int:
    """Number of learned values; buffers do not count."""
    return sum(parameter.numel() for parameter in module.parameters())
