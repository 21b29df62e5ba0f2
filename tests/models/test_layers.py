from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import spectral_norm

from reacgan.config import ConfigError
from reacgan.models.attention import SelfAttention
from reacgan.models.layers import (
    SpectralConv2d,
    SpectralEmbedding,
    SpectralLinear,
    conv1x1,
    conv3x3,
    conv4x4,
    initialise_orthogonal,
    linear,
)
from reacgan.models.norms import BATCH_NORM_EPS, BatchNorm, ConditionalBatchNorm
from reacgan.models.spectral import SPECTRAL_NORM_EPS, weight_of
from reacgan.models.switches import set_switches, statistics_frozen

pytestmark = pytest.mark.kernels

LAYERS = {
    "conv3x3": (lambda: conv3x3(3, 5, spectral=True), lambda: nn.Conv2d(3, 5, 3, padding=1)),
    "conv1x1": (
        lambda: conv1x1(3, 5, spectral=True, bias=False),
        lambda: nn.Conv2d(3, 5, 1, bias=False),
    ),
    "linear": (lambda: linear(3, 5, spectral=True), lambda: nn.Linear(3, 5)),
    "embedding": (lambda: SpectralEmbedding(7, 5), lambda: nn.Embedding(7, 5)),
}


def pair(name):
    """Our layer and PyTorch's with the same weights and vectors, float64."""
    torch.manual_seed(0)
    make_ours, make_plain = LAYERS[name]
    ours = make_ours().double()
    theirs = spectral_norm(make_plain().double(), eps=SPECTRAL_NORM_EPS, dim=0)
    with torch.no_grad():
        theirs.weight_orig.copy_(ours.weight)
        theirs.weight_u.copy_(ours.u)
        theirs.weight_v.copy_(ours.v)
        if getattr(ours, "bias", None) is not None:
            theirs.bias.copy_(ours.bias)
    return ours, theirs


def inputs(name):
    generator = torch.Generator().manual_seed(3)
    if name == "embedding":
        return torch.randint(0, 7, (6,), generator=generator)
    shape = (4, 3) if name == "linear" else (4, 3, 6, 6)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("name", LAYERS)
def test_spectral_norm_equals_pytorchs(name):
    ours, theirs = pair(name)
    given = inputs(name)
    optimisers = [torch.optim.SGD(layer.parameters(), lr=0.1) for layer in (ours, theirs)]
    for _ in range(4):
        results = []
        for layer, optimiser in zip((ours, theirs), optimisers, strict=True):
            optimiser.zero_grad()
            out = layer(given)
            out.square().sum().backward()
            results.append(out)
        torch.testing.assert_close(results[0], results[1], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(
            ours.weight.grad, theirs.weight_orig.grad, rtol=1e-10, atol=1e-12
        )
        torch.testing.assert_close(ours.u, theirs.weight_u)
        torch.testing.assert_close(ours.v, theirs.weight_v)
        for optimiser in optimisers:
            optimiser.step()
    ours.eval(), theirs.eval()
    held = ours.u.clone(), ours.v.clone()
    torch.testing.assert_close(ours(given), theirs(given), rtol=1e-12, atol=1e-12)
    assert torch.equal(ours.u, held[0]) and torch.equal(ours.v, held[1])


@pytest.mark.parametrize("name", LAYERS)
def test_the_largest_singular_value_becomes_one(name):
    ours, _ = pair(name)
    for _ in range(200):
        ours(inputs(name))
    sigma = torch.linalg.matrix_norm(ours.normalised_weight().flatten(1), ord=2)
    assert abs(sigma.item() - 1) < 1e-6


@pytest.mark.parametrize("name", ["conv3x3", "linear"])
def test_two_forward_passes_before_one_backward(name):
    ours, _ = pair(name)
    given = inputs(name).requires_grad_()
    (ours(given).square().sum() + ours(2 * given).square().sum()).backward()
    assert ours.weight.grad.isfinite().all()


@pytest.mark.parametrize("name", ["conv3x3", "linear"])
def test_double_backward(name):
    ours, _ = pair(name)
    ours.eval()  # the same function at each call
    given = inputs(name)[:2].requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: ours(x).tanh(), (given,))
    slope = torch.autograd.grad(ours(given).square().sum(), given, create_graph=True)[0]
    slope.square().sum().backward()
    assert ours.weight.grad.count_nonzero() > 0


