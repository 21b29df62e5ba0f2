from __future__ import annotations

import network_cases as cases
import pytest
import torch
from torch.nn import functional as F

from reacgan.config import component
from reacgan.models.biggan_deep import DeepBackboneBlock, DeepGeneratorBlock

SHORTCUTS = ["drop", "learned"]


def make_g(**options):
    return component("biggan_deep", **{"width": 4, "latent_dim": 6, "shared_dim": 5, **options})


def make_d(**options):
    return component("biggan_deep", **{"width": 4, **options})


@pytest.mark.parametrize(
    ("shortcut", "expected"),
    [("drop", [7_762_948, 2_908_930]), ("learned", [9_338_884, 3_177_730])],
)
def test_published_parameter_counts(shortcut, expected):
    generator = component("biggan_deep", shortcut=shortcut, attention_after=(2,))
    backbone = component("biggan_deep", shortcut=shortcut, attention_after=(1,))
    assert cases.counts(generator, backbone, "projection") == expected


@pytest.mark.parametrize("shortcut", SHORTCUTS)
@pytest.mark.parametrize("resolution", cases.SIZES)
def test_every_resolution(resolution, shortcut):
    options = {"shortcut": shortcut, "attention_after": (1,)}
    if resolution == 128:
        options |= {"width": 1, "depth": 1}
    cases.check_shapes(make_g(**options), make_d(**options), resolution, 1 + (resolution == 16))


@pytest.mark.parametrize("shortcut", SHORTCUTS)
@pytest.mark.parametrize("spectral", [True, False])
def test_every_parameter_gets_a_gradient(shortcut, spectral):
    options = {"shortcut": shortcut, "spectral_norm": spectral, "attention_after": (1,)}
    for head in ("projection", "d2dce"):
        cases.check_gradients(make_g(**options), make_d(**options, width=8), head)


@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_the_contract(shortcut):
    generator, backbone = make_g(shortcut=shortcut), make_d(shortcut=shortcut)
    cases.check_labels(generator, backbone)
    cases.check_latent_weights(generator, backbone)
    cases.check_precisions(generator, backbone)
    cases.check_independence(generator, backbone, coupled=False)
    cases.check_stages(backbone)
    networks = cases.built(generator, backbone)
    cases.check_spectral(networks[0], spectral=True, but=("shared",))
    cases.check_spectral(networks[1], spectral=True)


def test_the_last_block_doubles_and_the_first_halves():
    generator, network = cases.built(make_g(depth=3), make_d(depth=3))
    for blocks in generator.blocks:
        assert [block.up for block in blocks] == [False, False, True]
    downs = [[block.down for block in blocks] for blocks in network.backbone.blocks]
    assert downs == [[True, False, False], [True, False, False], [False] * 3]


def conv(held, layer):
    return F.conv2d(held, layer.weight, layer.bias, padding=layer.weight.shape[-1] // 2)


@pytest.mark.parametrize("shortcut", SHORTCUTS)
@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("out_channels", [8, 5])
def test_generator_block_in_the_textbook_order(shortcut, up, out_channels):
    torch.manual_seed(0)
    block = DeepGeneratorBlock(8, out_channels, 3, up=up, shortcut=shortcut, spectral=False)
    block.double()
    x = torch.randn(3, 8, 4, 6, dtype=torch.float64)
    condition = torch.randn(3, 3, dtype=torch.float64)

    def active(held, place):
        return F.relu(block.norms[place](held, condition))

    def bigger(held):
        return F.interpolate(held, scale_factor=2) if up else held

    first, second, third, fourth = block.convolutions
    hidden = conv(active(x, 0), first)
    hidden = conv(bigger(active(hidden, 1)), second)
    hidden = conv(active(hidden, 2), third)
    hidden = conv(active(hidden, 3), fourth)
    kept = conv(bigger(x), block.shortcut) if shortcut == "learned" else bigger(x)[:, :out_channels]
    torch.testing.assert_close(block(x, condition), hidden + kept)
    assert first.weight.shape[0] == 2


@pytest.mark.parametrize("preactivated", [True, False])
@pytest.mark.parametrize("shortcut", SHORTCUTS)
@pytest.mark.parametrize("down", [True, False])
@pytest.mark.parametrize("out_channels", [8, 12])
def test_backbone_block_in_the_textbook_order(preactivated, shortcut, down, out_channels):
    torch.manual_seed(0)
    block = DeepBackboneBlock(
        8,
        out_channels,
        down=down,
        shortcut=shortcut,
        spectral=False,
        preactivated_shortcut=preactivated,
    ).double()
    x = torch.randn(3, 8, 4, 6, dtype=torch.float64)
    given = x.clone()

    def smaller(held):
        return F.avg_pool2d(held, 2) if down else held

    # The literal network: an in-place ReLU changes what the shortcut sees.
    held = x.clone()
    hidden = conv(F.relu(held, inplace=preactivated), block.conv1)
    hidden = conv(F.relu(conv(F.relu(hidden), block.conv2)), block.conv3)
    if shortcut == "drop":
        hidden = conv(smaller(F.relu(hidden)), block.conv4)
        kept = smaller(held)
        if out_channels != 8:
            kept = torch.cat([kept, conv(kept, block.shortcut)], dim=1)
    else:
        hidden = conv(F.relu(smaller(hidden)), block.conv4)
        kept = smaller(conv(held, block.shortcut)) if down or out_channels != 8 else held
    torch.testing.assert_close(block(x), hidden + kept)
    assert torch.equal(x, given)
