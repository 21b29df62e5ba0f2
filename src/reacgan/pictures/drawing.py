"""What pictures are made with: figures that no global state knows of, and sheets with captions."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from reacgan.config import ConfigError
from reacgan.sampling import picture_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SMALLEST = 64
_GAP, _APART, _LINE = 5, 14, 12


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture, what it shows in words, and the numbers behind it as plain JSON."""

    png: bytes
    caption: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    pixels: bool = False
    """Whether it is made of images, whose pixels are to be seen."""


def new_figure(height: float, width: float) -> Figure:
    """A figure of so many inches.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError:
        raise ConfigError(
            "plots need matplotlib, which is not installed: pip install 'reacgan[plots]'"
        ) from None
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def figure_png(figure: Figure) -> bytes:
    """The figure as PNG; equal figures give equal bytes."""
    held = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # letters that the font does not have
        figure.savefig(held, format="png", dpi=110, metadata={"Software": None})
    return held.getvalue()


def image_png(image: Image.Image) -> bytes:
    """An image as PNG."""
    held = io.BytesIO()
    image.save(held, format="PNG")
    return held.getvalue()


def captioned(images: Tensor, captions: Sequence[Sequence[str]]) -> Image.Image:
    """Images ``[rows, columns, C, H, W]`` with words under each; the first column stands apart.

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
            for place, line in enumerate(captions[row][column].split("\n")):
                where = (left, top + cell[1] + 1 + place * _LINE)
                draw.text(where, _fitting(line, font, cell[0]), "black", font)
    return canvas


def _fitting(text: str, font: Any, width: int) -> str:
    text = " ".join(text.split())
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text}..."
