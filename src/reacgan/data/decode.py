"""One picture to uint8 ``[C, H, W]``: orientation, colour, cropping, size.

The rules, which :data:`RESIZE` names in every packed file:

1. the EXIF orientation is applied; of an animation or a document the first frame is used;
2. transparency is composited on white, but kept for four channels;
3. 16-bit grey and floats: one white value for the whole set, the end of the first range of
   ``depth.py`` (8, 10, 12, 14, 16 bits; of floats also 0..1) that holds the training images; for a
   single file 65535 (floats: its own first range). ``data.options.white`` sets another. A TIFF with
   white as zero is inverted. Colour of 16 bits keeps its upper byte, with a note;
4. the largest centred part with the requested proportions is cropped (for a square, the centre
   square of the short edge's length); where the set has a bounding box, that box, widened to the
   proportions within the picture;
5. it is resized by Pillow's Lanczos filter, which is anti-aliased; no JPEG draft mode.

Arrays (``.npy``) of any number of channels are treated likewise in ``arrays.py``. HEIC and AVIF, as
telephones write them, are read where their decoders are installed (:func:`readable_formats`); of more
than 8 bits they keep the upper ones.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError, features

from reacgan.config import Resolution, size_of
from reacgan.data.dataset import DataError
from reacgan.data.depth import UNKNOWN_SCALE, Whites, is_deep, reach_of, white_of

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
"""Formats that every Pillow reads; see :func:`readable_formats` for the others."""
_FIRST_FORMATS = 5
"""Those that were read from the first on; the rules name the others, so that sets are packed again."""
_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm"), "HEIC"),
    **dict.fromkeys((b"hevs", b"mif1", b"msf1"), "HEIC"),
}
"""Formats by the brand at the head of a file of ISO 23008-12."""
_DECODERS = {
    "HEIC": ("HEIF", "a HEIC picture, which needs pi-heif: pip install 'reacgan[heif]'"),
    "AVIF": ("AVIF", "an AVIF picture, which this Pillow cannot read: pip install -U pillow"),
}
"""Pillow's name of each of them, and the reason for refusing it without a decoder."""
MAX_PIXELS = 64 * 10**6
LIMIT_VARIABLE = "REACGAN_MAX_PIXELS"
MIN_SIDE = 8
RESIZE = "exif, white behind alpha, centre crop, pillow lanczos, one white a set, v4"

GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})

_PHOTOMETRIC, _BITS = 262, 258
_BYTE = 8
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}

Box = tuple[float, float, float, float]
"""Left, top, width, height in pixels."""


class UnreadableImageError(DataError):
    """A refused image; ``reason`` is short and the same for each kind of fault."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason


def pixel_limit(asked: int | None = None) -> int:
    """Maximum number of pixels of an image: ``asked``, else REACGAN_MAX_PIXELS, else 64 million.

    Raises:
        DataError: not a positive whole number.
    """
    given = os.environ.get(LIMIT_VARIABLE, "") if asked is None else asked
    if given == "":
        return MAX_PIXELS
    try:
        limit = float(given)
        whole = int(limit)
    except (ValueError, OverflowError):
        limit, whole = 0.5, 0
    if whole != limit or whole < 1:
        name = LIMIT_VARIABLE if asked is None else "max_pixels"
        raise DataError(f"{name} is {given!r}; needed: a whole number of pixels, such as 2e8")
    return whole


@cache
def readable_formats() -> tuple[str, ...]:
    """Pillow's names of the formats that can be read here; makes a reader of HEIC known to Pillow."""
    more = []
    if "avif" in features.modules and features.check("avif"):
        more.append("AVIF")
    for package in ("pi_heif", "pillow_heif"):  # the second one writes, too, and is under the GPL
        try:
            reader = importlib.import_module(package)  # an extra, and only needed for its files
        except ImportError:
            continue
        reader.register_heif_opener(thumbnails=False)
        more.append("HEIF")
        break
    return (*FORMATS, *more)


def decoding_rules() -> str:
    """What pixels depend on beside the file: :data:`RESIZE`, and which further formats are readable."""
    return ", ".join((RESIZE, *readable_formats()[_FIRST_FORMATS:]))


