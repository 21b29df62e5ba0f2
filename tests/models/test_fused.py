"""Every fused operation is the plain one: values, gradients, and gradients of gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from reacgan.models import set_switches
from reacgan.models.attention import SelfAttention
from reacgan.models.fused import (
    _Attention,
    add_doubled,
    attend_plainly,
    convolve,
    convolve_thinly,
    is_thin,
    modulated,
)
from reacgan.models.layers import SpectralLinear, arrange, conv1x1, conv3x3, conv4x4
from reacgan.models.norms import BATCH_NORM_EPS, BatchNorm, ConditionalBatchNorm

pytestmark = pytest.mark.kernels

CHANNELS_LAST = torch.channels_last
BOUND = {torch.float64: 1e-10, torch.float32: 1e-5, torch.bfloat16: 2e-2}


def drawn(*shape, dtype=torch.float64, last=True):
    made = torch.randn(*shape, dtype=torch.float64).to(dtype)
    if last and len(shape) == 4:
        made = made.contiguous(memory_format=CHANNELS_LAST)
    return made.requires_grad_()


def close(found, expected, dtype=torch.float64):
    scale = max(expected.detach().abs().max().item(), 1e-3)
    assert found.dtype == expected.dtype and found.shape == expected.shape
    assert (found.detach() - expected.detach()).abs().max().item() <= BOUND[dtype] * scale


def same(ours, plain, inputs, dtype=torch.float64):
    """Values, gradients, and the gradient of a gradient's length."""
    found, expected = ours(*inputs), plain(*inputs)
    close(found, expected, dtype)
    weights = torch.randn(expected.shape, dtype=torch.float64).to(expected.dtype)
    first = torch.autograd.grad((found.tanh() * weights).sum(), inputs, create_graph=True)
    wanted = torch.autograd.grad((expected.tanh() * weights).sum(), inputs, create_graph=True)
    for one, other in zip(first, wanted, strict=True):
        close(one, other, dtype)
    if dtype != torch.float64:
        return
    lengths = [sum(slope.square().sum() for slope in slopes) for slopes in (first, wanted)]
    second = torch.autograd.grad(lengths[0], inputs)
    wanted = torch.autograd.grad(lengths[1], inputs)
    for one, other in zip(second, wanted, strict=True):
        close(one, other)


def norm_relu(images, gain, bias):
    normalised = F.batch_norm(images, None, None, training=True, eps=BATCH_NORM_EPS)
    result = normalised.to(gain.dtype) * gain[:, :, None, None] + bias[:, :, None, None]
    return F.relu(result).to(images.dtype)


def fused_norm_relu(images, gain, bias):
    wide = images.detach().to(gain.dtype)
    variance, mean = torch.var_mean(wide, (0, 2, 3), correction=0)
    return modulated(images, mean, variance, gain, bias, eps=BATCH_NORM_EPS)


@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_norm_gain_bias_and_relu(dtype, last, rows):
    torch.manual_seed(0)
    inputs = [
        drawn(4, 5, 3, 6, dtype=dtype, last=last),
        drawn(rows, 5, dtype=dtype),
        drawn(rows, 5, dtype=dtype),
    ]
    same(fused_norm_relu, norm_relu, inputs, dtype)


def test_norm_of_narrow_images_keeps_wide_statistics():
    torch.manual_seed(0)
    images = (
        (drawn(8, 3, 4, 4, dtype=torch.float32) + 3).to(torch.bfloat16).detach().requires_grad_()
    )
    gain, bias = drawn(8, 3, dtype=torch.float32), drawn(8, 3, dtype=torch.float32)
    same(fused_norm_relu, norm_relu, [images, gain, bias], torch.bfloat16)
    result = fused_norm_relu(images, gain, bias)
    slope = torch.randn_like(result)
    (of_bias,) = torch.autograd.grad(result, bias, slope)
    exact = torch.where(result > 0, slope, 0).double().sum((2, 3))
    torch.testing.assert_close(of_bias.double(), exact, rtol=1e-5, atol=1e-5)


def test_norm_saves_one_tensor_less_than_the_plain_operations():
    """Beside the image: its result alone, where the plain operations keep the normalised image too."""
    images, gain, bias = drawn(4, 5, 8, 8), drawn(4, 5), drawn(4, 5)

    def large(operation):
        held = set()

        def keep(tensor):
            if tensor.numel() == images.numel():
                held.add(tensor.untyped_storage().data_ptr())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            result = operation(images, gain, bias)
        return len(held - {images.untyped_storage().data_ptr()}), result

    assert large(fused_norm_relu)[0] == 1
    assert large(norm_relu)[0] >= 2