@pytest.mark.parametrize("spectral", [True, False])
@pytest.mark.parametrize("resample", ["up", "down", "none"])
def test_resampling_inside_a_convolution(resample, spectral):
    """The same as upsampling before or averaging after it: values, borders and gradients."""
    torch.manual_seed(0)
    layer = conv3x3(3, 4, spectral=spectral, resample=resample).double().eval()
    nn.init.normal_(layer.bias)
    images = torch.randn(2, 3, 6, 4, dtype=torch.float64, requires_grad=True)
    weight = layer.normalised_weight() if spectral else layer.weight
    given = F.interpolate(images, scale_factor=2) if resample == "up" else images
    expected = F.conv2d(given, weight, layer.bias, padding=1)
    expected = F.avg_pool2d(expected, 2) if resample == "down" else expected
    result = layer(images)
    torch.testing.assert_close(result, expected)
    wanted = [images, *layer.parameters()]
    for ours, plain in zip(
        torch.autograd.grad(result.square().sum(), wanted),
        torch.autograd.grad(expected.square().sum(), wanted),
        strict=True,
    ):
        torch.testing.assert_close(ours, plain)


@pytest.mark.parametrize("spectral", [True, False])
@pytest.mark.parametrize("resample", ["up", "down"])
def test_learned_resampling_is_a_strided_convolution(resample, spectral):
    torch.manual_seed(0)
    layer = conv4x4(3, 5, spectral=spectral, resample=resample).double().eval()
    nn.init.normal_(layer.bias)
    images = torch.randn(2, 3, 6, 4, dtype=torch.float64)
    weight = layer.normalised_weight() if spectral else layer.weight
    assert weight.shape == (5, 3, 4, 4)
    if resample == "down":
        expected = F.conv2d(images, weight, layer.bias, stride=2, padding=1)
    else:
        expected = layer.bias[:, None, None].expand(2, 5, 12, 8).clone()
        for y in range(6):
            for x in range(4):
                for i in range(4):
                    for j in range(4):
                        row, column = 2 * y + i - 1, 2 * x + j - 1
                        if 0 <= row < 12 and 0 <= column < 8:
                            expected[:, :, row, column] += images[:, :, y, x] @ weight[:, :, i, j].T
    torch.testing.assert_close(layer(images), expected)


@pytest.mark.parametrize("merged", [True, False])
@pytest.mark.parametrize("resample", ["none", "up", "down"])
def test_a_convolution_without_its_bias(resample, merged):
    layer = conv3x3(3, 5, spectral=True, resample=resample).double().eval()
    set_switches(layer, merged_convolutions=merged)
    torch.nn.init.normal_(layer.bias)
    images = inputs("conv3x3")
    without = layer.without_bias(images)
    assert not torch.allclose(without, layer(images))
    torch.testing.assert_close(without + layer.bias.view(1, 5, 1, 1), layer(images))


def test_the_weight_that_a_layer_works_with():
    torch.manual_seed(0)
    plain, spectral = nn.Linear(3, 4), SpectralLinear(3, 4)
    assert torch.equal(weight_of(plain), plain.weight)
    held = spectral.u.clone(), spectral.v.clone()
    found = weight_of(spectral)
    assert torch.equal(held[0], spectral.u) and torch.equal(held[1], spectral.v)
    assert spectral.iterate and not found.requires_grad
    torch.testing.assert_close(found, spectral.eval().normalised_weight())


def test_spectral_norm_stays_float32_under_autocast():
    layer = SpectralLinear(4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer.normalised_weight().dtype == torch.float32
        assert layer(torch.randn(2, 4)).dtype == torch.bfloat16
    assert layer.u.dtype == torch.float32


def test_the_vectors_are_saved():
    one, other = SpectralLinear(4, 3), SpectralLinear(4, 3)
    one(torch.randn(2, 4))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.u, other.u) and torch.equal(one.v, other.v)


@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_equals_pytorchs(affine):
    torch.manual_seed(0)
    ours = BatchNorm(3, affine=affine).double()
    theirs = nn.BatchNorm2d(3, eps=BATCH_NORM_EPS, affine=affine).double()
    if affine:
        with torch.no_grad():
            ours.gain.normal_(), ours.bias.normal_()
            theirs.weight.copy_(ours.gain), theirs.bias.copy_(ours.bias)
    for _ in range(3):
        images = torch.randn(4, 3, 5, 5, dtype=torch.float64) * 3 + 1
        torch.testing.assert_close(ours(images), theirs(images))
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    ours.eval(), theirs.eval()
    torch.testing.assert_close(ours(images), theirs(images))


