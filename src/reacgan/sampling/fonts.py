"""Text in any script: a font for each character, widths, lines, drawing; for sheets and for figures.

The fonts of the package cover Latin, Greek, Cyrillic, Armenian, Georgian, Hebrew, Arabic, the scripts of
India, Thai, Lao, Khmer, Chinese, Japanese, Korean, and emoji without colour. What they lack is searched in
the fonts of the system; what these lack too is a box with the code point.

With Raqm (in Pillow's wheels for Linux, macOS and Windows) letters join and run from right to left as
their script wants. Without it Hebrew and Arabic are still read from the right, but Arabic letters stand
alone and the vowel signs of Indian scripts are in the order of the code.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from PIL import ImageDraw, ImageFont, features

FOLDER = Path(__file__).parent.parent / "fonts"
_SANS, _EMOJI = "DejaVuSans.ttf", "NotoEmoji-Regular.ttf"
_JOINER, _EMOJI_SIGN = "\u200d", "\ufe0f"
_MARKS = ("Mn", "Me", "Mc")
_NO_GLYPH = ("Cc", "Cs", "Co", "Cn")
"""Categories of characters that no font of a system is searched for."""
_PROBE = 16
_MOST_FONTS = 2000


class Stretch(NamedTuple):
    """Neighbouring characters of one font; None where no font has the character."""

    font: Path | None
    text: str


def draw_text(
    draw: ImageDraw.ImageDraw,
    corner: tuple[float, float],
    text: str,
    size: int,
    fill: str = "black",
    *,
    align: str = "left",
) -> None:
    """Draw one line.

    Args:
        draw: where.
        corner: the line's upper left corner, in pixels; with ``align`` its upper middle or upper right.
        text: control characters are drawn as spaces.
        size: pixels of an em.
        fill: the colour.
        align: left, middle, right.
    """
    left, top = corner
    left -= {"left": 0.0, "middle": 0.5, "right": 1.0}[align] * text_width(text, size)
    baseline = top + round(1.08 * size)
    direction = _direction(text)
    for run in _in_order(text, direction):
        if run.font is None:
            _draw_box(draw, (left, baseline), run.text, size, fill)
        else:
            options: dict[str, Any] = {"direction": direction} if has_raqm() else {}
            font = _font(run.font, size)
            draw.text((round(left), baseline), run.text, fill, font, anchor="ls", **options)
        left += _run_width(run, size, direction)


def text_width(text: str, size: int) -> float:
    """Width of one line in pixels."""
    direction = _direction(text)
    return sum(_run_width(run, size, direction) for run in _in_order(text, direction))


def line_height(size: int) -> int:
    """Pixels from line to line; signs above and below letters have room."""
    return round(1.4 * size)


def wrapped(text: str, size: int, width: float) -> list[str]:
    """Lines of at most ``width`` pixels: broken at spaces, after -_/., within long words."""
    lines = [""]
    for piece in _pieces(" ".join(visible(text).split())):
        if text_width(lines[-1] + piece.rstrip(), size) <= width:
            lines[-1] += piece
            continue
        if lines[-1]:
            lines.append("")
        for letter in clusters(piece):
            if lines[-1] and text_width((lines[-1] + letter).rstrip(), size) > width:
                lines.append("")
            lines[-1] += letter
    return [line.strip() for line in lines]


def visible(text: str) -> str:
    """The text, or where nothing of it can be seen its code points in words."""
    clean = "".join(" " if unicodedata.category(sign) == "Cc" else sign for sign in text)
    blank = all(
        sign.isspace() or unicodedata.category(sign) in ("Cf", "Zs", "Mn") or sign in "\u2800\u3164"
        for sign in clean
    )
    if not blank:
        return clean
    points = " ".join(f"U+{ord(sign):04X}" for sign in text[:4])
    return f"blank ({points}{' …' if len(text) > 4 else ''})" if text else "no name"


def clusters(text: str) -> Iterator[str]:
    """The signs that a reader sees: letters with their marks, joined emoji, flags."""
    cluster = ""
    for sign in text:
        last = cluster[-1:]
        flag = _is_flag(sign) and len(cluster) == 1 and _is_flag(last)
        joins = (
            unicodedata.category(sign) in _MARKS
            or sign == _JOINER
            or "\ufe00" <= sign <= _EMOJI_SIGN
            or "\U0001f3fb" <= sign <= "\U0001f3ff"
            or "\U000e0020" <= sign <= "\U000e007f"
            or (last == _JOINER and ord(cluster[0]) >= 0x2190)
        )
        if cluster and not joins and not flag:
            yield cluster
            cluster = ""
        cluster += sign
    if cluster:
        yield cluster


def runs(text: str) -> list[Stretch]:
    """The text in parts of one font each, in the order of the text."""
    parts: list[Stretch] = []
    for cluster in clusters(visible(text)):
        last = parts[-1].font if parts else None
        keep = last is not None and cluster.isspace() and last.name != _EMOJI  # its space is wide
        font = last if keep else font_of(cluster)
        if parts and font is not None and font == last:
            parts[-1] = Stretch(font, parts[-1].text + cluster)
        else:
            parts.append(Stretch(font, cluster))
    return parts


@lru_cache(maxsize=20_000)
def font_of(cluster: str) -> Path | None:
    """The first font with all characters of a cluster; None without one."""
    wanted = {sign for sign in cluster if not _needs_no_glyph(sign)}
    if not wanted:
        return FOLDER / _SANS
    emoji = _EMOJI_SIGN in cluster or any(ord(sign) >= 0x1F000 for sign in wanted)
    for path in _bundled(emoji):
        if all(_covers(path, sign) for sign in wanted):
            return path
    if any(unicodedata.category(sign) in _NO_GLYPH for sign in wanted):
        return None
    return next((p for p in _system() if all(_covers(p, sign) for sign in wanted)), None)


@cache
def has_raqm() -> bool:
    """Whether Pillow shapes text and orders it by direction."""
    return bool(features.check("raqm"))


@cache
def _bundled(emoji_first: bool) -> tuple[Path, ...]:
    others = sorted(path.name for path in FOLDER.glob("*.ttf") if path.name not in (_SANS, _EMOJI))
    names = [_EMOJI, _SANS, *others] if emoji_first else [_SANS, *others, _EMOJI]
    return tuple(FOLDER / name for name in names)


@cache
def _system() -> tuple[Path, ...]:
    """Fonts of this machine, at most 2,000."""
    home = Path.home() if os.environ.get("HOME") or os.environ.get("USERPROFILE") else Path()
    if sys.platform == "win32":
        folders = [Path(os.environ.get("WINDIR", r"C:\Windows")) / "Fonts"]
    elif sys.platform == "darwin":
        folders = [home / "Library/Fonts", Path("/Library/Fonts"), Path("/System/Library/Fonts")]
    else:
        shared = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
        folders = [home / ".local/share/fonts", home / ".fonts"]
        folders += [Path(folder) / "fonts" for folder in shared.split(":") if folder]
    files = [
        path
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in (".ttf", ".otf", ".ttc")
    ]
    plain = sorted(files, key=lambda path: "regular" not in path.stem.lower())  # before bold ones
    return tuple(plain[:_MOST_FONTS])


@cache
def _font(path: Path, size: int, shaped: bool = True) -> ImageFont.FreeTypeFont:
    engine = ImageFont.Layout.RAQM if shaped and has_raqm() else ImageFont.Layout.BASIC
    return ImageFont.truetype(path, size, layout_engine=engine)


@lru_cache(maxsize=100_000)
def _covers(path: Path, sign: str) -> bool:
    """Whether a font has the character: Pillow tells no more than the picture of a missing one."""
    try:
        font = _font(path, _PROBE, shaped=False)
        return _drawn(font, sign) != _missing(path)
    except (OSError, ValueError):
        return False


@cache
def _missing(path: Path) -> tuple[Any, bytes]:
    return _drawn(_font(path, _PROBE, shaped=False), "\U0010ffff")


def _drawn(font: ImageFont.FreeTypeFont, sign: str) -> tuple[Any, bytes]:
    mask = font.getmask(sign)
    return (mask.size, font.getlength(sign)), bytes(mask)


def _needs_no_glyph(sign: str) -> bool:
    """Joiners and selectors: they choose among the glyphs of others."""
    return sign.isspace() or unicodedata.category(sign) == "Cf" or "\ufe00" <= sign <= "\ufe0f"


def _is_flag(sign: str) -> bool:
    return "\U0001f1e6" <= sign <= "\U0001f1ff"


def _direction(text: str) -> str:
    """``rtl`` where the first letter is of such a script."""
    for sign in text:
        if (kind := unicodedata.bidirectional(sign)) in ("L", "R", "AL"):
            return "ltr" if kind == "L" else "rtl"
    return "ltr"


def _in_order(text: str, direction: str) -> list[Stretch]:
    """Runs from left to right. Raqm orders what is within a run."""
    parts = runs(text)
    if direction == "rtl":
        parts.reverse()
    if has_raqm():
        return parts
    return [Stretch(font, _without_raqm(part)) for font, part in parts]


def _without_raqm(text: str) -> str:
    """What the basic layout can draw: no joiners, right-to-left letters in the order of the eye."""
    letters = [
        "".join(sign for sign in cluster if sign.isspace() or not _needs_no_glyph(sign))
        for cluster in clusters(text)
    ]
    if any(unicodedata.bidirectional(sign) in ("R", "AL") for sign in text):
        letters.reverse()
    return "".join(letters)


def _run_width(run: Stretch, size: int, direction: str) -> float:
    if run.font is None:
        return 2 * 0.15 * size + _font(FOLDER / _SANS, _small(size)).getlength(_points(run.text))
    options: dict[str, Any] = {"direction": direction} if has_raqm() else {}
    return float(_font(run.font, size).getlength(run.text, **options))


def _draw_box(
    draw: ImageDraw.ImageDraw, start: tuple[float, float], text: str, size: int, fill: str
) -> None:
    """A box with the code points of characters that no font has."""
    left, baseline = start
    right = left + _run_width(Stretch(None, text), size, "ltr")
    draw.rectangle((left, baseline - 0.8 * size, right - 2, baseline + 0.1 * size), outline=fill)
    font = _font(FOLDER / _SANS, _small(size))
    draw.text((left + 0.12 * size, baseline - 0.12 * size), _points(text), fill, font, anchor="ls")


def _small(size: int) -> int:
    return max(7, round(0.6 * size))


def _points(text: str) -> str:
    return " ".join(f"{ord(sign):04X}" for sign in text)


def _pieces(text: str) -> Iterator[str]:
    """Parts between which a line may break."""
    piece = ""
    for cluster in clusters(text):
        wide = unicodedata.east_asian_width(cluster[0]) in "WF"
        if wide and piece:
            yield piece
            piece = ""
        piece += cluster
        if wide or cluster in " -_/.,":
            yield piece
            piece = ""
    if piece:
        yield piece


def spelt(text: str) -> str:
    """The text with what no font has as code points, for where no box can be drawn."""
    return "".join(
        cluster if font_of(cluster) else f"[{_points(cluster)}]" for cluster in clusters(text)
    )


def families(texts: Iterable[str]) -> list[str]:
    """Make the fonts of texts known to matplotlib, and name their families for ``font.family``.

    Figures fall back along such a list, sign by sign. Fonts are added to matplotlib's list of known ones;
    none of its settings changes.
    """
    from matplotlib import font_manager  # noqa: PLC0415

    paths = dict.fromkeys(run.font for text in texts for run in runs(text) if text.strip())
    names = ["DejaVu Sans"]  # matplotlib brings it
    for path in paths:
        if path is None or path.name == _SANS:
            continue
        name, _ = _font(path, _PROBE).getname()
        known = {entry.fname for entry in font_manager.fontManager.ttflist}
        if str(path) not in known:
            font_manager.fontManager.addfont(path)
        names.append(str(name))
    return names
