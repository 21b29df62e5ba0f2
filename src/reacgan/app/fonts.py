"""The package's fonts for the page: what the reader's browser lacks is fetched from this server alone."""

from __future__ import annotations

from reacgan.sampling.fonts import FOLDER

FONTS = "/fonts/"
"""Below this address."""
EMOJI, SIGNS = "reacgan emoji", "reacgan signs"
"""Families: before those of the system, since Chromium draws boxes where emoji stand behind; and after."""
_SCRIPTS = {
    "DejaVuSans": "U+250-6FF, U+1E00-1FFF, U+2000-25FF",
    "NotoSansDevanagari-Regular": "U+900-97F, U+A8E0-A8FF",
    "NotoSansBengali-Regular": "U+980-9FF",
    "NotoSansGurmukhi-Regular": "U+A00-A7F",
    "NotoSansGujarati-Regular": "U+A80-AFF",
    "NotoSansTamil-Regular": "U+B80-BFF",
    "NotoSansTelugu-Regular": "U+C00-C7F",
    "NotoSansKannada-Regular": "U+C80-CFF",
    "NotoSansMalayalam-Regular": "U+D00-D7F",
    "NotoSansThai-Regular": "U+E00-E7F",
    "NotoSansLao-Regular": "U+E80-EFF",
    "NotoSansKhmer-Regular": "U+1780-17FF, U+19E0-19FF",
    "DroidSansFallback": "U+1100-11FF, U+2E80-A4CF, U+AC00-D7FF, U+F900-FAFF, U+FE30-FE4F, U+FF00-FFEF",
}
"""The signs that each font is asked for; a browser fetches none before it meets one of them."""
_EMOJI_SIGNS = "U+2600-27BF, U+2B00-2BFF, U+1F000-1FAFF"
_BETTER = ("Apple Color Emoji", "Segoe UI Emoji", "Noto Color Emoji")


def faces() -> str:
    """The rules of both families, for a style sheet."""
    local = "".join(f'local("{name}"), ' for name in _BETTER)
    rules = [_face(EMOJI, "NotoEmoji-Regular", _EMOJI_SIGNS, local)]
    rules += [_face(SIGNS, name, signs) for name, signs in _SCRIPTS.items()]
    return "".join(rules)


def _face(family: str, name: str, signs: str, before: str = "") -> str:
    file = FOLDER / f"{name}.ttf"
    source = f'{before}url("{FONTS}{file.name}")'
    return f'@font-face {{ font-family: "{family}"; src: {source}; unicode-range: {signs}; }}\n'
