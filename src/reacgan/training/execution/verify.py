"""A step made in two ways from the same state, and whether gradients, losses and buffers agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from reacgan import distributed
from reacgan.training.step.work import Result, Work

TOLERANCE = {"float64": 1e-8, "float32": 1e-4, "bfloat16": 1e-2}
"""How far each of them may be off in any case, as a share of its size."""
SPREAD_FACTOR = 4.0
"""How many times as far from the plain step as a second plain step."""
REFERENCE_FACTOR = 4.0
"""How many times as far from a step in higher precision as the plain step: by luck of rounding, twice."""
WIDE_TOLERANCE = 1e-3
"""How far two ways in the reference's precision, float32, may be from each other: sums in another order."""
WIDE = "those of a step in higher precision"
UNREFERENCED_FACTOR = 5.0
"""The same of the tolerance, where memory does not hold a step in higher precision."""

Way = Callable[[Work], Result]
Tensors = Sequence[Tensor | None]


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
    work: Work,
    modules: Sequence[nn.Module],
    plain: Way,
    other: Way,
    tolerance: float,
    *,
    reference: Way | None = None,
    widely: Way | None = None,
) -> tuple[Result, str | None]:
    """The step in the other way, and None; where they disagree in the plain way, and why.

    What counts is left in ``.grad`` and in the buffers. Waits for the device. Without a reference, a
    difference above ``tolerance`` is measured beside the spread of the plain way: of a second plain step
    from the same state, since a device may add up in another order each time. Several processes decide
    together.

    Args:
        work: the step.
        modules: whose buffers move in it.
        plain: the way that is trusted.
        other: the way that is tried.
        tolerance: difference of gradients, losses, scores and buffers that is always allowed, as a share
            of their size.
        reference: the step in higher precision; the other way may be :data:`REFERENCE_FACTOR` times as far
            from it as the plain way is.
        widely: the other way in the precision of the reference, which it must agree with to
            :data:`WIDE_TOLERANCE`: what low precision would hide is seen there.

    Raises:
        Exception: whatever either way raises; buffers are then as before.
    """
    before, work = Buffers(modules), work.silent()

    def made(way: Way) -> tuple[Result, _Outcome]:
        before.restore()
        result = way(work)
        return result, _Outcome.of(result, work.parameters, modules)

    try:
        expected, outcome = made(plain)
        exact, allowed, wrong = outcome, tolerance, None
        if reference is not None:
            try:
                exact = made(reference)[1]
                allowed = max(tolerance, REFERENCE_FACTOR * outcome.distance(exact))
                if widely is not None:
                    wrong = made(widely)[1].difference(exact, WIDE_TOLERANCE, WIDE)
            except torch.OutOfMemoryError:
                allowed = UNREFERENCED_FACTOR * tolerance
        result, tried = made(other)
        origin = "the plain step's" if exact is outcome else WIDE
        wrong = wrong or tried.difference(exact, allowed, origin)
        differs = distributed.any_process(wrong is not None, work.parameters[0].device)
        if differs and reference is None:
            allowed = max(tolerance, SPREAD_FACTOR * made(plain)[1].distance(outcome))
            wrong = tried.difference(exact, allowed, origin)
            differs = distributed.any_process(wrong is not None, work.parameters[0].device)
    except Exception:
        before.restore()
        raise
    if not differs:
        tried.restore(work.parameters, modules)
        return result, None
    outcome.restore(work.parameters, modules)
    return expected, wrong or "another process saw a difference"


@dataclass(frozen=True)
class _Outcome:
    """What a step leaves: gradients, losses, scores, and the buffers of the networks."""

    gradients: list[Tensor | None]
    losses: dict[str, Tensor]
    scores: Tensor
    buffers: list[Tensor]

    @classmethod
    def of(
        cls, result: Result, parameters: Sequence[nn.Parameter], modules: Sequence[nn.Module]
    ) -> _Outcome:
        gradients = [parameter.grad for parameter in parameters]
        return cls(gradients, result[0], result[1], Buffers(modules).values())

    def restore(self, parameters: Sequence[nn.Parameter], modules: Sequence[nn.Module]) -> None:
        """Leave this outcome in ``.grad`` and in the buffers."""
        for parameter, gradient in zip(parameters, self.gradients, strict=True):
            parameter.grad = gradient
        buffers = (buffer for module in modules for buffer in module.buffers())
        for buffer, value in zip(buffers, self.buffers, strict=True):
            buffer.copy_(value)

    def pairs(self, expected: _Outcome) -> dict[str, tuple[Tensors, Tensors]]:
        """Of each part what is expected and what is there. A mean score may be near 0: losses are one."""
        return {
            "gradients": (expected.gradients, self.gradients),
            "losses": ([expected.all_losses()], [self.all_losses()]),
            "scores": ([expected.scores], [self.scores]),
            "state": (expected.buffers, self.buffers),
        }

    def all_losses(self) -> Tensor:
        """In the order of their names."""
        return torch.stack([self.losses[name].double() for name in sorted(self.losses)])

    def difference(self, expected: _Outcome, allowed: float, origin: str) -> str | None:
        """The first part that differs from one of ``origin``, in words."""
        return _difference(self.pairs(expected), allowed, origin)

    def distance(self, expected: _Outcome) -> float:
        """The largest distance of any part, as a share of its size; NaN counts as none."""
        distances = [_distance(*pair) for pair in self.pairs(expected).values()]
        return max((value for value in distances if math.isfinite(value)), default=0.0)


def _difference(
    pairs: dict[str, tuple[Tensors, Tensors]], tolerance: float, origin: str = "the plain step's"
) -> str | None:
    """The first of these pairs of lists that differ, in words."""
    for name, (expected, actual) in pairs.items():
        if [tensor is None for tensor in expected] != [tensor is None for tensor in actual]:
            return f"{name} of the step are not those of the plain step"
        distance = _distance(expected, actual)
        if not distance <= tolerance:  # also where it is NaN
            return (
                f"{name} of the step differ from {origin} by {distance:.2g} of their size; allowed: "
                f"{tolerance:.2g}"
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
