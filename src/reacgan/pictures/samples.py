"""Sheets of images: classes by seeds, and interpolations between two samples."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from reacgan.models.trained import TrainedGenerator
from reacgan.sampling import generate, interpolate, latents_for, picture_of
from reacgan.sampling import sheet as draw_sheet
from reacgan.sampling.grids import draw_classes, rows_for

_SMALLEST = 64
_GAP, _APART, _LINE = 5, 14, 12


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
    drawn = draw_classes(images.unflatten(0, (len(rows), columns)), model.class_names)
    of = "" if len(rows) == len(model.class_names) else f" of {len(model.class_names)}"
    caption = f"generated images: {len(rows)}{of} classes, seeds {seed} to {seed + columns - 1}"
    return Picture(image_png(drawn), caption, {"classes": rows, "columns": columns}, pixels=True)


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
    drawn = {"latents": _ways(images, [names[label] for label in labels], caption)}
    if pairs := list(zip(labels, labels[1:], strict=False)):
        caption = f"from class to class with seed {seed} throughout"
        titles = [f"{names[first][:10]} to {names[second][:10]}" for first, second in pairs]
        drawn["classes"] = _ways(between(pairs, seed), titles, caption)
    return drawn


def spread(available: int, count: int) -> list[int]:
    """``count`` evenly spaced numbers of 0 to ``available - 1``, repeated where there are fewer."""
    if count >= available:
        return [number % available for number in range(count)]
    return [round(number * (available - 1) / max(1, count - 1)) for number in range(count)]


def _ways(images: Tensor, names: Sequence[str], caption: str) -> Picture:
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
        caption += f"; largest step over mean step {median:.2f} ({len(steps[0])} were one jump)"
    numbers = {"steps": images.shape[1], "rows": rows, "steepest_median": median}
    return Picture(image_png(draw_sheet(images, list(names))), caption, numbers, pixels=True)


def image_png(image: Image.Image) -> bytes:
    """An image as PNG."""
    png = io.BytesIO()
    image.save(png, format="PNG")
    return png.getvalue()


def captioned(images: Tensor, captions: Sequence[Sequence[str]]) -> bytes:
    """PNG of images ``[rows, columns, C, H, W]`` with captions; the first column set apart.

    Args:
        images: uint8; small ones are enlarged by a whole factor, without smoothing.
        captions: for each row and column; lines are cut to the width of the image.
    """
    rows, columns, _, height, width = images.shape
    factor = max(1, -(-_SMALLEST // min(height, width)))
    cell = (width * factor, height * factor)
    font = ImageFont.load_default(size=_LINE - 2)
    lines = max(text.count("\n") + 1 for row in captions for text in row)
    tall = cell[1] + lines * _LINE + _GAP
    size = (_GAP + columns * (cell[0] + _GAP) + _APART, _GAP + rows * tall)
    canvas = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(canvas)
    for row in range(rows):
        top = _GAP + row * tall
        for column in range(columns):
            left = _GAP + column * (cell[0] + _GAP) + (_APART if column else 0)
            picture = picture_of(images[row, column]).resize(cell, Image.Resampling.NEAREST)
            canvas.paste(picture, (left, top), picture if picture.mode == "RGBA" else None)
            for number, line in enumerate(captions[row][column].split("\n")):
                where = (left, top + cell[1] + 1 + number * _LINE)
                draw.text(where, _fitting(line, font, cell[0]), "black", font)
    return image_png(canvas)


def _fitting(text: str, font: Any, width: int) -> str:
    text = " ".join(text.split())
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text}..."
