"""Sheets of images (a row a class, a column a seed) as PNG, and images of any depth as files.

One channel is grey, three are RGB, four are RGBA (sheets show them on white). Of other counts
the first three are shown as RGB, of two the first as grey; ``.npy`` files hold all channels as arrays
[H, W, C].
"""

from __future__ import annotations

import io
import json
import math
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from reacgan.files import replacing
from reacgan.models import Generator
from reacgan.sampling import fonts
from reacgan.sampling.images import generate
from reacgan.sampling.latents import latents_for
from reacgan.text import file_name

MOST_ROWS = 25
SHEET_KEY = "sheet"
"""Of a sheet's words among the texts of its PNG."""
_PAGE_ROWS, _PAGE_SIDE = 50, 4000
_GAP, _LARGE, _SMALL = 2, 16, 12
_NAME_WIDTH, _LEAST_WIDTH, _MOST_SIGNS = 200, 220, 160
PICTURE_CHANNELS = (1, 3, 4)
"""Channel counts of PNG: grey, RGB, RGBA."""


def rows_for(num_classes: int) -> list[int]:
    """The classes on a sheet: all of them, or :data:`MOST_ROWS` evenly spaced ones."""
    if num_classes <= MOST_ROWS:
        return list(range(num_classes))
    return [round(row * (num_classes - 1) / (MOST_ROWS - 1)) for row in range(MOST_ROWS)]


def class_sheet(
    generator: Generator, class_names: tuple[str, ...], columns: int = 10
) -> Image.Image:
    """A sheet of the classes of :func:`rows_for` with seeds 0 to ``columns - 1``."""
    return draw_classes(class_images(generator, class_names, columns), class_names)


def class_images(generator: Generator, class_names: tuple[str, ...], columns: int = 10) -> Tensor:
    """uint8 ``[rows, columns, C, H, W]``: :func:`rows_for`, with seeds 0 to ``columns - 1``."""
    rows = rows_for(len(class_names))
    seeds = list(range(columns)) * len(rows)
    z = latents_for(seeds[:columns], generator.latent_dim).repeat(len(rows), 1)
    labels = torch.tensor(rows).repeat_interleave(columns)
    images = generate(generator, z, labels, seeds=seeds, class_names=class_names)
    return images.unflatten(0, (len(rows), columns))


def draw_classes(images: Tensor, class_names: tuple[str, ...], caption: str = "") -> Image.Image:
    """The sheet of images from :func:`class_images`, the seeds above the columns."""
    rows = rows_for(len(class_names))
    if len(rows) < len(class_names):
        caption = ", ".join(
            [*filter(None, [caption]), f"{len(rows)} of {len(class_names)} classes"]
        )
    names = [class_names[row] for row in rows]
    return sheet(images, names, heads=seed_heads(range(images.shape[1])), caption=caption)


def seed_heads(seeds: Sequence[int]) -> list[str]:
    """What stands above the columns of a sheet: ``seed 0``, then numbers."""
    return [f"seed {seed}" if column == 0 else str(seed) for column, seed in enumerate(seeds)]


def share_heads(steps: int) -> list[str]:
    """What stands above the columns of a walk: the share of the way, ``0%`` to ``100%``."""
    return [f"{step / (steps - 1):.0%}" for step in range(steps)]


