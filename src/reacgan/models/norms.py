"""Batch normalisation over all processes, plain and conditional."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reacgan import distributed
from reacgan.models.fused import modulated
from reacgan.models.layers import linear
from reacgan.models.spectral import weight_of

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
        self.gain = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, images: Tensor) -> Tensor:
        """[N, C, H, W] -> the same shape."""
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
        """ReLU of the result, as one operation where possible."""
        if self.gain is None or self.bias is None or not self.fuses(images):
            return F.relu(self(images), inplace=True)
        return self.modulated(images, self.gain[None], self.bias[None])

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
        count = images.numel() // images.shape[1] * distributed.world_size()
        mean = distributed.sum_over_processes(wide.sum((0, 2, 3))) / count
        centred = wide - mean.view(1, -1, 1, 1)
        variance = distributed.sum_over_processes(centred.square().sum((0, 2, 3))) / count
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
        self.norm = BatchNorm(num_features, affine=condition_dim == 0)
        if condition_dim:
            self.gain = linear(condition_dim, num_features, spectral=spectral, bias=False)
            self.bias = linear(condition_dim, num_features, spectral=spectral, bias=False)

    def forward(self, images: Tensor, condition: Tensor | None) -> Tensor:
        """Images [N, C, H, W], condition [N, condition_dim] or None -> [N, C, H, W]."""
        normalised: Tensor = self.norm(images)
        if condition is None:
            return normalised
        gain = (1 + self.gain(condition))[:, :, None, None]
        bias = self.bias(condition)[:, :, None, None]
        return torch.addcmul(bias.to(images.dtype), gain.to(images.dtype), normalised)

    def activated(self, images: Tensor, condition: Tensor | None) -> Tensor:
        """ReLU of the result, as one operation where possible."""
        if condition is None:
            return self.norm.activated(images)
        if not self.norm.fuses(images):
            return F.relu(self(images, condition), inplace=True)
        return self.norm.modulated(images, 1 + self.gain(condition), self.bias(condition))

    def condition_weight(self) -> Tensor:
        """A above B, [2 C, condition_dim], without gradient."""
        return torch.cat([weight_of(self.gain), weight_of(self.bias)])
