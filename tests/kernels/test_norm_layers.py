"""Layers and generators with kernels of batch norm are those without, in training and in evaluation."""

from __future__ import annotations

import copy
from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from reacgan.kernels import counting_launches
from reacgan.models import GENERATORS, set_switches
from reacgan.models.norm_statistics import own_statistics
from reacgan.models.norms import BatchNorm, ConditionalBatchNorm
from reacgan.models.residual import GeneratorBlock

CLASSES = 3


class Operations(TorchDispatchMode):
    """Counts operations by name."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        self.counts[str(function.overloadpacket)] += 1
        return function(*arguments, **(options or {}))


def pair(layer):
    """With kernels and without, all parameters drawn, in float64."""
    layer = layer.double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    plain = copy.deepcopy(layer)
    set_switches(layer, kernels=True)
    return layer, plain


def compare(ours, plain, call, inputs, *, passes=2):
    """Results, gradients of inputs and parameters, buffers; after each of several passes."""
    for _ in range(passes):
        outcomes = []
        for layer in (ours, plain):
            given = [tensor.detach().requires_grad_() for tensor in inputs]
            result = call(layer, *given)
            (
                result.sigmoid() * torch.linspace(-1, 2, result.numel()).view_as(result)
            ).sum().backward()
            named = {name: parameter.grad for name, parameter in layer.named_parameters()}
            named |= {f"input {index}": tensor.grad for index, tensor in enumerate(given)}
            outcomes.append({"result": result.detach(), **named, **dict(layer.named_buffers())})
        assert outcomes[0].keys() == outcomes[1].keys()
        largest = max(
            value.abs().max().item() for value in outcomes[1].values() if value is not None
        )
        for name, expected in outcomes[1].items():
            if expected is None:
                assert outcomes[0][name] is None, name
                continue
            assert (outcomes[0][name] - expected).abs().max().item() < 1e-12 * largest, name


def images(*shape):
    drawn = torch.randn(*shape, dtype=torch.float64)
    return drawn.contiguous(memory_format=torch.channels_last)


MODES = ["training", "untracked", "evaluation"]


def set_mode(layer, mode):
    layer.train(mode != "evaluation")
    set_switches(layer, track=mode != "untracked")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", ["forward", "activated"])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm(affine, method, mode):
    layers = pair(BatchNorm(5, affine=affine))
    for layer in layers:
        set_mode(layer, mode)
    compare(*layers, lambda layer, given: getattr(layer, method)(given), [images(4, 5, 6, 4)])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", ["forward", "activated"])
@pytest.mark.parametrize("spectral", [True, False])
def test_conditional_batch_norm(spectral, method, mode):
    layers = pair(ConditionalBatchNorm(5, 7, spectral=spectral))
    for layer in layers:
        set_mode(layer, mode)
    given = [images(4, 5, 6, 4), torch.randn(4, 7, dtype=torch.float64)]
    compare(*layers, lambda layer, *inputs: getattr(layer, method)(*inputs), given)


@pytest.mark.parametrize("condition_dim", [0, 7])
def test_conditional_batch_norm_without_a_condition(condition_dim):
    layers = pair(ConditionalBatchNorm(5, condition_dim, spectral=True))
    compare(*layers, lambda layer, given: layer.activated(given, None), [images(4, 5, 6, 4)])


OPTIONS = {
    "biggan": {"latent_dim": 16, "shared_dim": 6, "width": 3, "attention_after": (1,)},
    "biggan-wide": {"latent_dim": 20, "shared_dim": 6, "width": 1, "resolution": 64},
    "biggan_deep": {"latent_dim": 6, "shared_dim": 6, "width": 3},
    "resnet": {"latent_dim": 6, "width": 3},
    "resnet-unconditional": {"latent_dim": 6, "width": 3, "conditional": False},
    "dcgan": {"latent_dim": 6, "width": 2, "spectral_norm": True},
}


def generator(name):
    options = {"resolution": 32 if name == "biggan" else 8, **OPTIONS[name]}
    return GENERATORS[name.split("-")[0]](channels=3, num_classes=CLASSES, **options)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", OPTIONS)
def test_generators(name, mode):
    ours, plain = pair(generator(name))
    for layer in (ours, plain):
        set_mode(layer, mode)
    z = torch.randn(4, ours.latent_dim, dtype=torch.float64)
    labels = torch.tensor([0, 2, 1, 2])
    # A parameter without a gradient would have no state of the optimiser.
    compare(ours, plain, lambda network, z: network(z, labels), [z])


@pytest.mark.parametrize("name", ["biggan", "biggan_deep", "resnet"])
def test_blocks_recomputed(name):
    ours, plain = pair(generator(name))
    set_switches(ours, recompute=True)
    z = torch.randn(4, ours.latent_dim, dtype=torch.float64)
    labels = torch.tensor([0, 2, 1, 2])
    compare(ours, plain, lambda network, z: network(z, labels), [z])


@pytest.mark.parametrize(("name", "products"), [("biggan", 1), ("biggan_deep", 1), ("resnet", 1)])
def test_gains_and_biases_are_one_product(name, products):
    network, plain = pair(generator(name))
    z, labels = torch.randn(4, network.latent_dim, dtype=torch.float64), torch.tensor([0, 2, 1, 2])
    counts = []
    for made in (network, plain):
        with torch.no_grad(), Operations() as operations:
            made(z, labels)
        kinds = ("aten.mm", "aten.addmm", "aten.bmm")
        counts.append(sum(operations.counts[kind] for kind in kinds))
    norms = sum(isinstance(layer, ConditionalBatchNorm) for layer in network.modules())
    assert counts[1] - counts[0] == 2 * norms - products


def test_a_bias_before_a_norm_has_a_gradient_of_zero():
    block, _ = pair(GeneratorBlock(5, 4, 6, spectral=True))
    condition = torch.randn(3, 6, dtype=torch.float64)
    with Operations() as operations:
        block(images(3, 5, 4, 4), condition).square().sum().backward()
    gradient = block.conv1.bias.grad
    assert gradient.shape == (4,) and not gradient.any()
    assert block.conv2.bias.grad.all()
    assert operations.counts["reacgan.norm_statistics"] == 2
    block.requires_grad_(False)
    block.zero_grad()
    with torch.no_grad():
        block(images(3, 5, 4, 4), condition)
    assert block.conv1.bias.grad is None


@pytest.mark.parametrize("offset", [0.0, 10.0])
def test_in_bfloat16_the_norm_is_as_exact(kernel_device, offset):
    layer = ConditionalBatchNorm(8, 4, spectral=False).to(kernel_device)
    wide = copy.deepcopy(layer).double()
    layer.norm.kernels = True
    given = (torch.randn(4, 8, 6, 6) + offset).to(kernel_device, torch.bfloat16)
    condition = torch.randn(4, 4, device=kernel_device)
    with torch.autocast(kernel_device.type, dtype=torch.bfloat16), counting_launches() as launches:
        result = layer.activated(given, condition)
    assert launches.total() == 3 and result.dtype == torch.bfloat16
    exact = wide.activated(given.double(), condition.double())
    assert (result.double() - exact).abs().mean() < 0.005 * exact.abs().mean()
    torch.testing.assert_close(layer.norm.running_var.double(), wide.norm.running_var)


@pytest.mark.parametrize("training", [True, False])
def test_a_generator_by_kernels(kernel_device, training):
    """What a GPU launches, in float32, and nothing of norms beside it."""
    torch.manual_seed(0)
    network = GENERATORS["biggan"](
        resolution=8, channels=3, num_classes=CLASSES, width=2, latent_dim=4, shared_dim=6
    )
    network = network.to(kernel_device)
    wide = copy.deepcopy(network).double().train(training)
    set_switches(network.train(training), kernels=True)
    z = torch.randn(3, 4, device=kernel_device)
    labels = torch.tensor([0, 2, 1], device=kernel_device)
    with torch.set_grad_enabled(training), counting_launches() as launches:
        result = network(z, labels)
        if training:
            result.square().sum().backward()
    norms = sum(isinstance(layer, BatchNorm) for layer in network.modules())
    of_norms = sum(number for name, number in launches.items() if name.startswith("norm_"))
    assert of_norms == norms * (6 if training else 1)
    expected = wide(z.double(), labels)
    bound = 1e-4 if kernel_device.type == "cpu" else 2e-2  # convolutions in TF32
    torch.testing.assert_close(result.double(), expected, rtol=bound, atol=bound)
    if training:
        expected.square().sum().backward()
        for (name, ours), theirs in zip(network.named_parameters(), wide.parameters(), strict=True):
            scale = max(theirs.grad.abs().max().item(), 1.0)
            assert (ours.grad.double() - theirs.grad).abs().max() < bound * scale, name


def test_own_statistics_are_collected():
    """They are put into a layer before it works, in evaluation mode too."""
    ours, plain = pair(generator("biggan"))
    collected = [own_statistics(network, images=8, batch=4) for network in (ours, plain)]
    for name, expected in collected[1].items():
        torch.testing.assert_close(collected[0][name], expected, rtol=1e-9, atol=1e-9)