def _foreign(path: str | Path, content: IO[bytes] | None) -> str:
    """The reason for a file that is in none of the readable formats."""
    try:
        if content is None:
            with Path(path).open("rb") as file:
                head = file.read(12)
        else:
            content.seek(0)
            head = content.read(12)
    except (OSError, ValueError):
        head = b""
    kind = _BRANDS.get(head[8:12]) if head[4:8] == b"ftyp" else None
    if kind is None:
        return f"content is none of {', '.join((*FORMATS, *_DECODERS))}"
    name, needed = _DECODERS[kind]
    return "not readable (damaged)" if name in readable_formats() else needed


def open_header(
    path: str | Path, *, content: IO[bytes] | None = None, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """Open an image by its content (not its name) and check its size before decoding.

    The caller closes it. ``content``, if given, is read instead of the file.

    Raises:
        UnreadableImageError: another format, a side below 8 pixels, or more than ``max_pixels``.
    """
    _lift_limit_of_pillow(max_pixels)
    try:
        image = Image.open(path if content is None else content, formats=readable_formats())
    except UnidentifiedImageError:
        raise UnreadableImageError(path, _foreign(path, content)) from None
    except Image.DecompressionBombError:
        raise UnreadableImageError(path, too_large(max_pixels)) from None
    except Exception as error:  # decoders raise anything for hostile files
        raise UnreadableImageError(path, f"not readable ({type(error).__name__})") from None
    reason = size_problem(image.size, max_pixels)
    if reason:
        image.close()
        raise UnreadableImageError(path, reason)
    return image


def _lift_limit_of_pillow(max_pixels: int) -> None:
    """Raise Pillow's limit of the process, which also applies to crops; ours is checked first."""
    theirs = Image.MAX_IMAGE_PIXELS
    if theirs is not None and theirs < max_pixels > MAX_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels


@contextmanager
def pillow_warnings_off() -> Iterator[None]:
    """Suppress Pillow's warnings in the block: faults of a file become its reason."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def too_large(max_pixels: int) -> str:
    """The reason for an image above the limit."""
    return f"more than {max_pixels} pixels; {LIMIT_VARIABLE} allows more"


def size_problem(size: tuple[int, int], max_pixels: int) -> str:
    """Why an image of this (width, height) is refused, or empty."""
    if size[0] * size[1] > max_pixels:
        return too_large(max_pixels)
    return f"a side below {MIN_SIDE} pixels" if min(size) < MIN_SIDE else ""


def decode_file(
    path: str | Path,
    *,
    resolution: Resolution,
    channels: int,
    content: IO[bytes] | None = None,
    box: Box | None = None,
    whites: Whites | None = None,
    max_pixels: int = MAX_PIXELS,
) -> npt.NDArray[np.uint8]:
    """Decode a whole file: uint8 ``[channels, height, width]`` of ``resolution``.

    Raises:
        UnreadableImageError: as :func:`open_header`, or damaged or truncated content.
    """
    with open_header(path, content=content, max_pixels=max_pixels) as image:
        try:
            return to_array(image, resolution=resolution, channels=channels, box=box, whites=whites)
        except UnreadableImageError as error:
            raise UnreadableImageError(path, error.reason) from None
        except Exception as error:  # as above: OSError, ValueError, struct.error, ...
            raise UnreadableImageError(path, damage_of(error)) from None


def damage_of(error: Exception) -> str:
    """The reason for a file with this error of a decoder."""
    reason = "truncated or damaged" if isinstance(error, OSError) else "not decodable"
    return f"{reason} ({type(error).__name__})"


def to_array(
    image: Image.Image,
    *,
    resolution: Resolution,
    channels: int,
    box: Box | None = None,
    whites: Whites | None = None,
) -> npt.NDArray[np.uint8]:
    """Rotate, crop, resize and convert an open image: uint8 ``[channels, height, width]``.

    An EXIF orientation is applied in place.
    """
    if channels not in _MODES:
        raise UnreadableImageError("", f"a picture, which has no {channels} channels")
    is_turned = is_white_zero(image)
    ImageOps.exif_transpose(image, in_place=True)
    if is_deep(image.mode):
        image = _to_eight_bits(image, whites, is_turned=is_turned)
    image = fit(_to_mode(image, _MODES[channels]), resolution=resolution, box=box)
    pixels = np.frombuffer(image.tobytes(), np.uint8).reshape(image.height, image.width, -1)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def fit(image: Image.Image, *, resolution: Resolution, box: Box | None = None) -> Image.Image:
    """Crop by rule 4 and resize by rule 5."""
    height, width = size_of(resolution)
    part = crop_window(image.size, (width, height), box)
    if part != (0, 0, *image.size):
        image = image.crop(part)
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    return image


def crop_window(
    size: tuple[int, int], wanted: tuple[int, int], box: Box | None = None
) -> tuple[int, int, int, int]:
    """The part (left, top, right, bottom) to crop; ``size`` and ``wanted`` are (width, height).

    Raises:
        UnreadableImageError: the box is outside the image.
    """
    area = (0, 0, *size) if box is None else _widened(size, wanted, box)
    width, height = area[2] - area[0], area[3] - area[1]
    # The longest sides with the requested width / height.
    cut_width = min(width, max(1, height * wanted[0] // wanted[1]))
    cut_height = min(height, max(1, width * wanted[1] // wanted[0]))
    left, top = area[0] + (width - cut_width) // 2, area[1] + (height - cut_height) // 2
    return left, top, left + cut_width, top + cut_height


def _widened(size: tuple[int, int], wanted: tuple[int, int], box: Box) -> tuple[int, int, int, int]:
    """The box within the image, its shorter side extended about its centre, whole pixels."""
    spans = []
    ratio = wanted[0] / wanted[1]
    lengths = (max(box[2], box[3] * ratio), max(box[3], box[2] / ratio))
    for axis in (0, 1):
        low, high = max(0.0, box[axis]), min(float(size[axis]), box[axis] + box[axis + 2])
        if not high - low >= 1:
            raise UnreadableImageError("", "its box lies outside of it")
        length = min(float(size[axis]), lengths[axis])
        start = min(max((low + high - length) / 2, 0.0), size[axis] - length)
        spans.append((round(start), max(round(start) + 1, round(start + length))))
    return spans[0][0], spans[1][0], min(spans[0][1], size[0]), min(spans[1][1], size[1])


def is_grey(image: Image.Image) -> bool:
    """Whether the header says that the image is grey: its mode, or a palette of greys."""
    if image.mode == "P":
        entries = np.asarray(image.getpalette("RGB") or [0, 0, 1]).reshape(-1, 3)
        return bool((entries == entries[:, :1]).all())
    return image.mode in GREY_MODES


def is_white_zero(image: Image.Image) -> bool:
    """Whether it is a deep TIFF with white as zero; Pillow inverts those of 8 bits itself."""
    return is_deep(image.mode) and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0


def colour_of_16_bits(image: Image.Image) -> bool:
    """Whether Pillow keeps only the upper byte of each channel of an image (not loaded yet)."""
    bits = getattr(image, "tag_v2", {}).get(_BITS, ())
    tiles = (str(tile[3]) for tile in getattr(image, "tile", ()))
    return not is_deep(image.mode) and (
        max(bits, default=8) > _BYTE or any(";16" in tile for tile in tiles)
    )


def _to_mode(image: Image.Image, mode: str) -> Image.Image:
    layered = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    if layered:
        image = image.convert("RGBA")
    if layered and mode != "RGBA":
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image).convert("RGB")
    if mode == "RGBA" and image.mode not in ("L", "RGB", "RGBA"):
        image = image.convert("RGB")
    return image if image.mode == mode else image.convert(mode)


def _to_eight_bits(image: Image.Image, whites: Whites | None, *, is_turned: bool) -> Image.Image:
    values = np.asarray(image).astype(np.float64)
    reach = reach_of(values, is_float=image.mode == "F")
    if reach is None:
        raise UnreadableImageError("", UNKNOWN_SCALE)
    scale = 255 / white_of(reach, whites)
    pixels = np.round(np.clip(values * scale, 0, 255)).astype(np.uint8)
    return Image.fromarray(255 - pixels if is_turned else pixels)
