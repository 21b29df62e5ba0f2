"""The styles and demodulation factors of all layers of StyleGAN2's synthesis at once.

They depend on w and the weights alone, so layers of equal width share one batched product, instead of a
handful of small operations in each layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from reacgan.kernels.demodulation import inverse_roots_of, square_sums_of
from reacgan.models.stylegan2_layers import DEMODULATION_EPS, ModulatedConv2d, Styled
from reacgan.tensors import without_autocast


def all_styles(layers: Sequence[ModulatedConv2d], w: Sequence[Tensor]) -> list[Styled]:
    """What :meth:`ModulatedConv2d.styled` works out, for all layers.

    Args:
        layers: in any order.
        w: [N, style_dim] for each layer.
    """
    results: dict[int, Styled] = {}
    with without_autocast(w[0]):
        for indices in _groups(layers):
            styles = _batched_styles([layers[i] for i in indices], [w[i] for i in indices])
            for start, same in _runs([_shape(layers[i]) for i in indices]):
                part = indices[start : start + same]
                some = styles if same == len(indices) else styles.narrow(0, start, same)
                factors = _batched_factors([layers[i] for i in part], some)
                results |= zip(part, zip(some.unbind(0), factors, strict=True), strict=True)
    return [results[i] for i in range(len(layers))]


def _shape(layer: ModulatedConv2d) -> tuple[int, ...]:
    return (layer.demodulate, *layer.weight.shape)


def _groups(layers: Sequence[ModulatedConv2d]) -> Iterator[list[int]]:
    """Indices of layers with one number of input channels, those of one shape side by side."""
    widths = sorted({layer.weight.shape[1] for layer in layers})
    for width in widths:
        group = [i for i, layer in enumerate(layers) if layer.weight.shape[1] == width]
        yield sorted(group, key=lambda i: _shape(layers[i]))


def _runs(shapes: Sequence[tuple[int, ...]]) -> Iterator[tuple[int, int]]:
    """Start and length of each run of equal neighbours."""
    start = 0
    for end in range(1, len(shapes) + 1):
        if end == len(shapes) or shapes[end] != shapes[start]:
            yield start, end - start
            start = end


def _batched_styles(layers: Sequence[ModulatedConv2d], w: Sequence[Tensor]) -> Tensor:
    """[layers, N, C]."""
    linear = layers[0].style
    weights = torch.stack([layer.style.weight for layer in layers])
    biases = torch.stack([_bias(layer) for layer in layers])
    return torch.baddbmm(
        biases[:, None],
        torch.stack([values.to(weights.dtype) for values in w]),
        weights.transpose(1, 2),
        alpha=linear.scale,
        beta=linear.lr_multiplier,
    )


def _bias(layer: ModulatedConv2d) -> Tensor:
    if layer.style.bias is None:
        raise RuntimeError("a style has a bias")
    return layer.style.bias


def _batched_factors(
    layers: Sequence[ModulatedConv2d], styles: Tensor
) -> Sequence[Tensor] | list[None]:
    """[N, C'] for each layer of one shape; styles are [layers, N, C]."""
    if not layers[0].demodulate:
        return [None] * len(layers)
    squares = torch.stack([square_sums_of(layer.weight) for layer in layers])  # [layers, C', C]
    lengths = torch.bmm(styles.square(), squares.transpose(1, 2))
    return inverse_roots_of(lengths, layers[0].scale, 1.0, DEMODULATION_EPS).unbind(0)
