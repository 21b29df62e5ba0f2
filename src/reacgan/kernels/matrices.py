"""Weights of layers as matrices, in the order of memory: power iteration, widened taps, gradients."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Resample = Literal["none", "up", "down"]

SPECTRAL_NORM_EPS = 1e-6


def as_matrix(weight: Tensor, order: Resample = "none") -> Tensor:
    """[O, ...] -> [O, rest], a view where the weight lies in memory as :func:`arranged` puts it."""
    if weight.dim() != 4:
        return weight
    if order == "up":
        return weight.permute(1, 2, 3, 0).reshape(-1, len(weight)).t()
    return weight.permute(0, 2, 3, 1).reshape(len(weight), -1)


def as_weight(matrix: Tensor, shape: torch.Size, order: Resample = "none") -> Tensor:
    """The inverse of :func:`as_matrix`; ``shape`` is the weight's."""
    if len(shape) != 4:
        return matrix
    outer, inner, rows, columns = shape
    if order == "up":
        return matrix.t().reshape(inner, rows, columns, outer).permute(3, 0, 1, 2)
    return matrix.reshape(outer, rows, columns, inner).permute(0, 3, 1, 2)


def in_memory_order(vector: Tensor, shape: torch.Size, order: Resample = "none") -> Tensor:
    """A copy of a vector over [I, kh, kw] or [I] in the order of the columns of :func:`as_matrix`."""
    if len(shape) != 4 or order == "up":
        return vector.clone()
    return (
        vector.view(shape[1:])
        .permute(1, 2, 0)
        .clone(memory_format=torch.contiguous_format)
        .flatten()
    )


def in_named_order(vector: Tensor, shape: torch.Size, order: Resample = "none") -> Tensor:
    """The inverse of :func:`in_memory_order`."""
    if len(shape) != 4 or order == "up":
        return vector
    _, inner, rows, columns = shape
    return vector.view(rows, columns, inner).permute(2, 0, 1).flatten()


def arranged(weight: Tensor, order: Resample) -> Tensor:
    """``weight`` [O, I, kh, kw] with input channels last in memory, or output channels for ``"up"``.

    The transposed convolution that a doubling becomes takes its weight in the other direction.
    """
    if order == "up":
        return weight.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2)
    return weight.contiguous(memory_format=torch.channels_last)


def is_arranged(weight: Tensor, order: Resample) -> bool:
    """Whether ``weight`` [O, I, kh, kw] lies in memory as :func:`arranged` puts it, or [O, I] by rows."""
    if weight.dim() != 4:
        return weight.is_contiguous()
    if order == "up":
        return weight.permute(1, 2, 3, 0).is_contiguous()
    return weight.is_contiguous(memory_format=torch.channels_last)


def norm_vectors(
    weight: Tensor, u: Tensor, v: Tensor, order: Resample, *, iterate: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Sigma = u^T W v, with new vectors where it iterates: v = W^T u / |.|, then u = W v / |.|.

    Args:
        weight: without gradient.
        u: [O]; overwritten by an iteration.
        v: over [I, kh, kw] or [I], as a state names them; overwritten by an iteration.
        order: of memory, that of :func:`arranged`.
        iterate: make one power iteration.

    Returns:
        Sigma (a scalar), u, and v in the order of :func:`as_matrix`; nothing else writes to them.
    """
    shape, matrix = weight.shape, as_matrix(weight, order)
    if not iterate:
        u, v = u.clone(), in_memory_order(v, shape, order)
        return torch.dot(u, matrix.mv(v)), u, v
    right = unit(matrix.t().mv(u))
    image = matrix.mv(right)
    left = unit(image)
    v.copy_(in_named_order(right, shape, order))
    u.copy_(left)
    return torch.dot(left, image), left, right


def unit(vector: Tensor) -> Tensor:
    """``vector`` [n] at length 1, or over 1e-6 where it is shorter than that."""
    return F.normalize(vector, dim=0, eps=SPECTRAL_NORM_EPS)


def norm_gradient(
    weight: Tensor, gradient: Tensor, norm: tuple[Tensor, Tensor, Tensor], order: Resample
) -> Tensor:
    """The gradient with respect to ``weight`` from that with respect to ``weight / sigma``.

    Where the result is itself differentiated, sigma is a function of the weight; u and v stay constants.

    Args:
        weight: [O, I, kh, kw] or [O, I].
        gradient: the same shape.
        norm: sigma, u [O] and v [rest], as :func:`norm_vectors` gives them.
        order: of memory.
    """
    sigma, u, v = norm
    matrix = as_matrix(weight, order)
    if torch.is_grad_enabled():  # sigma is a constant only for the first derivative
        sigma = torch.dot(u, matrix.mv(v))
    # d(W / sigma) = dW / sigma - W (u^T dW v) / sigma^2
    divided = as_matrix(gradient, order) / sigma
    if order == "up":  # in memory order
        share = torch.dot(divided.t().flatten(), matrix.t().flatten()) / sigma
        divided = divided.t().addr(v, u * share, alpha=-1).t()
    else:
        share = torch.dot(divided.flatten(), matrix.flatten()) / sigma
        divided = divided.addr(u * share, v, alpha=-1)
    return as_weight(divided, weight.shape, order)


def widened(weight: Tensor, order: Resample) -> Tensor:
    """[O, I, 3, 3] convolved with a 2x2 kernel of ones.

    ``"down"``: [O, I, 4, 4], I last in memory. ``"up"``: of the mirrored kernel, [I, O, 4, 4], O last.
    """
    up = order == "up"
    taps = weight.permute(1, 2, 3, 0) if up else weight.permute(0, 2, 3, 1)
    for dim in (1, 2):
        first, middle, last = taps.unbind(dim)
        if up:
            first, last = last, first
        taps = torch.stack([first, first + middle, middle + last, last], dim)
    return taps.permute(0, 3, 1, 2)


def narrowed(gradient: Tensor, order: Resample) -> Tensor:
    """The gradient of the kernel from that of :func:`widened`: [O, I, 3, 3]."""
    taps = gradient.permute(0, 2, 3, 1)
    for dim in (2, 1):
        taps = taps.narrow(dim, 0, 3) + taps.narrow(dim, 1, 3)
    if order == "up":
        return taps.flip(1, 2).permute(3, 0, 1, 2)
    return taps.permute(0, 3, 1, 2)
