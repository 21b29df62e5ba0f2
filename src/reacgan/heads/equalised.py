"""Layers with an equalised learning rate, and StyleGAN2's mapping of labels."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reacgan.heads.base import Layers
from reacgan.kernels.bias_act import Act, activated
from reacgan.kernels.moments import unit_rows
from reacgan.tensors import without_autocast

SLOPE = 0.2
LEAKY_GAIN = math.sqrt(2)
SECOND_MOMENT_EPS = 1e-8
MAPPING_LR_MULTIPLIER = 0.01


def leaky_relu(values: Tensor, gain: float = 1.0) -> Tensor:
    """Leaky ReLU of slope 0.2 times sqrt(2), which about keeps the second moment, times ``gain``."""
    return F.leaky_relu(values, SLOPE) * (LEAKY_GAIN * gain)


def normalised_second_moment(vectors: Tensor, *, kernels: bool = False) -> Tensor:
    """Rows over the root of their mean square (Karras et al. 2018, pixel norm): ``[..., D]``.

    ``kernels``: by one operation.
    """
    if kernels:
        return unit_rows(vectors.flatten(0, -2), SECOND_MOMENT_EPS).view(vectors.shape)
    return vectors * (vectors.square().mean(-1, keepdim=True) + SECOND_MOMENT_EPS).rsqrt()


class EqualisedLinear(nn.Module):
    """Linear layer whose weights are drawn from N(0, 1) and scaled when used (Karras et al. 2018).

    With F inputs and the multiplier m: y = (m / sqrt(F)) W x + m b, optionally through
    :func:`leaky_relu`. Adam then trains all layers at the same effective rate, or at m times that.
    Always computed in the precision of the weights, under autocast too.

    Args:
        in_features: F.
        out_features: width of y.
        bias: learned offset.
        lr_multiplier: m; W is drawn from N(0, 1 / m^2), so that y does not depend on it at first.
        leaky: apply the activation.
        bias_start: m b at first.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        lr_multiplier: float = 1.0,
        leaky: bool = False,
        bias_start: float = 0.0,
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.lr_multiplier = lr_multiplier
        self.leaky = leaky
        self.kernels = False
        self.scale = lr_multiplier / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = (
            nn.Parameter(torch.full((out_features,), bias_start / lr_multiplier)) if bias else None
        )

    def forward(self, values: Tensor) -> Tensor:
        """[..., F] -> [..., out_features], in the precision of the weights."""
        with without_autocast(values):
            if self.kernels:
                return self._fused(values.to(self.weight.dtype))
            bias = None if self.bias is None else self.bias * self.lr_multiplier
            output = F.linear(values.to(self.weight.dtype) * self.scale, self.weight, bias)
            return leaky_relu(output) if self.leaky else output

    def _fused(self, values: Tensor) -> Tensor:
        """A product, and one operation for scale, bias and activation."""
        product = values.flatten(0, -2) @ self.weight.T
        act = Act(self.scale, self.lr_multiplier, *((SLOPE, LEAKY_GAIN) if self.leaky else (1, 1)))
        return activated(product, act, bias=self.bias).view(*values.shape[:-1], -1)


class LabelMapping(nn.Module):
    """Labels to vectors: a linear layer of the one-hot label, normalised, and leaky layers after it.

    This is StyleGAN2's mapping network without a latent (Karras et al., NeurIPS 2020, ADA). With one
    layer it replaces a table of class vectors.

    Args:
        num_classes: K.
        width: length of each vector.
        layers: number of leaky layers, which learn at a hundredth of the rate; 0 for none.
    """

    def __init__(self, num_classes: int, width: int, *, layers: int = 1) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.embedding = EqualisedLinear(num_classes, width)
        self.layers = nn.Sequential(*leaky_layers(width, width, layers))

    def forward(self, labels: Tensor, strength: Tensor | None = None) -> Tensor:
        """Labels int64 [...] or weights of classes [..., K], which mix them -> [..., width].

        With ``strength`` s below 1, a label becomes s times itself plus (1 - s) times the uniform
        mixture of all classes. One-hot rows are never built: those of 10,000 labels of as many classes
        would be 400 MB.
        """
        if labels.is_floating_point():
            embedded = self.embedding(labels)
        else:
            rows = F.embedding(labels, self.embedding.weight.t())
            if strength is not None:
                uniform = self.embedding.weight.mean(dim=1)
                rows = strength * rows + (1 - strength) * uniform
            embedded = rows * self.embedding.scale
            if self.embedding.bias is not None:
                embedded = embedded + self.embedding.bias * self.embedding.lr_multiplier
        output: Tensor = self.layers(
            normalised_second_moment(embedded, kernels=self.embedding.kernels)
        )
        return output


def leaky_layers(in_features: int, width: int, count: int) -> list[nn.Module]:
    """Leaky layers of a mapping network, the first from ``in_features``."""
    sizes = [in_features, *[width] * count]
    return [
        EqualisedLinear(before, after, lr_multiplier=MAPPING_LR_MULTIPLIER, leaky=True)
        for before, after in zip(sizes, sizes[1:], strict=False)
    ]


EQUALISED_LAYERS = Layers(EqualisedLinear, LabelMapping)
"""Layers of a head after StyleGAN2's backbone: a class vector is a mapped one-hot label."""
