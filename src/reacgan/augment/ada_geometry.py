"""ADA's pixel blitting and general geometric transformations."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import NamedTuple

import torch
from torch import Tensor

from reacgan.augment.ada_resample import resample
from reacgan.augment.chances import Chances, chosen, product, reflected

BLIT = ("flip", "rotate90", "shift")
GEOMETRY = ("scale", "rotate", "stretch", "translate")


class Blit(NamedTuple):
    """The operations on each image, in this order; each ``[N]``."""

    mirrored: Tensor
    """bool"""
    turns: Tensor
    """quarter turns clockwise, int64"""
    down: Tensor
    """pixels, int64"""
    right: Tensor
    """pixels, int64"""


class Geometry(NamedTuple):
    """Where each position p of an image comes from: ``linear @ (p - shift)``."""

    linear: Tensor
    """[N, 2, 2] on (x, y) from the centre"""
    shift: Tensor
    """[N, 2] pixels"""
    fired: Tensor
    """bool [N]: whether any operation is applied"""


def draw_blit(chances: Chances, names: Collection[str], size: tuple[int, int]) -> Blit:
    """Flip by U{0, 1}, rotate by U{0, 1, 2, 3} quarters, shift by U(-1/8, 1/8) of each side, rounded.

    An image that is not square rotates by U{0, 2} quarters.
    """
    mirrored = chances.never()
    turns = down = right = mirrored.long()
    if "flip" in names:
        mirrored = chances.fires() & (chances.integers(2) == 1)
    if "rotate90" in names:
        square = size[0] == size[1]
        quarters = chances.integers(4) if square else 2 * chances.integers(2)
        turns = torch.where(chances.fires(), quarters, 0)
    if "shift" in names:
        fired = chances.fires()
        moves = [(chances.uniform(-0.125, 0.125) * side).round().long() for side in size]
        down, right = (torch.where(fired, move, 0) for move in moves)
    return Blit(mirrored, turns, down, right)


def blit(images: Tensor, moves: Blit) -> Tensor:
    """Copy pixels, without interpolation; images are reflected at the edges.

    Quarter turns of an odd number need square images.
    """
    height, width = images.shape[2:]
    down, right, turns = (move[:, None, None] for move in (moves.down, moves.right, moves.turns))
    row = torch.arange(height, device=images.device)[None, :, None] - down  # [N, H, 1]
    column = torch.arange(width, device=images.device)[None, None, :] - right  # [N, 1, W]
    row, column = reflected(row, height), reflected(column, width)
    half = turns % 4 >= 2
    row = torch.where(half, height - 1 - row, row)
    column = torch.where(half, width - 1 - column, column)
    if height == width:  # a quarter turn clockwise takes (y, x) from (last - x, y)
        quarter = turns % 2 == 1
        row, column = (
            torch.where(quarter, height - 1 - column, row),
            torch.where(quarter, row, column),
        )
    column = torch.where(moves.mirrored[:, None, None], width - 1 - column, column)
    source = (row * width + column).flatten(1)[:, None].expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, source).view(images.shape)


def draw_geometry(chances: Chances, names: Collection[str], size: tuple[int, int]) -> Geometry:
    """Scale, rotate, stretch, rotate, translate: the inverse of their product.

    - scale: both sides x 2^N(0, 0.2^2);
    - rotate: U(-pi, pi), before and after the stretch, each with probability 1 - sqrt(1 - p), so
      that one of the two happens with probability p;
    - stretch: width x s and height / s, s = 2^N(0, 0.2^2);
    - translate: N(0, 0.125^2) of each side.
    """
    fired = chances.never()
    linear = _diagonal(chances.ones(), chances.ones())
    shift = torch.zeros_like(linear[:, 0])
    seldom = 1 - (1 - chances.probability).sqrt()
    for name in ("scale", "rotate", "stretch", "rotate"):
        if name not in names:
            continue
        acts = chances.fires(seldom if name == "rotate" else None)
        if name == "rotate":
            inverse = _turn(-torch.where(acts, chances.uniform(-math.pi, math.pi), 0.0))
        else:
            factor = 1 / torch.where(acts, chances.log_normal(0.2), 1.0)
            inverse = _diagonal(factor, factor if name == "scale" else 1 / factor)
        linear, fired = product(linear, inverse), fired | acts
    if "translate" in names:
        acts = chances.fires()
        sides = shift.new_ones(2) * size[1]
        sides[1:].fill_(size[0])
        shift = torch.where(acts[:, None], chances.normal(2) * 0.125 * sides, 0.0)
        fired = fired | acts
    return Geometry(linear, shift, fired)


def transform(images: Tensor, geometry: Geometry, taps: Tensor) -> Tensor:
    """Change the images where ``geometry.fired``; the others stay the same bit for bit."""
    changed = resample(images, geometry.linear, geometry.shift, taps)
    return chosen(geometry.fired, changed, images)


def _diagonal(x: Tensor, y: Tensor) -> Tensor:
    return torch.diag_embed(torch.stack([x, y], dim=1))


def _turn(angle: Tensor) -> Tensor:
    """Rotation of (x, y), y down: by a positive angle clockwise; ``[N, 2, 2]``."""
    cosine, sine = angle.cos(), angle.sin()
    return torch.stack([cosine, -sine, sine, cosine], dim=1).unflatten(1, (2, 2))
