"""SwAV's ResNet-50 from its published file, which has torchvision's names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from reacgan.config import ConfigError, path_of
from reacgan.extractors.base import Extracted
from reacgan.extractors.pretrained import Pretrained, library
from reacgan.extractors.resize import Filter
from reacgan.extractors.weights import Layout, read_weights

URL = "https://dl.fbaipublicfiles.com/deepcluster/swav_800ep_pretrain.pth.tar"
_ENDINGS = (".tar", ".pth", ".pt", ".safetensors")
_PREFIX = "module."
_HEADS: Layout = {
    "projection_head.0.weight": (2048, 2048),
    "projection_head.0.bias": (2048,),
    **{f"projection_head.1.{part}": (2048,) for part in ("weight", "bias")},
    **{f"projection_head.1.running_{part}": (2048,) for part in ("mean", "var")},
    "projection_head.3.weight": (128, 2048),
    "projection_head.3.bias": (128,),
    "prototypes.weight": (3000, 128),
}
"""Unused tensors of the file."""
_RESNET50: Mapping[str, Any] = {
    "num_channels": 3,
    "embedding_size": 64,
    "hidden_sizes": [256, 512, 1024, 2048],
    "depths": [3, 4, 6, 3],
    "layer_type": "bottleneck",
    "hidden_act": "relu",
    "downsample_in_first_stage": False,
    "downsample_in_bottleneck": False,
}


class Swav(Pretrained):
    """ResNet-50 of SwAV (Caron et al. 2020), self-supervised for 800 epochs: pooled, 2048.

    Args:
        weights: the published file, or a folder or repository with a ``ResNetModel`` of
            ``transformers``.
    """

    name = "swav"
    hub = ""
    architecture = "ResNetModel"
    filter: ClassVar[Filter] = "bilinear"
    takes = "mean over places"

    def outputs(self, pixels: Tensor) -> Extracted:
        """Features [N, 2048]."""
        return Extracted(self._network(pixel_values=pixels).pooler_output.flatten(1))

    def dimension(self, config: Any) -> int:
        """Channels of the last stage."""
        return int(config.hidden_sizes[-1])

    def load(self, weights: str | None, revision: str | None) -> tuple[Any, dict[str, Any]]:
        """From the published file, or like the other members."""
        transformers = library(self.name)
        if weights is None:
            raise ConfigError(
                f"the extractor {self.name!r} needs its published weights: fetch {URL} and give "
                "weights=FILE"
            )
        if not weights.endswith(_ENDINGS) or path_of(weights).is_dir():
            return self.fetch(weights, revision)
        with torch.random.fork_rng(devices=[]):
            network = transformers.ResNetModel(transformers.ResNetConfig(**_RESNET50))
        own = {
            name: value
            for name, value in network.state_dict().items()
            if not name.endswith("num_batches_tracked")
        }
        needed = {torchvision_name(name): tuple(value.shape) for name, value in own.items()}
        layout = {f"{_PREFIX}{name}": shape for name, shape in {**needed, **_HEADS}.items()}
        tensors = read_weights(path_of(weights), self.name, layout).tensors
        network.load_state_dict(
            {name: tensors[f"{_PREFIX}{torchvision_name(name)}"] for name in own}, strict=False
        )
        return network, {"model": self.architecture}


_PARTS = {"convolution": "conv", "normalization": "bn"}


def torchvision_name(name: str) -> str:
    """The torchvision name of a tensor of ``ResNetModel`` of ``transformers``."""
    if stem := re.fullmatch(r"embedder\.embedder\.(convolution|normalization)\.(\w+)", name):
        return f"{_PARTS[stem[1]]}1.{stem[2]}"
    match = re.fullmatch(
        r"encoder\.stages\.(\d+)\.layers\.(\d+)\."
        r"(?:layer\.(\d+)|shortcut)\.(convolution|normalization)\.(\w+)",
        name,
    )
    if match is None:
        raise ConfigError(f"{name}: not a tensor of a ResNet")
    stage, layer, step, part, tensor = match.groups()
    block = f"layer{int(stage) + 1}.{layer}"
    if step is None:
        return f"{block}.downsample.{0 if part == 'convolution' else 1}.{tensor}"
    return f"{block}.{_PARTS[part]}{int(step) + 1}.{tensor}"
