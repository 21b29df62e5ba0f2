"""Exponential moving average of the generator's weights and batch statistics."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_COPIED = {"u", "v", "condition_strength", "mean_w"}


@torch.no_grad()
def update_average(
    average: nn.Module, current: nn.Module, decay: float, *, fused: bool = True
) -> None:
    """Average <- decay * average + (1 - decay) * current, in place.

    Running statistics are averaged like weights; the vectors of the power iteration (``u``, ``v``)
    are copied, since the average of two unit vectors is none; so are the condition's
    strength, and StyleGAN2's mean style, which is an average already. ``fused``: all in one operation.
    """
    averaged: list[Tensor] = []
    latest: list[Tensor] = []
    for (name, held), new in zip(
        average.state_dict().items(), current.state_dict().values(), strict=True
    ):
        if not held.is_floating_point() or name.rpartition(".")[2] in _COPIED:
            held.copy_(new)
        else:
            averaged.append(held)
            latest.append(new)
    if fused:
        torch._foreach_lerp_(averaged, latest, 1 - decay)
        return
    for held, new in zip(averaged, latest, strict=True):
        held.lerp_(new, 1 - decay)
