"""Letters, digits and signs: 2 to 500 classes, rendered without a download.

The masters in ``glyphs.npz`` were drawn once (``tools/draw_glyphs.py``) from the DejaVu fonts (Bitstream
Vera licence and public domain) and the STIX fonts (SIL Open Font Licence). Every image is a master, in one
of the fonts that have the sign, that is turned, scaled, sheared, shifted, made bolder or lighter and
coloured, as a function of seed, split, numbers of images and classes, and size. No two classes have the
same shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import numpy as np
import numpy.typing as npt

from reacgan.config import PositiveInt, Resolution, size_of
from reacgan.data.dataset import DataError, ImageData, check_request

MOST = 500
SIDE = 32
_LEVELS = 15
_BLOCK = 2048
_DRAWS = 14
"""Random numbers of an image: font, 2 shifts, turn, scale, shear, stroke, 2 x 3 colours, noise's seed."""

_TURN = np.deg2rad(12.0)
_SHIFT, _SHEAR = 0.08, 0.15
_SCALES = 0.75, 1.1
_CONTRAST = 0.35
_NOISE = 0.04

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Masters:
    """What the package holds."""

    ink: Floats
    """``[M, 32, 32]`` of 0 (paper) to 1."""
    owners: npt.NDArray[np.int64]
    """``[M]``: the class of each."""
    names: tuple[str, ...]


def open_glyphs(
    path: str | None,
    *,
    split: str,
    resolution: Resolution,
    channels: int,
    images: PositiveInt = 20_000,
    colours: bool = True,
    seed: int = 0,
) -> ImageData:
    """Letters, digits and signs in many fonts and colours, made on the spot: 2 to 500 classes.

    Classes are equally frequent and in a fixed order (digits, capitals, small letters, Greek,
    Cyrillic, ...), so fewer classes are a prefix of more. The split ``test`` holds a quarter as many
    images, disjoint from ``train``.

    Args:
        path: number of classes, 2 to 500; 100 without one.
        split: train or test.
        resolution: side, or (height, width); designed for 16 and 32.
        channels: 1, 3 or 4 (opaque).
        images: training images, of all classes together.
        colours: any pen on any paper; False for white on black, which is much easier.
        seed: another one gives other images of the same classes.

    Raises:
        DataError: an invalid number of classes, fewer images than classes, or an unknown split,
            resolution or number of channels.
    """
    check_request(split=split, resolution=resolution, channels=channels, pictures_only=True)
    classes = _classes(path)
    count = images if split == "train" else -(-images // 4)
    if count < classes:
        raise DataError(
            f"glyphs: {count} {split} images of {classes} classes leave some empty; set "
            f"data.options.images to {classes * (1 if split == 'train' else 4)} or more"
        )
    masters = _masters()
    labels = np.arange(count, dtype=np.int64) % classes
    chances = np.random.Generator(np.random.PCG64([seed, split == "test"])).random((count, _DRAWS))
    pictures = np.empty((count, channels, *size_of(resolution)), dtype=np.uint8)
    for start in range(0, count, _BLOCK):
        part = slice(start, start + _BLOCK)
        pictures[part] = _draw(
            masters, labels[part], chances[part], shape=pictures.shape[1:], colours=colours
        )
    return ImageData(
        pictures, labels, masters.names[:classes], source=f"glyphs:{classes} ({split})"
    )


def _classes(path: str | None) -> int:
    text = "100" if path is None else path.strip()
    if not text.isdecimal() or not 2 <= int(text) <= MOST:
        raise DataError(
            f"glyphs: the path is {path!r}; needed: a number of classes from 2 to {MOST}, as in glyphs:50"
        )
    return int(text)


def _masters() -> Masters:
    with resources.files("reacgan.data").joinpath("glyphs.npz").open("rb") as file:
        stored = np.load(file, allow_pickle=False)
        packed, owners, names = stored["masters"], stored["owners"], stored["names"]
    levels = np.stack([packed >> 4, packed & 15], axis=-1).reshape(len(packed), SIDE, SIDE)
    return Masters(
        np.asarray(levels / np.float32(_LEVELS), dtype=np.float32),
        owners.astype(np.int64),
        tuple(map(chr, names)),
    )


def _draw(
    masters: Masters,
    labels: npt.NDArray[np.int64],
    chances: npt.NDArray[np.float64],
    *,
    shape: tuple[int, ...],
    colours: bool,
) -> npt.NDArray[np.uint8]:
    """Images of these labels: uint8 ``[N, C, height, width]``, from uniform numbers ``[N, 14]``."""
    channels, height, width = shape
    first = np.searchsorted(masters.owners, labels)
    fonts = np.searchsorted(masters.owners, labels, side="right") - first
    ink = masters.ink[first + (chances[:, 0] * fonts).astype(np.int64)]
    ink = _restroke(ink, chances[:, 6])
    cover = _transform(ink, chances[:, 1:6], height, width)[:, None]
    if colours:
        paper, pen = _colours(chances[:, 7:13], channels)
        drawn = paper + cover * (pen - paper)
    else:
        drawn = np.repeat(cover, channels, axis=1)
    noise = np.random.Generator(np.random.PCG64((chances[:, 13] * 2**32).astype(np.uint64)))
    drawn += _NOISE * (noise.random(drawn.shape, dtype=np.float32) - 0.5) * 2
    if channels == 4:
        drawn[:, 3] = 1.0
    return np.round(np.clip(drawn, 0, 1) * 255).astype(np.uint8)


def _restroke(ink: Floats, chance: npt.NDArray[np.float64]) -> Floats:
    """Lighter (towards the minimum of each neighbourhood) or bolder (towards the maximum)."""
    padded = np.pad(ink, ((0, 0), (1, 1), (1, 1)))
    shifted = [
        padded[:, 1 + dy : 1 + dy + SIDE, 1 + dx : 1 + dx + SIDE]
        for dy, dx in ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))
    ]
    bold, light = np.maximum.reduce(shifted), np.minimum.reduce(shifted)
    amount = (2 * chance - 1).astype(np.float32)[:, None, None]
    toward = np.where(amount > 0, bold, light)
    # Thin strokes would vanish, so lightening is limited to less than half.
    share = np.where(amount > 0, amount, -0.4 * amount)
    return np.asarray(ink + share * (toward - ink), dtype=np.float32)


