"""Generators of every kind, as after training: no statistic, gate or strength at its first value."""

from __future__ import annotations

import torch

from reacgan.config import CodesConfig, DataConfig, Experiment, component
from reacgan.models import build_generator
from reacgan.models.spectral import SpectralNorm
from reacgan.models.trained import NormStatistics, TrainedGenerator

STYLES = {
    "name": "stylegan2", "channel_base": 256, "channel_max": 16, "latent_dim": 12, "style_dim": 16,
    "mapping_layers": 2,
}  # fmt: skip

# A member of each family, then what its options change.
MEMBERS = {
    "biggan": {"name": "biggan", "width": 8, "attention_after": [1]},
    "biggan_deep": {"name": "biggan_deep", "width": 8, "attention_after": [1], "depth": 1},
    "resnet": {"name": "resnet", "width": 8, "attention_after": [1], "spectral_norm": True},
    "dcgan": {"name": "dcgan", "width": 8, "spectral_norm": True},
    "stylegan2": STYLES,
    "r3gan": {"name": "r3gan", "width": 16, "latent_dim": 12},
}
VARIANTS = {
    "biggan, many outputs": {"name": "biggan", "width": 24, "spectral_norm": False},
    "biggan_deep, learned": {"name": "biggan_deep", "width": 8, "shortcut": "learned"},
    "resnet, unconditional": {"name": "resnet", "width": 8, "conditional": False},
    "dcgan, unconditional": {"name": "dcgan", "width": 8, "conditional": False},
    "stylegan2, resnet": {**STYLES, "architecture": "resnet"},
    "stylegan2, orig": {**STYLES, "architecture": "orig"},
    "r3gan, unconditional": {"name": "r3gan", "width": 16, "conditional": False},
    "r3gan, nearest": {"name": "r3gan", "width": 16, "resampling": "nearest"},
}
EVERY = {**MEMBERS, **VARIANTS}


def network(options, *, resolution=8, channels=3, classes=3, codes=None, seed=0):
    """A generator whose every value is another than that it starts with."""
    torch.manual_seed(seed)
    data = DataConfig(resolution=resolution, channels=channels)
    made = build_generator(component(**options), data, classes, codes)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in (*made.named_parameters(), *made.named_buffers()):
            last = name.rpartition(".")[2]
            if last in ("running_mean", "mean_w", "bias", "noise_strength", "gate"):
                value.add_(0.2 * torch.randn(value.shape, generator=random))
            if last in ("running_var", "condition_strength"):
                value.mul_(0.7 + 0.3 * torch.rand(value.shape, generator=random))
        for layer in made.modules():
            if isinstance(layer, SpectralNorm):  # which is 1 at first
                layer.weight.mul_(0.5 + torch.rand(layer.weight.shape, generator=random))
    return made.eval().requires_grad_(False)


def model(options=MEMBERS["biggan"], *, names=("cat", "Ölkäfer", "猫"), **how):
    made = network(options, classes=len(names), **how)
    size, channels = how.get("resolution", 8), how.get("channels", 3)
    experiment = Experiment(name="pets/tiny").replace(
        **{
            "data.resolution": size,
            "data.channels": channels,
            "model.generator": component(**options).model_dump(),
        }
    )
    norms = NormStatistics("moving", 0.1)
    return TrainedGenerator(made, experiment, tuple(names), 12_800, norms)


CODES = CodesConfig(discrete=(3,), continuous=2)
