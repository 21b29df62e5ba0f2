"""How an operation of ours is compared with the plain operations that it stands for."""

from __future__ import annotations

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from reacgan.kernels import LAUNCHES, counting_launches

BOUND = {torch.float64: 1e-11, torch.float32: 1e-5, torch.bfloat16: 2e-2}


def drawn(*shape, dtype=torch.float64, last=True, device="cpu"):
    """Normal values that the type can hold, all of them apart from 0."""
    made = torch.randn(*shape, dtype=torch.float64)
    made = (made + 0.05 * made.sign()).to(device, dtype)
    if last and len(shape) == 4:
        made = made.contiguous(memory_format=torch.channels_last)
    return made.requires_grad_()


def listed(result):
    return list(result) if isinstance(result, tuple) else [result]


def slopes_of(results, inputs, weights):
    """Gradients, for these gradients of the results."""
    given = [torch.empty_like(result).detach() for result in results]
    for target, weight in zip(given, weights, strict=True):
        target.copy_(weight)
    return torch.autograd.grad(results, inputs, given)


def compare(ours, plain, inputs, bound=None):
    """Values and gradients of ours, in the type of the inputs, with the plain ones' in float64.

    ``bound``: the type whose rounding is allowed; by itself the narrowest input's.
    """
    results = listed(ours(*inputs))
    exact = [value.detach().double().requires_grad_() for value in inputs]
    expected = listed(plain(*exact))
    weights = [
        torch.randn(value.shape, dtype=torch.float64).to(torch.bfloat16).double().to(value.device)
        for value in expected
    ]
    slopes = slopes_of(results, inputs, weights)
    wanted = slopes_of(expected, exact, weights)
    narrowest = min((value.dtype for value in inputs), key=lambda kind: torch.finfo(kind).bits)
    allowed = BOUND[bound or narrowest]
    for value, right in zip([*results, *slopes], [*expected, *wanted], strict=True):
        assert value.shape == right.shape
        scale = max(right.abs().max().item(), 1.0)
        difference = (value.double() - right).abs().max().item()
        assert difference <= allowed * scale, (difference, scale)
    for value, slope in zip(inputs, slopes, strict=True):
        assert slope.dtype == value.dtype
    return results, slopes


def twice(ours, inputs):
    """Second derivatives by finite differences; of squares, whose gradient depends on the gradient's."""

    def squares(*values):
        return tuple(value.square() for value in listed(ours(*values)))

    torch.autograd.gradcheck(ours, inputs)
    torch.autograd.gradgradcheck(squares, inputs)


class Operations(TorchDispatchMode):
    """Collects the operations of ours that run."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, given=(), named=None):
        if function.namespace == "reacgan":
            self.seen.append(f"reacgan::{function._opname}")
        return function(*given, **(named or {}))


def launched(work):
    """Kernels that ran, and how many the operations that ran are said to launch; and those operations."""
    with Operations() as operations, counting_launches() as launches:
        work()
    return sum(launches.values()), sum(LAUNCHES[name] for name in operations.seen), operations.seen
