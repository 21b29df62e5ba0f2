from __future__ import annotations

import math

import network_cases as cases
import pytest
import torch
from torch.nn import functional as F

from reacgan.config import component, grid_of
from reacgan.models.r3gan import InvertedBlock, R3GANBackbone, R3GANGenerator, widths_of
from reacgan.models.resample import doubled, halved


def make_g(**options):
    return component("r3gan", **{"width": 8, "latent_dim": 6, "shared_dim": 5, **options})


def make_d(**options):
    return component("r3gan", **{"width": 8, **options})


@pytest.mark.parametrize("resampling", ["bilinear", "nearest"])
@pytest.mark.parametrize("resolution", [*cases.SIZES, 512])
def test_every_resolution(resolution, resampling):
    small = {"resampling": resampling, "blocks": 1, **({"width": 2} if resolution == 512 else {})}
    cases.check_shapes(make_g(**small), make_d(**small), resolution, 1 + (resolution == 16))


@pytest.mark.parametrize("conditional", [True, False])
def test_every_parameter_gets_a_gradient(conditional):
    for head in ("projection", "d2dce"):
        cases.check_gradients(make_g(conditional=conditional), make_d(), head)


@pytest.mark.parametrize("conditional", [True, False])
def test_the_contract(conditional):
    generator = make_g(conditional=conditional)
    cases.check_labels(generator, make_d(), conditional=conditional)
    cases.check_latent_weights(generator, make_d())
    cases.check_precisions(generator, make_d())
    cases.check_independence(generator, make_d(), coupled=False)
    cases.check_stages(make_d())


def test_widths_and_the_number_of_parameters():
    assert widths_of(grid_of(256), 768) == [768, 768, 768, 768, 384, 192, 96]
    assert widths_of(grid_of(1024), 8) == [8, 8, 8, 8, 4, 2, 1, 1, 1]
    c, hidden = 32, 64  # two stages of two blocks of groups of 16 at 8 pixels
    block = c * hidden + hidden + hidden * 16 * 9 + hidden + hidden * c
    g_expected = 5 * 10 + (20 + 5) * c + c * 16 + 4 * block + c * 3 + 3
    d_expected = 3 * c + 4 * block + c * 16 + (c + 1) + 10 * c
    generator = component("r3gan", width=c, latent_dim=20, shared_dim=5)
    backbone = component("r3gan", width=c)
    found = cases.counts(generator, backbone, "projection", resolution=8)
    assert found == [g_expected, d_expected]


def test_the_block_by_its_formula():
    torch.manual_seed(0)
    block = InvertedBlock(6, expansion=2, group_size=4, network_blocks=4, last_gain=1.0).double()
    with torch.no_grad():
        block.enter.bias.normal_(), block.grouped.bias.normal_()
    x = torch.randn(2, 6, 4, 6, dtype=torch.float64)
    hidden = F.leaky_relu(F.conv2d(x, block.enter.weight, block.enter.bias), 0.2)
    parts = [
        F.conv2d(hidden[:, at : at + 4], block.grouped.weight[at : at + 4], padding=1)
        for at in (0, 4, 8)
    ]
    hidden = F.leaky_relu(torch.cat(parts, 1) + block.grouped.bias[:, None, None], 0.2)
    given = x.clone()
    torch.testing.assert_close(block(x), x + F.conv2d(hidden, block.leave.weight))
    assert torch.equal(x, given)
    odd = InvertedBlock(5, expansion=2, group_size=4, network_blocks=4, last_gain=1.0)
    assert odd.grouped.groups == 5


def test_initial_weights():
    torch.manual_seed(0)
    gain = math.sqrt(2 / 1.04)
    block = InvertedBlock(128, expansion=2, group_size=16, network_blocks=16, last_gain=0.01)
    for layer, inputs, factor in (
        (block.enter, 128, 0.5),
        (block.grouped, 16 * 9, 0.5),
        (block.leave, 256, 0.01),
    ):
        expected = gain * factor / math.sqrt(inputs)
        assert abs(layer.weight.std().item() / expected - 1) < 0.02
    fixed = InvertedBlock(4, expansion=2, group_size=4, network_blocks=4, last_gain=0.0)
    x = torch.randn(1, 4, 4, 4)
    assert torch.equal(fixed(x), x)


@pytest.mark.parametrize("blocks", [1, 4])
def test_variance_is_kept_at_any_depth(blocks):
    torch.manual_seed(0)
    options = {"resolution": 8, "channels": 3, "width": 128, "blocks": blocks, "group_size": 8}
    generator = R3GANGenerator(num_classes=4, **options)
    hidden = []
    generator.output.register_forward_pre_hook(lambda _, given: hidden.append(given[0]))
    generator.blocks[1].resampling = "nearest"  # bilinear interpolation lowers it
    generator(torch.randn(32, 64), torch.arange(32) % 4)
    assert 0.8 < hidden[0].std() < 1.2
    backbone = R3GANBackbone(**options)
    # The same value everywhere, which averages keep.
    features = backbone(torch.randn(64, 3, 1, 1).expand(-1, -1, 8, 8))
    assert 0.75 < features.std() < 1.25


def test_doubling_is_bilinear_interpolation():
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    expected = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(doubled(x, "bilinear"), expected)
    torch.testing.assert_close(doubled(x, "nearest"), F.interpolate(x, scale_factor=2))
    weight = torch.randn_like(expected)
    ours, plain = (
        torch.autograd.grad((held * weight).sum(), x)[0]
        for held in (doubled(x, "bilinear"), expected)
    )
    torch.testing.assert_close(ours, plain)


@pytest.mark.parametrize("change", [doubled, halved])
@pytest.mark.parametrize("how", ["bilinear", "nearest"])
def test_the_memory_order_stays(change, how):
    images = torch.randn(2, 3, 4, 6).contiguous(memory_format=torch.channels_last)
    assert change(images, how).is_contiguous(memory_format=torch.channels_last)


def test_halving_is_a_filter():
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64)
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 8
    kernel = (taps[:, None] * taps).expand(3, 1, 4, 4)
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    expected = F.conv2d(padded, kernel, stride=2, groups=3)
    torch.testing.assert_close(halved(x, "bilinear"), expected)
    torch.testing.assert_close(halved(x, "nearest"), F.avg_pool2d(x, 2))
    assert torch.autograd.gradgradcheck(
        lambda held: halved(doubled(held, "bilinear"), "bilinear").tanh(), (x[:1].requires_grad_(),)
    )
