"""Self-attention over positions (SAGAN, Zhang et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reacgan.config import ConfigError
from reacgan.kernels.attention import attention_rows, attention_softmax, gated_sum
from reacgan.models.fused import attend, attention_weights, convolve, keeps_weights
from reacgan.models.layers import conv1x1


class SelfAttention(nn.Module):
    """Self-attention over positions (SAGAN): x + gate o(x), with the gate starting at zero.

    Queries at C/8 channels, keys and values (C/2) max-pooled 2x2, softmax without 1/sqrt(d).
    """

    def __init__(self, channels: int, *, spectral: bool) -> None:
        super().__init__()
        self.keys = max(channels // 8, 1)
        self.values = max(channels // 2, 1)
        self.query = conv1x1(channels, self.keys, spectral=spectral, bias=False)
        self.key = conv1x1(channels, self.keys, spectral=spectral, bias=False)
        self.value = conv1x1(channels, self.values, spectral=spectral, bias=False)
        self.out = conv1x1(self.values, channels, spectral=spectral, bias=False)
        self.fused_layers = True
        self.kernels = False
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        """[N, C, H, W] -> the same shape; sides of 2 or more."""
        if self.kernels:
            return self._by_kernels(images)
        if self.fused_layers:
            return self._by_rows(images)
        n, _, height, width = images.shape
        query = self.query(images).reshape(n, self.keys, -1)  # [N, C/8, HW]
        key = F.max_pool2d(self.key(images), 2).reshape(n, self.keys, -1)  # [N, C/8, HW/4]
        value = F.max_pool2d(self.value(images), 2).reshape(n, self.values, -1)  # [N, C/2, HW/4]
        weights = attention_weights(query.transpose(1, 2), key.transpose(1, 2))  # [N, HW, HW/4]
        mixed = value @ weights.to(value.dtype).transpose(1, 2)
        mixed = mixed.reshape(n, self.values, height, width)
        return images + self.gate.to(images.dtype) * self.out(mixed)

    def _by_rows(self, images: Tensor) -> Tensor:
        """The same with one row per position: channels-last images are not copied."""
        height, width = images.shape[2:]
        query = _rows(self.query(images))  # [N, HW, C/8]
        key = _rows(F.max_pool2d(self.key(images), 2))  # [N, HW/4, C/8]
        value = _rows(F.max_pool2d(self.value(images), 2))  # [N, HW/4, C/2]
        mixed = attend(query, key, value).unflatten(1, (height, width)).permute(0, 3, 1, 2)
        return torch.addcmul(images, self.gate.to(images.dtype), self.out(mixed))

    def _by_kernels(self, images: Tensor) -> Tensor:
        """The same with one convolution for query, key and value, and one operation for what follows it."""
        layers = (self.query, self.key, self.value)
        weight = torch.cat([layer.effective_weight() for layer in layers])
        joined = convolve(images, weight, None, stride=1, padding=0)
        height, width = images.shape[2:]
        fits = keeps_weights(images.device, height * width, (height // 2) * (width // 2))
        query, key, value = attention_rows(joined, self.keys, wide=fits)
        if fits:
            with torch.autocast(images.device.type, enabled=False):
                scores = torch.bmm(query, key.transpose(1, 2))
                mixed = torch.bmm(attention_softmax(scores, value.dtype), value)
        else:
            mixed = attend(query, key, value)
        mixed = mixed.unflatten(1, (height, width)).permute(0, 3, 1, 2)
        return gated_sum(images, self.gate, self.out(mixed))


def _rows(images: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, HW, C]."""
    return images.permute(0, 2, 3, 1).flatten(1, 2)


def attention_layers(
    numbers: tuple[int, ...], widths: tuple[int, ...], *, spectral: bool, where: str
) -> nn.ModuleDict:
    """Self-attention after some of the blocks, by block number as text.

    Args:
        numbers: of blocks, counted from 1.
        widths: output channels of each block.
        spectral: normalise its convolutions.
        where: the section of the configuration, for messages.

    Raises:
        ConfigError: a number that no block has.
    """
    wrong = [number for number in numbers if not 1 <= number <= len(widths)]
    if wrong:
        raise ConfigError(
            f"{where}: attention_after holds {wrong[0]}, but this network has blocks 1 to "
            f"{len(widths)}"
        )
    return nn.ModuleDict(
        {str(number): SelfAttention(widths[number - 1], spectral=spectral) for number in numbers}
    )


def stages_with(layers: nn.ModuleDict, blocks: nn.ModuleList) -> list[nn.Module]:
    """Each block with the attention after it."""
    return [
        nn.ModuleList([block, *([layers[str(number)]] if str(number) in layers else [])])
        for number, block in enumerate(blocks, start=1)
    ]
