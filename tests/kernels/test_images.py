"""A batch in one operation: the same images as by several, kernels against the formula."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from reacgan.data import ImageData
from reacgan.data.loader import Loader, shift_images
from reacgan.kernels import LAUNCHES, counting_launches
from reacgan.kernels.images import scaled_batch

ORDERS = (torch.channels_last, torch.contiguous_format)


def images_of(channels=3, height=5, width=6):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(
        0, 256, (20, channels, height, width), generator=generator, dtype=torch.uint8
    )


def loader(**options):
    data = ImageData(images_of().numpy(), np.arange(20) % 4, tuple("abcd"), "random")
    return Loader(data, batch=8, seed=3, **options)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "options",
    [{}, {"flip": True}, {"flip": True, "balanced": True}, {"flip": True, "crop": 2}],
)
def test_the_batch_of_a_moment_is_the_same(options, dtype, order):
    made = loader(**options)
    for moment in (0, 8, 16, 152):  # the third one is of two epochs
        images, labels = made.at(moment)
        plain = images.to(dtype).mul_(2 / 255).sub_(1)
        scaled, theirs = made.scaled_at(moment, dtype, order)
        assert torch.equal(scaled, plain) and torch.equal(labels, theirs)
        assert scaled.is_contiguous(memory_format=order)


def test_images_that_are_not_resident_have_no_single_operation():
    made = loader(resident_limit_bytes=0)
    assert made.scaled_at(0, torch.float32, torch.channels_last) is None
    made.close()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("size", [(3, 5, 6), (1, 8, 8), (3, 33, 40)])
def test_kernels_are_the_formula(kernel_device, size, order):
    images, labels = images_of(*size), torch.arange(20) % 7
    chosen, tosses = torch.tensor([4, 0, 19, 4, 7]), torch.tensor([0.1, 0.7, 0.5, 0.49, 0.9])
    shifts = torch.tensor([[0, 1], [-2, 0], [2, -2], [1, 1], [0, 0]])
    for given in ((tosses, shifts), (tosses, None), (None, shifts), (None, None)):
        batch = images[chosen]
        if given[0] is not None:
            batch = torch.where((given[0] < 0.5)[:, None, None, None], batch.flip(-1), batch)
        if given[1] is not None:
            batch = shift_images(batch, given[1])
        moved = [None if each is None else each.to(kernel_device) for each in (chosen, *given)]
        whole = images.to(kernel_device), labels.to(kernel_device)
        with counting_launches() as launched:
            ours, theirs = scaled_batch(
                *whole, *moved, dtype=torch.float32, last=order == torch.channels_last
            )
        assert launched == {"scaled_batch_kernel": LAUNCHES["reacgan::scaled_batch"]}
        assert ours.is_contiguous(memory_format=order)
        torch.testing.assert_close(ours.cpu(), batch.float() * (2 / 255) - 1, rtol=0, atol=2e-7)
        assert torch.equal(theirs.cpu(), labels[chosen])


def test_kernels_compile_for_a_gpu(tmp_path):
    """As far as a machine without a GPU can tell, for these and those of losses."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("kernels are not compiled: Triton is missing (pip install triton)")
    script = Path(__file__).with_name("compiled_losses.py")
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
