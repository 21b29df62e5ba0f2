"""StyleGAN2's and R3GAN's steps stay beside the published reference operations where they were counted."""

from __future__ import annotations

import pytest
from benchmarks.style_operations import counted, ours, reference

# Of the reference's operations, ours with kernels are at most this share.
MOST = {
    "stylegan2": {"D": 0.45, "D with R1": 0.25, "G": 0.6},
    "r3gan": {"D with R1 and R2": 0.1, "G": 0.75},
}


@pytest.mark.parametrize("network", MOST)
def test_operations_beside_the_reference(network):
    found = ours(f"cifar10/{network}", kernels=True, precision="float32")
    steps = reference(network)
    shares = {name: found[name] / counted(steps[name]) for name in MOST[network]}
    assert all(shares[name] <= most for name, most in MOST[network].items()), shares
