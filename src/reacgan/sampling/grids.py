"""Sheets of images: one row a class, one column a seed, as PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from reacgan.files import replacing
from reacgan.sampling.latents import latents_for
from reacgan.sampling.sample import generate

MOST_ROWS = 25


def rows_for(num_classes: int) -> list[int]:
    """The classes a sheet shows: all of them, or :data:`MOST_ROWS` evenly spaced ones."""
    if num_classes <= MOST_ROWS:
        return list(range(num_classes))
    return [round(row * (num_classes - 1) / (MOST_ROWS - 1)) for row in range(MOST_ROWS)]


def class_sheet(
    generator: nn.Module, class_names: tuple[str, ...], columns: int = 10
) -> Image.Image:
    """A sheet of the classes of :func:`rows_for` with seeds 0 to ``columns - 1``."""
    rows = rows_for(len(class_names))
    z = latents_for(list(range(columns)), int(generator.latent_dim)).repeat(len(rows), 1)  # type: ignore[arg-type]
    images = generate(generator, z, torch.tensor(rows).repeat_interleave(columns))
    return sheet(images.unflatten(0, (len(rows), columns)), [class_names[row] for row in rows])


def sheet(images: Tensor, names: list[str] | None = None, *, smallest: int = 48) -> Image.Image:
    """Draw uint8 images [rows, columns, C, R, R]; small ones are enlarged without smoothing.

    Args:
        images: the pictures; C is 1 or 3.
        names: a caption for each row.
        smallest: images are enlarged by a whole factor until their side reaches this.
    """
    rows, columns, channels, side, _ = images.shape
    factor = max(1, -(-smallest // side))
    cell, gap = side * factor, 2
    margin = _caption_width(names, cell) if names else 0
    canvas = Image.new(
        "RGB", (margin + columns * (cell + gap) + gap, rows * (cell + gap) + gap), "white"
    )
    draw = ImageDraw.Draw(canvas)
    for row in range(rows):
        top = gap + row * (cell + gap)
        if names:
            draw.text((4, top + cell / 2), _caption(names[row]), "black", _font(cell), anchor="lm")
        for column in range(columns):
            pixels = images[row, column].permute(1, 2, 0).numpy()
            picture = Image.fromarray(
                np.ascontiguousarray(pixels if channels == 3 else pixels[..., 0])
            )
            picture = picture.resize((cell, cell), Image.Resampling.NEAREST)
            canvas.paste(picture, (margin + gap + column * (cell + gap), top))
    return canvas


def save_png(image: Image.Image, path: Path) -> None:
    """Write a PNG under a temporary name and rename it: a reader never sees half a picture."""
    with replacing(path) as temporary:
        image.save(temporary, format="PNG")


def picture_of(image: Tensor) -> Image.Image:
    """A uint8 image [C, R, R] as a Pillow image, grey or RGB."""
    pixels = image.permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])


def _font(cell: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=max(10, min(16, cell // 3)))


def _caption(name: str) -> str:
    return " ".join(name.split())[:24]  # one line: a class may be called anything


def _caption_width(names: list[str], cell: int) -> int:
    font = _font(cell)
    return 8 + int(max(font.getlength(_caption(name)) for name in names))
