"""Images as parts of a page: PNG, GIF and addresses that hold their own content."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

from PIL import Image
from torch import Tensor

from reacgan.sampling import picture_of

THUMBNAIL = 256
"""Longer side of a small image, at most, in pixels."""
_GIF_SIDE = 128
_FRAME_MILLISECONDS = 90


def png_of(image: Tensor | Image.Image, longest: int | None = None) -> bytes:
    """A uint8 image ``[C, H, W]`` or a picture as PNG; a longer one than ``longest`` is made smaller."""
    picture = image if isinstance(image, Image.Image) else picture_of(image)
    if longest is not None and max(picture.size) > longest:
        picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def gif_of(images: Tensor) -> bytes:
    """An animation of uint8 images ``[N, C, H, W]``, to the last and back, endless.

    Small ones are enlarged by a whole factor without smoothing.
    """
    height, width = images.shape[-2:]
    factor = max(1, -(-_GIF_SIDE // min(height, width)))
    frames = [
        _opaque(picture_of(image)).resize(
            (width * factor, height * factor), Image.Resampling.NEAREST
        )
        for image in images
    ]
    frames += frames[-2:0:-1]
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=frames[1:],
        duration=_FRAME_MILLISECONDS,
        loop=0,
    )
    return buffer.getvalue()


def _opaque(picture: Image.Image) -> Image.Image:
    if picture.mode != "RGBA":
        return picture
    white = Image.new("RGB", picture.size, "white")
    white.paste(picture, mask=picture)
    return white


def address(content: bytes, kind: str) -> str:
    """An address ``data:KIND;base64,...``: nothing is stored, and nobody else can ask for it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def small_addresses(images: Sequence[Tensor] | Tensor) -> list[str]:
    """PNGs of at most :data:`THUMBNAIL` pixels a side."""
    return [address(png_of(image, THUMBNAIL), "image/png") for image in images]
