from __future__ import annotations

import network_cases as cases
import pytest
import torch
from torch.nn import functional as F

from reacgan.config import ConfigError, component
from reacgan.models.residual import BackboneBlock, GeneratorBlock
from reacgan.models.resnet import ResNetBackbone, ResNetGenerator


def make_g(**options):
    return component("resnet", **{"width": 2, "latent_dim": 8, **options})


def make_d(**options):
    return component("resnet", **{"width": 4, **options})


@pytest.mark.parametrize(
    ("generator", "backbone", "head", "expected"),
    [
        ({}, {}, "projection", [4_304_387, 1_055_105]),  # SNGAN
        (
            {"spectral_norm": True, "attention_after": (2,)},
            {"attention_after": (1,)},
            "projection",
            [4_386_308, 1_075_586],
        ),  # SAGAN
        ({}, {"norm": "batch"}, "auxiliary", [4_304_387, 1_057_159]),  # ACGAN-Mod
        ({}, {"norm": "batch"}, "projection", [4_304_387, 1_057_159]),  # ProjGAN
    ],
)
def test_published_parameter_counts(generator, backbone, head, expected):
    found = cases.counts(component("resnet", **generator), component("resnet", **backbone), head)
    assert found == expected


@pytest.mark.parametrize("resolution", cases.SIZES)
def test_every_resolution(resolution):
    cases.check_shapes(
        make_g(attention_after=(1,)),
        make_d(attention_after=(1,)),
        resolution,
        1 + (resolution == 16),
    )


@pytest.mark.parametrize("norm", ["spectral", "batch", "none"])
@pytest.mark.parametrize("conditional", [True, False])
def test_every_parameter_gets_a_gradient(norm, conditional):
    generator = make_g(
        attention_after=(1,), conditional=conditional, spectral_norm=norm == "spectral"
    )
    for head in ("projection", "d2dce"):
        cases.check_gradients(generator, make_d(width=8, attention_after=(2,), norm=norm), head)


@pytest.mark.parametrize("norm", ["spectral", "batch", "none"])
def test_norms(norm):
    cases.check_independence(make_g(), make_d(norm=norm), coupled=norm == "batch")
    generator, network = cases.built(make_g(), make_d(norm=norm, attention_after=(1,)))
    cases.check_spectral(network, spectral=norm == "spectral")
    cases.check_spectral(generator, spectral=False)
    cases.check_precisions(make_g(), make_d(norm=norm))


@pytest.mark.parametrize("conditional", [True, False])
def test_labels_and_latents(conditional):
    generator = make_g(conditional=conditional)
    cases.check_labels(generator, make_d(), conditional=conditional)
    cases.check_latent_weights(generator, make_d())
    cases.check_latent_weights(make_g(conditional=conditional, spectral_norm=True), make_d())


def test_stages():
    cases.check_stages(make_d(attention_after=(1,)))


@pytest.mark.parametrize("down", [True, False])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("out_channels", [6, 4])
def test_backbone_block_with_batch_norm_in_the_textbook_order(down, first, out_channels):
    torch.manual_seed(0)
    block = BackboneBlock(
        6, out_channels, down=down, first=first, norm="batch", preactivated_shortcut=True
    ).double()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.normal_()
    x = torch.randn(3, 6, 4, 6, dtype=torch.float64)

    def conv(held, layer):
        return F.conv2d(held, layer.weight, layer.bias, padding=layer.weight.shape[-1] // 2)

    def norm(held, layer):
        return F.batch_norm(held, None, None, layer.gain, layer.bias, training=True, eps=1e-4)

    hidden = x if first else F.relu(norm(x, block.norm1))
    hidden = conv(F.relu(norm(conv(hidden, block.conv1), block.norm2)), block.conv2)
    hidden = F.avg_pool2d(hidden, 2) if down else hidden
    kept = x
    if first or down or out_channels != 6:
        kept = F.avg_pool2d(x, 2) if first and down else x
        kept = conv(norm(kept, block.shortcut_norm), block.shortcut)
        kept = F.avg_pool2d(kept, 2) if down and not first else kept
    torch.testing.assert_close(block(x), hidden + kept)


def test_generator_block_without_a_condition():
    torch.manual_seed(0)
    block = GeneratorBlock(4, 3, 0, spectral=False).double()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.normal_()
    x = torch.randn(3, 4, 4, 4, dtype=torch.float64)

    def norm(held, layer):
        gain, bias = layer.norm.gain, layer.norm.bias
        return F.relu(F.batch_norm(held, None, None, gain, bias, training=True, eps=1e-4))

    def conv(held, layer):
        return F.conv2d(held, layer.weight, layer.bias, padding=layer.weight.shape[-1] // 2)

    hidden = conv(F.interpolate(norm(x, block.norm1), scale_factor=2), block.conv1)
    hidden = conv(norm(hidden, block.norm2), block.conv2)
    kept = conv(F.interpolate(x, scale_factor=2), block.shortcut)
    torch.testing.assert_close(block(x, None), hidden + kept)


def test_what_cannot_be_built_says_why():
    with pytest.raises(ConfigError, match=r"model\.generator: attention_after holds 4, .* 1 to 3"):
        ResNetGenerator(resolution=32, channels=3, num_classes=2, attention_after=(4,))
    with pytest.raises(ConfigError, match=r"model\.backbone: attention_after holds 0, .* 1 to 4"):
        ResNetBackbone(resolution=32, channels=3, attention_after=(0,))
    with pytest.raises(ConfigError, match="resolution is 1024; .* below 1024"):
        ResNetBackbone(resolution=1024, channels=3)
