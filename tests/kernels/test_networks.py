"""Whole networks whose layers launch kernels are the same networks."""

from __future__ import annotations

import pytest
import torch
from kernel_cases import launched

from reacgan.config import DataConfig, component
from reacgan.models import BACKBONES, GENERATORS, build_generator, set_switches
from reacgan.suites.scales import shrink

DATA = DataConfig(resolution=16, channels=3)
BACKBONE_CASES = {
    "biggan": {"attention_after": (1,)},
    "biggan-preactivated": {"attention_after": (2,), "preactivated_shortcut": True},
    "resnet": {"norm": "batch"},
    "biggan_deep": {"shortcut": "learned", "preactivated_shortcut": True},
    "biggan_deep-drop": {"attention_after": (1,)},
    "dcgan": {},
}
GENERATOR_CASES = {"biggan": {"attention_after": (1,)}, "biggan_deep": {}, "dcgan": {}}


def backbone(case):
    name, _, _ = case.partition("-")
    options = {**shrink(BACKBONES, name, {}), **BACKBONE_CASES[case]}
    options.pop("name")
    return BACKBONES[name](resolution=16, channels=3, **options)


def generator(case):
    options = {**shrink(GENERATORS, case, {}), **GENERATOR_CASES[case]}
    return build_generator(component(**options), DATA, 3)


def both_ways(network, work):
    """What ``work`` gives without kernels and with them, from the same state."""
    state = {name: value.clone() for name, value in network.state_dict().items()}
    results = []
    for on in (False, True):
        network.load_state_dict(state)
        set_switches(network, kernels=on)
        results.append(work())
    return results


def close(results, bound):
    """A bias before a batch norm has a gradient of rounding alone, so the largest of all is the scale."""
    largest = max(plain.abs().max().item() for plain in results[0])
    for plain, ours in zip(*results, strict=True):
        scale = max(plain.abs().max().item(), 1e-2 * largest)
        assert (ours - plain).abs().max().item() <= bound * scale


@pytest.mark.parametrize("case", BACKBONE_CASES)
@pytest.mark.parametrize("merged", [True, False])
def test_backbones_with_second_derivatives(case, merged):
    network = backbone(case).double()
    set_switches(network, merged_convolutions=merged)
    for name, parameter in network.named_parameters():
        if name.endswith(("bias", "gate")):
            torch.nn.init.normal_(parameter)
    images = torch.randn(3, 3, 16, 16, dtype=torch.float64).requires_grad_()

    def work():
        features = network(images).double()
        (slope,) = torch.autograd.grad(features.square().sum(), images, create_graph=True)
        total = features.tanh().sum() + slope.square().mean()
        return [features, slope, *torch.autograd.grad(total, list(network.parameters()))]

    close(both_ways(network, work), 1e-11)


# Other networks have the same operations; each is tested in bfloat16 by itself.
NARROW = ("biggan", "resnet", "G-biggan")
BY_KERNELS = [*BACKBONE_CASES, "G-biggan", "G-biggan_deep", "G-dcgan"]


@pytest.mark.parametrize(
    ("case", "narrow"),
    [
        *[(case, False) for case in BY_KERNELS],
        *[
            pytest.param(case, True, marks=() if case in NARROW else pytest.mark.slow)
            for case in BY_KERNELS
        ],
    ],
)
def test_networks_by_kernels(kernel_device, case, narrow):
    of_generator = case.startswith("G-")
    network = (generator(case[2:]) if of_generator else backbone(case)).to(kernel_device)
    network = network.to(memory_format=torch.channels_last)
    for name, parameter in network.named_parameters():
        if name.endswith(("bias", "gate")):
            torch.nn.init.normal_(parameter, std=0.5)
    images = torch.randn(2, 3, 16, 16, device=kernel_device).requires_grad_()
    images = images.contiguous(memory_format=torch.channels_last)
    given = [images]
    if of_generator:
        z = torch.randn(2, network.latent_dim, device=kernel_device)
        given = [z, torch.tensor([0, 2], device=kernel_device)]
    weights = list(network.parameters())
    counts = []

    def work():
        slopes = []

        def step():
            with torch.autocast(kernel_device.type, torch.bfloat16, enabled=narrow):
                result = network(*given)
            slopes.extend([result, *torch.autograd.grad(result.float().square().sum(), weights)])

        counts.append(launched(step))
        return [value.float() for value in slopes]

    results = both_ways(network, work)
    assert counts[0][:2] == (0, 0) and counts[1][0] == counts[1][1] > 0, counts
    if not narrow:
        return close(results, 1e-3)
    # Rounding of bfloat16 may turn a ReLU over, which few do.
    plain, ours = (torch.cat([value.flatten() for value in values]) for values in results)
    assert (ours - plain).norm() <= 0.1 * plain.norm()
    return None