def test_frozen_statistics():
    torch.manual_seed(0)
    network = nn.Sequential(BatchNorm(3, affine=True), BatchNorm(3, affine=False))
    images = torch.randn(4, 3, 5, 5) + 5
    expected = copy.deepcopy(network)(images)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with statistics_frozen(network):
        assert torch.equal(network(images), expected)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    with pytest.raises(KeyError), statistics_frozen(network):
        raise KeyError
    network(images)
    assert network[0].running_mean.abs().max() > 0.1
    with statistics_frozen(network):  # one that is already frozen stays frozen
        with statistics_frozen(network):
            pass
        held = network[0].running_mean.clone()
        network(images)
        assert torch.equal(held, network[0].running_mean)
    with statistics_frozen(network.eval()):  # evaluation uses the tracked ones all the same
        inside = network(images)
    assert torch.equal(inside, network(images))


@pytest.mark.parametrize("spectral", [True, False])
def test_conditional_batch_norm_by_its_formula(spectral):
    torch.manual_seed(0)
    layer = ConditionalBatchNorm(3, 4, spectral=spectral).double()
    images = torch.randn(5, 3, 2, 2, dtype=torch.float64) * 2 - 1
    condition = torch.randn(5, 4, dtype=torch.float64)
    result = layer(images, condition)
    A, B = layer.eval().gain, layer.bias
    for n in range(5):
        for c in range(3):
            seen = images[:, c]
            norm = (images[n, c] - seen.mean()) / (seen.var(unbiased=False) + 1e-4).sqrt()
            gain, bias = A(condition[n])[c], B(condition[n])[c]
            torch.testing.assert_close(result[n, c], (1 + gain) * norm + bias)
    assert layer.gain.bias is None and layer.bias.bias is None


@pytest.mark.parametrize("spectral", [True, False])
def test_without_a_condition_batch_norm_is_plain(spectral):
    torch.manual_seed(0)
    layer = ConditionalBatchNorm(3, 0, spectral=spectral)
    nn.init.normal_(layer.norm.gain), nn.init.normal_(layer.norm.bias)
    images = torch.randn(5, 3, 2, 2) * 2 - 1
    gain, bias = layer.norm.gain, layer.norm.bias
    expected = F.batch_norm(images, None, None, gain, bias, training=True, eps=BATCH_NORM_EPS)
    torch.testing.assert_close(layer(images, None), expected)
    assert [name for name, _ in layer.named_parameters()] == ["norm.gain", "norm.bias"]


@pytest.mark.parametrize("channels", [16, 5])
def test_self_attention_by_its_formula(channels):
    torch.manual_seed(0)
    layer = SelfAttention(channels, spectral=False).double()
    images = torch.randn(2, channels, 4, 6, dtype=torch.float64)
    assert torch.equal(layer(images), images)
    nn.init.constant_(layer.gate, 0.7)
    query, key, value = layer.query(images), layer.key(images), layer.value(images)
    key, value = F.max_pool2d(key, 2), F.max_pool2d(value, 2)
    expected = torch.zeros(2, value.shape[1], 4, 6, dtype=torch.float64)
    for n in range(2):
        for row in range(4):
            for column in range(6):
                scores = torch.stack(
                    [query[n, :, row, column] @ key[n, :, i, j] for i in range(2) for j in range(3)]
                )
                weights = scores.exp() / scores.exp().sum()
                for place, weight in enumerate(weights):
                    expected[n, :, row, column] += weight * value[n, :, place // 3, place % 3]
    torch.testing.assert_close(layer(images), images + 0.7 * layer.out(expected))
    assert query.shape[1] == max(channels // 8, 1) and value.shape[1] == channels // 2


def test_orthogonal_initialisation():
    torch.manual_seed(0)
    network = initialise_orthogonal(
        nn.Sequential(
            nn.Conv2d(3, 7, 3), SpectralConv2d(7, 2, 1), nn.Linear(6, 4), nn.Embedding(9, 4)
        )
    )
    for layer in network:
        matrix = layer.weight.detach().flatten(1)
        small = matrix @ matrix.t() if matrix.shape[0] <= matrix.shape[1] else matrix.t() @ matrix
        torch.testing.assert_close(small, torch.eye(len(small)), atol=1e-5, rtol=0)
        if getattr(layer, "bias", None) is not None:
            assert layer.bias.count_nonzero() == 0


def test_an_unknown_switch_is_an_error_that_lists_the_known():
    norm = BatchNorm(3, affine=True)
    with pytest.raises(ConfigError, match=r"unknown switch 'fused_layer'.*fused_layers.*recompute"):
        set_switches(norm, fused_layer=False)
    set_switches(norm, fused_layers=False, recompute=True)
    assert not norm.fused_layers and not hasattr(norm, "recompute")
