"""Spectral normalisation (Miyato et al. 2018)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reacgan.models.switches import power_iteration_frozen
from reacgan.models.weights import Resample, as_matrix, in_memory_order, in_named_order, scaled

SPECTRAL_NORM_EPS = 1e-6


class SpectralNorm(nn.Module):
    """Mixin that divides ``weight`` by its largest singular value, estimated by power iteration.

    With W the weight as a matrix [out, rest]: v = W^T u / |.|, u = W v / |.| (one iteration for each
    forward pass in training mode, none in evaluation mode), sigma = u^T W v; u and v are constants
    for the gradient. Kept in float32 (or float64) under autocast.
    """

    weight: Tensor
    u: Tensor
    v: Tensor
    iterate: bool = True
    fused_layers: bool = True
    resample: Resample = "none"

    def reset_parameters(self) -> None:
        """Draw the weight as the layer does (its constructor ends here), then u and v."""
        super().reset_parameters()  # type: ignore[misc]
        matrix = self.weight.detach().flatten(1)
        self.register_buffer("u", F.normalize(torch.randn(matrix.shape[0]), dim=0))
        # Overwritten below, but drawn so that later draws stay the same.
        self.register_buffer("v", F.normalize(torch.randn(matrix.shape[1]), dim=0))
        self.follow_weight()

    @torch.no_grad()
    def follow_weight(self) -> None:
        """Set v = W^T u / |.| after the weight was drawn; u stays.

        For independent random u and v, u^T W v is near 0 and of either sign: the first pass in
        evaluation mode would use weights a hundred times too large. An iteration starts from u.
        """
        if not self.weight.is_meta:
            self.v.copy_(_unit(self.weight.flatten(1).t().mv(self.u)))

    @torch.no_grad()
    def converge(self, iterations: int) -> None:
        """Run power iterations, for a weight that was not trained step by step."""
        matrix = self.weight.flatten(1)
        for _ in range(iterations):
            self._iterate(matrix)

    def normalised_weight(self) -> Tensor:
        """``weight / sigma``, same shape as ``weight``."""
        with torch.autocast(self.weight.device.type, enabled=False):
            if self.fused_layers:
                return scaled(self.weight, self.norm_vectors(), order=self.resample)
            if self.training and self.iterate:
                self._iterate(self.weight.detach().flatten(1))
            # Clones: the next forward pass overwrites the buffers while this graph may still live.
            u, v = self.u.clone(), self.v.clone()
            return self.weight / torch.dot(u, self.weight.flatten(1).mv(v))

    def _iterate(self, matrix: Tensor) -> None:
        self.v.copy_(_unit(matrix.t().mv(self.u)))
        self.u.copy_(_unit(matrix.mv(self.v)))

    @torch.no_grad()
    def norm_vectors(self) -> tuple[Tensor, Tensor, Tensor]:
        """Sigma, u and v, after an iteration in training mode; v in the memory order of the weight."""
        shape, order = self.weight.shape, self.resample
        matrix = as_matrix(self.weight.detach(), order)
        if not (self.training and self.iterate):
            u, v = self.u.clone(), in_memory_order(self.v, shape, order)
            return torch.dot(u, matrix.mv(v)), u, v
        v = _unit(matrix.t().mv(self.u))
        image = matrix.mv(v)
        u = _unit(image)
        self.v.copy_(in_named_order(v, shape, order))
        self.u.copy_(u)
        return torch.dot(u, image), u, v


def _unit(vector: Tensor) -> Tensor:
    return F.normalize(vector, dim=0, eps=SPECTRAL_NORM_EPS)


def weight_of(layer: nn.Module) -> Tensor:
    """The weight that a layer uses, normalised if it does so, without gradient or power iteration."""
    with torch.no_grad(), power_iteration_frozen(layer):
        weight: Any = layer.normalised_weight() if isinstance(layer, SpectralNorm) else layer.weight
        return torch.as_tensor(weight).detach()
