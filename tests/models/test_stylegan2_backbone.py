"""StyleGAN2's backbone: its size, shapes, and what its head is made of."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from reacgan.config import DataConfig, component
from reacgan.heads.equalised import EqualisedLinear, LabelMapping
from reacgan.models import build_discriminator, count_parameters
from reacgan.models.stylegan2_backbone import StyleGAN2Backbone

CIFAR10 = {"architecture": "orig", "group": 32}


def tiny(resolution=8, **options):
    torch.manual_seed(0)
    return StyleGAN2Backbone(
        resolution=resolution, channels=2, **{"channel_max": 4, "group": 2, **options}
    ).double()


@pytest.mark.parametrize(
    ("resolution", "classes", "head", "options", "expected"),
    [
        (32, 10, component("mapped_projection"), CIFAR10, 23_089_664),
        (32, 10, component("d2dce", embedding_dim=512), CIFAR10, 21_251_585),
        (512, 3, component("mapped_projection"), {}, 31_348_288),
        (512, 3, component("d2dce", embedding_dim=1024), {}, 30_561_857),
    ],
)
def test_published_sizes(resolution, classes, head, options, expected):
    with torch.device("meta"):
        built = build_discriminator(
            component("stylegan2", **options), head, DataConfig(resolution=resolution), classes
        )
    assert count_parameters(built) == expected


@pytest.mark.parametrize("architecture", ["resnet", "skip", "orig"])
@pytest.mark.parametrize("resolution", [8, 32, (16, 24), 96])
def test_shapes_and_gradients(architecture, resolution):
    backbone = tiny(resolution, architecture=architecture)
    size = (resolution, resolution) if isinstance(resolution, int) else resolution
    features = backbone(torch.randn(4, 2, *size).double())
    assert features.shape == (4, backbone.out_features) == (4, 4)
    features.square().sum().backward()
    for name, parameter in backbone.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("architecture", ["resnet", "skip", "orig"])
def test_the_architectures_by_hand(architecture):
    backbone = tiny(8, architecture=architecture)
    block, end = backbone.blocks[0], backbone.end
    images = torch.randn(4, 2, 8, 8).double()
    hidden = block.from_image(images)
    output = block.conv2(block.conv1(hidden))
    if architecture == "resnet":
        assert block.conv2.gain == block.shortcut.gain == math.sqrt(0.5)
        output = output + block.shortcut(hidden)
    if architecture == "skip":
        taps = torch.tensor([1.0, 3, 3, 1]).double() / 8
        kernel = (taps[:, None] * taps).expand(2, 1, 4, 4)
        output = output + end.from_image(F.conv2d(images, kernel, stride=2, padding=1, groups=2))
    expected = end.linear(end.conv(end.deviation(output)).flatten(1))
    torch.testing.assert_close(backbone(images), expected)


def test_halves_are_the_whole_where_the_group_divides_them():
    backbone, images = tiny(group=2), torch.randn(8, 2, 8, 8).double()
    halves = torch.cat([backbone(images[:4]), backbone(images[4:])])
    torch.testing.assert_close(backbone(images), halves)
    assert backbone.couples_samples
    alone = tiny(group=1)
    assert not alone.couples_samples
    torch.testing.assert_close(alone(images)[:1], alone(images[:1]))


def test_the_last_layers_stay_in_float32_under_autocast():
    backbone = tiny().float()
    hidden, images = torch.randn(4, 4, 4, 4), torch.randn(4, 2, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert backbone(images).dtype == torch.float32
        last = backbone.end(hidden, images)
    assert torch.equal(last, backbone.end(hidden, images))


def test_stages_hold_every_parameter_from_the_image_on():
    backbone = tiny(32)
    stages = backbone.stages()
    assert len(stages) == 4
    held = [parameter for stage in stages for parameter in stage.parameters()]
    assert {id(p) for p in held} == {id(p) for p in backbone.parameters()}
    assert backbone.blocks[0].from_image.weight is next(stages[0].parameters())


def test_weights_of_a_head_are_left_alone():
    layer = torch.nn.Linear(4, 3)
    held = layer.weight.detach().clone()
    assert torch.equal(tiny().initialise(layer).weight, held)


def test_the_head_is_equalised_and_keeps_its_own_draws():
    torch.manual_seed(0)
    built = build_discriminator(
        component("stylegan2", channel_max=64), component("d2dce"), DataConfig(resolution=8), 3
    )
    head = built.head
    assert isinstance(head.score, EqualisedLinear)
    assert isinstance(head.class_vectors, LabelMapping)
    assert head.embedding.weight.std().item() == pytest.approx(1, rel=0.05)
    assert head.class_vectors.layers[0].weight.std().item() == pytest.approx(100, rel=0.05)
