from __future__ import annotations

import network_cases as cases
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from reacgan.config import component, grid_of
from reacgan.models.dcgan import DCGANBackbone, multiples_of


def make_g(**options):
    return component("dcgan", **{"width": 2, "latent_dim": 8, **options})


def make_d(**options):
    return component("dcgan", **{"width": 2, **options})


def test_published_parameter_counts():
    generator = component("dcgan", conditional=False)
    published = component("dcgan", norm="batch", first_norm=True)
    assert cases.counts(generator, published, "unconditional") == [3_812_355, 2_931_009]
    # DCGAN's own has no gain and bias for the 64 channels of the layer that takes the image.
    own = component("dcgan", norm="batch")
    assert cases.counts(generator, own, "unconditional") == [3_812_355, 2_931_009 - 2 * 64]


@pytest.mark.parametrize("first_norm", [True, False])
def test_only_the_first_norm_hides_what_colours_a_batch_has(first_norm):
    backbone = DCGANBackbone(
        resolution=16, channels=3, width=4, norm="batch", first_norm=first_norm
    )
    images = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    first = backbone.convolutions[0]
    means = [
        first.norms[0](first.convolutions[0](held)).mean((0, 2, 3)) for held in (images, images / 2)
    ]
    hidden = all(mean.abs().max() < 1e-5 for mean in means)
    assert hidden is first_norm
    assert first_norm or (means[0] - means[1]).abs().max() > 0.01


@pytest.mark.parametrize("resolution", [*cases.SIZES, 512])
def test_every_resolution(resolution):
    small = {"width": 1} if resolution == 512 else {}
    cases.check_shapes(make_g(**small), make_d(**small), resolution, 1 + (resolution == 16))


def test_widths():
    expected = {8: [8, 4], 16: [8, 4, 2], 32: [8, 4, 2, 1], 64: [8, 8, 4, 2, 1]}
    for side, multiples in expected.items():
        assert multiples_of(grid_of(side)) == multiples
    assert multiples_of(grid_of(1024)) == [8, 8, 8, 8, 8, 8, 4, 2, 1]


@pytest.mark.parametrize("norm", ["spectral", "batch", "none"])
@pytest.mark.parametrize("conditional", [True, False])
def test_every_parameter_gets_a_gradient(norm, conditional):
    generator = make_g(conditional=conditional, spectral_norm=norm == "spectral")
    for head in ("projection", "d2dce"):
        cases.check_gradients(generator, make_d(width=8, norm=norm), head)


@pytest.mark.parametrize("norm", ["spectral", "batch", "none"])
def test_norms(norm):
    cases.check_independence(make_g(), make_d(norm=norm), coupled=norm == "batch")
    generator, network = cases.built(make_g(spectral_norm=True), make_d(norm=norm))
    cases.check_spectral(network, spectral=norm == "spectral")
    cases.check_spectral(generator, spectral=True)
    cases.check_precisions(make_g(), make_d(norm=norm))


@pytest.mark.parametrize("conditional", [True, False])
def test_labels_and_latents(conditional):
    generator = make_g(conditional=conditional)
    cases.check_labels(generator, make_d(), conditional=conditional)
    cases.check_latent_weights(generator, make_d())
    cases.check_latent_weights(make_g(conditional=conditional, spectral_norm=True), make_d())


def test_stages():
    cases.check_stages(make_d())


def test_the_generator_is_the_textbook_chain():
    generator = cases.built(make_g(conditional=False), make_d(), resolution=(16, 24))[0].double()
    layers = []
    for convolution, norm in zip(generator.convolutions, generator.norms, strict=True):
        out_channels, in_channels = convolution.weight.shape[:2]
        plain = nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1).double()
        normal = nn.BatchNorm2d(out_channels, eps=1e-4).double()
        with torch.no_grad():
            norm.norm.gain.normal_(), norm.norm.bias.normal_(), convolution.bias.normal_()
            plain.weight.copy_(convolution.weight.transpose(0, 1))
            plain.bias.copy_(convolution.bias)
            normal.weight.copy_(norm.norm.gain), normal.bias.copy_(norm.norm.bias)
        layers += [plain, normal, nn.ReLU()]
    z = torch.randn(3, 8, dtype=torch.float64)
    hidden = F.linear(z, generator.input.weight, generator.input.bias).view(3, 16, 4, 6)
    expected = torch.tanh(
        F.conv2d(
            nn.Sequential(*layers)(hidden),
            generator.output.weight,
            generator.output.bias,
            padding=1,
        )
    )
    torch.testing.assert_close(generator(z, cases.LABELS[:3]), expected)


@pytest.mark.parametrize("leak", [0.0, 0.1])
def test_the_backbone_is_the_textbook_chain(leak):
    backbone = cases.built(make_g(), make_d(norm="batch", leak=leak, first_norm=True))[
        1
    ].backbone.double()
    layers = []
    for stage in backbone.convolutions:
        for convolution, norm in zip(stage.convolutions, stage.norms, strict=True):
            out_channels, in_channels, size, _ = convolution.weight.shape
            stride = 2 if size == 4 else 1
            plain = nn.Conv2d(in_channels, out_channels, size, stride=stride, padding=1).double()
            normal = nn.BatchNorm2d(out_channels, eps=1e-4).double()
            with torch.no_grad():
                norm.gain.normal_(), norm.bias.normal_(), convolution.bias.normal_()
                plain.weight.copy_(convolution.weight), plain.bias.copy_(convolution.bias)
                normal.weight.copy_(norm.gain), normal.bias.copy_(norm.bias)
            layers += [plain, normal, nn.LeakyReLU(leak)]
    images = torch.randn(3, 3, 16, 16, dtype=torch.float64)
    given = images.clone()
    expected = nn.Sequential(*layers)(images)
    assert expected.shape[2:] == (4, 4)
    torch.testing.assert_close(backbone(images), expected.sum((2, 3)))
    assert torch.equal(images, given)
