"""The data-to-data cross-entropy as a few operations, with the closed form of its gradient.

With points P [N, D] and directions V [K, D] the rows of features and class vectors at length 1, s = P P^T,
m the margin and T the temperature (Kang, Shim, Cho, Park 2021, equation 6)::

    p_i   = -max(m - P_i . V_(y_i), 0) / T           a_i = [m > P_i . V_(y_i)]
    n_ij  = max(s_ij - (1 - m), 0) / T               a_ij = [s_ij > 1 - m]
    l_i   = log sum_(j: y_j != y_i) exp(n_ij)        w_i = sigmoid(l_i - p_i)
    loss  = mean_i softplus(l_i - p_i)

    N d loss / d s_ij        = a_ij / T w_i exp(n_ij - l_i)       (s_ij and s_ji are the same number)
    N d loss / d P_i . V_y_i = -a_i / T w_i

and through each normalisation f / |f| by (d - P (P . d)) / |f|. Forward: a kernel for lengths, the product
s, a kernel for rows, their mean; backward: a kernel for weights of pairs, their product with P, a kernel
for the rest. Everything in float32 (or float64), whatever the type of features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from reacgan.kernels.base import operation, takes_kernel
from reacgan.tensors import widened, without_autocast

ZERO_LENGTH = 1e-12
"""A row without a larger component has no direction."""


@dataclass(frozen=True)
class D2DSettings:
    """Constants of the loss, as :func:`reacgan.heads.d2dce.d2d_cross_entropy` takes them."""

    temperature: float
    margin: float
    easy_positives: bool
    """Whether easy positives get no gradient."""
    easy_negatives: bool
    """Whether easy negatives get none."""
    false_negatives: bool = False
    """Whether other samples of the same class are negatives."""
    released: bool = False
    """Whether each row's largest n_ij over all other samples is taken from its n_ij, as a constant."""


def d2d_loss(
    features: Tensor, class_vectors: Tensor, labels: Tensor, settings: D2DSettings
) -> Tensor:
    """Mean loss over a batch.

    Args:
        features: ``[N, D]``.
        class_vectors: ``[K, D]``.
        labels: ``[N]`` int64 of 0 .. K - 1.
        settings: constants.

    Returns:
        A scalar, float32 or float64.
    """
    loss: Tensor = _D2D.apply(features, class_vectors, labels, settings)
    return loss


def d2d_plainly(
    features: Tensor, class_vectors: Tensor, labels: Tensor, settings: D2DSettings
) -> Tensor:
    """The same by operations that can be differentiated any number of times."""
    points, directions = _unit(features)[0], _unit(class_vectors)[0]
    own = (points * directions[labels]).sum(1)
    return _rows(points @ points.T, own, labels, settings)[0].mean()


def _rows(
    products: Tensor, own: Tensor, labels: Tensor, settings: D2DSettings
) -> tuple[Tensor, Tensor, Tensor]:
    """Losses [N]; l_i, raised by what was taken from the row; what is pulled, a_i w_i / T, by sign."""
    pairs = (products - (1 - settings.margin)) / settings.temperature
    lacking = (settings.margin - own) / settings.temperature
    attraction = F.relu(lacking) if settings.easy_positives else lacking
    repulsion = F.relu(pairs) if settings.easy_negatives else pairs
    shift = torch.zeros_like(own)
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    if settings.released:
        shift = pairs.detach().masked_fill(itself, -torch.inf).amax(1)
    masked = repulsion.masked_fill(~_negatives(labels, settings), nothing(products.dtype))
    level = torch.logsumexp(masked, 1)
    pull = level - shift + attraction
    # Without negatives the level is hugely negative; a shift of -inf must not make it NaN.
    pull = torch.where(level < nothing(products.dtype) / 2, level, pull)
    return F.softplus(pull, threshold=1e4), level, pull


def nothing(dtype: torch.dtype) -> float:
    """In place of -inf, whose gradient would be undefined."""
    return torch.finfo(dtype).min / 4


def _negatives(labels: Tensor, settings: D2DSettings) -> Tensor:
    """[N, N]: which samples are negatives of which."""
    if settings.false_negatives:
        return ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return labels[:, None] != labels[None, :]


