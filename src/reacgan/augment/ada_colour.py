"""ADA's colour transformations: one matrix an image."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

import torch
from torch import Tensor

from reacgan.augment.chances import Chances, chosen, product

COLOUR = ("brightness", "contrast", "luma_flip", "hue", "saturation")
_NEED_LUMA = ("luma_flip", "hue", "saturation")


def draw_colour(chances: Chances, names: Collection[str], channels: int) -> tuple[Tensor, Tensor]:
    """One matrix for the colours (c_1, ..., c_C, 1) of an image, and whether any operation is applied.

    In this order, with v = (1, ..., 1) / sqrt(C) the axis of luma:

    - brightness: adds N(0, 0.2^2);
    - contrast: multiplies by 2^N(0, 0.5^2);
    - luma_flip: reflects at the plane orthogonal to v, by U{0, 1};
    - hue: rotates about v by U(-pi, pi); three channels only;
    - saturation: multiplies the part orthogonal to v by 2^N(0, 1).

    Luma is defined for one channel, where saturation has no effect, and for three. Other images get
    brightness and contrast alone.

    Returns:
        ``[N, C + 1, C + 1]`` and bool ``[N]``.
    """
    fired = chances.never()
    matrix = torch.diag_embed(chances.ones()[:, None].expand(-1, channels + 1))
    for name in COLOUR:
        if name not in names or not _is_defined(name, channels):
            continue
        acts = chances.fires()
        step = _STEPS[name](chances, channels)
        matrix = torch.where(acts[:, None, None], product(step, matrix), matrix)
        fired = fired | acts
    return matrix, fired


def change_colour(images: Tensor, matrix: Tensor, fired: Tensor) -> Tensor:
    """Apply ``matrix [N, C + 1, C + 1]`` to each pixel of the images where ``fired``."""
    colours, added = matrix[:, :-1, :-1], matrix[:, :-1, -1:]
    changed = torch.baddbmm(added, colours, images.flatten(2)).view(images.shape)
    return chosen(fired, changed, images)


def _is_defined(name: str, channels: int) -> bool:
    if name == "hue":
        return channels == 3
    return name not in _NEED_LUMA or channels in (1, 3)


def brightness(amount: Tensor, channels: int) -> Tensor:
    """Add ``amount [N]`` to every channel."""
    ones = torch.ones_like(amount)
    return _affine(_luma(ones, ones, channels), amount)


def contrast(factor: Tensor, channels: int) -> Tensor:
    """Multiply every channel by ``factor [N]``, about mid-grey."""
    return _affine(_luma(factor, factor, channels))


def luma_flip(mirrored: Tensor, channels: int) -> Tensor:
    """Mirror luma where ``mirrored [N]`` is 1; colour stays. I - 2 v v^T."""
    return _affine(_luma(1 - 2 * mirrored, torch.ones_like(mirrored), channels))


def hue(angle: Tensor, channels: int = 3) -> Tensor:
    """Rotate colours about v by ``angle [N]``, radians: cos a I + sin a [v] + (1 - cos a) v v^T."""
    eye = torch.eye(channels, device=angle.device, dtype=angle.dtype)
    cross = (eye.roll(1, dims=1) - eye.roll(-1, dims=1)) * -(3**-0.5)  # [v] x = v cross x
    turned = _luma(torch.ones_like(angle), angle.cos(), channels)
    return _affine(turned + angle.sin()[:, None, None] * cross)


def saturation(factor: Tensor, channels: int) -> Tensor:
    """Multiply what differs from grey by ``factor [N]``; luma stays. v v^T + s (I - v v^T)."""
    return _affine(_luma(torch.ones_like(factor), factor, channels))


_STEPS: dict[str, Callable[[Chances, int], Tensor]] = {
    "brightness": lambda chances, channels: brightness(chances.normal() * 0.2, channels),
    "contrast": lambda chances, channels: contrast(chances.log_normal(0.5), channels),
    "luma_flip": lambda chances, channels: luma_flip(
        chances.integers(2) * chances.ones(), channels
    ),
    "hue": lambda chances, channels: hue(chances.uniform(-math.pi, math.pi), channels),
    "saturation": lambda chances, channels: saturation(chances.log_normal(1.0), channels),
}


def _luma(along: Tensor, across: Tensor, channels: int) -> Tensor:
    """Multiply luma by ``along [N]`` and the part orthogonal to it by ``across [N]``; ``[N, C, C]``."""
    eye = torch.eye(channels, device=along.device, dtype=along.dtype)
    grey = torch.full_like(eye, 1 / channels)  # v v^T
    return along[:, None, None] * grey + across[:, None, None] * (eye - grey)


def _affine(colours: Tensor, added: Tensor | None = None) -> Tensor:
    """``[N, C, C]`` and an equal addition ``[N]`` as one matrix ``[N, C + 1, C + 1]``."""
    count, channels = colours.shape[:2]
    column = colours.new_zeros(count, channels, 1)
    if added is not None:
        column = column + added[:, None, None]
    last = torch.cat([column.new_zeros(count, 1, channels), column.new_ones(count, 1, 1)], dim=2)
    return torch.cat([torch.cat([colours, column], dim=2), last], dim=1)
