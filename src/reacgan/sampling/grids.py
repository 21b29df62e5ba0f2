"""Sheets of images (a row a class, a column a seed) as PNG, and images of any depth as files.

One channel is grey, three are RGB, four are RGBA (sheets show them on white). Of other counts
the first three are shown as RGB, of two the first as grey; ``.npy`` files hold all channels as arrays
[H, W, C].
"""

from __future__ import annotations

import io
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from reacgan.files import replacing
from reacgan.models import Generator
from reacgan.sampling.images import generate
from reacgan.sampling.latents import latents_for

MOST_ROWS = 25
_CAPTION_HEIGHT = 18
PICTURE_CHANNELS = (1, 3, 4)
"""Channel counts of PNG: grey, RGB, RGBA."""

_DEVICES = re.compile(r"con|prn|aux|nul|(com|lpt)[0-9\u00b9\u00b2\u00b3]", re.IGNORECASE)
"""Names reserved by Windows, with or without an extension."""


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
    """The sheet of images from :func:`class_images`."""
    return sheet(images, [class_names[row] for row in rows_for(len(class_names))], caption=caption)


def sheet(
    images: Tensor, names: list[str] | None = None, *, smallest: int = 48, caption: str = ""
) -> Image.Image:
    """Draw uint8 images [rows, columns, C, H, W]; small ones are enlarged without smoothing.

    Args:
        images: of more than four channels, or of two, some are shown.
        names: a caption for each row.
        smallest: images are enlarged by a whole factor until their shorter side reaches this.
        caption: a line at the bottom.
    """
    rows, columns, _, height, width = images.shape
    factor = max(1, -(-smallest // min(height, width)))
    cell_height, cell_width, gap = height * factor, width * factor, 2
    margin = _caption_width(names, cell_height) if names else 0
    bottom = gap + rows * (cell_height + gap)
    canvas = Image.new(
        "RGB",
        (
            margin + columns * (cell_width + gap) + gap,
            bottom + (_CAPTION_HEIGHT if caption else 0),
        ),
        "white",
    )
    draw = ImageDraw.Draw(canvas)
    draw.text((4, bottom), caption, "dimgrey", ImageFont.load_default(size=12))
    for row in range(rows):
        top = gap + row * (cell_height + gap)
        if names:
            corner, font = (4, top + cell_height / 2), _font(cell_height)
            draw.text(corner, _caption(names[row]), "black", font, anchor="lm")
        for column in range(columns):
            picture = picture_of(images[row, column])
            picture = picture.resize((cell_width, cell_height), Image.Resampling.NEAREST)
            opaque = picture if picture.mode == "RGBA" else None
            canvas.paste(picture, (margin + gap + column * (cell_width + gap), top), opaque)
    return canvas


def save_png(image: Image.Image, path: Path) -> None:
    """Write a PNG atomically: under a temporary name, then renamed."""
    with replacing(path) as temporary:
        image.save(temporary, format="PNG")


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
    safe = [_safe(name) for name in class_names]
    often = Counter(
        _without_case(name) for name, kept in zip(class_names, safe, strict=True) if name == kept
    )
    return tuple(
        kept if kept == name and kept and often[_without_case(kept)] == 1 else f"{label}~{kept}"
        for label, (name, kept) in enumerate(zip(class_names, safe, strict=True))
    )


def _safe(name: str) -> str:
    """The part of a name that every file system takes, at most 160 bytes; reserved names get a ``_``."""
    composed = unicodedata.normalize("NFC", name)
    marks = (mark if mark.isalnum() or mark in " -_.,()'" else "_" for mark in composed)
    kept = "".join(marks).encode()[:160].decode(errors="ignore").strip(" .")
    return f"_{kept}" if _DEVICES.fullmatch(kept.partition(".")[0].strip()) else kept


def _without_case(name: str) -> str:
    return unicodedata.normalize("NFC", name.upper().casefold())


def _font(cell: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=max(10, min(16, cell // 3)))


def _caption(name: str) -> str:
    if len(name) == 1 and not name.isascii():  # the font may lack it
        return f"U+{ord(name):04X}"
    return " ".join(name.split())[:24]  # one line: class names are arbitrary


def _caption_width(names: list[str], cell: int) -> int:
    font = _font(cell)
    return 8 + int(max(font.getlength(_caption(name)) for name in names))
