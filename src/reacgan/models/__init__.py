"""Generators, discriminator backbones, and how a configuration builds them."""

from __future__ import annotations

from typing import Any

from torch import nn

from reacgan.augment import augment_options
from reacgan.config import (
    CodesConfig,
    Component,
    ConfigError,
    DataConfig,
    Experiment,
    LossConfig,
    check_options,
    lookup,
)
from reacgan.heads import HEADS, build_head, check_codes, head_options
from reacgan.losses import adversarial, term_options
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
    "build_discriminator",
    "build_generator",
    "complete",
    "count_parameters",
    "plain_operations",
    "power_iteration_frozen",
    "set_switches",
    "statistics_frozen",
]

_GENERATOR_GIVEN = ("resolution", "channels", "num_classes")
_BACKBONE_GIVEN = ("resolution", "channels")


def build_generator(
    component: Component, data: DataConfig, num_classes: int, codes: CodesConfig | None = None
) -> Generator:
    """The generator that a configuration names: ``forward(z, labels) -> images in [-1, 1]``.

    Args:
        component: its name in :data:`GENERATORS` and its options.
        data: size and channels of the images.
        num_classes: number of classes.
        codes: what z holds in its first entries, for the head ``infogan``.

    Raises:
        ConfigError: an unknown name or option, or a value that this generator cannot use.
    """
    member: Any = lookup("generator", GENERATORS, component.name)
    options = check_options(
        member, component.options, where="model.generator", given=_GENERATOR_GIVEN
    )
    built: Generator = member(
        resolution=data.resolution, channels=data.channels, num_classes=num_classes, **options
    )
    return built if codes is None else CodedGenerator(built, codes)


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
        codes: what z holds, for the head ``infogan``, which looks for it.

    Raises:
        ConfigError: an unknown name or option, or a value that these cannot use.
    """
    member: Any = lookup("backbone", BACKBONES, backbone.name)
    options = check_options(member, backbone.options, where="model.backbone", given=_BACKBONE_GIVEN)
    network: Backbone = member(resolution=data.resolution, channels=data.channels, **options)
    built = build_head(
        head,
        in_features=network.out_features,
        num_classes=num_classes,
        layers=network.head_layers,
        codes=codes,
    )
    return Discriminator(network, network.initialise(built))


def complete(experiment: Experiment) -> Experiment:
    """The experiment with every option of every member written out, and every name checked.

    Raises:
        ConfigError: a name or option is unknown, a value is out of range, parts of the loss do not go
            together, or the head looks for codes that z does not hold, or the other way round.
    """
    _check_loss(experiment.loss, experiment.model.head)
    model = experiment.model
    check_codes(model.head, model.codes)
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


def _check_loss(loss: LossConfig, head: Component) -> None:
    if adversarial(loss.adversarial).paired and loss.top_k is not None:
        raise ConfigError(
            f"loss.top_k leaves fakes out, but {loss.adversarial} compares each of them with a real "
            "image; set loss.top_k=null or take another loss.adversarial"
        )
    if loss.adversarial != "none":
        return
    if not lookup("head", HEADS, head.name).judges_alone:
        alone = ", ".join(name for name, member in HEADS.items() if member.judges_alone)
        raise ConfigError(
            f"loss.adversarial is none, but nothing in the head {head.name} tells real from fake; take "
            f"another loss.adversarial, such as hinge, or one of these heads: {alone}"
        )
    if loss.top_k is not None:
        raise ConfigError(
            "loss.top_k has no effect where loss.adversarial is none; set loss.top_k=null"
        )
    if loss.transition is not None:
        raise ConfigError(
            "loss.transition leaves D nothing to minimise until its start where loss.adversarial is "
            "none; set loss.transition=null or take another loss.adversarial"
        )


def count_parameters(module: nn.Module) -> int:
    """Number of learned values; buffers do not count."""
    return sum(parameter.numel() for parameter in module.parameters())
