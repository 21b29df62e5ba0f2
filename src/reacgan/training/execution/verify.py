"""A step made in two ways from the same state, and whether gradients, losses and buffers agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from reacgan.training.step.work import Result, Work

TOLERANCE = {"float64": 1e-8, "float32": 1e-4, "bfloat16": 1e-2}
"""How far each of them may be off, as a share of its size."""

Way = Callable[[Work], Result]


class Buffers:
    """A copy of all buffers of some networks: running statistics, power iterations, what adapts."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self._pairs = [
            (buffer, buffer.clone()) for module in modules for buffer in module.buffers()
        ]

    @torch.no_grad()
    def restore(self) -> None:
        """Put the values back."""
        for buffer, value in self._pairs:
            buffer.copy_(value)

    def values(self) -> list[Tensor]:
        """The copies."""
        return [value for _, value in self._pairs]


def first_line(error: Exception) -> str:
    """The first line of its message."""
    return str(error).strip().partition("\n")[0]


def both_ways(
    work: Work, modules: Sequence[nn.Module], plain: Way, other: Way, tolerance: float
) -> tuple[Result, str | None]:
    """The step in the other way, and None; where they disagree in the plain way, and why.

    What counts is left in ``.grad`` and in the buffers. Waits for the device.

    Args:
        work: the step.
        modules: whose buffers move in it.
        plain: the way that is trusted.
        other: the way that is tried.
        tolerance: largest difference of gradients, losses, scores and buffers, as a share of their size.

    Raises:
        Exception: whatever either way raises; buffers are then as before.
    """
    before = Buffers(modules)
    try:
        expected, gradients = plain(work), _gradients(work.parameters)
        after = Buffers(modules)
        before.restore()
        result = other(work)
    except Exception:
        before.restore()
        raise
    wrong = _difference(
        {
            "gradients": (gradients, _gradients(work.parameters)),
            "losses": (list(expected[0].values()), [result[0].get(name) for name in expected[0]]),
            "scores": ([expected[1]], [result[1]]),
            "state": (after.values(), Buffers(modules).values()),
        },
        tolerance,
    )
    if wrong is None:
        return result, None
    after.restore()
    for parameter, gradient in zip(work.parameters, gradients, strict=True):
        parameter.grad = gradient
    return expected, wrong


def _gradients(parameters: Sequence[nn.Parameter]) -> list[Tensor | None]:
    return [parameter.grad for parameter in parameters]


Tensors = Sequence[Tensor | None]


def _difference(pairs: dict[str, tuple[Tensors, Tensors]], tolerance: float) -> str | None:
    """The first of these pairs of lists that differ, in words."""
    for name, (expected, actual) in pairs.items():
        if [tensor is None for tensor in expected] != [tensor is None for tensor in actual]:
            return f"{name} of the step are not those of the plain step"
        distance = _distance(expected, actual)
        if not distance <= tolerance:  # also where it is NaN
            return (
                f"{name} of the step differ from the plain step's by {distance:.2g} of their size; "
                f"allowed: {tolerance:g}"
            )
    return None


def _distance(expected: Tensors, actual: Tensors) -> float:
    """Largest distance of two tensors at the same position, as a share of the first one's length.

    One that is tiny beside most of the others counts as if it were a hundredth of their median.
    """
    pairs = [
        (first.double(), second.double())
        for first, second in zip(expected, actual, strict=True)
        if first is not None and second is not None
    ]
    if not pairs:
        return 0.0
    sizes = torch.stack([first.norm() for first, _ in pairs])
    off = torch.stack([(first - second).norm() for first, second in pairs])
    floor = sizes[sizes > 0].median() / 100 if bool((sizes > 0).any()) else sizes.new_tensor(1e-6)
    shares = off / sizes.clamp_min(floor)
    return float(shares.max()) if bool(shares.isfinite().all()) else float("nan")
