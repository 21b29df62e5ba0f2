"""The networks of the published experiments, as changes for :meth:`reacgan.config.Experiment.replace`."""

from __future__ import annotations

from typing import Literal

from reacgan.experiments.parts import Changes

Places = tuple[int, ...]


def dcgan() -> Changes:
    """DCGAN's networks without labels: batch norm on both sides, but not where D takes the image."""
    return {
        "model.generator": {"name": "dcgan", "latent_dim": 128, "width": 64, "conditional": False},
        "model.backbone": {"name": "dcgan", "width": 64, "norm": "batch", "leak": 0.2},
    }


def resnet(
    norm: Literal["spectral", "batch", "none"],
    *,
    g_spectral: bool = False,
    attention: tuple[Places, Places] = ((), ()),
    conditional: bool = True,
) -> Changes:
    """SNGAN's residual networks; ``attention`` of the generator and of the backbone."""
    return {
        "model.generator": {
            "name": "resnet",
            "latent_dim": 128,
            "width": 64,
            "spectral_norm": g_spectral,
            "attention_after": attention[0],
            "conditional": conditional,
        },
        "model.backbone": {
            "name": "resnet",
            "width": 64,
            "norm": norm,
            "attention_after": attention[1],
        },
    }


def biggan(latent_dim: int, width: int, attention: tuple[Places, Places]) -> Changes:
    """BigGAN's networks with spectral norm on both sides and a shared embedding of 128."""
    return {
        "model.generator": {
            "name": "biggan",
            "latent_dim": latent_dim,
            "width": width,
            "shared_dim": 128,
            "attention_after": attention[0],
        },
        "model.backbone": {"name": "biggan", "width": width, "attention_after": attention[1]},
    }


def biggan_deep(
    attention: tuple[Places, Places], shortcut: Literal["drop", "learned"] = "drop"
) -> Changes:
    """BigGAN-deep's networks, width 128, two blocks a resolution."""
    return {
        "model.generator": {
            "name": "biggan_deep",
            "latent_dim": 128,
            "width": 128,
            "shared_dim": 128,
            "depth": 2,
            "shortcut": shortcut,
            "attention_after": attention[0],
        },
        "model.backbone": {
            "name": "biggan_deep",
            "width": 128,
            "depth": 2,
            "shortcut": shortcut,
            "attention_after": attention[1],
        },
    }


def stylegan2(
    *,
    mapping_layers: int,
    mixing: float,
    group: int,
    channel_base: int = 32768,
    architecture: Literal["resnet", "skip", "orig"] = "resnet",
) -> Changes:
    """StyleGAN2's networks, z and w of 512."""
    return {
        "model.generator": {
            "name": "stylegan2",
            "latent_dim": 512,
            "style_dim": 512,
            "mapping_layers": mapping_layers,
            "mixing": mixing,
            "channel_base": channel_base,
        },
        "model.backbone": {
            "name": "stylegan2",
            "architecture": architecture,
            "group": group,
            "channel_base": channel_base,
        },
    }
