"""The networks of the published experiments, as changes for :meth:`reacgan.config.Experiment.replace`."""

from __future__ import annotations

from typing import Literal

from reacgan.experiments.parts import Changes

Attention = tuple[tuple[int, ...], tuple[int, ...]]
"""Blocks of the generator and of the backbone that attention follows."""


def _pair(name: str, both: Changes, generator: Changes, backbone: Changes) -> Changes:
    """A generator and a backbone of one name, with shared and separate options."""
    return {
        "model.generator": {"name": name, **both, **generator},
        "model.backbone": {"name": name, **both, **backbone},
    }


def dcgan() -> Changes:
    """DCGAN's networks without labels: batch norm in both, but not in D's first layer."""
    generator = {"latent_dim": 128, "conditional": False}
    return _pair("dcgan", {"width": 64}, generator, {"norm": "batch", "leak": 0.2})


def resnet(
    norm: Literal["spectral", "batch", "none"],
    *,
    g_spectral: bool = False,
    attention: Attention = ((), ()),
    conditional: bool = True,
) -> Changes:
    """SNGAN's residual networks; ``attention`` of the generator and of the backbone."""
    generator = {
        "latent_dim": 128,
        "spectral_norm": g_spectral,
        "attention_after": attention[0],
        "conditional": conditional,
    }
    return _pair(
        "resnet", {"width": 64}, generator, {"norm": norm, "attention_after": attention[1]}
    )


def biggan(latent_dim: int, width: int, attention: Attention) -> Changes:
    """BigGAN's networks with spectral norm on both sides and a shared embedding of 128."""
    generator = {"latent_dim": latent_dim, "shared_dim": 128, "attention_after": attention[0]}
    return _pair("biggan", {"width": width}, generator, {"attention_after": attention[1]})


def biggan_deep(attention: Attention, shortcut: Literal["drop", "learned"] = "drop") -> Changes:
    """BigGAN-deep's networks, width 128, two blocks a resolution."""
    both = {"width": 128, "depth": 2, "shortcut": shortcut}
    generator = {"latent_dim": 128, "shared_dim": 128, "attention_after": attention[0]}
    return _pair("biggan_deep", both, generator, {"attention_after": attention[1]})


def stylegan2(
    *,
    mapping_layers: int,
    mixing: float,
    group: int,
    channel_base: int = 32768,
    architecture: Literal["resnet", "skip", "orig"] = "resnet",
) -> Changes:
    """StyleGAN2's networks, z and w of 512."""
    generator = {
        "latent_dim": 512,
        "style_dim": 512,
        "mapping_layers": mapping_layers,
        "mixing": mixing,
    }
    backbone = {"architecture": architecture, "group": group}
    return _pair("stylegan2", {"channel_base": channel_base}, generator, backbone)