def sheet(
    images: Tensor,
    names: Sequence[str] | None = None,
    *,
    ends: Sequence[str] | None = None,
    heads: Sequence[str] | None = None,
    smallest: int = 48,
    caption: str = "",
) -> Image.Image:
    """Draw uint8 images [rows, columns, C, H, W]; small ones are enlarged without smoothing.

    Names are wrapped; a row becomes taller where a name needs it. ``info["sheet"]`` of the image says
    where the rows are and what is written beside them, for pages that set the words as text.

    Args:
        images: of more than four channels, or of two, some are shown.
        names: of the rows, at the left.
        ends: at the right of the rows: what a walk arrives at.
        heads: of the columns, above them; those too close to their neighbours are left out.
        smallest: images are enlarged by a whole factor until their shorter side reaches this.
        caption: lines at the bottom.
    """
    rows, columns, _, height, width = images.shape
    factor = max(1, -(-smallest // min(height, width)))
    cell = (width * factor, height * factor)
    across = columns * (cell[0] + _GAP) + _GAP
    sides = [_Side(texts, cell[1]) for texts in (names, ends)]
    left = sides[0].width
    above = fonts.line_height(_SMALL) if heads else 0
    tops, top = [], above + _GAP
    for row in range(rows):
        tops.append(top)
        top += max(cell[1], *(side.height(row) for side in sides)) + _GAP
    whole = max(left + across + sides[1].width, _LEAST_WIDTH if caption else 0)
    lines = fonts.wrapped(caption, _SMALL, whole - 8) if caption else []
    canvas = Image.new("RGB", (whole, top + len(lines) * fonts.line_height(_SMALL)), "white")
    draw = ImageDraw.Draw(canvas)
    for number, line in enumerate(lines):
        fonts.draw_text(
            draw, (4, top + number * fonts.line_height(_SMALL)), line, _SMALL, "dimgrey"
        )
    _draw_heads(draw, heads or (), left + _GAP + cell[0] / 2, cell[0] + _GAP)
    for row in range(rows):
        sides[0].draw(draw, row, (4, tops[row]))
        sides[1].draw(draw, row, (left + across + 4, tops[row]))
        for column in range(columns):
            picture = picture_of(images[row, column]).resize(cell, Image.Resampling.NEAREST)
            opaque = picture if picture.mode == "RGBA" else None
            canvas.paste(picture, (left + _GAP + column * (cell[0] + _GAP), tops[row]), opaque)
    words = {"names": names, "ends": ends, "heads": heads, "caption": caption}
    lefts = [left + _GAP + column * (cell[0] + _GAP) for column in range(columns)]
    return with_words(canvas, words, (lefts, tops), cell)


def with_words(
    canvas: Image.Image,
    words: Mapping[str, Any],
    corners: tuple[Sequence[int], Sequence[int]],
    cell: tuple[int, int],
) -> Image.Image:
    """The image with what is written on it in ``info``; PNGs of :func:`png_of` keep it.

    Args:
        canvas: a sheet.
        words: ``names``, ``ends``, ``heads``, ``caption``, and for images with captions ``cells``.
        corners: the left sides of the columns and the tops of the rows, in pixels.
        cell: width and height of an image, in pixels.
    """
    facts = {**words, "lefts": list(corners[0]), "tops": list(corners[1]), "cell": list(cell)}
    canvas.info[SHEET_KEY] = json.dumps({key: value for key, value in facts.items() if value})
    return canvas


def sheets(
    images: Tensor,
    names: Sequence[str],
    *,
    heads: Sequence[str],
    ends: Sequence[str] | None = None,
    caption: str = "",
) -> list[Image.Image]:
    """:func:`sheet`, in pages of at most 50 rows and about 4000 pixels a side; each says which it is."""
    rows, columns, _, height, width = images.shape
    factor = max(1, -(-48 // min(height, width)))
    most = max(1, min(_PAGE_ROWS, _PAGE_SIDE // (height * factor)))
    wide = max(1, _PAGE_SIDE // (width * factor))
    parts = [(row, column) for column in range(0, columns, wide) for row in range(0, rows, most)]
    pages = []
    for number, (row, column) in enumerate(parts, 1):
        shown, across = slice(row, row + most), slice(column, column + wide)
        words = [caption] if caption else []
        if len(parts) > 1:
            last, end = min(row + most, rows), min(column + wide, columns)
            words += [f"page {number} of {len(parts)}: rows {row + 1} to {last} of {rows}"]
            words += [f"columns {column + 1} to {end} of {columns}"] if wide < columns else []
        options: dict[str, Any] = {"heads": heads[across], "caption": ", ".join(words)}
        if ends is not None:
            options["ends"] = ends[shown]
        pages.append(sheet(images[shown, across], names[shown], **options))
    return pages


def save_sheets(pages: Sequence[Image.Image], folder: Path, stem: str) -> list[Path]:
    """Write pages as ``stem.png``, ``stem-2.png``, ...; the paths."""
    paths = []
    for number, page in enumerate(pages, 1):
        path = folder / (f"{stem}.png" if number == 1 else f"{stem}-{number}.png")
        save_png(page, path)
        paths.append(path)
    return paths


class _Side:
    """The names at one side of a sheet."""

    def __init__(self, texts: Sequence[str] | None, cell: int) -> None:
        self.size, self.cell = _LARGE, cell
        self.lines: list[list[str]] = []
        if texts is None:
            self.width = 0
            return
        most = max((fonts.text_width(fonts.visible(text), _LARGE) for text in texts), default=0)
        if most > _NAME_WIDTH:  # smaller before taller
            self.size = _SMALL
        self.lines = [
            [
                line
                for part in text.split("\n")
                for line in fonts.wrapped(part, self.size, _NAME_WIDTH)
            ]
            for text in (shortened(text) for text in texts)
        ]
        widths = [fonts.text_width(line, self.size) for lines in self.lines for line in lines]
        self.width = 8 + math.ceil(max(widths, default=0))

    def height(self, row: int) -> int:
        return len(self.lines[row]) * fonts.line_height(self.size) if self.lines else 0

    def draw(self, draw: ImageDraw.ImageDraw, row: int, corner: tuple[int, int]) -> None:
        if not self.lines:
            return
        left, top = corner
        top += max(0, (self.cell - self.height(row)) // 2)
        for number, line in enumerate(self.lines[row]):
            where = (left, top + number * fonts.line_height(self.size))
            fonts.draw_text(draw, where, line, self.size)


def shortened(name: str) -> str:
    """A name, or of more than 160 signs both ends, which may be what tells it from others."""
    half = _MOST_SIGNS // 2
    return name if len(name) <= _MOST_SIGNS else f"{name[:half]} … {name[-half:]}"


def _draw_heads(draw: ImageDraw.ImageDraw, heads: Sequence[str], first: float, step: int) -> None:
    end = 0.0
    for column, head in enumerate(heads):
        middle, half = first + column * step, fonts.text_width(head, _SMALL) / 2
        if column == 0:  # its words may start over the names
            middle = min(max(middle, half), max(half, draw.im.size[0] - half))
        if head and middle - half >= end:
            fonts.draw_text(draw, (middle, 0), head, _SMALL, "dimgrey", align="middle")
            end = middle + half + 6


def png_of(image: Image.Image) -> bytes:
    """An image as PNG; a sheet keeps its words."""
    png = io.BytesIO()
    image.save(png, format="PNG", **_words_of(image))
    return png.getvalue()


def save_png(image: Image.Image, path: Path) -> None:
    """Write a PNG atomically: under a temporary name, then renamed."""
    with replacing(path) as temporary:
        image.save(temporary, format="PNG", **_words_of(image))


def _words_of(image: Image.Image) -> dict[str, Any]:
    if SHEET_KEY not in image.info:
        return {}
    words = PngInfo()
    words.add_itxt(SHEET_KEY, image.info[SHEET_KEY])
    return {"pnginfo": words}


def save_image(image: Tensor, folder: Path, stem: str, *, as_array: bool = False) -> Path:
    """Write a uint8 image [C, H, W] with all its channels, atomically.

    Args:
        image: what to write.
        folder: where to.
        stem: the file's name without its ending.
        as_array: an array whatever the channels.

    Returns:
        ``<folder>/<stem>.png`` or ``<folder>/<stem>.npy``, see :func:`encoded`.
    """
    content, suffix = encoded(image, as_array=as_array)
    path = folder / f"{stem}{suffix}"
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return path


def encoded(image: Tensor, *, as_array: bool = False) -> tuple[bytes, str]:
    """A uint8 image [C, H, W] with all its channels as a file's content, and its suffix.

    1, 3 and 4 channels are a PNG, others (with ``as_array`` all) the array [H, W, C] as ``.npy``,
    whose Fortran order distinguishes it from the [C, H, W] of earlier versions.
    """
    buffer = io.BytesIO()
    if image.shape[0] in PICTURE_CHANNELS and not as_array:
        picture_of(image).save(buffer, format="PNG")
        return buffer.getvalue(), ".png"
    pixels = np.asfortranarray(image.permute(1, 2, 0).numpy())
    np.save(buffer, pixels, allow_pickle=False)
    return buffer.getvalue(), ".npy"


def picture_of(image: Tensor) -> Image.Image:
    """A uint8 image [C, H, W] as a Pillow image: grey, RGB or RGBA; see the module for other counts."""
    channels = image.shape[0]
    shown = 3 if channels > 4 else {2: 1}.get(channels, channels)
    pixels = np.ascontiguousarray(image[:shown].permute(1, 2, 0).numpy())
    return Image.fromarray(pixels[..., 0] if shown == 1 else pixels)


def class_folders(class_names: Sequence[str]) -> tuple[str, ...]:
    """A folder name for each class: its own, or where that is unsafe its index, ~ and the safe part.

    Names are unique on file systems that ignore case and Unicode normalisation; none is too long or
    reserved by Windows, and no unchanged name contains a ~.
    """
    safe = [file_name(name) for name in class_names]
    often = Counter(
        _without_case(name) for name, kept in zip(class_names, safe, strict=True) if name == kept
    )
    return tuple(
        kept if kept == name and kept and often[_without_case(kept)] == 1 else f"{label}~{kept}"
        for label, (name, kept) in enumerate(zip(class_names, safe, strict=True))
    )


def _without_case(name: str) -> str:
    return unicodedata.normalize("NFC", name.upper().casefold())
