"""One image file to uint8 ``[C, R, R]``: orientation, colour, square, size.

The rules, which :data:`RESIZE` names in every packed file:

1. the EXIF orientation is applied; of an animation or a document the first frame is taken;
2. transparency is composited on white;
3. 16-bit grey is divided by 257 and rounded (colour of 16 bits keeps its upper byte); float images
   are taken as 0..1, 0..255 or 0..65535, the first range that holds them;
4. the centre square of the short edge's length is cut out;
5. it is resized by Pillow's Lanczos filter, which is anti-aliased; no JPEG draft mode.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from reacgan.data.dataset import DataError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
MAX_PIXELS = 64 * 10**6
MIN_SIDE = 8
RESIZE = "exif, white behind alpha, centre square, pillow lanczos, v1"

GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})


class UnreadableImageError(DataError):
    """An image that is refused; ``reason`` is short and the same for the same kind of fault."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason


def open_header(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Open an image by its content (never by its name) and check its size before decoding.

    The caller closes it.

    Raises:
        UnreadableImageError: another format, a side below 8 pixels, or more than ``max_pixels``.
    """
    try:
        image = Image.open(path, formats=FORMATS)
    except UnidentifiedImageError:
        raise UnreadableImageError(path, f"content is none of {', '.join(FORMATS)}") from None
    except Image.DecompressionBombError:
        raise UnreadableImageError(path, f"more than {max_pixels} pixels") from None
    except Exception as error:  # a decoder fed with a hostile file raises anything
        raise UnreadableImageError(path, f"not readable ({type(error).__name__})") from None
    width, height = image.size
    reason = ""
    if width * height > max_pixels:
        reason = f"more than {max_pixels} pixels"
    elif min(width, height) < MIN_SIDE:
        reason = f"a side below {MIN_SIDE} pixels"
    if reason:
        image.close()
        raise UnreadableImageError(path, reason)
    return image


def decode_file(
    path: str | Path, *, resolution: int, channels: int, max_pixels: int = MAX_PIXELS
) -> npt.NDArray[np.uint8]:
    """Decode a whole file: uint8 ``[channels, resolution, resolution]``.

    Raises:
        UnreadableImageError: what :func:`open_header` refuses, and damaged or truncated content.
    """
    with open_header(path, max_pixels=max_pixels) as image:
        try:
            return to_array(image, resolution=resolution, channels=channels)
        except UnreadableImageError as error:
            raise UnreadableImageError(path, error.reason) from None
        except Exception as error:  # as above: OSError, ValueError, struct.error, ...
            reason = "truncated or damaged" if isinstance(error, OSError) else "not decodable"
            raise UnreadableImageError(path, f"{reason} ({type(error).__name__})") from None


def to_array(image: Image.Image, *, resolution: int, channels: int) -> npt.NDArray[np.uint8]:
    """Square, resize and lay out an open image: uint8 ``[channels, resolution, resolution]``."""
    image = ImageOps.exif_transpose(image)
    image = _to_mode(image, "L" if channels == 1 else "RGB")
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    if (width, height) != (side, side):
        image = image.crop((left, top, left + side, top + side))
    if side != resolution:
        image = image.resize((resolution, resolution), Image.Resampling.LANCZOS)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def is_grey(image: Image.Image) -> bool:
    """Whether the header says that the image is grey: its mode, or a palette of greys."""
    if image.mode == "P":
        entries = np.asarray(image.getpalette("RGB") or [0, 0, 1]).reshape(-1, 3)
        return bool((entries == entries[:, :1]).all())
    return image.mode in GREY_MODES


def _to_mode(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        image = _to_eight_bits(image)
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        layered = image.convert("RGBA")
        white = Image.new("RGBA", layered.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, layered).convert("RGB")
    return image if image.mode == mode else image.convert(mode)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high) and low >= 0 and high <= 65535):
        raise UnreadableImageError(
            "", "values of unknown scale (below 0, above 65535 or not finite)"
        )
    scale: Any = 255 / 65535
    if image.mode == "F" and high <= 255:
        scale = 255 if high <= 1 else 1
    return Image.fromarray(np.round(values * scale).astype(np.uint8))
