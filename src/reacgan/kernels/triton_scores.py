"""Triton kernels of :mod:`reacgan.kernels.scores`, which has the formulas; imported at a launch.

One program goes over all scores: a batch has a few hundred. NaN comes through.
"""

# What a kernel is given has no types that a checker knows, and comes by position.
# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: PLR0917

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from reacgan.kernels.base import launch

_BLOCK = 1024


@triton.jit
def hinge_forward_kernel(
    real, fake, loss, of_real, of_fake, count, fakes, inverse, inverse_fakes, BLOCK: tl.constexpr
):
    """Sums of hinges and of scores."""
    hinges = tl.zeros((BLOCK,), tl.float32)
    reals = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, count, BLOCK):
        index = start + tl.arange(0, BLOCK)
        score = tl.load(real + index, mask=index < count, other=0.0).to(tl.float32)
        reals += score
        slack = tl.where(index < count, 1.0 - score, 0.0)
        hinges += tl.where(slack < 0.0, 0.0, slack)
    total = tl.sum(hinges, axis=0) * inverse
    hinges = tl.zeros((BLOCK,), tl.float32)
    others = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, fakes, BLOCK):
        index = start + tl.arange(0, BLOCK)
        score = tl.load(fake + index, mask=index < fakes, other=0.0).to(tl.float32)
        others += score
        slack = tl.where(index < fakes, 1.0 + score, 0.0)
        hinges += tl.where(slack < 0.0, 0.0, slack)
    tl.store(loss, total + tl.sum(hinges, axis=0) * inverse_fakes)
    tl.store(of_real, tl.sum(reals, axis=0) * inverse)
    tl.store(of_fake, tl.sum(others, axis=0) * inverse_fakes)


@triton.jit
def hinge_backward_kernel(
    gradient, real, fake, on_real, on_fake, count, fakes, inverse, inverse_fakes,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradients of some real and some fake scores."""
    slope = tl.load(gradient).to(tl.float32)
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    score = tl.load(real + index, mask=index < count, other=0.0).to(tl.float32)
    tl.store(on_real + index, tl.where(score >= 1.0, 0.0, -slope * inverse), mask=index < count)
    score = tl.load(fake + index, mask=index < fakes, other=0.0).to(tl.float32)
    of_fake = tl.where(score <= -1.0, 0.0, slope * inverse_fakes)
    tl.store(on_fake + index, of_fake, mask=index < fakes)


def hinge(real: Tensor, fake: Tensor, results: tuple[Tensor, Tensor, Tensor]) -> None:
    """Fill the loss and both means."""
    launch(
        hinge_forward_kernel, (1,), real, fake, *results, len(real), len(fake),
        1 / len(real), 1 / len(fake), BLOCK=_BLOCK,
    )  # fmt: skip


def hinge_gradients(
    gradient: Tensor, real: Tensor, fake: Tensor, results: tuple[Tensor, Tensor]
) -> None:
    """Fill the gradients of both."""
    launch(
        hinge_backward_kernel, (triton.cdiv(max(len(real), len(fake)), _BLOCK),),
        gradient, real, fake, *results, len(real), len(fake), 1 / len(real), 1 / len(fake),
        BLOCK=_BLOCK,
    )  # fmt: skip
