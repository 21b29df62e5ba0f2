"""Spectral normalisation (Miyato et al. 2018)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reacgan.kernels.matrices import Resample, is_arranged, norm_vectors, unit
from reacgan.kernels.spectral import together
from reacgan.kernels.spectral_layout import Form
from reacgan.models.switches import power_iteration_frozen
from reacgan.models.weights import scaled


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
    autocasts: bool = True
    """Whether autocast changes the type of its operation."""
    joins: bool = False
    """Whether it was used, so that its network prepares its weight: :func:`weights_prepared`."""
    prepared: Tensor | None = None
    """The weight for its next use, over sigma, as :meth:`form` says."""

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
            self.v.copy_(unit(self.weight.flatten(1).t().mv(self.u)))

    @torch.no_grad()
    def converge(self, iterations: int) -> None:
        """Run power iterations, for a weight that was not trained step by step."""
        matrix = self.weight.flatten(1)
        for _ in range(iterations):
            self._iterate(matrix)

    def normalised_weight(self) -> Tensor:
        """``weight / sigma``, same shape as ``weight``, for a use of the layer."""
        return self.pass_weight(self.own_weight)

    def own_weight(self) -> Tensor:
        """The same, worked out here, with the iteration that is due."""
        with torch.autocast(self.weight.device.type, enabled=False):
            if self.fused_layers:
                return scaled(self.weight, self.norm_vectors(), order=self.resample)
            if self.training and self.iterate:
                self._iterate(self.weight.detach().flatten(1))
            # Clones: the next forward pass overwrites the buffers while this graph may still live.
            u, v = self.u.clone(), self.v.clone()
            return self.weight / torch.dot(u, self.weight.flatten(1).mv(v))

    def _iterate(self, matrix: Tensor) -> None:
        self.v.copy_(unit(matrix.t().mv(self.u)))
        self.u.copy_(unit(matrix.mv(self.v)))

    @torch.no_grad()
    def norm_vectors(self) -> tuple[Tensor, Tensor, Tensor]:
        """Sigma, u and v after the iteration that is due; v as the weight lies in memory."""
        iterate = self.training and self.iterate
        return norm_vectors(self.weight.detach(), self.u, self.v, self.resample, iterate=iterate)

    @property
    def widens(self) -> bool:
        """Whether it uses its taps widened."""
        return False

    def pass_weight(self, alone: Callable[[], Tensor], *, widened: bool = False) -> Tensor:
        """The weight for a use of the layer: prepared by its network, once, or what ``alone`` gives."""
        prepared = self.prepared
        if prepared is None:
            self.joins = True
            return alone()
        if widened == self.widens:
            self.prepared = None
            if prepared.dtype == self.operand_type():
                return prepared
        # Another form, or another precision than the network's; the iteration is done.
        with power_iteration_frozen(self):
            return alone()

    def operand_type(self) -> torch.dtype:
        """The type that the weight has in the layer's operation; autocast may change it."""
        kind, dtype = self.weight.device.type, self.weight.dtype
        if self.autocasts and dtype != torch.float64 and torch.is_autocast_enabled(kind):
            return torch.get_autocast_dtype(kind)
        return dtype

    def is_ready(self) -> bool:
        """Whether its weight can be prepared."""
        return (
            self.joins
            and self.fused_layers
            and self.prepared is None
            and self.weight.dtype in (torch.float32, torch.float64)
            and is_arranged(self.weight, self.resample)
        )

    def form(self) -> Form:
        """What has to be done to the weight before it is used."""
        form = {"none": Form(0), "up": Form.UP, "down": Form.DOWN}[self.resample]
        if self.widens:
            form |= Form.WIDENED
        if self.training and self.iterate:
            form |= Form.ITERATES
        return form if self.operand_type() == self.weight.dtype else form | Form.NARROW


@contextmanager
def weights_prepared(network: nn.Module) -> Iterator[None]:
    """Within the block, spectral layers of ``network`` have their weights from one operation.

    Each takes it once; called again, it works its weight out alone, with an iteration of its own, as all
    do outside of such a block. A layer joins once it was used, so u and v of layers that no pass uses stay;
    those of a layer that some passes use move in every pass.
    """
    layers = [
        layer for layer in network.modules() if isinstance(layer, SpectralNorm) and layer.is_ready()
    ]
    layers = [layer for layer in layers if _kind(layer) == _kind(layers[0])]
    if layers:
        weights = together(
            [layer.weight for layer in layers],
            [layer.u for layer in layers],
            [layer.v for layer in layers],
            [layer.form() for layer in layers],
            torch.get_autocast_dtype(layers[0].weight.device.type),
        )
        for layer, weight in zip(layers, weights, strict=True):
            layer.prepared = weight
    try:
        yield
    finally:
        for layer in layers:
            layer.prepared = None


def _kind(layer: SpectralNorm) -> tuple[torch.device, torch.dtype]:
    return layer.weight.device, layer.weight.dtype


def weight_of(layer: nn.Module) -> Tensor:
    """The weight that a layer uses, normalised if it does so, without gradient or power iteration."""
    with torch.no_grad(), power_iteration_frozen(layer):
        weight: Any = layer.own_weight() if isinstance(layer, SpectralNorm) else layer.weight
        return torch.as_tensor(weight).detach()