@pytest.mark.parametrize("transposed", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_convolution(dtype, transposed):
    torch.manual_seed(0)
    inputs = [
        drawn(2, 3, 6, 4, dtype=dtype),
        drawn(3 if transposed else 5, 5 if transposed else 3, 4, 4, dtype=dtype),
        drawn(5, dtype=dtype),
    ]
    plain = F.conv_transpose2d if transposed else F.conv2d
    how = {"stride": 2, "padding": 1}
    same(
        lambda *given: convolve(*given, transposed=transposed, **how),
        lambda *given: plain(*given, **how),
        inputs,
        dtype,
    )


def test_convolution_under_autocast_is_the_librarys():
    torch.manual_seed(0)
    inputs = [
        drawn(2, 3, 6, 4, dtype=torch.float32),
        drawn(5, 3, 3, 3, dtype=torch.float32),
        drawn(5, dtype=torch.float32),
    ]
    results = []
    for operation in (convolve, F.conv2d):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            result = operation(*inputs, stride=1, padding=1)
        assert result.dtype == torch.bfloat16
        results.append([result, *torch.autograd.grad(result.float().square().sum(), inputs)])
    for one, other in zip(*results, strict=True):
        close(one, other, torch.bfloat16)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("outer", [1, 3])
def test_convolution_to_few_channels(outer, dtype):
    torch.manual_seed(0)
    weight, bias = drawn(outer, 30, 3, 3, dtype=dtype), drawn(outer, dtype=dtype)
    images = drawn(2, 30, 6, 4, dtype=dtype)
    assert is_thin(images, weight)
    assert not is_thin(images, weight.repeat(4, 1, 1, 1))
    same(convolve_thinly, lambda *given: F.conv2d(*given, padding=1), [images, weight, bias], dtype)


def test_a_last_convolution_is_thin():
    """In the generators' width too, and under autocast in its type."""
    compare_layers(lambda: conv3x3(32, 3, spectral=True), [drawn(2, 32, 6, 4)])
    layer, images = conv3x3(32, 3, spectral=True), drawn(2, 32, 6, 4, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = layer(images)
    assert result.dtype == torch.bfloat16
    result.float().square().sum().backward()


@pytest.mark.parametrize("last", [True, False])
def test_adding_what_is_doubled(last):
    torch.manual_seed(0)
    inputs = [drawn(2, 3, 8, 4, last=last), drawn(2, 3, 4, 2, last=last)]
    same(
        lambda images, small: add_doubled(images * 1, small),
        lambda images, small: images + F.interpolate(small, scale_factor=2),
        inputs,
    )


def test_adding_what_is_doubled_takes_no_memory():
    images, small = torch.randn(2, 3, 8, 4), torch.randn(2, 3, 4, 2)
    assert add_doubled(images, small).data_ptr() == images.data_ptr()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_attention_by_the_kernel_of_a_gpu(dtype):
    """What CUDA runs, on the CPU, where the same function of PyTorch takes another way inside."""
    torch.manual_seed(0)
    inputs = [
        drawn(2, 12, 4, dtype=dtype),
        drawn(2, 5, 4, dtype=dtype),
        drawn(2, 5, 6, dtype=dtype),
    ]
    same(_Attention.apply, attend_plainly, inputs, dtype)


LAYERS = {
    "conv1x1": lambda spectral: conv1x1(5, 4, spectral=spectral),
    "conv3x3-none": lambda spectral: conv3x3(5, 4, spectral=spectral),
    "conv3x3-up": lambda spectral: conv3x3(5, 4, spectral=spectral, resample="up"),
    "conv3x3-down": lambda spectral: conv3x3(5, 4, spectral=spectral, resample="down"),
    "conv4x4-up": lambda spectral: conv4x4(5, 4, spectral=spectral, resample="up"),
    "conv4x4-down": lambda spectral: conv4x4(5, 4, spectral=spectral, resample="down"),
}


def compare_layers(
    make, given, *, dtype=torch.float64, steps=3, call=lambda layer, *given: layer(*given)
):
    """A layer with every switch on and in its own order of memory, and one with every switch off."""
    torch.manual_seed(0)
    plain = make().to(dtype)
    torch.manual_seed(0)
    fused = make().to(dtype).to(memory_format=CHANNELS_LAST)
    arrange(fused)
    for layer in (plain, fused):
        for value in layer.parameters():
            if value.dim() == 1:
                nn.init.uniform_(value, -1, 1, generator=torch.Generator().manual_seed(1))
    set_switches(plain, fused_layers=False, merged_convolutions=False)
    for _ in range(steps):  # power iterations and running statistics move alike
        given = [tensor.detach().requires_grad_(tensor.is_floating_point()) for tensor in given]
        results = [call(layer, *given) for layer in (fused, plain)]
        close(*results, dtype)
        gradients = []
        for layer, result in zip((fused, plain), results, strict=True):
            wanted = [*(tensor for tensor in given if tensor.requires_grad), *layer.parameters()]
            gradients.append(torch.autograd.grad(result.tanh().sum(), wanted))
        for one, other in zip(*gradients, strict=True):
            close(one, other, dtype)
    for (name, one), other in zip(
        fused.state_dict().items(), plain.state_dict().values(), strict=True
    ):
        assert one.dtype == other.dtype, name
        close(one.double(), other.double(), dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("spectral", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_convolutional_layers(name, spectral, dtype):
    compare_layers(lambda: LAYERS[name](spectral), [drawn(2, 5, 6, 4, dtype=dtype)], dtype=dtype)


def test_a_linear_layer():
    compare_layers(lambda: SpectralLinear(5, 4), [drawn(3, 5)])


@pytest.mark.parametrize("spectral", [True, False])
def test_attention(spectral):
    def make():
        layer = SelfAttention(16, spectral=spectral)
        nn.init.ones_(layer.gate)
        return layer

    compare_layers(make, [drawn(2, 16, 6, 4)])


@pytest.mark.parametrize("track", [True, False])
def test_conditional_batch_norm_and_relu(track):
    def make():
        layer = ConditionalBatchNorm(5, 7, spectral=True)
        layer.norm.track = track
        return layer

    def call(layer, images, condition):
        return layer.activated(images, condition)

    compare_layers(make, [drawn(4, 5, 6, 4), drawn(4, 7)], call=call)


def test_batch_norm_and_relu():
    def call(layer, images):
        return layer.activated(images)

    compare_layers(lambda: BatchNorm(5, affine=True), [drawn(4, 5, 6, 4)], call=call)


def test_in_evaluation_the_running_statistics_count():
    torch.manual_seed(0)
    layer = BatchNorm(5, affine=True).double()
    layer.activated(drawn(4, 5, 6, 4))
    layer.eval()
    images = drawn(4, 5, 6, 4)
    assert torch.equal(layer.activated(images), F.relu(layer(images)))


@pytest.mark.parametrize("resample", ["none", "up", "down"])
def test_the_order_of_memory_of_a_weight(resample):
    """Its gradient comes in the same order, so the optimiser copies nothing."""
    layer = conv3x3(5, 4, spectral=True, resample=resample)
    named = layer.weight.detach().clone()
    arrange(layer)
    assert torch.equal(layer.weight, named)
    layer(drawn(2, 5, 6, 4, dtype=torch.float32)).sum().backward()
    assert layer.weight.grad.stride() == layer.weight.stride()
    lies_last = 0 if resample == "up" else 1
    assert layer.weight.stride(lies_last) == 1


@pytest.mark.parametrize("name", ["conv3x3-up", "conv3x3-none", "conv4x4-up"])
def test_second_derivatives_of_a_weight(name):
    """Differentiated twice, sigma is a function of the weight."""
    torch.manual_seed(0)
    layer = LAYERS[name](True).double().eval()
    arrange(layer)
    images = drawn(1, 5, 3, 2)

    def call(weight):
        return torch.func.functional_call(layer, {"weight": weight}, (images,)).tanh()

    weight = layer.weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(call, (weight,))
    assert torch.autograd.gradgradcheck(call, (weight,))


@pytest.mark.parametrize("offset", [0.0, 10.0])
def test_in_bfloat16_norm_is_as_exact_as_the_plain_one(offset):
    """A mean that is large beside the deviation costs no digits."""
    torch.manual_seed(0)
    layer = ConditionalBatchNorm(8, 4, spectral=False)
    images = (torch.randn(16, 8, 8, 8) + offset).to(torch.bfloat16)
    condition = torch.randn(16, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = layer.activated(images, condition)
    wide = ConditionalBatchNorm(8, 4, spectral=False).double()
    wide.load_state_dict(layer.state_dict())
    exact = F.relu(wide(images.double(), condition.double()))
    assert (result.double() - exact).abs().mean() < 0.01 * exact.abs().mean() + 0.001
