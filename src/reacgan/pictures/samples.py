"""Sheets of images: classes by seeds, and interpolations between two samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from reacgan.models.trained import TrainedGenerator
from reacgan.sampling import (
    fonts,
    generate,
    interpolate,
    latents_for,
    picture_of,
    seed_heads,
    share_heads,
)
from reacgan.sampling import sheet as draw_sheet
from reacgan.sampling.grids import png_of, rows_for, shortened, with_words

_SMALLEST = 64
_GAP, _APART, _SIZE, _MOST_LINES = 5, 14, 11, 4


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture with its caption, and its numbers as plain JSON."""

    png: bytes
    caption: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    pixels: bool = False
    """Whether it shows images, to be enlarged without smoothing."""


def sheet(model: TrainedGenerator, *, columns: int = 10, seed: int = 0) -> Picture:
    """A row a class (25 evenly spaced ones of many), a column a seed from ``seed`` on."""
    rows = rows_for(len(model.class_names))
    seeds = [*range(seed, seed + columns)] * len(rows)
    z = latents_for(seeds[:columns], model.latent_dim).repeat(len(rows), 1)
    labels = torch.tensor(rows).repeat_interleave(columns)
    images = generate(model.generator, z, labels, seeds=seeds, class_names=model.class_names)
    names = [model.class_names[row] for row in rows]
    heads = seed_heads(seeds[:columns])
    drawn = draw_sheet(images.unflatten(0, (len(rows), columns)), names, heads=heads)
    of = "" if len(rows) == len(model.class_names) else f" of {len(model.class_names)}"
    caption = f"generated images: {len(rows)}{of} classes, seeds {seed} to {seed + columns - 1}"
    return Picture(png_of(drawn), caption, {"classes": rows, "columns": columns}, pixels=True)


def interpolations(
    model: TrainedGenerator, *, num: int = 10, steps: int = 8, seed: int = 0
) -> dict[str, Picture]:
    """Interpolations between two latents of one class, and between two classes at one latent.

    A generator that memorised single images jumps between them. ``steepest`` of a row is its largest
    step over its mean step, a step being the mean absolute difference of adjacent images: 1 if all
    steps are equal, ``steps - 1`` for a single jump.

    Args:
        model: from :func:`reacgan.load`.
        num: maximum number of rows.
        steps: images in a row, both ends included; 2 or more.
        seed: of the first latent; the second one's is the next.

    Returns:
        ``latents``: a row a class, from ``seed`` to ``seed + 1``. ``classes``: a row for each pair of
        classes, at ``seed``; absent for one class.

    Raises:
        ConfigError: ``steps`` or ``seed`` out of range.
    """

    def between(classes: Sequence[tuple[int, int]], last: int) -> Tensor:
        ways = (
            interpolate(model, classes=pair, seeds=(seed, last), steps=steps) for pair in classes
        )
        return torch.stack([*ways])

    names = model.class_names
    labels = spread(len(names), min(num, len(names)))
    caption = f"from seed {seed} to seed {seed + 1}, a row a class"
    images = between([(label, label) for label in labels], seed + 1)
    ends = [[f"{names[label]}\nseed {number}" for label in labels] for number in (seed, seed + 1)]
    drawn = {"latents": _ways(images, ends, [names[label] for label in labels], caption)}
    if pairs := list(zip(labels, labels[1:], strict=False)):
        caption = f"from class to class with seed {seed} throughout"
        titles = [f"{names[first]} to {names[second]}" for first, second in pairs]
        ends = [[names[pair[end]] for pair in pairs] for end in (0, 1)]
        drawn["classes"] = _ways(between(pairs, seed), ends, titles, caption)
    return drawn


def spread(available: int, count: int) -> list[int]:
    """``count`` evenly spaced numbers of 0 to ``available - 1``, repeated where there are fewer."""
    if count >= available:
        return [number % available for number in range(count)]
    return [round(number * (available - 1) / max(1, count - 1)) for number in range(count)]


def _ways(
    images: Tensor, ends: Sequence[Sequence[str]], names: Sequence[str], caption: str
) -> Picture:
    """``ends``: what is written at the start and at the end of each row."""
    steps = (images[:, 1:].double() - images[:, :-1].double()).abs().flatten(2).mean(2)
    mean = steps.mean(1)
    moves = mean > 0
    steepest = steps.amax(1) / mean.clamp_min(1e-12)
    median = float(steepest[moves].median()) if moves.any() else None
    rows = [
        {
            "of": name,
            "mean_step": float(mean[row]),
            "steepest": float(steepest[row]) if moves[row] else None,
        }
        for row, name in enumerate(names)
    ]
    if median is None:
        caption += "; nothing changes on the way"
    else:
        caption += (
            f"; the largest step of a row is typically {median:.2g} times its mean one "
            f"(1: all alike, {len(steps[0])}: one jump, as between images learned by heart)"
        )
    numbers = {"steps": images.shape[1], "rows": rows, "steepest_median": median}
    drawn = draw_sheet(images, ends[0], ends=ends[1], heads=share_heads(images.shape[1]))
    return Picture(png_of(drawn), caption, numbers, pixels=True)


def captioned(images: Tensor, captions: Sequence[Sequence[str]]) -> bytes:
    """PNG of images ``[rows, columns, C, H, W]`` with captions; the first column set apart.

    Args:
        images: uint8; small ones are enlarged by a whole factor, without smoothing.
        captions: for each row and column; lines are wrapped to the width of the image, four at most
            of each.
    """
    rows, columns, _, height, width = images.shape
    factor = max(1, -(-_SMALLEST // min(height, width)))
    cell = (width * factor, height * factor)
    lines = [[_lines(text, cell[0]) for text in row] for row in captions]
    line = fonts.line_height(_SIZE)
    tops, top = [], _GAP
    for texts in lines:
        tops.append(top)
        top += cell[1] + max(map(len, texts)) * line + _GAP
    lefts = [
        _GAP + column * (cell[0] + _GAP) + (_APART if column else 0) for column in range(columns)
    ]
    canvas = Image.new("RGB", (lefts[-1] + cell[0] + _GAP, top), "white")
    draw = ImageDraw.Draw(canvas)
    for row in range(rows):
        for column, left in enumerate(lefts):
            picture = picture_of(images[row, column]).resize(cell, Image.Resampling.NEAREST)
            opaque = picture if picture.mode == "RGBA" else None
            canvas.paste(picture, (left, tops[row]), opaque)
            for number, text in enumerate(lines[row][column]):
                corner = (left, tops[row] + cell[1] + number * line)
                fonts.draw_text(draw, corner, text, _SIZE)
    cells = [list(row) for row in captions]
    return png_of(with_words(canvas, {"cells": cells}, (lefts, tops), cell))


def _lines(text: str, width: int) -> list[str]:
    lines: list[str] = []
    for part in text.split("\n"):
        wrapped = fonts.wrapped(shortened(part), _SIZE, width)
        lines += wrapped[:_MOST_LINES]
        if len(wrapped) > _MOST_LINES:
            lines[-1] = f"{lines[-1][:-1]}…"
    return lines
