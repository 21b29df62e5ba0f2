"""Every kind of convolution that the package trains, and its gradients against those in float64.

As a program, in a process of its own since a library that writes beyond its memory may end it:
``python tests/convolutions.py KIND`` prints ``at`` and a shape before each, ``wrong`` and what is off
after it, and ``done``. A second argument starts at the shape of that number.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

BOUND = 1e-4
"""Of a length beside that of what is right."""
SIZES = ((16, 16, 16), (3, 5, 9))
"""Images, rows and columns of the input; the gradient over many places is shared by threads."""
ORDERS = {"channels first": torch.contiguous_format, "channels last": torch.channels_last}
MOST_DEATHS = 5


class Kind(NamedTuple):
    """What a convolution is but for its channels."""

    size: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    transposed: bool = False
    channels: str = "dense"
    """``"grouped"``: several of each group; ``"apart"``: each by itself; ``"one"``: there is one."""


KINDS = {
    "1x1": Kind((1, 1)),
    "3x3": Kind((3, 3), padding=(1, 1)),
    "3x3 in groups": Kind((3, 3), padding=(1, 1), channels="grouped"),
    "3x3 halving": Kind((3, 3), (2, 2), (1, 1)),
    "3x3 halving without border": Kind((3, 3), (2, 2)),
    "3x3 doubling": Kind((3, 3), (2, 2), transposed=True),
    "4x4 halving": Kind((4, 4), (2, 2), (1, 1)),
    "4x4 doubling": Kind((4, 4), (2, 2), (1, 1), transposed=True),
    "4x4 blur": Kind((4, 4), padding=(1, 1), channels="apart"),
    "4x4 blur with a wide border": Kind((4, 4), padding=(2, 2), channels="apart"),
    "4x4 blur halving": Kind((4, 4), (2, 2), (1, 1), channels="apart"),
    "4x4 blur doubling": Kind((4, 4), (2, 2), (1, 1), transposed=True, channels="apart"),
    "12 rows halving": Kind((12, 1), (2, 1), channels="one"),
    "12 columns halving": Kind((1, 12), (1, 2), channels="one"),
    "12 rows doubling": Kind((12, 1), (2, 1), (10, 0), transposed=True, channels="one"),
    "12 columns doubling": Kind((1, 12), (1, 2), (0, 10), transposed=True, channels="one"),
    "43 rows": Kind((43, 1), channels="apart"),
    "43 columns": Kind((1, 43), channels="apart"),
}


class Shape(NamedTuple):
    """Channels of one case, and its input."""

    inputs: int
    outputs: int
    groups: int
    size: tuple[int, int, int]


def shapes(kind: Kind) -> list[Shape]:
    """Channels 1 to 17, of a group where there are groups."""
    some = range(1, 18)
    channels = {
        "dense": [(inputs, outputs, 1) for inputs in some for outputs in some],
        "grouped": [(count * own, count * own, count) for count in (2, 3) for own in some],
        "apart": [(count, count, count) for count in some],
        "one": [(1, 1, 1)],
    }[kind.channels]
    # Without border at least one place has to remain.
    more = [max(0, taps - 3) if not kind.transposed else 8 for taps in kind.size]
    sizes = [(count, rows + more[0], columns + more[1]) for count, rows, columns in SIZES]
    return [Shape(*made, size) for made in channels for size in sizes]


def convolved(images: Tensor, weight: Tensor, kind: Kind, groups: int) -> Tensor:
    operation = F.conv_transpose2d if kind.transposed else F.conv2d
    return operation(images, weight, None, kind.stride, kind.padding, groups=groups)


def gradients(
    images: Tensor, weight: Tensor, factors: Tensor, kind: Kind, groups: int
) -> dict[str, Tensor]:
    """Output, both gradients, and the gradient that the penalty R1 has."""
    images, weight = images.requires_grad_(), weight.requires_grad_()
    result = convolved(images, weight, kind, groups)
    loss = (result.tanh() * factors).sum()
    of_images, of_weight = torch.autograd.grad(loss, [images, weight], create_graph=True)
    (of_penalty,) = torch.autograd.grad(of_images.square().sum(), [weight])
    return {
        "output": result,
        "gradient of images": of_images,
        "gradient of weight": of_weight,
        "gradient of R1": of_penalty,
    }


def wrong(kind: Kind, shape: Shape) -> Iterator[str]:
    """What is further from float64 than rounding brings it."""
    generator = torch.Generator().manual_seed(0)

    def drawn(*sizes: int) -> Tensor:
        return torch.randn(*sizes, generator=generator, dtype=torch.float64)

    count, *sides = shape.size
    images = drawn(count, shape.inputs, *sides)
    ends = (shape.inputs, shape.outputs) if kind.transposed else (shape.outputs, shape.inputs)
    weight = drawn(ends[0], ends[1] // shape.groups, *kind.size)
    weight /= (weight[0].numel() if not kind.transposed else weight[:, 0].numel()) ** 0.5
    factors = drawn(*convolved(images, weight, kind, shape.groups).shape)
    right = gradients(images.clone(), weight.clone(), factors, kind, shape.groups)
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for order, memory in ORDERS.items():
            given = [
                value.float().contiguous(memory_format=memory)
                for value in (images, weight, factors)
            ]
            for name, value in gradients(*given, kind, shape.groups).items():
                expected = right[name].detach()
                off = float((value.detach().double() - expected).norm() / expected.norm())
                if not off <= BOUND:
                    yield f"{name} is {off:.2g} off, {order}, {threads} threads"


def faults(name: str) -> list[str]:
    """Every shape of a kind that is wrong or ends a process, in words; runs in processes of its own."""
    said, start, deaths = [], 0, 0
    while deaths < MOST_DEATHS:
        lines, code = child(__file__, name, str(start), seconds=600)
        said += [line.removeprefix("wrong ") for line in lines if line.startswith("wrong ")]
        if lines[-1:] == ["done"]:
            return said
        places = [line for line in lines if line.startswith("at ")]
        assert places, f"{name}: ended with {code} before its first shape"
        _, number, shape = places[-1].split(" ", 2)
        said.append(f"{name} {shape}: the process ended with {code}")
        start, deaths = int(number) + 1, deaths + 1
    return [*said, f"{name}: given up after {deaths} deaths"]


def child(*arguments: str, seconds: float) -> tuple[list[str], int]:
    """Lines and exit code of a Python program, with the kernels of a processor without AVX-512.

    ``ONEDNN_MAX_CPU_ISA`` chooses others. After so many seconds it is ended.
    """
    environment = {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "OMP_NUM_THREADS": "2",
    }
    with subprocess.Popen(
        [sys.executable, *arguments], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            text = process.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:  # threads that wait for each other
            process.kill()
            text = process.communicate()[0]
    return text.splitlines(), process.returncode


def main(name: str, start: str = "0") -> None:
    for number, shape in enumerate(shapes(KINDS[name])):
        if number < int(start):
            continue
        print(f"at {number} {shape}", flush=True)
        for fault in wrong(KINDS[name], shape):
            print(f"wrong {name} {shape}: {fault}", flush=True)
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
