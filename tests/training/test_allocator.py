"""Memory that a process frees stays with it."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import resource, sys, torch
from reacgan.training.engine import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    # More than 2 GiB lies free at a time; what is never written costs no page.
    tensors = [torch.empty(2**29, dtype=torch.uint8) for _ in range(5)]
    for tensor in tensors:
        tensor[::65536] = 1
    del tensors, tensor
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
faults()  # by now it has all that it will have
print(faults())
"""


def faults(how):
    done = subprocess.run(
        [sys.executable, "-c", CODE, how], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count and keep pages otherwise")
def test_no_page_is_asked_for_twice():
    kept, given_back = faults("keep"), faults("not")
    assert given_back > 10_000
    assert kept < given_back / 3  # a piece or two may still be split and trimmed
