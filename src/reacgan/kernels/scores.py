"""The hinge loss of D as one operation, with the means of scores that a step reports."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan.kernels.base import operation, takes_kernel
from reacgan.tensors import widened


def hinge(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``E max(0, 1 - real) + E max(0, 1 + fake)``, E real and E fake; the last two without gradient.

    Args:
        real: ``[N]``, scores of real images.
        fake: ``[M]``, of the same type.

    Returns:
        Three scalars, float32 at least; the means are float32.
    """
    loss, of_real, of_fake = _Hinge.apply(real, fake)
    return loss, of_real, of_fake


def hinge_plainly(real: Tensor, fake: Tensor) -> Tensor:
    """The loss by operations that can be differentiated any number of times."""
    return F.relu(1 - widened(real)).mean() + F.relu(1 + widened(fake)).mean()


class _Hinge(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        ctx.save_for_backward(real, fake)
        results: tuple[Tensor, Tensor, Tensor] = hinge_forward(real, fake)
        ctx.mark_non_differentiable(*results[1:])
        ctx.set_materialize_grads(False)
        return results

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        real, fake = ctx.saved_tensors
        if gradient is None:
            return None, None
        if torch.is_grad_enabled():
            inputs = [real.view_as(real), fake.view_as(fake)]
            loss = hinge_plainly(*inputs)
            return torch.autograd.grad(loss, inputs, gradient, create_graph=True)
        gradients: tuple[Tensor, Tensor] = hinge_backward(gradient, real, fake)
        return gradients


def _by_kernel(tensor: Tensor) -> bool:
    return takes_kernel(tensor) and tensor.dtype != torch.float64


def _fake_forward(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    kind = torch.promote_types(real.dtype, torch.float32)
    return (
        real.new_empty((), dtype=kind),
        real.new_empty((), dtype=torch.float32),
        real.new_empty((), dtype=torch.float32),
    )


@operation("hinge_forward", launches=1, fake=_fake_forward)
def hinge_forward(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Loss, mean of real and mean of fake scores."""
    if _by_kernel(real):
        from reacgan.kernels import triton_scores  # noqa: PLC0415 - only where there are kernels

        made = _fake_forward(real, fake)
        triton_scores.hinge(real.contiguous(), fake.contiguous(), made)
        return made
    return hinge_plainly(real, fake), real.float().mean(), fake.float().mean()


def _fake_backward(gradient: Tensor, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    return real.new_empty(real.shape), fake.new_empty(fake.shape)


@operation("hinge_backward", launches=1, fake=_fake_backward)
def hinge_backward(gradient: Tensor, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of real and fake scores, of the gradient of the loss."""
    if _by_kernel(real):
        from reacgan.kernels import triton_scores  # noqa: PLC0415

        made = _fake_backward(gradient, real, fake)
        triton_scores.hinge_gradients(gradient, real.contiguous(), fake.contiguous(), made)
        return made
    # A score that is NaN gets the gradient, as relu gives it.
    of_real = (-gradient / len(real)).masked_fill(widened(real) >= 1, 0.0)
    of_fake = (gradient / len(fake)).masked_fill(widened(fake) <= -1, 0.0)
    return of_real.to(real.dtype), of_fake.to(fake.dtype)
