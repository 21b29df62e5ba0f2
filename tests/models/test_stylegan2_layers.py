"""StyleGAN2's layers against slow forms of the papers' equations."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from reacgan.models.stylegan2_layers import (
    EqualisedConv2d,
    GroupDeviation,
    ModulatedConv2d,
    StyledConv,
    ToImage,
    channels_at,
)

TAPS = torch.tensor([1.0, 3, 3, 1], dtype=torch.float64) / 8
KERNEL = TAPS[:, None] * TAPS


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def filtered(x, *, before, after):
    """Every channel blurred, zeros added before and after the images."""
    x = F.pad(x, (before, after, before, after))
    return torch.stack([F.conv2d(c[:, None], KERNEL[None, None])[:, 0] for c in x.unbind(1)], 1)


def spread(x):
    out = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    out[:, :, ::2, ::2] = x
    return out


def scaled_weights(conv, w):
    """One weight a sample, by equations 1 and 3."""
    weights = []
    for style in conv.style(w):
        weight = conv.weight * style[None, :, None, None] / math.sqrt(conv.weight[0].numel())
        if conv.demodulate:
            weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        weights.append(weight)
    return weights


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("demodulate", [True, False])
def test_modulation_is_a_convolution_with_scaled_weights(size, demodulate):
    conv = ModulatedConv2d(4, 5, size, style_dim=3, demodulate=demodulate).double()
    x, w = torch.randn(3, 4, 6, 7).double(), torch.randn(3, 3).double()
    expected = [
        F.conv2d(x[n : n + 1], weight, padding=size // 2)
        for n, weight in enumerate(scaled_weights(conv, w))
    ]
    torch.testing.assert_close(conv(x, w), torch.cat(expected))


@pytest.mark.parametrize("demodulate", [True, False])
def test_doubling_is_zeros_between_blur_and_convolution(demodulate):
    conv = ModulatedConv2d(4, 5, 3, style_dim=3, demodulate=demodulate, up=True).double()
    x, w = torch.randn(3, 4, 6, 7).double(), torch.randn(3, 3).double()
    wide = 4 * filtered(spread(x), before=3, after=2)
    expected = [
        F.conv2d(wide[n : n + 1], weight.flip(2, 3))
        for n, weight in enumerate(scaled_weights(conv, w))
    ]
    assert conv(x, w).shape == (3, 5, 12, 14)
    torch.testing.assert_close(conv(x, w), torch.cat(expected))


def test_demodulated_weights_have_length_one():
    conv = ModulatedConv2d(4, 5, 3, style_dim=3).double()
    styles = conv.style(torch.randn(6, 3).double()) * conv.scale
    factors = conv.output_factors(styles)
    weights = factors[:, :, None, None, None] * conv.weight * styles[:, None, :, None, None]
    lengths = torch.linalg.vector_norm(weights.flatten(2), dim=2)
    torch.testing.assert_close(lengths, torch.ones_like(lengths), rtol=1e-6, atol=0)


def test_demodulation_stays_in_float32_under_autocast():
    conv = ModulatedConv2d(64, 8, 3, style_dim=8)
    x, w = torch.randn(2, 64, 4, 4), torch.randn(2, 8)
    styles = conv.style(w)
    with torch.autocast("cpu", torch.bfloat16):
        narrow, factors = conv(x, w), conv.output_factors(conv.style(w))
    assert narrow.dtype == torch.bfloat16
    assert torch.equal(factors, conv.output_factors(styles))
    torch.testing.assert_close(narrow.float(), conv(x, w), rtol=0.05, atol=0.05)


def test_modulation_keeps_unit_variance():
    conv = ModulatedConv2d(128, 256, 3, style_dim=64)
    output = conv(torch.randn(8, 128, 8, 8), torch.randn(8, 64))[:, :, 1:-1, 1:-1]
    assert output.square().mean().item() == pytest.approx(1, rel=0.05)


def test_doubled_white_noise_has_the_variance_of_the_filter():
    conv = ModulatedConv2d(128, 256, 3, style_dim=64, up=True)
    output = conv(torch.randn(8, 128, 8, 8), torch.randn(8, 64))[:, :, 3:-3, 3:-3]
    expected = (9 / 16 + 1 / 16) ** 2  # squared taps 3/4 and 1/4 along both axes
    assert output.square().mean().item() == pytest.approx(expected, rel=0.05)


def test_a_styled_convolution_adds_noise_and_bias_before_its_activation():
    layer = StyledConv(4, 5, style_dim=3, size=(6, 7), gain=0.5).double()
    assert layer.noise_strength == 0
    x, w = torch.randn(3, 4, 6, 7).double(), torch.randn(3, 3).double()
    noise = torch.randn(3, 1, 6, 7).double()
    assert torch.equal(layer(x, w, noise), layer(x, w))
    with torch.no_grad():
        layer.noise_strength.fill_(0.3)
        layer.bias.normal_()
    for drawn in (noise, None):
        shift = 0.3 * (layer.noise if drawn is None else drawn) + layer.bias.view(1, 5, 1, 1)
        before = layer.conv(x, w) + shift
        expected = 0.5 * math.sqrt(2) * torch.where(before > 0, before, 0.2 * before)
        torch.testing.assert_close(layer(x, w, drawn), expected)


def test_an_image_is_not_demodulated():
    layer = ToImage(4, 2, style_dim=3).double()
    x, w = torch.randn(2, 4, 5, 5).double(), torch.randn(2, 3).double()
    style = layer.conv.style(w) / 2  # 1 / sqrt(4)
    expected = torch.einsum("oc,nc,nchw->nohw", layer.conv.weight[:, :, 0, 0], style, x)
    torch.testing.assert_close(layer(x, w), expected)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer.float()(x.bfloat16(), w.float()).dtype == torch.float32


@pytest.mark.parametrize("leaky", [True, False])
@pytest.mark.parametrize("size", [1, 3])
def test_halving_is_blur_and_a_strided_convolution(size, leaky):
    layer = EqualisedConv2d(
        4, 5, size, bias=leaky, leaky=leaky, resample="down", gain=math.sqrt(0.5)
    ).double()
    x = torch.randn(2, 4, 6, 8).double()
    weight = layer.weight / math.sqrt(4 * size * size)
    padding = 1 + size // 2
    wide = filtered(x, before=padding, after=padding)
    expected = F.conv2d(wide, weight, layer.bias, stride=2) * math.sqrt(0.5)
    if leaky:
        expected = F.leaky_relu(expected, 0.2) * math.sqrt(2)
    torch.testing.assert_close(layer(x), expected)


def test_the_shortcut_of_a_generator_doubles():
    layer = EqualisedConv2d(4, 5, 1, bias=False, leaky=False, resample="up", gain=0.5).double()
    x = torch.randn(2, 4, 3, 5).double()
    wide = 4 * filtered(spread(x), before=2, after=1)
    torch.testing.assert_close(layer(x), F.conv2d(wide, layer.weight / 2) * 0.5)


def test_equalised_convolutions_keep_the_second_moment():
    x = torch.randn(8, 128, 10, 10)
    plain = EqualisedConv2d(128, 256, 3, leaky=False)(x)[:, :, 1:-1, 1:-1]
    assert plain.square().mean().item() == pytest.approx(1, rel=0.05)
    leaky = EqualisedConv2d(128, 256, 3)(x)[:, :, 1:-1, 1:-1]
    assert leaky.square().mean().item() == pytest.approx(1.04, rel=0.05)


def deviations(x, members):
    """The channel's number for each sample, in loops."""
    found = []
    for start in range(0, len(x), members):
        group = x[start : start + members]
        roots = []
        for place in range(group[0].numel()):
            values = group.flatten(1)[:, place]
            roots.append((((values - values.mean()) ** 2).mean() + 1e-8) ** 0.5)
        found += [sum(roots) / len(roots)] * members
    return torch.stack(found)


@pytest.mark.parametrize(
    ("count", "group", "members"), [(6, 3, 3), (6, 4, 2), (5, 4, 1), (4, 8, 4)]
)
def test_deviation_over_groups(count, group, members):
    x = torch.randn(count, 2, 2, 3).double()
    output = GroupDeviation(group)(x)
    assert torch.equal(output[:, :2], x)
    expected = deviations(x, members).view(-1, 1, 1).expand(count, 2, 3)
    torch.testing.assert_close(output[:, 2], expected)


def test_equal_samples_deviate_by_next_to_nothing_and_have_a_gradient():
    x = torch.ones(4, 2, 2, 2, requires_grad=True)
    GroupDeviation(4)(x)[:, 2].sum().backward()
    assert torch.isfinite(x.grad).all()


def test_two_halves_are_one_batch():
    x = torch.randn(8, 2, 2, 2)
    layer = GroupDeviation(4)
    assert torch.equal(layer(x), torch.cat([layer(x[:4]), layer(x[4:])]))


def test_channels_by_size():
    sizes = [channels_at(4 << k, 32768, 512) for k in range(9)]
    assert sizes == [512, 512, 512, 512, 512, 256, 128, 64, 32]
    assert channels_at(64, 32, 512) == 1
