"""Generators, discriminator backbones, and how a configuration builds them."""

from __future__ import annotations

from typing import Any

from torch import nn

from reacgan.config import CodesConfig, Component, DataConfig, check_options, lookup, size_of
from reacgan.heads import build_head
from reacgan.models.base import Backbone, Generator
from reacgan.models.biggan import BigGANBackbone, BigGANGenerator
from reacgan.models.biggan_deep import BigGANDeepBackbone, BigGANDeepGenerator
from reacgan.models.codes import CodedGenerator
from reacgan.models.dcgan import DCGANBackbone, DCGANGenerator
from reacgan.models.discriminator import Discriminator
from reacgan.models.layers import arrange
from reacgan.models.r3gan import R3GANBackbone, R3GANGenerator
from reacgan.models.resnet import ResNetBackbone, ResNetGenerator
from reacgan.models.stylegan2 import StyleGAN2Generator
from reacgan.models.stylegan2_backbone import StyleGAN2Backbone
from reacgan.models.switches import (
    plain_operations,
    power_iteration_frozen,
    set_switches,
    statistics_frozen,
)

GENERATORS: dict[str, type[Generator]] = {
    "biggan": BigGANGenerator,
    "stylegan2": StyleGAN2Generator,
    "biggan_deep": BigGANDeepGenerator,
    "dcgan": DCGANGenerator,
    "r3gan": R3GANGenerator,
    "resnet": ResNetGenerator,
}

BACKBONES: dict[str, type[Backbone]] = {
    "biggan": BigGANBackbone,
    "stylegan2": StyleGAN2Backbone,
    "biggan_deep": BigGANDeepBackbone,
    "dcgan": DCGANBackbone,
    "r3gan": R3GANBackbone,
    "resnet": ResNetBackbone,
}

__all__ = [
    "BACKBONES",
    "GENERATORS",
    "Backbone",
    "Discriminator",
    "Generator",
    "arrange",
    "backbone_options",
    "build_discriminator",
    "build_generator",
    "count_parameters",
    "generator_options",
    "plain_operations",
    "power_iteration_frozen",
    "set_switches",
    "statistics_frozen",
]

_GENERATOR_GIVEN = ("resolution", "channels", "num_classes")
_BACKBONE_GIVEN = ("resolution", "channels")


def generator_options(component: Component) -> dict[str, Any]:
    """All options of a generator, defaults included; raises ConfigError."""
    member = lookup("generator", GENERATORS, component.name)
    return check_options(member, component.options, where="model.generator", given=_GENERATOR_GIVEN)


def backbone_options(component: Component) -> dict[str, Any]:
    """All options of a backbone, defaults included; raises ConfigError."""
    member = lookup("backbone", BACKBONES, component.name)
    return check_options(member, component.options, where="model.backbone", given=_BACKBONE_GIVEN)


def build_generator(
    component: Component, data: DataConfig, num_classes: int, codes: CodesConfig | None = None
) -> Generator:
    """The generator that a configuration names: ``forward(z, labels) -> images in [-1, 1]``.

    Args:
        component: its name in :data:`GENERATORS` and its options.
        data: size and channels of the images.
        num_classes: number of classes.
        codes: the codes in the first entries of z, for the head ``infogan``.

    Raises:
        ConfigError: an unknown name or option, or a value that this generator cannot use.
    """
    options = generator_options(component)
    member: Any = GENERATORS[component.name]
    built: Generator = member(
        resolution=data.resolution, channels=data.channels, num_classes=num_classes, **options
    )
    made = built if codes is None else CodedGenerator(built, codes)
    height, width = size_of(data.resolution)
    made.pixels = height * width
    return made


def build_discriminator(
    backbone: Component,
    head: Component,
    data: DataConfig,
    num_classes: int,
    codes: CodesConfig | None = None,
) -> Discriminator:
    """The backbone and head that a configuration names; the head normalises as its backbone does.

    Args:
        backbone: its name in :data:`BACKBONES` and its options.
        head: its name in ``reacgan.heads.HEADS`` and its options.
        data: size and channels of the images.
        num_classes: number of classes.
        codes: the codes in z, for the head ``infogan``.

    Raises:
        ConfigError: an unknown name or option, or a value that these cannot use.
    """
    options = backbone_options(backbone)
    member: Any = BACKBONES[backbone.name]
    network: Backbone = member(resolution=data.resolution, channels=data.channels, **options)
    built = build_head(
        head,
        in_features=network.out_features,
        num_classes=num_classes,
        layers=network.head_layers,
        codes=codes,
    )
    return Discriminator(network, network.initialise(built))


def count_parameters(module: nn.Module) -> int:
    """Number of learned values; buffers do not count."""
    return sum(parameter.numel() for parameter in module.parameters())
