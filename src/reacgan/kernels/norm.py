"""Batch normalisation with gain, bias and ReLU: three kernels forward, three backward.

Statistics and sums are in float32 at least, whatever the type of the images: a mean that is large beside
the deviation costs no digits. Second derivatives are those of the formula.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from reacgan.kernels.base import operation, takes_kernel
from reacgan.tensors import widened


class Affine(NamedTuple):
    """What follows the division by the deviation."""

    eps: float
    """Added to the variance."""
    added: float = 0.0
    """Added to the gain."""
    relu: bool = False


def batch_norm(
    images: Tensor,
    gain: Tensor,
    bias: Tensor,
    affine: Affine,
    *,
    running: tuple[Tensor, Tensor] | None = None,
    momentum: float = 0.1,
    offset: Tensor | None = None,
) -> Tensor:
    """Images normalised by their own statistics: (gain + added) x normalised + bias, perhaps its ReLU.

    Args:
        images: [N, C, H, W], of any type; the result has it too.
        gain: [N, C] or [1, C], of any type.
        bias: the same shape as the gain.
        affine: see :class:`Affine`.
        running: mean and variance [C], moved towards those of the images, the variance unbiased.
        momentum: how far they are moved.
        offset: [C], would be added to the images, which changes nothing but the running mean. Its
            gradient is zero.

    Returns:
        [N, C, H, W], in the order of memory of the images.
    """
    _check(images, gain, bias)
    tracked = (*(running or (None, None)), momentum)
    result: Tensor = _BatchNorm.apply(
        dense(images), _rows(gain), _rows(bias), offset, tracked, affine
    )
    return result


def stored_norm(
    images: Tensor,
    stored: tuple[Tensor, Tensor],
    gain: Tensor,
    bias: Tensor,
    affine: Affine,
) -> Tensor:
    """The same with a stored mean and variance [C]; one kernel where no gradient is wanted."""
    _check(images, gain, bias)
    statistics = torch.stack(stored).to(_wide(images.dtype))
    needs = any(tensor.requires_grad for tensor in (images, gain, bias))
    if needs and torch.is_grad_enabled():
        return normalise_plainly(images, statistics, gain, bias, affine)
    how = affine._asdict()
    result: Tensor = norm_apply(dense(images), statistics, _rows(gain), _rows(bias), **how)
    return result


def normalise_plainly(
    images: Tensor, statistics: Tensor, gain: Tensor, bias: Tensor, affine: Affine
) -> Tensor:
    """The formula, with statistics [2, C], in ordinary operations."""
    mean, variance = statistics[:, None, :, None, None]
    scale = (widened(gain) + affine.added)[:, :, None, None] * (variance + affine.eps).rsqrt()
    result = (widened(images) - mean) * scale + widened(bias)[:, :, None, None]
    return (result.relu() if affine.relu else result).to(images.dtype)


def statistics_of(images: Tensor) -> Tensor:
    """Mean and biased variance [2, C], in ordinary operations."""
    variance, mean = torch.var_mean(widened(images), (0, 2, 3), correction=0)
    return torch.stack([mean, variance])


def dense(images: Tensor) -> Tensor:
    """The images, in one of the two orders of memory that the kernels read."""
    if images.is_contiguous() or images.is_contiguous(memory_format=torch.channels_last):
        return images
    return images.contiguous(memory_format=torch.channels_last)


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        gain: Tensor,
        bias: Tensor,
        offset: Tensor | None,
        running: tuple[Tensor | None, Tensor | None, float],
        affine: Affine,
    ) -> Tensor:
        mean, variance, momentum = running
        statistics = norm_statistics(images, mean, variance, offset, momentum=momentum)
        ctx.save_for_backward(images, statistics, gain, bias, offset)
        ctx.affine = affine
        result: Tensor = norm_apply(images, statistics, gain, bias, **affine._asdict())
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, statistics, gain, bias, offset = ctx.saved_tensors
        of_offset = None
        if offset is not None and ctx.needs_input_grad[3]:
            of_offset = torch.zeros_like(offset)
        if torch.is_grad_enabled():
            wanted = _differentiable(ctx, gradient, images, gain, bias)
            return *wanted, of_offset, None, None
        gradient = gradient.contiguous(memory_format=_order(images))
        how = ctx.affine._asdict()
        of_gain, of_bias, means = norm_sums(gradient, images, statistics, gain, bias, **how)
        of_images = None
        if ctx.needs_input_grad[0]:
            of_images = norm_gradient(gradient, images, statistics, gain, bias, means, **how)
        return of_images, of_gain, of_bias, of_offset, None, None


def _differentiable(
    ctx: Any, gradient: Tensor, images: Tensor, gain: Tensor, bias: Tensor
) -> list[Tensor | None]:
    """Gradients of images, gain and bias, as functions that can be differentiated again."""
    with torch.autocast(images.device.type, enabled=False):
        given = [tensor.view_as(tensor) for tensor in (images, gain, bias)]
        images, gain, bias = given
        result = normalise_plainly(images, statistics_of(images), gain, bias, ctx.affine)
        wanted = [index for index in range(3) if ctx.needs_input_grad[index]]
        computed = torch.autograd.grad(
            result, [given[index] for index in wanted], gradient, create_graph=True
        )
    gradients = dict(zip(wanted, computed, strict=True))
    return [gradients.get(index) for index in range(3)]


def _check(images: Tensor, gain: Tensor, bias: Tensor) -> None:
    """A kernel would read what lies behind a tensor that is too small."""
    shapes = ((1, images.shape[1]), (len(images), images.shape[1]))
    if images.dim() != 4 or gain.shape not in shapes or bias.shape != gain.shape:
        raise ValueError(
            f"images {tuple(images.shape)} with a gain {tuple(gain.shape)} and a bias "
            f"{tuple(bias.shape)}: these must be [N, C] or [1, C] of [N, C, H, W]"
        )


def _rows(values: Tensor) -> Tensor:
    return values if values.stride(1) == 1 else values.contiguous()


def _order(images: Tensor) -> torch.memory_format:
    last = images.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def _wide(kind: torch.dtype) -> torch.dtype:
    return torch.promote_types(kind, torch.float32)


def _by_kernel(images: Tensor) -> bool:
    """The kernels compute in float32, so float64 takes the formula everywhere."""
    return takes_kernel(images) and images.dtype != torch.float64


# -- operations; how: eps, added and relu of Affine


def _fake_statistics(images: Tensor, *others: Any, **how: Any) -> Tensor:
    return images.new_empty((2, images.shape[1]), dtype=_wide(images.dtype))


@operation(
    "norm_statistics",
    launches=2,
    fake=_fake_statistics,
    changes=("running_mean", "running_var"),
)
def norm_statistics(
    images: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    offset: Tensor | None,
    *,
    momentum: float,
) -> Tensor:
    """Mean and biased variance [2, C] of images; moves the running ones; see :func:`batch_norm`."""
    if _by_kernel(images):
        from reacgan.kernels import triton_norm  # noqa: PLC0415 - where triton is

        return triton_norm.statistics(images, running_mean, running_var, offset, momentum)
    statistics = statistics_of(images)
    if running_mean is not None and running_var is not None:
        mean, variance = statistics
        rows = images.numel() // images.shape[1]
        mean = mean if offset is None else mean + offset
        running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        variance = variance * (rows / max(rows - 1, 1))
        running_var.lerp_(variance.to(running_var.dtype), momentum)
    return statistics


def _fake_apply(images: Tensor, *others: Any, **how: Any) -> Tensor:
    return torch.empty_like(images)


@operation("norm_apply", launches=1, fake=_fake_apply)
def norm_apply(
    images: Tensor,
    statistics: Tensor,
    gain: Tensor,
    bias: Tensor,
    *,
    eps: float,
    added: float,
    relu: bool,
) -> Tensor:
    """Normalised images, with gain and bias, in their type and order of memory."""
    if _by_kernel(images):
        from reacgan.kernels import triton_norm  # noqa: PLC0415 - where triton is

        return triton_norm.apply(images, statistics, gain, bias, (eps, added, relu))
    return normalise_plainly(images, statistics, gain, bias, Affine(eps, added, relu))


def _fake_sums(
    gradient: Tensor, images: Tensor, statistics: Tensor, gain: Tensor, bias: Tensor, **how: Any
) -> tuple[Tensor, Tensor, Tensor]:
    return gain.new_empty(gain.shape), bias.new_empty(bias.shape), torch.empty_like(statistics)


@operation("norm_sums", launches=2, fake=_fake_sums)
def norm_sums(
    gradient: Tensor,
    images: Tensor,
    statistics: Tensor,
    gain: Tensor,
    bias: Tensor,
    *,
    eps: float,
    added: float,
    relu: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of gain and bias in their types, and [2, C] for :func:`norm_gradient`.

    Those are means over N, H and W: of the gradient of the normalised images, and of that x these.
    """
    if _by_kernel(images):
        from reacgan.kernels import triton_norm_gradient  # noqa: PLC0415 - where triton is

        return triton_norm_gradient.sums(
            gradient, images, statistics, gain, bias, (eps, added, relu)
        )
    passed, centred, _ = _passed(gradient, images, statistics, gain, bias, Affine(eps, added, relu))
    inverse = (statistics[1] + eps).rsqrt()
    sums, products = passed.sum((2, 3)), (passed * centred).sum((2, 3)) * inverse
    rows = images.numel() // images.shape[1]
    gains = widened(gain) + added
    means = torch.stack([(gains * sums).sum(0), (gains * products).sum(0)]) / rows
    if len(gain) == 1:
        sums, products = sums.sum(0, keepdim=True), products.sum(0, keepdim=True)
    return products.to(gain.dtype), sums.to(bias.dtype), means


