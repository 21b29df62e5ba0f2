"""Batch normalisation over all processes, plain and conditional."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reacgan import distributed
from reacgan.kernels.norm import Affine, batch_norm, stored_norm
from reacgan.models.fused import modulated
from reacgan.models.layers import linear
from reacgan.models.spectral import SpectralNorm, weight_of

BATCH_NORM_EPS = 1e-4


class BatchNorm(nn.Module):
    """Batch normalisation over all processes, with or without learned gain and bias.

    ``F.batch_norm`` in a single process; with several, mean and variance are over all of them, with
    gradient (PyTorch's own synchronised layer does not run on CPUs). ``track = False`` leaves the
    running statistics as they are; see :func:`statistics_frozen`.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_features: int, *, affine: bool, momentum: float = 0.1) -> None:
        super().__init__()
        self.momentum = momentum
        self.track = True
        self.fused_layers = True
        self.kernels = False
        self.gain = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(
        self,
        images: Tensor,
        modulation: tuple[Tensor, Tensor] | None = None,
        *,
        added: float = 0.0,
        relu: bool = False,
        offset: Tensor | None = None,
    ) -> Tensor:
        """[N, C, H, W] -> the same shape.

        All but the images only where :meth:`takes_kernels`.

        Args:
            images: [N, C, H, W].
            modulation: gain and bias, [N, C] or [1, C], in place of the layer's own.
            added: to the gain.
            relu: ReLU of the result.
            offset: [C], to be added to the images; see :meth:`takes_offset`.
        """
        if self.takes_kernels():
            if modulation is None and self.gain is not None and self.bias is not None:
                modulation = self.gain[None], self.bias[None]
            if modulation is not None:
                return self._by_kernels(
                    images, *modulation, Affine(BATCH_NORM_EPS, added, relu), offset
                )
        return self._plainly(images)

    def _by_kernels(
        self, images: Tensor, gain: Tensor, bias: Tensor, affine: Affine, offset: Tensor | None
    ) -> Tensor:
        running = self.running_mean, self.running_var
        if not self.training:
            return stored_norm(images, running, gain, bias, affine)
        return batch_norm(
            images,
            gain,
            bias,
            affine,
            running=running if self.track else None,
            momentum=self.momentum,
            offset=offset,
        )

    def _plainly(self, images: Tensor) -> Tensor:
        if self.training and distributed.world_size() > 1:
            return self._over_processes(images)
        tracked = self.track or not self.training
        return F.batch_norm(
            images,
            self.running_mean if tracked else None,
            self.running_var if tracked else None,
            self.gain,
            self.bias,
            training=self.training,
            momentum=self.momentum,
            eps=BATCH_NORM_EPS,
        )

    def activated(self, images: Tensor) -> Tensor:
        """ReLU of the result, as one operation where it can be."""
        if self.gain is not None and self.takes_kernels():
            return self(images, relu=True)
        if self.gain is None or self.bias is None or not self.fuses(images):
            return F.relu(self(images), inplace=True)
        return self.modulated(images, self.gain[None], self.bias[None])

    def takes_kernels(self) -> bool:
        """Whether norm, gain, bias and ReLU go to :mod:`reacgan.kernels.norm`, in any precision."""
        return self.kernels and not (self.training and distributed.world_size() > 1)

    def takes_offset(self) -> bool:
        """Whether what is added to all images alike changes the running mean alone.

        A convolution before this norm then leaves its bias to it, which adds nothing and has no gradient.
        """
        return self.training and self.takes_kernels()

    def fuses(self, images: Tensor) -> bool:
        """Whether norm, gain, bias and ReLU are one operation for these images.

        Not in bfloat16: the operation adds and subtracts the mean in the type of the images, which
        loses digits where the mean is large compared with the deviation.
        """
        return (
            self.fused_layers
            and images.dtype == self.running_mean.dtype
            and self.training
            and distributed.world_size() == 1
            and images.device.type in ("cpu", "cuda")
        )

    def modulated(self, images: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
        """ReLU(gain x normalised + bias), gain and bias [N, C] or [1, C]; where :meth:`fuses`."""
        mean, variance = self._statistics(images)
        return modulated(images, mean, variance, gain, bias, eps=BATCH_NORM_EPS)

    @torch.no_grad()
    def _statistics(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and biased variance [C] of a batch, in the type of the running ones; tracked."""
        running = self.running_mean, self.running_var
        if not self.track:  # update temporary tensors
            running = torch.zeros_like(running[0]), torch.zeros_like(running[1])
        return torch.batch_norm_update_stats(images.detach(), *running, self.momentum)

    def _over_processes(self, images: Tensor) -> Tensor:
        wide = images.to(self.running_mean.dtype)
        world = distributed.world_size()
        count = images.numel() // images.shape[1] * world
        # First and second moment in one message. In float64: their difference is the variance.
        variance, mean = torch.var_mean(wide, (0, 2, 3), correction=0)
        mean, variance = mean.double(), variance.double()
        moments = torch.stack([mean, variance + mean.square()])
        moments = distributed.sum_over_processes(moments, "batch norm") / world
        mean, variance = moments[0].to(wide.dtype), moments[1] - moments[0].square()
        centred, variance = wide - mean.view(1, -1, 1, 1), variance.to(wide.dtype)
        if self.track:
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        normalised = centred * (variance + BATCH_NORM_EPS).rsqrt().view(1, -1, 1, 1)
        if self.gain is not None and self.bias is not None:
            normalised = normalised * self.gain.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)
        return normalised.to(images.dtype)


class ConditionalBatchNorm(nn.Module):
    """Batch norm whose gain and bias depend on a condition: y = (1 + A c) BN(x) + B c (BigGAN).

    Without a condition (length 0), gain and bias are plain parameters.
    """

    def __init__(self, num_features: int, condition_dim: int, *, spectral: bool) -> None:
        super().__init__()
        self.features = num_features
        self.norm = BatchNorm(num_features, affine=condition_dim == 0)
        if condition_dim:
            self.gain = linear(condition_dim, num_features, spectral=spectral, bias=False)
            self.bias = linear(condition_dim, num_features, spectral=spectral, bias=False)

    def forward(self, images: Tensor, condition: Tensor | None) -> Tensor:
        """Images [N, C, H, W], condition [N, condition_dim] or None -> [N, C, H, W]."""
        if condition is None:
            result: Tensor = self.norm(images)
            return result
        if self.norm.takes_kernels():
            return self.norm(images, self._modulation(condition), added=1.0)
        normalised = self.norm(images)
        gain = (1 + self.gain(condition))[:, :, None, None]
        bias = self.bias(condition)[:, :, None, None]
        return torch.addcmul(bias.to(images.dtype), gain.to(images.dtype), normalised)

    def activated(
        self,
        images: Tensor,
        condition: Tensor | None,
        modulation: tuple[Tensor, Tensor] | None = None,
        *,
        offset: Tensor | None = None,
    ) -> Tensor:
        """ReLU of the same, as one operation where it can be.

        Args:
            images: [N, C, H, W].
            condition: [N, condition_dim] or None.
            modulation: what :meth:`weights` make of the condition, where the norm takes kernels.
            offset: as :class:`BatchNorm` takes it.
        """
        if self.norm.takes_kernels():
            if modulation is None and condition is not None:
                modulation = self._modulation(condition)
            if modulation is not None:
                return self.norm(images, modulation, added=1.0, relu=True, offset=offset)
            if self.norm.gain is not None:
                return self.norm(images, relu=True, offset=offset)
        if condition is None:
            return self.norm.activated(images)
        if not self.norm.fuses(images):
            return F.relu(self(images, condition), inplace=True)
        return self.norm.modulated(images, 1 + self.gain(condition), self.bias(condition))

    def _modulation(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        return split_modulation(F.linear(condition, stacked_weights([self])), [self])[0]

    def weights(self) -> list[Tensor]:
        """What the condition is multiplied with, A and B, each [C, condition_dim]; nothing without one."""
        if self.norm.gain is not None:
            return []
        return [
            layer.normalised_weight() if isinstance(layer, SpectralNorm) else layer.weight
            for layer in (self.gain, self.bias)
        ]

    def condition_weight(self) -> Tensor:
        """A above B, [2 C, condition_dim], without gradient."""
        return torch.cat([weight_of(self.gain), weight_of(self.bias)])


def stacked_weights(norms: Iterable[ConditionalBatchNorm]) -> Tensor:
    """A and B of all norms above one another, so that one product serves them: [2 C + 2 C' ..., D]."""
    return torch.cat([weight for norm in norms for weight in norm.weights()])


def split_modulation(
    modulation: Tensor, norms: Sequence[ConditionalBatchNorm]
) -> list[tuple[Tensor, Tensor]]:
    """Of the product of a condition with :func:`stacked_weights`: A c and B c, [N, C], of each norm."""
    sizes = [norm.features for norm in norms for _ in range(2)]
    parts = modulation.split(sizes, dim=1)
    return list(zip(parts[::2], parts[1::2], strict=True))