def _transform(ink: Floats, chances: npt.NDArray[np.float64], height: int, width: int) -> Floats:
    """Turned, scaled, sheared and shifted into ``[N, height, width]``, averaged over finer points."""
    fine = max(1, -(-SIDE // min(height, width)))
    x_shift, y_shift, turn, scale, shear = (2 * chances - 1).astype(np.float32).T[:, :, None, None]
    low, high = _SCALES
    scale = low + (scale + 1) / 2 * (high - low)
    side = min(height, width)
    rows = (np.arange(height * fine, dtype=np.float32) + 0.5) / fine - height / 2
    columns = (np.arange(width * fine, dtype=np.float32) + 0.5) / fine - width / 2
    y = (rows[None, :, None] / side - _SHIFT * y_shift) / scale
    x = (columns[None, None, :] / side - _SHIFT * x_shift) / scale
    cos, sin = np.cos(_TURN * turn), np.sin(_TURN * turn)
    x, y = cos * x + sin * y + _SHEAR * shear * y, cos * y - sin * x
    points = _bilinear(ink, (y + 0.5) * SIDE - 0.5, (x + 0.5) * SIDE - 0.5)
    return points.reshape(len(ink), height, fine, width, fine).mean(axis=(2, 4), dtype=np.float32)


def _bilinear(ink: Floats, y: Floats, x: Floats) -> Floats:
    """Values between pixels, 0 outside: ``ink [N, S, S]`` at ``y, x [N, h, w]``."""
    edge = np.pad(ink, ((0, 0), (1, 1), (1, 1))).reshape(len(ink), -1)
    side = SIDE + 2
    y, x = np.clip(y + 1, 0, side - 1.001), np.clip(x + 1, 0, side - 1.001)
    top, left = y.astype(np.int64), x.astype(np.int64)
    dy, dx = (y - top).astype(np.float32), (x - left).astype(np.float32)
    at = top * side + left
    flat = at.reshape(len(ink), -1)

    def corner(step: int) -> Floats:
        return np.take_along_axis(edge, flat + step, axis=1).reshape(at.shape)

    above = corner(0) * (1 - dx) + corner(1) * dx
    below = corner(side) * (1 - dx) + corner(side + 1) * dx
    return np.asarray(above * (1 - dy) + below * dy, dtype=np.float32)


def _colours(chances: npt.NDArray[np.float64], channels: int) -> tuple[Floats, Floats]:
    """Paper and pen ``[N, C, 1, 1]`` with sufficient contrast in lightness."""
    paper, pen = chances[:, :3].astype(np.float32), chances[:, 3:].astype(np.float32)
    if channels == 1:
        paper, pen = paper[:, :1], pen[:, :1]
    gap = pen.mean(axis=1, keepdims=True) - paper.mean(axis=1, keepdims=True)
    # Moves one towards white and the other towards black: more contrast within the range.
    share = np.maximum(_CONTRAST - np.abs(gap), 0) / (1 - np.minimum(np.abs(gap), _CONTRAST))
    lighter = (gap >= 0).astype(np.float32)
    paper, pen = paper + share * (1 - lighter - paper), pen + share * (lighter - pen)
    if channels == 4:
        opaque = np.ones((len(paper), 1), dtype=np.float32)
        paper, pen = np.hstack([paper, opaque]), np.hstack([pen, opaque])
    return paper[:, :, None, None], pen[:, :, None, None]