def _fake_gradient(gradient: Tensor, images: Tensor, *others: Any, **how: Any) -> Tensor:
    return torch.empty_like(images)


@operation("norm_gradient", launches=1, fake=_fake_gradient)
def norm_gradient(
    gradient: Tensor,
    images: Tensor,
    statistics: Tensor,
    gain: Tensor,
    bias: Tensor,
    means: Tensor,
    *,
    eps: float,
    added: float,
    relu: bool,
) -> Tensor:
    """The gradient of the images, through mean and variance too; means from :func:`norm_sums`."""
    if _by_kernel(images):
        from reacgan.kernels import triton_norm_gradient  # noqa: PLC0415 - where triton is

        return triton_norm_gradient.gradient_of_images(
            gradient, images, statistics, (gain, bias), means, (eps, added, relu)
        )
    passed, centred, scale = _passed(
        gradient, images, statistics, gain, bias, Affine(eps, added, relu)
    )
    inverse = (statistics[1] + eps).rsqrt()
    first, second = (means * torch.stack([inverse, inverse.square()]))[:, None, :, None, None]
    return (passed * scale - first - centred * second).to(images.dtype)


def _passed(
    gradient: Tensor,
    images: Tensor,
    statistics: Tensor,
    gain: Tensor,
    bias: Tensor,
    affine: Affine,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradient that ReLU lets through, the centred images, and their scale [N, C, 1, 1]."""
    mean, variance = statistics[:, None, :, None, None]
    scale = (widened(gain) + affine.added)[:, :, None, None] * (variance + affine.eps).rsqrt()
    centred = widened(images) - mean
    passed = widened(gradient)
    if affine.relu:
        value = centred * scale + widened(bias)[:, :, None, None]
        passed = torch.ops.aten.threshold_backward(passed, value, 0)
    return passed, centred, scale
