"""Spectral norm of all layers of a network at once, forward and backward.

What many layers need lies in a few flat tensors: the weights that they take in ``narrow`` (in the type of
autocast) and ``wide`` (in that of the weights), sigma, u, v, gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from reacgan.kernels.base import operation, takes_kernel
from reacgan.kernels.matrices import narrowed, norm_gradient, norm_vectors, widened
from reacgan.kernels.spectral_layout import Form, Part, parts, shapes_of


def _length(spans: Sequence[slice]) -> int:
    return max((span.stop for span in spans), default=0)


def _outputs(
    weights: list[Tensor], us: list[Tensor], vs: list[Tensor], forms: list[int], kind: torch.dtype
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    layout = parts(shapes_of(weights), tuple(forms))
    first = weights[0]
    narrow = [part.taken for part in layout if part.form & Form.NARROW]
    wide = [part.taken for part in layout if not part.form & Form.NARROW]
    return (
        first.new_empty(_length(narrow), dtype=kind),
        first.new_empty(_length(wide)),
        first.new_empty(len(weights)),
        first.new_empty(_length([part.u for part in layout])),
        first.new_empty(_length([part.v for part in layout])),
    )


@operation("spectral_weights", launches=4, fake=_outputs, changes=("us", "vs"))
def spectral_weights(
    weights: list[Tensor], us: list[Tensor], vs: list[Tensor], forms: list[int], kind: torch.dtype
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Power iterations, sigma, and the weights that layers take.

    Args:
        weights: of the layers, [O, I, kh, kw] or [O, I], in the order of memory of ``arranged``.
        us: of each [O]; an iteration writes to it.
        vs: of each, over [I, kh, kw] or [I]; an iteration writes to it.
        forms: of each, a :class:`Form`.
        kind: the type of autocast.

    Returns:
        ``narrow`` and ``wide``; sigma [layers]; u and v, v in the order of ``as_matrix``.
    """
    outputs = _outputs(weights, us, vs, forms, kind)
    layout = parts(shapes_of(weights), tuple(forms))
    if _by_kernels(weights):
        from reacgan.kernels.triton_spectral import normalise  # noqa: PLC0415 - needs triton

        normalise(weights, us, vs, forms, outputs)
        return outputs
    narrow, wide, sigmas, flat_u, flat_v = outputs
    for index, (part, weight, u, v) in enumerate(zip(layout, weights, us, vs, strict=True)):
        form = part.form
        sigma, left, right = norm_vectors(
            weight, u, v, form.order, iterate=bool(form & Form.ITERATES)
        )
        taken = weight / (sigma * 4 if form.quarter else sigma)
        taken = widened(taken, form.order) if form & Form.WIDENED else taken
        part.given(narrow if form & Form.NARROW else wide).copy_(taken)
        sigmas[index] = sigma
        flat_u[part.u], flat_v[part.v] = left, right
    return outputs


def _gradients(
    narrow: Tensor,
    wide: Tensor,
    weights: list[Tensor],
    norms: list[Tensor],
    forms: list[int],
) -> Tensor:
    layout = parts(shapes_of(weights), tuple(forms))
    return weights[0].new_empty(_length([part.gradient for part in layout]))


@operation("spectral_gradients", launches=3, fake=_gradients)
def spectral_gradients(
    narrow: Tensor,
    wide: Tensor,
    weights: list[Tensor],
    norms: list[Tensor],
    forms: list[int],
) -> Tensor:
    """Gradients of all weights from those of the weights that the layers took.

    Args:
        narrow: gradients with respect to ``narrow`` of :func:`spectral_weights`.
        wide: the same of ``wide``.
        weights: as given there.
        norms: sigma, u and v as returned there.
        forms: as given there.

    Returns:
        The gradients one after another, each in the order of memory of its weight.
    """
    result = _gradients(narrow, wide, weights, norms, forms)
    layout = parts(shapes_of(weights), tuple(forms))
    if _by_kernels(weights):
        from reacgan.kernels.triton_spectral import differentiate  # noqa: PLC0415 - needs triton

        differentiate((narrow, wide), weights, norms, forms, result)
        return result
    sigma, u, v = norms
    for index, (part, weight) in enumerate(zip(layout, weights, strict=True)):
        gradient = part.given(narrow if part.form & Form.NARROW else wide)
        norm = sigma[index], u[part.u], v[part.v]
        _weight_like(result, part, weight).copy_(_through(part.form, weight, gradient, norm))
    return result