def _unit(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Rows at length 1, and 1 / length: both zero for a row that has no direction."""
    vectors = widened(vectors)
    largest = vectors.detach().abs().amax(dim=-1, keepdim=True)
    largest = torch.where(largest < ZERO_LENGTH, torch.inf, largest)
    vectors = vectors / largest
    length = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True).clamp_min(0.5)
    return vectors / length, (1 / largest / length).squeeze(-1)


class _D2D(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, features: Tensor, class_vectors: Tensor, labels: Tensor, settings: D2DSettings
    ) -> Tensor:
        with without_autocast(features):
            rows, scales = d2d_unit(features, class_vectors)
            points = rows[: len(features)]
            products = torch.mm(points, points.t())
            losses, levels, weights, pulls = d2d_rows(products, rows, labels, **vars(settings))
            ctx.save_for_backward(
                features, class_vectors, labels,
                rows, scales, products, levels, weights, pulls,
            )  # fmt: skip
            ctx.settings = settings
            return losses.mean()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, class_vectors, labels, *results = ctx.saved_tensors
        settings: D2DSettings = ctx.settings
        with without_autocast(gradient):
            if torch.is_grad_enabled():
                inputs = [features.view_as(features), class_vectors.view_as(class_vectors)]
                loss = d2d_plainly(inputs[0], inputs[1], labels, settings)
                first, second = torch.autograd.grad(loss, inputs, gradient, create_graph=True)
                return first, second, None, None
            rows, scales, products, levels, weights, pulls = results
            constants = {**vars(settings)}
            del constants["easy_positives"]
            pairs = d2d_pairs(products, levels, weights, labels, **constants)
            pushed = torch.mm(pairs, rows[: len(features)])
            first, second = d2d_gradients(
                gradient, pushed, rows, scales, pulls, labels, dtype=features.dtype
            )
            return first, second.to(class_vectors.dtype), None, None


def _by_kernel(tensor: Tensor) -> bool:
    return takes_kernel(tensor) and tensor.dtype != torch.float64


# -- rows at length 1


def _fake_unit(features: Tensor, class_vectors: Tensor) -> tuple[Tensor, Tensor]:
    kind = torch.promote_types(features.dtype, torch.float32)
    count = len(features) + len(class_vectors)
    rows = features.new_empty((count, features.shape[1]), dtype=kind)
    return rows, features.new_empty(count, dtype=kind)


@operation("d2d_unit", launches=1, fake=_fake_unit)
def d2d_unit(features: Tensor, class_vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Points and then directions [N + K, D], and 1 / length of all rows [N + K]."""
    if _by_kernel(features):
        from reacgan.kernels import triton_d2d  # noqa: PLC0415 - only where there are kernels

        made = _fake_unit(features, class_vectors)
        triton_d2d.unit(features.contiguous(), class_vectors.contiguous(), *made)
        return made
    (points, first), (directions, second) = _unit(features), _unit(class_vectors)
    return torch.cat([points, directions]), torch.cat([first, second])


# -- losses of rows


def _fake_rows(products: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    count = len(products)
    return (
        products.new_empty(count),
        products.new_empty(count),
        products.new_empty(count),
        products.new_empty(count),
    )


@operation("d2d_rows", launches=1, fake=_fake_rows)
def d2d_rows(
    products: Tensor,
    rows: Tensor,
    labels: Tensor,
    *,
    easy_positives: bool,
    temperature: float,
    margin: float,
    easy_negatives: bool,
    false_negatives: bool,
    released: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Losses, l_i, w_i and the gradient with respect to P_i . V_(y_i), all [N], times N."""
    settings = D2DSettings(
        temperature, margin, easy_positives, easy_negatives, false_negatives, released
    )
    if _by_kernel(products):
        from reacgan.kernels import triton_d2d  # noqa: PLC0415

        made = _fake_rows(products)
        triton_d2d.rows(products, rows, labels, made, settings)
        return made
    count = len(labels)
    own = (rows[:count] * rows[count + labels]).sum(1)
    losses, levels, pull = _rows(products, own, labels, settings)
    weights = torch.sigmoid(pull)
    slopes = -weights / temperature
    return (
        losses,
        levels,
        weights,
        slopes.masked_fill(own >= margin, 0.0) if easy_positives else slopes,
    )


# -- weights of pairs


def _fake_pairs(products: Tensor, *_: Any, **__: Any) -> Tensor:
    return torch.empty_like(products)


@operation("d2d_pairs", launches=1, fake=_fake_pairs)
def d2d_pairs(
    products: Tensor,
    levels: Tensor,
    weights: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    margin: float,
    easy_negatives: bool,
    false_negatives: bool,
    released: bool,
) -> Tensor:
    """Gradient with respect to s_ij and s_ji together, [N, N], times N."""
    settings = D2DSettings(temperature, margin, True, easy_negatives, false_negatives, released)
    if _by_kernel(products):
        from reacgan.kernels import triton_d2d  # noqa: PLC0415

        made = _fake_pairs(products)
        triton_d2d.pairs(products, levels, weights, labels, made, settings)
        return made
    pairs = (products - (1 - margin)) / temperature
    counts = _negatives(labels, settings)
    if easy_negatives:
        counts, pairs = counts & ~(pairs <= 0), F.relu(pairs)
    shares = weights[:, None] * (pairs - levels[:, None]).exp()
    shares = shares + weights[None, :] * (pairs - levels[None, :]).exp()
    return torch.where(counts, shares / temperature, 0.0)


# -- gradients of rows


def _fake_gradients(
    gradient: Tensor, pushed: Tensor, rows: Tensor, *_: Any, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    classes = len(rows) - len(pushed)
    return torch.empty_like(pushed, dtype=dtype), rows.new_empty((classes, rows.shape[1]))


@operation("d2d_gradients", launches=1, fake=_fake_gradients)
def d2d_gradients(
    gradient: Tensor,
    pushed: Tensor,
    rows: Tensor,
    scales: Tensor,
    pulls: Tensor,
    labels: Tensor,
    *,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Gradients of features [N, D] and class vectors [K, D].

    Args:
        gradient: of the loss, a scalar.
        pushed: [N, D], weights of pairs times points.
        rows: [N + K, D], points and directions.
        scales: 1 / length, [N + K].
        pulls: [N].
        labels: [N].
        dtype: of the gradient of features.
    """
    if _by_kernel(rows):
        from reacgan.kernels import triton_d2d  # noqa: PLC0415

        made = _fake_gradients(gradient, pushed, rows, dtype=dtype)
        triton_d2d.gradients(gradient, pushed, rows, scales, (pulls, labels), made)
        return made
    points, directions = rows.split([len(labels), len(rows) - len(labels)])
    on_points = pushed + pulls[:, None] * directions[labels]
    on_directions = torch.zeros_like(directions)
    on_directions.index_add_(0, labels, pulls[:, None] * points)
    first, second = (scales * (gradient / len(points)))[:, None].split(
        [len(points), len(directions)]
    )
    on_features = (_tangent(on_points, points) * first).to(dtype)
    return on_features, _tangent(on_directions, directions) * second


def _tangent(gradient: Tensor, points: Tensor) -> Tensor:
    """Without the part along the point."""
    return gradient - points * (points * gradient).sum(1, keepdim=True)
