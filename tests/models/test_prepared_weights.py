"""Spectral layers whose weights their network prepares together: as if each worked out its own."""

from __future__ import annotations

import copy
from collections import Counter

import pytest
import torch
from network_cases import LABELS
from torch.utils._python_dispatch import TorchDispatchMode

from reacgan.config import CodesConfig, DataConfig, component
from reacgan.models import (
    build_discriminator,
    build_generator,
    power_iteration_frozen,
    set_switches,
)
from reacgan.models.base import Network
from reacgan.models.layers import (
    SpectralConv2d,
    SpectralEmbedding,
    SpectralLinear,
    arrange,
    conv3x3,
)
from reacgan.models.spectral import SpectralNorm, weight_of
from reacgan.tensors import without_autocast

WEIGHTS, GRADIENTS = "reacgan.spectral_weights", "reacgan.spectral_gradients"


class Operations(TorchDispatchMode):
    """Counts operations by name."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.counts[str(func.overloadpacket)] += 1
        return func(*args, **(kwargs or {}))


class Small(Network):
    """A layer of each kind; calls them as ``order`` says."""

    def __init__(self, order="ctlec"):
        super().__init__()
        self.order = order
        self.c = conv3x3(4, 4, spectral=True)
        self.t = conv3x3(4, 4, spectral=True, resample="up")
        self.d = conv3x3(4, 4, spectral=True, resample="down")
        self.l = SpectralLinear(4, 4)
        self.e = SpectralEmbedding(3, 4)

    def forward(self, images):
        for name in self.order:
            if name in "ctd":
                images = getattr(self, name)(images)
            elif name == "l":
                images = self.l(images.movedim(1, 3)).movedim(3, 1)
            elif name == "e":
                images = images * self.e(LABELS[: len(images)])[:, :, None, None]
            elif name == "w":  # looks at a weight
                images = images * weight_of(self.c).mean().to(images.dtype)
            elif name == "n" and self.t.prepared is not None:
                images = images * self.t.normalised_weight().mean()
            elif name == "n":
                pass
            elif name == "f":  # keeps full precision
                with without_autocast(images):
                    images = self.l(images.movedim(1, 3).to(self.l.weight.dtype)).movedim(3, 1)
            else:
                raise ValueError(name)
        return images


def pair(make, dtype=torch.float64):
    """The same network without and with the switch."""
    torch.manual_seed(0)
    alone = make().to(dtype)
    arrange(alone)
    together = copy.deepcopy(alone)
    set_switches(together, kernels=True)
    return alone, together


def step(network, *inputs):
    """Output, gradients and the state after a pass."""
    result = network(*inputs)
    result = getattr(result, "score", result)
    wanted = list(network.parameters())
    gradients = torch.autograd.grad(result.float().tanh().sum(), wanted, allow_unused=True)
    return result, gradients, network.state_dict()


def close(ours, theirs, bound):
    """Element by element; in bfloat16, where kernels round in other places, as a whole."""
    if bound < 1e-4:
        torch.testing.assert_close(ours, theirs, rtol=bound, atol=bound)
    else:
        assert (ours - theirs).norm() <= bound * theirs.norm()


def same(networks, *inputs, steps=3, bound=1e-12):
    """Some steps of each give the same; what the second network did in the last."""
    for _ in range(steps):
        theirs, expected, wanted = step(networks[0], *inputs)
        operations = Operations()
        with operations:
            ours, gradients, state = step(networks[1], *inputs)
        assert ours.dtype == theirs.dtype
        close(ours, theirs, bound)
        for mine, other in zip(gradients, expected, strict=True):
            assert (mine is None) == (other is None)
            if mine is not None:
                close(mine, other, bound)
        assert state.keys() == wanted.keys()
        for name, value in state.items():
            torch.testing.assert_close(value, wanted[name], rtol=bound, atol=bound, msg=name)
    assert all(layer.prepared is None for layer in spectral_layers(networks[1]))
    return operations.counts


def spectral_layers(network):
    return [layer for layer in network.modules() if isinstance(layer, SpectralNorm)]


def images(dtype=torch.float64):
    made = torch.randn(2, 4, 4, 4, dtype=dtype)
    return made.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("merged", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_one_operation_a_pass(training, merged):
    networks = pair(lambda: Small("ctdle"))
    for network in networks:
        network.train(training)
        set_switches(network, merged_convolutions=merged)
    counts = same(networks, images())
    assert counts[WEIGHTS] == counts[GRADIENTS] == 1
    assert not counts["aten.mv"] + counts["aten.linalg_vector_norm"]


def test_without_the_switch_each_layer_is_alone():
    networks = pair(lambda: Small("ctdle"))
    set_switches(networks[1], kernels=False)
    assert same(networks, images())[WEIGHTS] == 0


def test_a_layer_that_is_called_twice_iterates_twice():
    assert same(pair(lambda: Small("ctcl")), images())[WEIGHTS] == 1


def test_layers_that_are_not_used_stay_as_they_are():
    networks = pair(lambda: Small("cl"))
    before = networks[1].t.u.clone()
    same(networks, images())
    assert torch.equal(networks[1].t.u, before) and not torch.equal(networks[1].c.u, before)


def test_looking_at_a_weight_takes_nothing_away():
    same(pair(lambda: Small("cwl")), images())
    networks = pair(lambda: Small("cl"))
    networks[1].order = "wcl"  # before its use it has the vectors of this pass already
    for _ in range(3):
        for network in networks:
            network(images())
    for name, value in networks[1].state_dict().items():
        torch.testing.assert_close(value, networks[0].state_dict()[name], rtol=1e-12, atol=1e-12)


def test_a_weight_in_another_order_of_memory_is_worked_out_alone():
    networks = pair(lambda: Small("ctl"))
    networks[1].c.weight.data = networks[1].c.weight.data.contiguous()
    counts = same(networks, images())
    assert counts[WEIGHTS] == 1 and counts["aten.mv"] > 0


def test_a_weight_in_another_form_takes_nothing_away():
    networks = pair(lambda: Small("ctl"))
    networks[1].order = "cntl"  # n: the weight of t as it is not used
    for _ in range(3):
        for network in networks:
            network(images())
    for name, value in networks[1].state_dict().items():
        torch.testing.assert_close(value, networks[0].state_dict()[name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("order", ["ctdle", "cfle"])
def test_under_autocast(order):
    """A layer that keeps full precision within it has made its iteration."""
    networks = pair(lambda: Small(order), torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        counts = same(networks, images(torch.float32), bound=2e-2)
        assert counts[WEIGHTS] == 1
        for layers in zip(*map(spectral_layers, networks), strict=True):
            for name in ("u", "v"):
                vectors = [getattr(layer, name) for layer in layers]
                torch.testing.assert_close(*vectors, rtol=1e-6, atol=1e-6)
    (weight,) = {layer.weight.dtype for layer in spectral_layers(networks[1])}
    assert weight == torch.float32


def test_autocast_leaves_float64_alone():
    networks = pair(lambda: Small("le"))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert same(networks, images())[WEIGHTS] == 1


def test_the_type_that_each_layer_takes():
    network = pair(lambda: Small("ctdle"), torch.float32)[1]
    taken = {}

    def look(layer, inputs):
        if layer.prepared is not None:
            taken[type(layer)] = layer.prepared.dtype

    for layer in spectral_layers(network):
        layer.register_forward_pre_hook(look)
    for _ in range(2):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            network(images(torch.float32))
    narrow, wide = torch.bfloat16, torch.float32
    assert taken == {SpectralConv2d: narrow, SpectralLinear: narrow, SpectralEmbedding: wide}


def test_an_error_leaves_nothing_behind():
    network = pair(lambda: Small("cl"))[1]
    network(images())
    network.order = "c?"
    with pytest.raises(ValueError, match="[?]"):
        network(images())
    assert all(layer.prepared is None for layer in spectral_layers(network))


def test_a_second_pass_without_an_iteration():
    networks = pair(lambda: Small("ctdle"))
    for network in networks:
        network(images())
        before = [layer.u.clone() for layer in spectral_layers(network)]
        with power_iteration_frozen(network):
            network(images())
        for layer, u in zip(spectral_layers(network), before, strict=True):
            assert torch.equal(layer.u, u)
    same(networks, images())


def test_without_a_graph():
    networks = pair(lambda: Small("ctdle"))
    given = images()
    for network in networks:
        network(given)
        network.requires_grad_(False)
        assert not network(given).requires_grad
        network.eval()
        with torch.inference_mode():
            network(given)
    torch.testing.assert_close(networks[0](given), networks[1](given), rtol=1e-12, atol=1e-12)
    for network in networks:
        network.requires_grad_(True).train()
    same(networks, given)


def test_a_copy_goes_its_own_way():
    network = pair(lambda: Small("ctdle"))[1]
    given = images()
    network(given)
    copied, before = copy.deepcopy(network), copy.deepcopy(network.state_dict())
    network(given)
    for name, value in copied.state_dict().items():
        assert torch.equal(value, before[name])
    torch.testing.assert_close(copied(given), network.eval()(given), rtol=1e-12, atol=1e-12)


def discriminator(head):
    data = DataConfig(resolution=8, channels=3)
    return build_discriminator(component("biggan", width=4, attention_after=(1,)), head, data, 3)


@pytest.mark.parametrize(
    "head",
    [
        component("projection"),
        component("d2dce", embedding_dim=6),
        component("auxiliary", normalize_weights=True),  # its classifier's own weight alone is used
        component("twin", over={"name": "contrastive", "embedding_dim": 6}),
    ],
    ids=lambda head: head.name,
)
def test_discriminators(head):
    networks = pair(lambda: discriminator(head))
    given = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    assert same(networks, given, LABELS)[WEIGHTS] == 1


def slope_penalty(network, given):
    """Gradients of the weights of R1, the squared slope of the score over images."""
    leaf = given.clone().requires_grad_()
    score = network(leaf, LABELS).score.sum()
    (slope,) = torch.autograd.grad(score, leaf, create_graph=True)
    wanted = list(network.parameters())
    return torch.autograd.grad(slope.square().sum(), wanted, allow_unused=True)


def test_gradients_of_slopes():
    networks = pair(lambda: discriminator(component("projection")))
    given = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    same(networks, given, LABELS, steps=1)
    for ours, theirs in zip(
        slope_penalty(networks[1], given), slope_penalty(networks[0], given), strict=True
    ):
        # A bias that no slope depends on has no gradient, or one of zeros.
        pair_of = [
            torch.zeros(()) if gradient is None or not gradient.any() else gradient
            for gradient in (ours, theirs)
        ]
        torch.testing.assert_close(*pair_of, rtol=1e-10, atol=1e-12, check_dtype=False)


@pytest.mark.parametrize("codes", [None, CodesConfig(discrete=[3])])
def test_generators(codes):
    """One within another prepares nothing itself."""
    options = {"width": 4, "latent_dim": 8, "shared_dim": 4, "attention_after": (1,)}
    data = DataConfig(resolution=8, channels=3)
    networks = pair(lambda: build_generator(component("biggan", **options), data, 3, codes))
    z = torch.randn(4, 8, dtype=torch.float64)
    assert same(networks, z, LABELS)[WEIGHTS] == 1


def test_blocks_that_are_computed_again_take_the_same_weights():
    networks = pair(lambda: discriminator(component("projection")))
    given = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    again = copy.deepcopy(networks[1])
    set_switches(again, recompute=True)
    for _ in range(3):
        results = [step(network, given, LABELS) for network in (networks[1], again)]
        for ours, theirs in zip(results[0][1], results[1][1], strict=True):
            assert torch.equal(ours, theirs)
    for name, value in again.state_dict().items():
        assert torch.equal(value, networks[1].state_dict()[name])
    assert same((networks[1], again), given, LABELS)[WEIGHTS] == 1
