"""The network of FID and of the Inception Score: Inception-v3 as TensorFlow published it in 2015.

Szegedy et al. 2016 for the network, Heusel et al. 2017 for its use. Weights are the public PyTorch
port; other ports, sizes and resizers give other scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reacgan.config import Device
from reacgan.devices import find_device
from reacgan.extractors.base import Extracted, Extractor
from reacgan.extractors.resize import RESIZERS, to_rgb
from reacgan.extractors.weights import Layout, PublishedWeights, load_weights

SIZE = 299
FEATURES = 2048
CLASSES = 1008
NORM_EPSILON = 1e-3

PUBLISHED = PublishedWeights(
    extractor="inception",
    url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    "pt_inception-2015-12-05-6726825d.pth",
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    size=95_628_359,
)

Pool = Literal["average", "max", "reduce"]
Step = tuple[tuple[int, int, int], ...]
"""Convolutions of the same input: channels, height and width of the kernel."""


def _conv(channels: int, height: int, width: int | None = None) -> Step:
    return ((channels, height, height if width is None else width),)


def _block_a(pooled: int) -> dict[str, list[Step]]:
    return {
        "branch1x1": [_conv(64, 1)],
        "branch5x5": [_conv(48, 1), _conv(64, 5)],
        "branch3x3dbl": [_conv(64, 1), _conv(96, 3), _conv(96, 3)],
        "branch_pool": [_conv(pooled, 1)],
    }


def _block_c(width: int) -> dict[str, list[Step]]:
    flat, tall = _conv(width, 1, 7), _conv(width, 7, 1)
    return {
        "branch1x1": [_conv(192, 1)],
        "branch7x7": [_conv(width, 1), flat, _conv(192, 7, 1)],
        "branch7x7dbl": [_conv(width, 1), tall, flat, tall, _conv(192, 1, 7)],
        "branch_pool": [_conv(192, 1)],
    }


_BLOCK_B = {
    "branch3x3": [_conv(384, 3)],
    "branch3x3dbl": [_conv(64, 1), _conv(96, 3), _conv(96, 3)],
}
_BLOCK_D = {
    "branch3x3": [_conv(192, 1), _conv(320, 3)],
    "branch7x7x3": [_conv(192, 1), _conv(192, 1, 7), _conv(192, 7, 1), _conv(192, 3)],
}
_FORK = _conv(384, 1, 3) + _conv(384, 3, 1)
_BLOCK_E = {
    "branch1x1": [_conv(320, 1)],
    "branch3x3": [_conv(384, 1), _FORK],
    "branch3x3dbl": [_conv(448, 1), _conv(384, 3), _FORK],
    "branch_pool": [_conv(192, 1)],
}
_BLOCKS: dict[str, tuple[Pool, dict[str, list[Step]]]] = {
    "Mixed_5b": ("average", _block_a(32)),
    "Mixed_5c": ("average", _block_a(64)),
    "Mixed_5d": ("average", _block_a(64)),
    "Mixed_6a": ("reduce", _BLOCK_B),
    "Mixed_6b": ("average", _block_c(128)),
    "Mixed_6c": ("average", _block_c(160)),
    "Mixed_6d": ("average", _block_c(160)),
    "Mixed_6e": ("average", _block_c(192)),
    "Mixed_7a": ("reduce", _BLOCK_D),
    "Mixed_7b": ("average", _BLOCK_E),
    "Mixed_7c": ("max", _BLOCK_E),  # as published, intended or not
}


class _Conv(nn.Conv2d):
    """Convolution and ReLU; the batch norm between them is folded into the weights."""

    def forward(self, images: Tensor) -> Tensor:
        return F.relu_(super().forward(images))


class _Block(nn.Module):
    """Parallel branches, concatenated along channels.

    A ``reduce`` block halves height and width: the last convolution of each branch has stride 2, and a max
    pool is a branch of its own. In the others the branch called ``branch_pool`` starts with a pool.
    """

    def __init__(self, channels: int, pool: Pool, branches: dict[str, list[Step]]) -> None:
        super().__init__()
        self.pool = pool
        self.chains: list[list[tuple[str, ...]]] = []
        self.out_channels = channels if pool == "reduce" else 0
        for branch, steps in branches.items():
            chain: list[tuple[str, ...]] = []
            width = channels
            for number, step in enumerate(steps, start=1):
                stem = branch if len(steps) == 1 else f"{branch}_{number}"
                names = (stem,) if len(step) == 1 else (f"{stem}a", f"{stem}b")
                halve = pool == "reduce" and number == len(steps)
                for name, (out, height, along) in zip(names, step, strict=True):
                    padding = (0, 0) if halve else (height // 2, along // 2)
                    stride = 2 if halve else 1
                    self.add_module(name, _Conv(width, out, (height, along), stride, padding))
                width = sum(out for out, _, _ in step)
                chain.append(names)
            self.chains.append(chain)
            self.out_channels += width

    def forward(self, images: Tensor) -> Tensor:
        """[N, C, H, W] to [N, out_channels, ...]."""
        joined = []
        for chain in self.chains:
            hidden = self._pooled(images) if chain[0] == ("branch_pool",) else images
            for names in chain:
                parts = [self.get_submodule(name)(hidden) for name in names]
                hidden = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
            joined.append(hidden)
        if self.pool == "reduce":
            joined.append(F.max_pool2d(images, 3, stride=2))
        return torch.cat(joined, 1)

    def _pooled(self, images: Tensor) -> Tensor:
        if self.pool == "max":
            return F.max_pool2d(images, 3, stride=1, padding=1)
        # Padding does not count in the mean.
        return F.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)


class InceptionNetwork(nn.Module):
    """Scaled images [N, 3, 299, 299] to features [N, 2048] and logits [N, 1008] without bias."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Conv(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = _Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = _Conv(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = _Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = _Conv(80, 192, 3)
        channels = 192
        for name, (pool, branches) in _BLOCKS.items():
            block = _Block(channels, pool, branches)
            self.add_module(name, block)
            channels = block.out_channels
        self.fc = nn.Linear(FEATURES, CLASSES, bias=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features and logits."""
        hidden = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(images)))
        hidden = F.max_pool2d(hidden, 3, stride=2)
        hidden = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(hidden))
        hidden = F.max_pool2d(hidden, 3, stride=2)
        for name in _BLOCKS:
            hidden = self.get_submodule(name)(hidden)
        features = hidden.mean((2, 3))
        return features, self.fc(features)

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> InceptionNetwork:
        """The network with the weights of a file of this :func:`layout`, frozen."""
        with torch.device("meta"):
            network = cls()
        folded: dict[str, Tensor] = {"fc.weight": tensors["fc.weight"]}
        for name in _convolutions(network):
            norm = {part: tensors[f"{name}.bn.{part}"].double() for part in _NORM}
            scale = norm["weight"] / (norm["running_var"] + NORM_EPSILON).sqrt()
            weight = tensors[f"{name}.conv.weight"].double() * scale[:, None, None, None]
            folded[f"{name}.weight"] = weight.float()
            folded[f"{name}.bias"] = (norm["bias"] - norm["running_mean"] * scale).float()
        network.load_state_dict(folded, assign=True)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network.eval().requires_grad_(False)


_NORM = ("weight", "bias", "running_mean", "running_var")


def _convolutions(network: nn.Module) -> dict[str, _Conv]:
    return {name: part for name, part in network.named_modules() if isinstance(part, _Conv)}


def layout() -> Layout:
    """Names and shapes of a file of weights: torchvision's names, batch norm beside convolution."""
    with torch.device("meta"):
        network = InceptionNetwork()
    shapes: dict[str, tuple[int, ...]] = {}
    for name, part in _convolutions(network).items():
        shapes[f"{name}.conv.weight"] = tuple(part.weight.shape)
        shapes.update({f"{name}.bn.{norm}": (part.out_channels,) for norm in _NORM})
    return {**shapes, "fc.weight": (CLASSES, FEATURES), "fc.bias": (CLASSES,)}


class Inception(Extractor):
    """Features of FID and logits of the Inception Score.

    Args:
        weights: a local ``.pth`` or ``.safetensors`` file; None for the published file, from the
            cache or fetched.
        resizer: the convention of resizing to 299 x 299: ``clean`` as in clean-fid,
            ``legacy`` as in pytorch-fid, ``legacy_tensorflow`` as in the first FID and in
            torch-fidelity, ``friendly`` with the antialiased bilinear filter.
        bias: add the bias of the last layer to the logits. TensorFlow's Inception Score and
            torch-fidelity's leave it out, some packages keep it; features are the same.

    Raises:
        ConfigError: weights that are unavailable or of another network.
    """

    name = "inception"
    features_dim = FEATURES
    any_size = True

    def __init__(
        self,
        *,
        weights: str | None = None,
        resizer: Literal["clean", "legacy", "legacy_tensorflow", "friendly"] = "clean",
        bias: bool = False,
    ) -> None:
        loaded = load_weights(weights, PUBLISHED, layout())
        self._digest = loaded.known_as(PUBLISHED)
        self._resizer = resizer
        self._network = InceptionNetwork.of(loaded.tensors)
        self._bias = loaded.tensors["fc.bias"].float() if bias else None
        self._device = torch.device("cpu")

    def to(self, device: Device) -> None:
        """Move the network."""
        device = find_device(device)
        self._network.to(device)
        if self._bias is not None:
            self._bias = self._bias.to(device)
        self._device = device

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Extracted:
        """Features [N, 2048] and logits [N, 1008] of uint8 images; grey, RGB or RGBA of any size."""
        pixels = RESIZERS[self._resizer](to_rgb(images), SIZE)
        scaled = pixels / 127.5 - 1 if self._centred() else (pixels - 128) / 128
        scaled = scaled.contiguous(memory_format=torch.channels_last)
        exact = torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        )
        with exact, torch.autocast(self._device.type, enabled=False):
            features, logits = self._network(scaled)
            if self._bias is not None:
                logits = logits + self._bias
        return Extracted(features, logits)

    def describe(self) -> dict[str, Any]:
        """What features depend on."""
        return {
            "name": self.name,
            "weights": self._digest,
            "resizer": self._resizer,
            "size": SIZE,
            "shape": "stretched to a square",
            "scale": "2 x / 255 - 1" if self._centred() else "(x - 128) / 128",
            "channels": "grey repeated three times, RGBA on white",
            "logits": "without bias" if self._bias is None else "with bias",
            "type": "float32",
        }

    def _centred(self) -> bool:
        """Whether 0..255 is mapped to -1..1; TensorFlow's own graph divides by 128."""
        return self._resizer in ("legacy", "friendly")
