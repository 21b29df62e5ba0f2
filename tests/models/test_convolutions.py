"""Every kind of convolution that is trained, and its gradients from the library's kernels."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import convolutions
from convolutions import KINDS, Kind
from reacgan.augment.ada import Ada
from reacgan.config import DataConfig, component
from reacgan.extractors.classifier_network import Classifier
from reacgan.models import BACKBONES, GENERATORS, build_discriminator, build_generator
from reacgan.randomness import Draws
from reacgan.suites.scales import shrink

pytestmark = pytest.mark.kernels


class Kinds(TorchDispatchMode):
    """Collects the kinds of the convolutions that run."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[Kind] = set()

    def __torch_dispatch__(self, function, types, given=(), named=None):
        if function is torch.ops.aten.convolution.default:
            images, weight, _, stride, padding, dilation, transposed, _, groups = given
            assert set(dilation) == {1}
            channels = "grouped" if groups > 1 else "dense"
            if groups == images.shape[1]:
                channels = "apart" if groups > 1 else "one"
            size = tuple(weight.shape[2:])
            self.seen.add(Kind(size, tuple(stride), tuple(padding), transposed, channels))
        return function(*given, **(named or {}))


def run_networks(generator, backbone, **options):
    """Both in small, images of 16 pixels, forwards."""
    data = DataConfig(resolution=16, channels=3)
    parts = [
        component(**{**shrink(table, name, {}), **options})
        for table, name in ((GENERATORS, generator), (BACKBONES, backbone))
    ]
    G = build_generator(parts[0], data, 3)
    D = build_discriminator(parts[1], component("unconditional"), data, 3)
    labels = torch.zeros(2, dtype=torch.long)
    D(G(torch.randn(2, G.latent_dim), labels), labels)


def of_one_group(kinds):
    """One channel for itself is a dense convolution too."""
    return {kind._replace(channels="dense") if kind.channels == "one" else kind for kind in kinds}


def test_these_are_all_kinds_that_are_trained():
    augment = Ada(operations="bgcfnc", probability=1.0)
    with Kinds() as kinds:
        for name in GENERATORS:
            run_networks(name, name)
        for architecture in ("skip", "resnet", "orig"):
            run_networks("stylegan2", "stylegan2", architecture=architecture)
        run_networks("r3gan", "r3gan", group_size=2)
        for side in (8, 64):
            network = Classifier(channels=3, num_classes=2, width=2, size=(side, side))
            network(torch.zeros(2, 3, side, side))
        augment(torch.zeros(2, 3, 16, 16), Draws(0, "augment/real", 0))
    assert of_one_group(kinds.seen) == of_one_group(KINDS.values())


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("name", KINDS)
def test_gradients_of_every_shape(name):
    """Channels 1 to 17, both orders of memory, one and two threads."""
    assert convolutions.faults(name) == []


@pytest.mark.parametrize("threads", [1, 2])
def test_gradients_of_the_classifier_at_every_width(threads):
    """In a process of its own, which kernels that write beyond their memory would end."""
    program = Path(convolutions.__file__).with_name("classifier_gradient.py")
    lines, code = convolutions.child(str(program), str(threads), seconds=100)
    distances = {int(width): float(off) for width, off in map(str.split, lines)}
    assert code == 0, f"ended with {code} after width {max(distances, default=0)}"
    assert list(distances) == list(range(1, 17))
    assert {width: off for width, off in distances.items() if off > 1e-2} == {}
