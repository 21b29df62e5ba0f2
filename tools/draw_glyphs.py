"""Draw the masters of the data set ``glyphs``: writes src/reacgan/data/glyphs.npz.

    python tools/draw_glyphs.py            # needs matplotlib, whose fonts are drawn

Candidates are taken in the order of BLOCKS; one that looks like an earlier class at the size of the
masters (correlation above LIKENESS in DejaVu Sans) is left out, so that no two classes are one shape.
The result is kept in the repository, since another version of FreeType draws other pixels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from fontTools.ttLib import TTFont
from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont

CLASSES = 500
SIDE = 32
INK = 24
LEVELS = 15
LIKENESS = 0.86
FIRST = "DejaVuSans"
FONTS = (
    FIRST,
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSansMono",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "STIXGeneral",
    "STIXGeneralBol",
)
BLOCKS = (
    ("0", "9"),
    ("A", "Z"),
    ("a", "z"),
    ("\u0391", "\u03c9"),  # Greek
    ("\u0410", "\u044f"),  # Cyrillic
    ("!", "/"),
    (":", "@"),
    ("[", "`"),
    ("{", "~"),
    ("\u0531", "\u0586"),  # Armenian
    ("\u2190", "\u21ff"),  # arrows
    ("\u2200", "\u22ff"),  # mathematics
    ("\u25a0", "\u25ff"),  # shapes
    ("\u2600", "\u26a0"),  # signs
    ("\u2701", "\u27be"),  # ornaments
    ("\u10d0", "\u10f0"),  # Georgian
    ("\u0400", "\u040f"),
    ("\u00a1", "\u00ff"),
    ("\u0460", "\u04ff"),
)

Ink = npt.NDArray[np.float64]


def draw(text: str, font: ImageFont.FreeTypeFont) -> Ink | None:
    """The symbol filling INK of SIDE pixels, centred; None where the font draws nothing."""
    canvas = Image.new("L", (400, 400))
    ImageDraw.Draw(canvas).text((120, 100), text, fill=255, font=font)
    box = canvas.getbbox()
    if box is None:
        return None
    width, height = box[2] - box[0], box[3] - box[1]
    scale = INK / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = canvas.crop(box).resize(size, Image.Resampling.BOX)
    master = Image.new("L", (SIDE, SIDE))
    master.paste(small, ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return np.asarray(master, dtype=np.float64) / 255


def likeness(one: Ink, others: Ink) -> float:
    """The highest correlation of an image [P] with any of others [M, P]; both of length 1."""
    return float((others @ one).max()) if len(others) else 0.0


def blurred(ink: Ink) -> Ink:
    """Two pixels of blur, mean zero, length one: what two shapes are compared by."""
    kernel = np.array([1, 4, 6, 4, 1]) / 16
    for axis in (0, 1):
        ink = np.apply_along_axis(lambda row: np.convolve(row, kernel, "same"), axis, ink)
    flat = (ink - ink.mean()).ravel()
    return flat / np.linalg.norm(flat)


def main() -> None:
    """Choose, draw, write."""
    folder = Path(get_data_path()) / "fonts" / "ttf"
    fonts = {name: ImageFont.truetype(folder / f"{name}.ttf", 150) for name in FONTS}
    held = {name: TTFont(folder / f"{name}.ttf").getBestCmap() for name in FONTS}
    chosen: list[str] = []
    looks = np.zeros((0, SIDE * SIDE))
    masters: list[Ink] = []
    owners: list[int] = []
    for first, last in BLOCKS:
        for code in range(ord(first), ord(last) + 1):
            text = chr(code)
            ink = draw(text, fonts[FIRST]) if code in held[FIRST] else None
            if len(chosen) == CLASSES or ink is None or likeness(blurred(ink), looks) > LIKENESS:
                continue
            looks = np.concatenate([looks, blurred(ink)[None]])
            drawn = [draw(text, fonts[name]) for name in FONTS if code in held[name]]
            for one in drawn:
                if one is not None:
                    masters.append(one)
                    owners.append(len(chosen))
            chosen.append(text)
    levels = np.round(np.stack(masters) * LEVELS).astype(np.uint8)
    packed = (levels[..., 0::2] << 4) | levels[..., 1::2]
    path = Path(__file__).parents[1] / "src" / "reacgan" / "data" / "glyphs.npz"
    names = np.frombuffer("".join(chosen).encode("utf-32-le"), dtype="<u4")
    np.savez_compressed(path, masters=packed, owners=np.array(owners, np.int16), names=names)
    print(f"{len(chosen)} classes, {len(owners)} masters, {path.stat().st_size:,} bytes")
    print("".join(chosen))


if __name__ == "__main__":
    main()
