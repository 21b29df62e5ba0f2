"""A step made in two ways from the same state, and whether gradients, losses and traces agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from reacgan.training.captured import Snapshot, Work
from reacgan.training.players import Parts

TOLERANCE = {"float64": 1e-8, "float32": 1e-4, "bfloat16": 1e-2}
"""How far each of them may be off, as a share of its size."""

Result = tuple[Parts, Tensor]
Way = Callable[[Work], Result]


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
    before = Snapshot(modules)
    try:
        expected, gradients = plain(work), _gradients(work.parameters)
        after = Snapshot(modules)
        before.restore()
        given = other(work)
    except Exception:
        before.restore()
        raise
    wrong = _difference(
        {
            "gradients": (gradients, _gradients(work.parameters)),
            "losses": (list(expected[0].values()), [given[0].get(name) for name in expected[0]]),
            "scores": ([expected[1]], [given[1]]),
            "state": (after.values(), Snapshot(modules).values()),
        },
        tolerance,
    )
    if wrong is None:
        return given, None
    after.restore()
    for parameter, gradient in zip(work.parameters, gradients, strict=True):
        parameter.grad = gradient
    return expected, wrong


def _gradients(parameters: Sequence[nn.Parameter]) -> list[Tensor | None]:
    return [parameter.grad for parameter in parameters]


Tensors = Sequence[Tensor | None]


def _difference(pairs: dict[str, tuple[Tensors, Tensors]], tolerance: float) -> str | None:
    """The first of these pairs of lists that differ, in words."""
    for name, (expected, given) in pairs.items():
        if [one is None for one in expected] != [one is None for one in given]:
            return f"{name} of the step are not those of the plain step"
        distance = _distance(expected, given)
        if not distance <= tolerance:  # also where it is NaN
            return (
                f"{name} of the step differ from the plain step's by {distance:.2g} of their size; "
                f"allowed: {tolerance:g}"
            )
    return None


def _distance(expected: Tensors, given: Tensors) -> float:
    """Largest distance of two tensors of a place, as a share of the first one's length.

    One that is tiny beside most of the others counts as if it were a hundredth of their median.
    """
    pairs = [
        (one.double(), other.double())
        for one, other in zip(expected, given, strict=True)
        if one is not None and other is not None
    ]
    if not pairs:
        return 0.0
    sizes = torch.stack([one.norm() for one, _ in pairs])
    off = torch.stack([(one - other).norm() for one, other in pairs])
    floor = sizes[sizes > 0].median() / 100 if bool((sizes > 0).any()) else sizes.new_tensor(1e-6)
    shares = off / sizes.clamp_min(floor)
    return float(shares.max()) if bool(shares.isfinite().all()) else float("nan")