def _by_kernels(weights: list[Tensor]) -> bool:
    return takes_kernel(weights[0]) and weights[0].dtype == torch.float32


def _through(
    form: Form, weight: Tensor, gradient: Any, norm: tuple[Tensor, Tensor, Tensor]
) -> Tensor:
    """The gradient of a weight from that of the weight that its layer takes."""
    gradient = gradient.to(weight.dtype)
    if form & Form.WIDENED:
        gradient = narrowed(gradient, form.order)
    if form.quarter:
        gradient = gradient / 4
    return norm_gradient(weight, gradient, norm, form.order)


def _weight_like(flat: Tensor, part: Part, weight: Tensor) -> Tensor:
    """The gradient of a weight in the flat tensor of all, with the strides of the weight."""
    start = flat.storage_offset() + part.gradient.start
    return flat.as_strided(weight.shape, weight.stride(), start)


def together(
    weights: Sequence[Tensor],
    us: Sequence[Tensor],
    vs: Sequence[Tensor],
    forms: Sequence[Form],
    kind: torch.dtype,
) -> list[Tensor]:
    """The weights that layers take, each over its largest singular value; u, v are moved in place.

    Args:
        weights: [O, I, kh, kw] or [O, I], on one device, of one type, float32 or float64, and each
            in the order of memory of :func:`~reacgan.kernels.matrices.arranged`.
        us: of each, [O].
        vs: of each, over [I, kh, kw] or [I].
        forms: what each layer wants.
        kind: the type of those with :attr:`Form.NARROW`; the others have that of the weights.

    Returns:
        Of each weight W: W / (u^T W v), [O, I, kh, kw] or [O, I], widened [O, I, 4, 4] or for
        ``UP`` [I, O, 4, 4]; with its gradient. u and v are constants.
    """
    with torch.autocast(weights[0].device.type, enabled=False):
        result: tuple[Tensor, ...] = _Together.apply(us, vs, forms, kind, *weights)
    return list(result)


class _Together(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        us: Sequence[Tensor],
        vs: Sequence[Tensor],
        forms: Sequence[Form],
        kind: torch.dtype,
        *weights: Tensor,
    ) -> tuple[Tensor, ...]:
        ctx.forms, ctx.kind = [int(form) for form in forms], kind
        narrow, wide, *norms = spectral_weights(
            list(weights), list(us), list(vs), ctx.forms, ctx.kind
        )
        ctx.save_for_backward(*norms, *weights)
        ctx.set_materialize_grads(False)
        layout = parts(shapes_of(weights), tuple(ctx.forms))
        return tuple(part.given(narrow if part.form & Form.NARROW else wide) for part in layout)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        sigma, u, v, *weights = ctx.saved_tensors
        layout = parts(shapes_of(weights), tuple(ctx.forms))
        results: list[Tensor | None] = [None] * len(weights)
        reached = [index for index, gradient in enumerate(gradients) if gradient is not None]
        with torch.autocast(sigma.device.type, enabled=False):
            if torch.is_grad_enabled():  # to be differentiated again: ordinary operations
                for index in reached:
                    part = layout[index]
                    norm = sigma[index], u[part.u], v[part.v]
                    results[index] = _through(part.form, weights[index], gradients[index], norm)
            else:
                narrow, wide = (
                    _gathered(layout, gradients, sigma.new_empty(0, dtype=kind), form)
                    for kind, form in ((ctx.kind, Form.NARROW), (sigma.dtype, Form(0)))
                )
                flat = spectral_gradients(narrow, wide, weights, [sigma, u, v], ctx.forms)
                for index in reached:
                    results[index] = _weight_like(flat, layout[index], weights[index])
        return None, None, None, None, *results


def _gathered(
    layout: Sequence[Part], gradients: Sequence[Tensor | None], like: Tensor, narrow: Form
) -> Tensor:
    """The gradients of those that are narrow, or are not, in one tensor; zeros for None."""
    flat = like.new_empty(
        _length([part.taken for part in layout if part.form & Form.NARROW == narrow])
    )
    targets: list[Tensor] = []
    sources: list[Tensor] = []
    for part, gradient in zip(layout, gradients, strict=True):
        if part.form & Form.NARROW != narrow:
            continue
        if gradient is None:
            flat[part.taken].zero_()
        else:
            targets.append(flat[part.taken])
            sources.append(part.flattened(gradient))
    if targets:
        torch._foreach_copy_(targets, sources)
    return flat
