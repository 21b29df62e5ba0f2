"""Exponential moving average (EMA) of the generator.

The loop updates it once a cycle, after the generator's step. It is what is sampled, scored and shared.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reacgan.config import EmaConfig
from reacgan.tensors import copy_together

_COPIED = {"u", "v", "condition_strength", "mean_w"}


def ema_decay(config: EmaConfig, images_seen: int, images_since_update: int) -> float:
    """Weight of the old average: 0.5^(images since the last update / half-life).

    Zero (a copy) before ``start``; with ``ramp`` the half-life is at most that share of the images
    seen (Karras et al. 2020, StyleGAN2).
    """
    if images_seen < config.start:
        return 0.0
    half_life = config.half_life
    if config.ramp is not None:
        half_life = min(half_life, config.ramp * images_seen)
    return 0.5 ** (images_since_update / half_life) if half_life > 0 else 0.0


@torch.no_grad()
def update_average(
    average: nn.Module, current: nn.Module, decay: float, *, fused: bool = True
) -> None:
    """Average <- decay * average + (1 - decay) * current, in place.

    Running statistics are averaged like weights. The vectors of the power iteration (``u``, ``v``) are
    copied, since the average of two unit vectors is none; so are the condition's strength, and
    StyleGAN2's mean style, which is an average already.

    Args:
        average: the averaged generator.
        current: the generator that learns.
        decay: as :func:`ema_decay` gives it.
        fused: all tensors that are averaged in one operation, and all that are copied.
    """
    averaged: list[Tensor] = []
    latest: list[Tensor] = []
    copied: list[Tensor] = []
    sources: list[Tensor] = []
    for (name, old), new in zip(
        average.state_dict().items(), current.state_dict().values(), strict=True
    ):
        if not old.is_floating_point() or name.rpartition(".")[2] in _COPIED:
            copied.append(old)
            sources.append(new)
        else:
            averaged.append(old)
            latest.append(new)
    if fused:
        torch._foreach_lerp_(averaged, latest, 1 - decay)
        copy_together(copied, sources)
        return
    for old, new in zip(copied, sources, strict=True):
        old.copy_(new)
    for old, new in zip(averaged, latest, strict=True):
        old.lerp_(new, 1 - decay)
